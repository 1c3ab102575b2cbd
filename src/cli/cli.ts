// The door of `plant`: arguments → calls → words. Runs one command line against a world it is
// given, and tells the exit code. It must not know LMDB or MQTT.
import type { Client } from "../client/client.ts";
import { listServices } from "../status/status.ts";
import { asPlantError, hasCode, PlantError } from "../util/errors.ts";
import { brokerEndpoint, findPaths } from "../util/paths.ts";
import { nameOf, parseArguments } from "./arguments.ts";
import type { CommandSpec, Invocation } from "./command.ts";
import { createOutput } from "./output.ts";
import type { CliIo, GlobalFlags } from "./surroundings.ts";
import { commands, globalOptions } from "./table.ts";

export type { CliIo, NewFile, TextStream } from "./surroundings.ts";

/** The broker has this long to answer at all. */
const brokerMs = 1500;
/** Repetitions end after a day when nobody said for how long. */
const watchMaxMs = 86_400_000;

/**
 * Runs one command line, without program and script.
 * @returns the exit code. Never throws: errors are printed by the catalogue.
 */
export async function runCli(argv: readonly string[], io: CliIo): Promise<number> {
  const before = argv.includes("--") ? argv.slice(0, argv.indexOf("--")) : argv;
  const json = before.includes("--json");
  const color = !before.includes("--no-color");
  const verbose = before.includes("-v") || before.includes("--verbose");
  let isRepeated = false;
  try {
    const parsed = parseArguments(argv);
    if (parsed.kind === "help") {
      io.stdout.write(parsed.text);
      return 0;
    }
    isRepeated = isStream(parsed);
    return await runCommand(parsed, io);
  } catch (thrown) {
    const print = { json, quiet: false, utc: false, color, isRepeated, verbose };
    const plain = createOutput(io, print);
    const error = asPlantError(io.signal.aborted ? new PlantError("CANCELLED") : thrown);
    // Who pressed Ctrl-C knows; a reader of documents may not.
    if (json || !io.signal.aborted) plain.error(error);
    return error.exit;
  }
}

interface ParsedCommand {
  readonly spec: CommandSpec;
  readonly flags: GlobalFlags;
  readonly args: readonly (string | undefined)[];
  readonly options: Readonly<Record<string, unknown>>;
}

/** Whether a command line prints many documents: then each is one line, an error too. */
function isStream({ spec, flags, options }: ParsedCommand): boolean {
  return flags.watchMs !== undefined || spec.streams === true || options.changed === true;
}

async function runCommand(parsed: ParsedCommand, io: CliIo): Promise<number> {
  const { spec, flags, args, options } = parsed;
  const isRepeated = isStream(parsed);
  const next = `plant ${nameOf(spec)} --help`;
  if (flags.watchMs !== undefined && spec.repeats !== true) {
    throw new PlantError("USAGE", { message: `plant ${nameOf(spec)} cannot be watched`, next });
  }
  const out = createOutput(io, { ...flags, isRepeated });
  await using connection = connectOnce(io, flags);
  const over = new AbortController();
  const signal = AbortSignal.any([io.signal, over.signal]);
  const { client } = connection;
  const invocation: Invocation = { io, out, flags, args, options, signal, client };
  const run = await spec.load();
  const { forMs } = flags;
  if (forMs !== undefined) void io.clock.sleep(forMs, signal).then(() => over.abort());
  try {
    if (flags.watchMs === undefined) return await run(invocation);
    return await repeat(invocation, flags.watchMs, run);
  } catch (thrown) {
    if (over.signal.aborted && hasCode(thrown, "CANCELLED")) return 0;
    if (hasCode(thrown, "USAGE")) throw new PlantError("USAGE", { next, ...thrown.detail });
    throw thrown;
  } finally {
    over.abort();
  }
}

/** Runs again and again until the time is over; a failure is shown and the next try follows. */
async function repeat(
  invocation: Invocation,
  everyMs: number,
  run: (invocation: Invocation) => Promise<number>,
): Promise<number> {
  const { io, out, signal } = invocation;
  const endMs = io.clock.monotonicMs() + (invocation.flags.forMs ?? watchMaxMs);
  let code = 0;
  while (!signal.aborted && io.clock.monotonicMs() < endMs) {
    out.renew();
    try {
      code = await run(invocation);
    } catch (thrown) {
      if (signal.aborted) break;
      const error = asPlantError(thrown);
      out.error(error);
      code = error.exit;
    }
    await io.clock.sleep(everyMs, signal);
  }
  if (io.signal.aborted) throw new PlantError("CANCELLED");
  return code;
}

interface Connection extends AsyncDisposable {
  readonly client: () => Promise<Client>;
}

/** Connects at the first need, once the broker has answered. */
function connectOnce(io: CliIo, flags: GlobalFlags): Connection {
  let connecting: Promise<Client> | undefined;
  const connect = async (): Promise<Client> => {
    const endpoint = endpointOf(io, flags);
    const deadlineMs = Math.min(brokerMs, flags.timeoutMs);
    if (endpoint.startsWith("ipc://") && !io.exists(endpoint.slice("ipc://".length))) {
      throw await whyUnreachable(io, endpoint, deadlineMs);
    }
    const keyFile = keyFileOf(io, flags, endpoint);
    const client = await io.connect(endpoint, keyFile).catch((error: unknown) => {
      if (!hasCode(error, "ENDPOINT_UNUSABLE")) throw error;
      const next = "another --endpoint, or none: the local socket is found by itself";
      throw new PlantError(error.code, { ...error.detail, next });
    });
    try {
      await listServices(client, deadlineMs);
      return client;
    } catch (error) {
      await client[Symbol.asyncDispose]();
      if (!hasCode(error, "TIME_RAN_OUT", "EXPIRED", "BROKER_UNREACHABLE")) throw error;
      if (endpoint.startsWith("tcp://")) throw unreachableBy(endpoint, keyFile);
      throw await whyUnreachable(io, endpoint, deadlineMs);
    }
  };
  return {
    client: () => {
      connecting ??= connect().catch((error: unknown) => {
        connecting = undefined;
        throw error;
      });
      return connecting;
    },
    async [Symbol.asyncDispose]() {
      const client = await connecting?.catch(() => undefined);
      await client?.[Symbol.asyncDispose]();
    },
  };
}

/** What keeps a broker from answering, as far as its socket tells. */
async function whyUnreachable(io: CliIo, endpoint: string, waitedMs: number): Promise<PlantError> {
  const path = endpoint.startsWith("ipc://") ? endpoint.slice("ipc://".length) : undefined;
  const found = path === undefined ? undefined : await io.knock(path);
  if (found === "forbidden") return new PlantError("SOCKET_FORBIDDEN", { path });
  if (found === "open") return new PlantError("BROKER_SILENT", { endpoint, waitedMs });
  const reasons = { missing: "there is no such socket", refused: "nobody listens at this socket" };
  const reason = found === undefined ? {} : { reason: reasons[found] };
  return new PlantError("BROKER_UNREACHABLE", { endpoint, ...reason });
}

/** By flag; else the local socket where it exists; else by environment. */
function endpointOf({ env, exists }: CliIo, flags: GlobalFlags): string {
  if (flags.endpoint !== undefined) return flags.endpoint;
  const local = brokerEndpoint(findPaths(env), "technician");
  const named = env.PLANTD_BROKER_ENDPOINT ?? "";
  return named !== "" && !exists(local.slice("ipc://".length)) ? named : local;
}

/** Keys are of the network: by flag, else by environment; a local socket needs none. */
function keyFileOf(io: CliIo, flags: GlobalFlags, endpoint: string): string | undefined {
  const named = flags.keyFile ?? io.env.PLANT_KEY_FILE ?? "";
  return endpoint.startsWith("tcp://") && named !== "" ? named : undefined;
}

/** Who is refused by the network hears no more than who finds nobody there. */
function unreachableBy(endpoint: string, keyFile: string | undefined): PlantError {
  if (keyFile === undefined) {
    const next = "plant --key FILE, with the file that plant broker key --new made on the gateway";
    return new PlantError("BROKER_UNREACHABLE", { endpoint, reason: "no key was shown", next });
  }
  const next = `see that broker.network of the gateway lists the public key in ${keyFile}`;
  return new PlantError("BROKER_UNREACHABLE", { endpoint, keyFile, next });
}

/** The reference of all commands as Markdown, from the same table as the help. */
export function cliReference(): string {
  const rows = commands.map((spec) => {
    const options = (spec.options ?? []).map((o) => `- \`${o.flags}\`: ${o.words}`);
    const calls = spec.calls.map((call) => `\`${call}\``).join(", ");
    return [
      `### \`plant ${spec.usage}\``,
      "",
      `${upper(spec.words)}.`,
      ...(options.length === 0 ? [] : ["", ...options]),
      ...(calls === "" ? [] : ["", `Asks ${calls}.`]),
      "",
      "```",
      ...spec.examples,
      "```",
      "",
    ].join("\n");
  });
  const flags = globalOptions.map(({ flags: name, words }) => `| \`${name}\` | ${words} |`);
  return [
    "## plant",
    "",
    "`plant` alone is `plant status`. Data goes to standard output, talk to standard error.",
    "With `--json` every result and every error is a document with a `schema` field; what streams",
    "is one document per line. Exit codes are listed with the errors.",
    "",
    "| flag of every command | |",
    "|---|---|",
    ...flags,
    "",
    ...rows,
  ].join("\n");
}

function upper(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
