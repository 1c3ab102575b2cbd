// A client of the bus: many requests in flight, each with a deadline; replies, streams, errors.
// It must not know which service it asks.
import type { Frames } from "../mdp/mdp.ts";
import type { Clock } from "../util/clock.ts";
import { PlantError } from "../util/errors.ts";
import type { Log } from "../util/log.ts";
import type { Random } from "../util/random.ts";
import type { Running } from "../util/running.ts";
import { type DealerOptions, type Transport, transport } from "../wire/wire.ts";
import { decodeReply, encodeCall } from "./body.ts";
import { openLink } from "./link.ts";
import { type Part, PartQueue } from "./parts.ts";

export type { Frames } from "../mdp/mdp.ts";

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
   * One request with a body of raw frames; partial replies are passed over.
   * @throws PlantError TIME_RAN_OUT, NO_SERVICE, WORKER_LOST, EXPIRED, QUEUE_FULL, DENIED,
   * CANCELLED, BROKER_UNREACHABLE (it never left), BROKER_LOST (it may have been carried out),
   * MESSAGE_TOO_LARGE, LIMIT_REACHED.
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

export interface ClientDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  /** Message sockets; those of the runtime when absent. */
  readonly transport?: Transport;
}

export interface ClientConfig {
  /** Address of the broker. */
  readonly endpoint: string;
  /** Own keys and the broker's public one, for an endpoint that asks for CURVE. */
  readonly curve?: DealerOptions["curve"];
  /** Deadline of a request that names none; 5,000 when absent. */
  readonly deadlineMs?: number;
  /** Deadline of a stream that names none; 45,000 when absent. */
  readonly streamDeadlineMs?: number;
  /** Longest wait of a request for a connection, within its deadline; the deadline when absent. */
  readonly connectMs?: number;
  /** Requests in flight; more are refused with LIMIT_REACHED. 1,024 when absent. */
  readonly requestsMax?: number;
  /** Silence of the broker, while requests wait, after which it counts as lost; 4,000. */
  readonly livenessMs?: number;
  /** Frames in the body of a request; 32 when absent. */
  readonly framesMax?: number;
  /** Bytes of one message, both ways; 16 MiB when absent. */
  readonly messageBytesMax?: number;
}

const defaults = {
  deadlineMs: 5000,
  streamDeadlineMs: 45_000,
  connectMs: Number.POSITIVE_INFINITY,
  requestsMax: 1024,
  livenessMs: 4000,
  framesMax: 32,
  messageBytesMax: 16_777_216,
};

/**
 * Starts a client. It resolves at once: requests wait for the broker until their deadline, and
 * lost connections come back by themselves.
 * @throws PlantError ENDPOINT_UNUSABLE for an address that cannot be one.
 */
export async function startClient(deps: ClientDeps, config: ClientConfig): Promise<Client> {
  const settings = { ...defaults, ...config };
  const link = openLink({ ...deps, transport: deps.transport ?? transport }, settings);

  function request(service: string, body: Frames, options: CallOptions = {}): Promise<Frames> {
    return new Promise((resolve, reject) => {
      link.ask({
        service,
        body,
        deadlineMs: options.deadlineMs ?? settings.deadlineMs,
        ...(options.signal === undefined ? {} : { signal: options.signal }),
        trace: traceOf(options, deps.random),
        flags: 0,
        onPartial: () => {},
        onFinal: resolve,
        onError: reject,
      });
    });
  }

  async function* stream(
    service: string,
    operation: string,
    args: unknown,
    options: CallOptions = {},
  ): AsyncGenerator<unknown, unknown> {
    const parts = new PartQueue();
    const asked = link.ask({
      service,
      body: encodeCall(operation, args),
      deadlineMs: options.deadlineMs ?? settings.streamDeadlineMs,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      trace: traceOf(options, deps.random),
      flags: PartQueue.flags,
      onPartial: (body) => parts.push({ kind: "partial", body }),
      onFinal: (body) => parts.push({ kind: "final", body }),
      onError: (error) => parts.push({ kind: "error", error }),
    });
    try {
      for (;;) {
        const part: Part = await parts.take();
        if (part.kind === "error") throw part.error;
        if (part.kind === "final") return decodeReply(part.body);
        const credit = parts.creditDue();
        if (credit > 0) asked.grant(credit);
        yield decodeReply(part.body);
      }
    } finally {
      asked.cancel();
    }
  }

  return {
    request,
    stream,
    call: async (service, operation, args, options) =>
      decodeReply(await request(service, encodeCall(operation, args), options)),
    ended: link.ended,
    [Symbol.asyncDispose]: () => link[Symbol.asyncDispose](),
  };
}

/** @throws PlantError REQUEST_MALFORMED for a trace of another shape. */
function traceOf(options: CallOptions, random: Random): Uint8Array {
  const { trace } = options;
  if (trace === undefined) return random.bytes(16);
  if (/^[0-9a-f]{32}$/i.test(trace)) return Buffer.from(trace, "hex");
  throw new PlantError("REQUEST_MALFORMED", { reason: "a trace has 32 hexadecimal digits" });
}
