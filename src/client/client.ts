// A client of the bus: many requests in flight, each with a deadline; replies, streams, errors.
// It must not know which service it asks.
import type { Frames } from "../mdp/mdp.ts";
import type { Clock } from "../util/clock.ts";
import type { Log } from "../util/log.ts";
import type { Random } from "../util/random.ts";
import type { Running } from "../util/running.ts";
import { type DealerOptions, type Transport, transport } from "../wire/wire.ts";
import { decodeReply, encodeCall } from "./body.ts";
import { openLink } from "./link.ts";
import { PartStream } from "./part-stream.ts";
import { type CallOptions, Single } from "./question.ts";

export type { Frames } from "../mdp/mdp.ts";
export { decodeReply, encodeCall } from "./body.ts";
export type { CallOptions } from "./question.ts";

/**
 * Asks services. Every failure is a PlantError; of a request that set out, its `detail.trace` is
 * the trace by which the log of whoever served it can be searched.
 */
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
  /**
   * An operation that answers in parts: yields each part's `data`, returns that of the last. It is
   * asked at the first `next`. Reading slowly makes the worker wait; leaving early cancels.
   * @throws PlantError as for `call`; LIMIT_REACHED when a worker that cannot wait sent too much.
   */
  stream(
    service: string,
    operation: string,
    args: unknown,
    options?: CallOptions,
  ): AsyncGenerator<unknown, unknown>;
  /** As `stream`, with a body of raw frames: yields the frames of each part, returns the last's. */
  streamRaw(service: string, body: Frames, options?: CallOptions): AsyncGenerator<Frames, Frames>;
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

/** Parts that may wait to be read, of a worker that does not wait for credit. */
const streamPartsMax = 16_384;
const noOptions: CallOptions = {};

/**
 * Starts a client. It resolves at once: requests wait for the broker until their deadline, and
 * lost connections come back by themselves.
 * @throws PlantError ENDPOINT_UNUSABLE for an address that cannot be one.
 */
export async function startClient(deps: ClientDeps, config: ClientConfig): Promise<Client> {
  const settings = { ...defaults, ...config };
  const link = openLink({ ...deps, transport: deps.transport ?? transport }, settings);
  const bounds = { partsMax: streamPartsMax, bytesMax: 4 * settings.messageBytesMax };

  return {
    request(service, body, options = noOptions) {
      return new Promise((resolve, reject) => {
        const deadlineMs = options.deadlineMs ?? settings.deadlineMs;
        const about = { service, body, deadlineMs, options };
        link.ask(new Single(link, about, { read: asItIs, resolve, reject }));
      });
    },
    call(service, operation, args, options = noOptions) {
      return new Promise((resolve, reject) => {
        const deadlineMs = options.deadlineMs ?? settings.deadlineMs;
        const about = { service, body: encodeCall(operation, args), deadlineMs, options };
        link.ask(new Single(link, about, { read: decodeReply, resolve, reject }));
      });
    },
    stream(service, operation, args, options = noOptions) {
      const body = encodeCall(operation, args);
      const deadlineMs = options.deadlineMs ?? settings.streamDeadlineMs;
      const about = { service, body, deadlineMs, options };
      return new PartStream(link, about, { read: decodeReply, bounds });
    },
    streamRaw(service, body, options = noOptions) {
      const deadlineMs = options.deadlineMs ?? settings.streamDeadlineMs;
      const about = { service, body, deadlineMs, options };
      return new PartStream(link, about, { read: asItIs, bounds });
    },
    ended: link.ended,
    [Symbol.asyncDispose]: () => link[Symbol.asyncDispose](),
  };
}

function asItIs(body: Frames): Frames {
  return body;
}
