// A client of the bus: many requests in flight, each with a deadline; replies, streams, errors.
// It must not know which service it asks.
import type { Running } from "../util/running.ts";

/** Frames of one message, in order. */
export type Frames = readonly Uint8Array[];

export interface CallOptions {
  /** Time the whole request may take, in milliseconds. */
  readonly deadlineMs?: number;
  /** Cancels the request; it then fails with CANCELLED. */
  readonly signal?: AbortSignal;
  /** Trace id, 32 hexadecimal digits; a new one when absent. */
  readonly trace?: string;
}

/** Asks services. Every failure is a PlantError. */
export interface Client extends Running {
  /**
   * One request with a body of raw frames.
   * @throws PlantError TIME_RAN_OUT, NO_SERVICE, WORKER_LOST, EXPIRED, QUEUE_FULL, DENIED,
   * CANCELLED, BROKER_UNREACHABLE, LIMIT_REACHED.
   */
  request(service: string, body: Frames, options?: CallOptions): Promise<Frames>;
  /**
   * One operation with JSON arguments: body `[operation, JSON]`, reply `{success, data | error}`.
   * @returns the `data` of the reply, unchecked.
   * @throws PlantError the reply's error, or as for `request`.
   */
  call(service: string, operation: string, args: unknown, options?: CallOptions): Promise<unknown>;
  /** An operation that answers in parts: yields each part's `data`, returns that of the last. */
  stream(
    service: string,
    operation: string,
    args: unknown,
    options?: CallOptions,
  ): AsyncGenerator<unknown, unknown>;
}
