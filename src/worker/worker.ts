// A worker of the bus: registers a service, beats, serves requests, comes back after a loss.
// It must not know what the service does.
import type { Running } from "../util/running.ts";

/** One request as an operation sees it. */
export interface WorkerRequest {
  readonly operation: string;
  /** The JSON arguments, unchecked: `undefined` when the body holds none. */
  readonly args: unknown;
  /** The body frames as they came, the operation's name first. */
  readonly body: readonly Uint8Array[];
  /** Trace id, 32 hexadecimal digits. */
  readonly trace: string;
  /** Aborts at the deadline, when the client cancels, and when the broker is lost. */
  readonly signal: AbortSignal;
  /** Milliseconds left of the client's deadline. */
  remainingMs(): number;
  /** Sends one part of a stream; waits while the client has granted no credit. */
  partial(data: unknown): Promise<void>;
}

/** Serves one operation: what it returns is the reply's `data`; a PlantError is its `error`. */
export type Operation = (request: WorkerRequest) => unknown;

/** A registered worker. */
export interface Worker extends Running {
  readonly service: string;
  /** Requests being served at this moment. */
  readonly busy: number;
}
