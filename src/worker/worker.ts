// A worker of the bus: registers a service, beats, serves requests, comes back after a loss.
// It must not know what the service does.
import type { Clock } from "../util/clock.ts";
import type { Log } from "../util/log.ts";
import type { Random } from "../util/random.ts";
import { type DealerOptions, type Transport, transport } from "../wire/wire.ts";
import { type Operation, Registration, type Worker } from "./registration.ts";

export type { WorkerRequest } from "./assignment.ts";
export type { Operation, Worker } from "./registration.ts";

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
  /** Longest wait at disposal for operations under way, which are told by their signal; 2,000. */
  readonly drainMs?: number;
}

const defaults = {
  concurrency: 1,
  heartbeatMs: 1000,
  livenessMs: 4000,
  messageBytesMax: 16_777_216,
  drainMs: 2000,
};

/**
 * Starts a worker. It resolves at once; registration follows when the broker is there, and again
 * after every loss. Without an operation `health` of its own, it answers `{status: "pass"}`.
 * @throws PlantError ENDPOINT_UNUSABLE for an address that cannot be one.
 */
export async function startWorker(
  deps: WorkerDeps,
  config: WorkerConfig,
  operations: Readonly<Record<string, Operation>>,
): Promise<Worker> {
  const table: Record<string, Operation> = {
    health: () => ({ status: "pass", checks: [] }),
    ...operations,
  };
  const settings = { ...defaults, ...config };
  return new Registration(
    { ...deps, transport: deps.transport ?? transport },
    settings,
    new Map(Object.entries(table)),
  );
}
