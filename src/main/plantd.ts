// The command `plantd`: reads its words, then does what they say. The only file that ends the
// process. It must not know any part.
import { existsSync, readFileSync } from "node:fs";
import {
  type Config,
  type ConfigFlaw,
  describeFlaw,
  forgetYaml,
  loadConfig,
} from "../config/config.ts";
import { systemClock as clock } from "../util/clock.ts";
import { asPlantError, hasCode, PlantError } from "../util/errors.ts";
import { type Log, openLog } from "../util/log.ts";
import { openLogLevels } from "../util/log-levels.ts";
import { findPaths, type Paths } from "../util/paths.ts";
import { systemRandom as random } from "../util/random.ts";
import { makeRedactor } from "../util/redact.ts";
import { type Command, parseCommand, type Sources, usage } from "./command-line.ts";
import { namesOf, type PartContext, planLogRoad, planParts } from "./compose.ts";
import { openLogRoad } from "./log-road.ts";
import { openNotifier } from "./notify.ts";
import { supervise } from "./supervise.ts";

/** A defect of plantd, as sysexits(3) names it. */
const exitDefect = 70;
/** Longest ending of all parts; the units allow 20 s. */
const stopMs = 12_000;

/** Lines of this process that may wait for the logger. */
const road = { linesMax: 5000, pauseMs: 500, pollMs: 2000, pauseCeilingMs: 5000, closeMs: 1000 };

type RunCommand = Extract<Command, { kind: "run" }>;

async function obey(words: readonly string[]): Promise<number> {
  const command = parseCommand(words);
  switch (command.kind) {
    case "help":
      process.stdout.write(usage);
      return 0;
    case "version":
      process.stdout.write(`plantd ${readVersion()}\n`);
      return 0;
    case "run":
      return run(command);
    case "simulate": {
      const { config, paths } = readSources(command.sources);
      const log = openLog({ service: "plantd-simulate", level: config.log.level });
      watchDefects(log);
      const signal = watchSignals(log);
      const { simulate } = await import("./simulate.ts");
      const { profiles } = paths;
      return await simulate({ clock, log, profiles, signal }, config, command.isPaced);
    }
    case "central-add":
    case "mosquitto-config": {
      const { administer } = await import("./centre-tools.ts");
      return await administer(command, { clock, random, ...readSources(command.sources) });
    }
  }
}

/** Runs parts until told to end. */
async function run(command: RunCommand): Promise<number> {
  const { paths, config } = readSources(command.sources);
  const names = namesOf(command.parts, config);
  if (process.stderr.isTTY && command.parts.length === 0) greet(paths, config);
  const service = names.length === 1 ? `plantd-${names[0]}` : "plantd";
  const lines = openLogRoad({ ...road, batchMax: config.logger.batchMax });
  const levels = openLogLevels(clock, config.log.level);
  const log = openLog({
    service,
    level: config.log.level,
    levels,
    redactor: makeRedactor(config.logger.redact),
    write: (line) => {
      process.stdout.write(`${line}\n`);
      lines.push(line);
    },
  });
  watchDefects(log);
  const signal = watchSignals(log);
  const context: PartContext = { clock, random, log, paths, config, version: readVersion() };
  await using notifier = openNotifier({ clock, log, env: process.env });
  // The road's own client is the first to start and the last to end: it carries the last words.
  const plans = [
    ...planLogRoad(context, names, { road: lines, levels }),
    ...planParts(context, names),
  ];
  const settle = shrinkHeap;
  return await supervise({ clock, log, notifier, signal, settle }, { plans, stopMs });
}

/**
 * Gives back the memory that only starting needed, 2 to 4 MB, where Node runs with `--expose-gc`:
 * left to itself it keeps them, as an idle process collects nothing.
 */
function shrinkHeap(): void {
  forgetYaml();
  void globalThis.gc?.({ type: "major", flavor: "last-resort", execution: "sync" });
}

/** Tells a person at a terminal what was read, and where to look. */
function greet(paths: Paths, { http, lines }: Config): void {
  const count = Object.keys(lines).length;
  const say = (text: string) => process.stderr.write(`${text}\n`);
  const from = existsSync(paths.config) ? paths.config : `no file ${paths.config}, defaults`;
  say(
    `configuration  ${from}; ${count === 0 ? "no line, so nothing is measured" : `${count} lines`}`,
  );
  if (count === 0) say("next           describe a device: docs/how-to/first-device.md");
  say(`page           http://${http.host}:${http.port}/`);
  say("look           plant, in another terminal and with the same data folder; Ctrl-C ends");
}

function readSources(sources: Sources): { paths: Paths; config: Config } {
  const env = {
    ...process.env,
    ...(sources.dataDir === undefined ? {} : { PLANTD_DATA_DIR: sources.dataDir }),
    ...(sources.file === undefined ? {} : { PLANTD_CONFIG: sources.file }),
  };
  const paths = findPaths(env);
  const isWanted = sources.file !== undefined || process.env.PLANTD_CONFIG !== undefined;
  const file = isWanted || existsSync(paths.config) ? { file: paths.config } : {};
  return { paths, config: loadConfig({ ...file, env: process.env, flags: sources.flags }) };
}

/** Aborts at the first SIGINT or SIGTERM; a second ends the process at once. */
function watchSignals(log: Log): AbortSignal {
  const asked = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.on(name, () => {
      if (asked.signal.aborted) process.exit(130);
      log.info("asked to end", { signal: name });
      asked.abort();
    });
  }
  return asked.signal;
}

/** One line for what nobody caught, and the end. */
function watchDefects(log: Log): void {
  const end = (thrown: unknown) => {
    const error = asPlantError(thrown);
    const stack = thrown instanceof Error ? (thrown.stack ?? "").slice(0, 4000) : "";
    log.error("a defect ended the process", { code: error.code, reason: error.message, stack });
    process.exit(exitDefect);
  };
  process.on("uncaughtException", end);
  process.on("unhandledRejection", end);
}

function readVersion(): string {
  const manifest: unknown = JSON.parse(
    readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
  );
  return String((manifest as { version?: unknown }).version ?? "unknown");
}

/** Says on standard error what is wrong, all of it. @returns the exit code. */
function complain(thrown: unknown): number {
  const error = asPlantError(thrown);
  const say = (text: string) => process.stderr.write(`${text}\n`);
  say(`plantd: ${error.message} (${error.code})`);
  if (hasCode(thrown, "CONFIG_INVALID")) {
    for (const flaw of thrown.detail.flaws as readonly ConfigFlaw[]) say(`  ${describeFlaw(flaw)}`);
  }
  if (hasCode(thrown, "USAGE")) say("plantd help shows the commands");
  else if (thrown instanceof PlantError) say(`next: ${error.next}`);
  if (thrown instanceof PlantError) return error.exit;
  if (thrown instanceof Error) say(thrown.stack ?? "");
  return exitDefect;
}

process.stdout.on("error", () => {}); // whoever read the log is gone; the road still carries it
process.exit(await obey(process.argv.slice(2)).catch(complain));
