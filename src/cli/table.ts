// The table of commands: name, arguments, words, calls. Help and reference are made from it.
// It must not know how a command line is read.
import type { CommandSpec, OptionSpec } from "./command.ts";
import { stateCommands } from "./state-table.ts";

const state = "org.plantd.State";
const sync = "org.plantd.Sync";
const driver = "org.plantd.driver.*";
const logger = "org.plantd.Logger";

/** Flags of every command that measures. */
const measuringOptions: readonly OptionSpec[] = [
  { flags: "--count <number>", words: "how many (4; with --for as many as fit)" },
  { flags: "--interval <duration>", words: "time from one to the next (200ms); 0 is no pause" },
];

/** Flags that every command takes. */
export const globalOptions: readonly OptionSpec[] = [
  { flags: "--json", words: "print JSON with a schema field; errors too" },
  { flags: "--quiet", words: "print data only, no talk" },
  { flags: "--utc", words: "print times in UTC" },
  { flags: "--endpoint <address>", words: "address of the broker" },
  { flags: "--key <file>", words: "keys for a tcp:// address; as PLANT_KEY_FILE" },
  { flags: "--timeout <duration>", words: "longest wait for one answer (5s)" },
  { flags: "--watch <interval>", words: "repeat, every 2s or =<interval>" },
  { flags: "--for <duration>", words: "end watching after this long" },
  { flags: "--yes", words: "confirm what cannot be undone" },
  { flags: "--no-color", words: "no colours; as NO_COLOR" },
  { flags: "-v, --verbose", words: "say more" },
];

/** What the commands of a group have in common. */
export const groupWords: Readonly<Record<string, string>> = {
  state: "values and scopes kept in the store",
  "state schema": "what the points of a scope must be",
  "state consumers": "who holds records until they are acknowledged",
  outbox: "what waits for the centre",
  config: "the configuration, before plantd reads it",
  backup: "sealed copies of the whole store",
  broker: "who serves on the bus, what waits, who was refused, how long the way is",
};

const passphraseFile: OptionSpec = {
  flags: "--passphrase-file <file>",
  words: "read the passphrase from the first line of a file",
};

/** Every command. */
export const commands: readonly CommandSpec[] = [
  {
    usage: "status",
    words: "how the gateway is: verdict, lines, link, outbox, box",
    calls: [
      "mmi.services",
      `${state} stats`,
      `${state} position`,
      `${sync} status`,
      `${driver} status`,
    ],
    repeats: true,
    examples: ["plant", "plant status --watch=5s", "plant status --json"],
    load: async () => (await import("./status-command.ts")).runStatus,
  },
  {
    usage: "values [point]",
    words: "current values of all devices, of DEVICE, or of DEVICE/POINT",
    options: [
      { flags: "--changed", words: "print each value as it changes" },
      { flags: "--stale", words: "only values that are not good" },
    ],
    calls: [`${state} list`, `${state} watch`],
    repeats: true,
    examples: ["plant values meter-1", "plant values --changed --for 30s", "plant values --stale"],
    load: async () => (await import("./values-command.ts")).runValues,
  },
  {
    usage: "set <point> <value>",
    words: "write DEVICE/POINT on the device; at most once",
    options: [
      { flags: "--expect <value>", words: "write only while the device holds this value" },
      { flags: "--verify", words: "read back what was written" },
    ],
    calls: ["mmi.services", `${driver} status`, `${driver} write`],
    examples: [
      "plant set pump-1/speed 1450 --verify",
      "plant set pump-1/running true --expect false",
    ],
    load: async () => (await import("./set-command.ts")).runSet,
  },
  ...stateCommands,
  {
    usage: "outbox status",
    words: "what waits for the centre's acknowledgement, per stream",
    calls: [`${sync} status`],
    repeats: true,
    examples: ["plant outbox", "plant outbox --watch"],
    load: async () => (await import("./sync-command.ts")).runOutbox,
  },
  {
    usage: "outbox pause",
    words: "stop publishing; records go on waiting here",
    calls: [`${sync} pause`],
    examples: ["plant outbox pause"],
    load: async () => (await import("./sync-command.ts")).runPause,
  },
  {
    usage: "outbox resume",
    words: "publish again",
    calls: [`${sync} resume`],
    examples: ["plant outbox resume"],
    load: async () => (await import("./sync-command.ts")).runResume,
  },
  {
    usage: "enroll <url> <code>",
    words:
      "enrol this gateway at a centre; CODE may be - to come from standard input; " +
      "a gateway that is enrolled already needs --yes",
    calls: [`${sync} enroll`],
    examples: [
      "plant enroll https://hub.example ABCD-…",
      "cat code | plant enroll https://hub.example -",
    ],
    load: async () => (await import("./sync-command.ts")).runEnroll,
  },
  {
    usage: "config check [file]",
    words: "check a configuration; every flaw with line and column",
    calls: [],
    examples: ["plant config check", "plant config check new.yaml"],
    load: async () => (await import("./config-command.ts")).runConfigCheck,
  },
  {
    usage: "backup create [file]",
    words: "seal a backup of the whole store with a passphrase; FILE gets a copy, on a stick maybe",
    options: [passphraseFile],
    calls: [`${state} backup-create`, `${state} backup-read`],
    examples: ["plant backup create", "plant backup create /media/stick/pump-3.plantbackup"],
    load: async () => (await import("./backup-command.ts")).runCreate,
  },
  {
    usage: "backup verify <path>",
    words: "check every page and row of a backup, without touching the store",
    options: [passphraseFile],
    calls: [`${state} backup-verify`, `${state} backup-put`],
    examples: ["plant backup verify /media/stick/pump-3.plantbackup"],
    load: async () => (await import("./backup-command.ts")).runVerify,
  },
  {
    usage: "backup snapshots",
    words: "copies the store makes by itself, against a database that is damaged",
    options: [{ flags: "--now", words: "make one first" }],
    calls: [`${state} snapshot-list`, `${state} snapshot-create`],
    examples: ["plant backup snapshots", "plant backup snapshots --now"],
    load: async () => (await import("./backup-command.ts")).runSnapshots,
  },
  {
    usage: "backup losses",
    words: "damaged databases that were replaced, and the records that are gone",
    options: [{ flags: "--seen", words: "end the alarm about them" }],
    calls: [`${state} losses`],
    examples: ["plant backup losses", "plant backup losses --seen"],
    load: async () => (await import("./backup-command.ts")).runLosses,
  },
  {
    usage: "backup restore <path>",
    words: "replace the store by a backup; needs --yes",
    options: [passphraseFile],
    calls: [`${state} backup-restore`, `${state} backup-put`],
    examples: ["plant backup restore /media/stick/pump-3.plantbackup --yes"],
    load: async () => (await import("./backup-command.ts")).runRestore,
  },
  {
    usage: "backup list",
    words: "backups on this gateway",
    calls: [`${state} backup-list`],
    examples: ["plant backup list"],
    load: async () => (await import("./backup-command.ts")).runBackups,
  },
  {
    usage: "log",
    words: "log lines of all parts, newest last",
    options: [
      { flags: "--errors", words: "only errors" },
      {
        flags: "--level <level>",
        words: "only lines at least this severe: debug, info, warn, error",
      },
      { flags: "--since <duration>", words: "only lines this young, e.g. 1h; those on disk, too" },
      { flags: "--until <duration>", words: "only lines this old" },
      { flags: "--lines <count>", words: "at most this many (100; 10000 with --since)" },
      { flags: "--part <name>", words: "only lines of this part, e.g. driver:line1" },
      { flags: "--service <name>", words: "only lines of this service" },
      { flags: "--context <name>", words: "only lines from within here, e.g. driver:line1.bus" },
      { flags: "--grep <text>", words: "only lines with this text, as it stands" },
      { flags: "--explain", words: "say what the codes mean" },
      { flags: "--follow", words: "go on with lines as they come" },
    ],
    calls: [`${logger} tail`, `${logger} follow`],
    streams: true,
    examples: [
      "plant log --errors --since 1h --explain",
      "plant log --part driver:line1 --follow",
      'plant log --since 1d --grep "no answer" --json',
    ],
    load: async () => (await import("./log-command.ts")).runLog,
  },
  {
    usage: "log level [part] [level]",
    words:
      "what each part writes; with PART and LEVEL, set it while it runs: debug, info, warn, error, " +
      "or configured; the part all is every part",
    calls: [`${logger} levels`, `${logger} set-level`],
    examples: [
      "plant log level",
      "plant log level driver:line1 debug --for 10m",
      "plant log level driver:line1 configured",
    ],
    load: async () => (await import("./log-level-command.ts")).runLevel,
  },
  {
    usage: "broker services",
    words: "what is served on the bus: workers, load, queue and answer times",
    calls: ["mmi.queue"],
    repeats: true,
    examples: ["plant broker services", "plant broker services --watch"],
    load: async () => (await import("./broker-command.ts")).runServices,
  },
  {
    usage: "broker workers",
    words: "who serves: principal, dialect, requests at work, silence",
    calls: ["mmi.workers"],
    repeats: true,
    examples: ["plant broker workers"],
    load: async () => (await import("./broker-command.ts")).runWorkers,
  },
  {
    usage: "broker queue",
    words: "what waits for whom, and what was refused; exit 1 where nobody serves what waits",
    calls: ["mmi.queue", "mmi.broker"],
    repeats: true,
    examples: ["plant broker queue --watch=1s"],
    load: async () => (await import("./broker-command.ts")).runQueue,
  },
  {
    usage: "broker ping",
    words: "measure the way to the broker and back; exit 1 when an answer is lost",
    options: measuringOptions,
    calls: ["mmi.service"],
    streams: true,
    examples: ["plant broker ping", "plant broker ping --count 1000 --interval 0"],
    load: async () => (await import("./broker-command.ts")).runPing,
  },
  {
    usage: "broker key",
    words: "print the broker's public key, or make a pair for somebody who connects by the network",
    options: [
      { flags: "--new <name>", words: "make a pair of keys for a peer and print its public key" },
      { flags: "--file <file>", words: "where the pair goes (NAME.key)" },
      { flags: "--principal <name>", words: "who the peer is to be (technician)" },
    ],
    calls: [],
    examples: ["plant broker key", "plant broker key --new pump-laptop"],
    load: async () => (await import("./key-command.ts")).runKey,
  },
  {
    usage: "echo [text]",
    words: "measure the way to an echo service and back; exit 1 when an answer is lost",
    options: [
      ...measuringOptions,
      { flags: "--size <bytes>", words: "send this many bytes of the text, over and over" },
      { flags: "--service <name>", words: "another service that has the operation echo" },
    ],
    calls: ["mmi.service", "org.plantd.module.Echo echo"],
    streams: true,
    examples: ["plant echo hello", "plant echo --size 65536 --count 100 --interval 0"],
    load: async () => (await import("./echo-command.ts")).runEcho,
  },
  {
    usage: "explain [code]",
    words: "what a code means and what to do; all codes without one",
    calls: [],
    examples: ["plant explain DEVICE_SILENT"],
    load: async () => (await import("./plain-command.ts")).runExplain,
  },
  {
    usage: "version",
    words: "versions of plant and of its runtime",
    calls: [],
    examples: ["plant version"],
    load: async () => (await import("./plain-command.ts")).runVersion,
  },
];

/** What is meant when the words say too little: `plant` is `plant status`. */
export const shortcuts: Readonly<Record<string, string>> = {
  "": "status",
  outbox: "status",
  broker: "services",
};
