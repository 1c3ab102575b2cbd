// `plant status`: asks all parts and prints one screen. It must not know how a verdict is drawn.
import type { Client } from "../client/client.ts";
import { askStatus, explain, type StatusDocument } from "../status/status.ts";
import { asPlantError, type PlantError, type WireError } from "../util/errors.ts";
import { findPaths } from "../util/paths.ts";
import type { Invocation } from "./command.ts";
import { renderStatus } from "./status-view.ts";
import type { CliIo } from "./surroundings.ts";

/** A part has this long, so that one that is stuck does not hold the others up. */
const partMs = 1500;
/** Exit code of `plant` when the daemon is gone. */
const daemonGone = 7;

/** Exit 0 when all is well, 1 when a fault was found, 7 or 8 when the broker could not be asked. */
export async function runStatus(invocation: Invocation): Promise<number> {
  const { io, out, flags } = invocation;
  const [client, facts] = await Promise.all([
    invocation.client().catch((error: unknown) => absentClient(asPlantError(error))),
    readFacts(io),
  ]);
  const status: StatusDocument = await askStatus(
    { clock: io.clock, client },
    {
      ...facts,
      version: io.version,
      dataFolder: findPaths(io.env).data,
      deadlineMs: Math.min(partMs, flags.timeoutMs),
    },
  );
  const columns = io.stdout.isTerminal ? io.stdout.columns : Number.POSITIVE_INFINITY;
  out.result(status, () => renderStatus(status, out, { ...flags, columns }));
  const broker = status.parts.find(({ name }) => name === "broker");
  if (broker?.state === "down") return explain(broker.code ?? "")?.exit ?? daemonGone;
  return status.verdict.state === "ok" ? 0 : 1;
}

interface ConfiguredFacts {
  readonly gateway: string;
  readonly site: string;
  readonly lines: readonly string[];
  readonly local: readonly WireError[];
}

/** Name, site and lines by configuration; a flaw in it is a reason, not the end. */
async function readFacts({ env, exists, readFile }: CliIo): Promise<ConfiguredFacts> {
  const file = findPaths(env).config;
  const isConfigured =
    exists(file) || Object.keys(env).some((name) => /^PLANTD_[A-Z]+_/.test(name));
  if (!isConfigured) return { gateway: "gateway", site: "", lines: [], local: [] };
  const { parseConfig } = await import("../config/config.ts");
  try {
    const config = parseConfig(exists(file) ? readFile(file) : "", { env, file });
    const { name, site } = config.gateway;
    return { gateway: name, site, lines: Object.keys(config.lines), local: [] };
  } catch (error) {
    const wire = asPlantError(error).toWire();
    return { gateway: "gateway", site: "", lines: [], local: [wire] };
  }
}

/** A client that cannot ask: every question fails with the reason. */
function absentClient(error: PlantError): Client {
  const fail = () => Promise.reject(error);
  return {
    ended: Promise.resolve(undefined),
    request: fail,
    call: fail,
    // biome-ignore lint/correctness/useYield: it fails before it could
    async *stream() {
      throw error;
    },
    // biome-ignore lint/correctness/useYield: it fails before it could
    async *streamRaw() {
      throw error;
    },
    async [Symbol.asyncDispose]() {},
  };
}
