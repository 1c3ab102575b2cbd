// A worker of the bus: registers a service, beats, serves requests, comes back after a loss.
// It must not know what the service does.
import type { Clock } from "../util/clock.ts";
import type { Log } from "../util/log.ts";
import type { Random } from "../util/random.ts";
import { type DealerOptions, type Transport, transport } from "../wire/wire.ts";
import { byOperation, type Operation, type RawOperation } from "./operations.ts";
import { Registration, type Worker } from "./registration.ts";

export type { Frames } from "../mdp/mdp.ts";
export type { RawRequest } from "./assignment.ts";
export {
  byOperation,
  JsonText,
  type Operation,
  type RawOperation,
  type WorkerRequest,
} from "./operations.ts";
export type { Worker } from "./registration.ts";
export { endlessRoom } from "./room.ts";

export interface WorkerDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  /** Message sockets; those of the runtime when absent. */
  readonly transport?: Transport;
}

export interface WorkerConfig {
  /** Address of the broker. */
  readonly endpoint: string;
  /** Own keys and the broker's public one, for an endpoint that asks for CURVE. */
  readonly curve?: DealerOptions["curve"];
  readonly service: string;
  /** Requests served at once; 1 when absent. */
  readonly concurrency?: number;
  /** Time between two signs of life; 1,000 when absent. */
  readonly heartbeatMs?: number;
  /** Silence after which the broker counts as lost; 4,000 when absent. */
  readonly livenessMs?: number;
  /** Bytes of one message, both ways; 16 MiB when absent. */
  readonly messageBytesMax?: number;
  /**
   * Bytes of replies and parts that wait for the broker, beyond which no long answer is begun;
   * 32 MiB when absent. One reply is always let in.
   */
  readonly answersBytesMax?: number;
  /** Longest wait at disposal for operations under way; 2,000 when absent. */
  readonly drainMs?: number;
  /** Part of it before they are told by their signal; streams are told at once. 250 when absent. */
  readonly graceMs?: number;
}

const defaults = {
  concurrency: 1,
  heartbeatMs: 1000,
  livenessMs: 4000,
  messageBytesMax: 16_777_216,
  answersBytesMax: 33_554_432,
  drainMs: 2000,
  graceMs: 250,
};

/**
 * Starts a worker. It resolves at once; registration follows when the broker is there, and again
 * after every loss. Disposal begins nothing new, lets what is under way finish, and says goodbye.
 * @param work a table of operations with JSON arguments, as `byOperation` serves it; or one function
 * that serves bodies of any kind: what it throws reaches clients of our own dialect as the error.
 * @throws PlantError ENDPOINT_UNUSABLE for an address that cannot be one.
 */
export async function startWorker(
  deps: WorkerDeps,
  config: WorkerConfig,
  work: Readonly<Record<string, Operation>> | RawOperation,
): Promise<Worker> {
  const serve = typeof work === "function" ? work : byOperation(deps.log, work);
  const settings = { ...defaults, ...config };
  return new Registration({ ...deps, transport: deps.transport ?? transport }, settings, serve);
}
