// The part of the table of commands that is about the store: `plant state …`. It must not know how
// a command line is read.
import type { CommandSpec } from "./command.ts";

const state = "org.plantd.State";

/** Every command of `plant state`. */
export const stateCommands: readonly CommandSpec[] = [
  {
    usage: "state get <scope> [key]",
    words: "one point of the store, named SCOPE KEY or SCOPE/KEY",
    calls: [`${state} get`],
    repeats: true,
    examples: ["plant state get device/meter-1 voltage", "plant state get device/meter-1/voltage"],
    load: async () => (await import("./state-command.ts")).runGet,
  },
  {
    usage: "state set <scope> <key> <value>",
    words: "keep a value in the store; writes no device",
    options: [
      {
        flags: "--type <type>",
        words: "bool, i64, u64, f64, text or json; else as the value looks",
      },
      { flags: "--unit <unit>", words: "unit of the value, e.g. kW" },
      { flags: "--quality <quality>", words: "good, uncertain or bad (good)" },
      { flags: "--reason <text>", words: "why it is not good" },
      { flags: "--ttl <duration>", words: "the value goes away after this long" },
      { flags: "--expect <value>", words: "only while the point has this value" },
      { flags: "--expect-revision <number>", words: "only while the point has this revision" },
      { flags: "--expect-absent", words: "only while there is no such point" },
    ],
    calls: [`${state} set-many`, `${state} compare-and-set`],
    examples: [
      "plant state set org.plantd.Site shift night",
      "plant state set org.plantd.Site limit 40 --unit kW --expect 35",
      "plant state set org.plantd.Site note busy --ttl 8h",
    ],
    load: async () => (await import("./state-set-command.ts")).runStateSet,
  },
  {
    usage: "state list [scope]",
    words: "points of the store, of all scopes or of one",
    options: [
      {
        flags: "--prefix <text>",
        words: "only keys, or without SCOPE scopes, that begin with this",
      },
      { flags: "--lines <count>", words: "at most this many points (100000)" },
    ],
    calls: [`${state} list`],
    repeats: true,
    examples: ["plant state list device/meter-1", "plant state list --prefix device/ --lines 50"],
    load: async () => (await import("./state-command.ts")).runList,
  },
  {
    usage: "state delete <scope> [key]",
    words: "remove a point, named SCOPE KEY or SCOPE/KEY, from the store",
    calls: [`${state} delete-many`],
    examples: ["plant state delete org.plantd.Site shift --yes"],
    load: async () => (await import("./state-command.ts")).runDelete,
  },
  {
    usage: "state history <scope> [key]",
    words: "what a point's values were: a curve, least, most, mean and last",
    options: [
      { flags: "--since <duration>", words: "from so long ago until now; 24h unless told" },
      { flags: "--from <time>", words: "a moment such as 2026-03-01T12:00, or a duration ago" },
      { flags: "--to <time>", words: "the end, told alike" },
      { flags: "--buckets <count>", words: "into how many spans the range is cut" },
      { flags: "--raw", words: "the values one by one" },
    ],
    calls: [`${state} history`],
    repeats: true,
    examples: [
      "plant state history device/meter-1 voltage --since 6h",
      "plant state history device/meter-1/voltage --from 2d --to 1d --json",
    ],
    load: async () => (await import("./history-command.ts")).runHistory,
  },
  {
    usage: "state watch [scope]",
    words: "print each point of the store as it changes, and as it goes",
    options: [
      {
        flags: "--prefix <text>",
        words: "only keys, or without SCOPE scopes, that begin with this",
      },
      { flags: "--after <revision>", words: "begin with what changed after this revision" },
    ],
    calls: [`${state} watch`],
    streams: true,
    examples: [
      "plant state watch --for 1m --json",
      "plant state watch device/meter-1 --after 4711",
    ],
    load: async () => (await import("./state-watch-command.ts")).runWatch,
  },
  {
    usage: "state create-scope <scope>",
    words: "make a scope",
    calls: [`${state} create-scope`],
    examples: ["plant state create-scope org.plantd.Site"],
    load: async () => (await import("./state-command.ts")).runCreateScope,
  },
  {
    usage: "state delete-scope <scope>",
    words: "remove a scope and all its points",
    calls: [`${state} delete-scope`],
    examples: ["plant state delete-scope org.plantd.Site --yes"],
    load: async () => (await import("./state-command.ts")).runDeleteScope,
  },
  {
    usage: "state list-scopes",
    words: "names of all scopes",
    calls: [`${state} list-scopes`],
    examples: ["plant state list-scopes"],
    load: async () => (await import("./state-command.ts")).runListScopes,
  },
  {
    usage: "state export [file]",
    words: "points as lines of JSON, into FILE or to standard output",
    options: [
      { flags: "--scope <name>", words: "only this scope" },
      { flags: "--prefix <text>", words: "only keys, or scopes, that begin with this" },
    ],
    calls: [`${state} export`],
    streams: true,
    examples: ["plant state export points.jsonl", "plant state export --scope org.plantd.Site"],
    load: async () => (await import("./export-command.ts")).runExport,
  },
  {
    usage: "state import <file>",
    words: "points from a file of plant state export; - is standard input",
    options: [
      { flags: "--dry-run", words: "only say what would become of them" },
      { flags: "--replace", words: "also points that the store has otherwise" },
    ],
    calls: [`${state} import`],
    examples: ["plant state import points.jsonl --dry-run", "plant state import points.jsonl"],
    load: async () => (await import("./export-command.ts")).runImport,
  },
  {
    usage: "state schema get <scope>",
    words: "what the points of a scope must be",
    calls: [`${state} schema-get`],
    examples: ["plant state schema get org.plantd.Site"],
    load: async () => (await import("./state-schema-command.ts")).runSchemaGet,
  },
  {
    usage: "state schema set <scope> <file>",
    words: "say what the points of a scope must be, from a file of JSON; - is standard input",
    options: [{ flags: "--keep", words: "although points that are there do not fit" }],
    calls: [`${state} schema-set`],
    examples: ["plant state schema set org.plantd.Site site.json"],
    load: async () => (await import("./state-schema-command.ts")).runSchemaSet,
  },
  {
    usage: "state schema delete <scope>",
    words: "let the points of a scope be anything",
    calls: [`${state} schema-delete`],
    examples: ["plant state schema delete org.plantd.Site --yes"],
    load: async () => (await import("./state-schema-command.ts")).runSchemaDelete,
  },
  {
    usage: "state changes [stream]",
    words: "records of a stream as the centre gets them: state, event, log or metric",
    options: [
      { flags: "--stream <name>", words: "the stream, where it does not stand before (state)" },
      { flags: "--after <sequence>", words: "those after this one; else the newest" },
      { flags: "--lines <count>", words: "at most this many (20)" },
      { flags: "--follow", words: "go on with records as they come" },
    ],
    calls: [`${state} changes`],
    streams: true,
    examples: [
      "plant state changes event",
      "plant state changes state --after 4711 --json",
      "plant state changes --stream metric --follow",
    ],
    load: async () => (await import("./state-changes-command.ts")).runChanges,
  },
  {
    usage: "state stats",
    words: "how full the store is, how quick, and what it wears the medium",
    calls: [`${state} stats`],
    repeats: true,
    examples: ["plant state stats", "plant state stats --watch"],
    load: async () => (await import("./state-stats-command.ts")).runStats,
  },
  {
    usage: "state upgrade",
    words: "bring the database to the newest format; the release before cannot read it then",
    calls: [`${state} upgrade`],
    examples: ["plant state upgrade --yes"],
    load: async () => (await import("./state-upgrade-command.ts")).runUpgrade,
  },
  {
    usage: "state consumers list",
    words: "who holds records until they are acknowledged, and how many wait for each",
    calls: [`${state} consumer-list`],
    repeats: true,
    examples: ["plant state consumers list"],
    load: async () => (await import("./state-consumers-command.ts")).runConsumers,
  },
  {
    usage: "state consumers remove <name>",
    words: "let go of what waits for a consumer that will not come back",
    calls: [`${state} consumer-remove`],
    examples: ["plant state consumers remove old-archive --yes"],
    load: async () => (await import("./state-consumers-command.ts")).runRemoveConsumer,
  },
];
