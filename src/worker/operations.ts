// Operations with JSON arguments over raw requests: `[operation, JSON]` in, `{success, …}` out.
// It must not know sockets or what operations do.
import { type Frames, sizeOf } from "../mdp/mdp.ts";
import { asPlantError, PlantError } from "../util/errors.ts";
import type { Log } from "../util/log.ts";
import type { RawRequest } from "./assignment.ts";

/** One request as an operation sees it. */
export interface WorkerRequest {
  readonly operation: string;
  /** The JSON arguments (the last frame), unchecked: `undefined` when the body holds none. */
  readonly args: unknown;
  /** The body frames as they came, the operation's name first. */
  readonly body: readonly Uint8Array[];
  /** Trace id, 32 hexadecimal digits. */
  readonly trace: string;
  /** Aborts at the deadline, when the client cancels, and when the broker is lost. */
  readonly signal: AbortSignal;
  /** Milliseconds left of the client's deadline; Infinity without one. */
  remainingMs(): number;
  /** Sends one part of a stream; waits while the client has granted no credit. */
  partial(data: unknown): Promise<void>;
  /**
   * Room for a part or a reply that may be long: awaited before it is made, disposed of when it was
   * sent or returned. What waits for room holds nothing meanwhile.
   * @throws PlantError the reason of `signal`, once it aborted.
   */
  room(): Promise<Disposable>;
}

/** Data that is JSON already, for operations that are asked very often. */
export class JsonText {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  /** Where it stands within other data after all. */
  toJSON(): unknown {
    return JSON.parse(this.text);
  }
}

/** Serves one operation: what it returns is the reply's `data`; a PlantError is its `error`. */
export type Operation = (request: WorkerRequest) => unknown;

/** Serves any body: what it returns are the frames of the reply; what it throws is an error. */
export type RawOperation = (request: RawRequest) => Frames | Promise<Frames>;

/**
 * Serves bodies `[operation, JSON]` by a table; errors travel in the reply. Without a `health` of
 * its own it answers `{status: "pass", checks: []}`.
 * @param otherwise serves a body whose first frame names no operation of the table; its client
 * hears OPERATION_UNKNOWN when absent.
 */
export function byOperation(
  log: Log,
  operations: Readonly<Record<string, Operation>>,
  otherwise?: RawOperation,
): RawOperation {
  const table = new Map(Object.entries({ health, ...operations }));
  const namesMax = Math.max(...[...table.keys()].map((name) => Buffer.byteLength(name)));
  return (raw) => {
    const first = raw.body[0];
    const isShort = first !== undefined && first.length <= namesMax;
    const operation = isShort ? table.get(textOf(first)) : undefined;
    if (operation === undefined && otherwise !== undefined) return otherwise(raw);
    const name = textOf(first?.subarray(0, 100));
    try {
      if (operation === undefined) {
        throw new PlantError("OPERATION_UNKNOWN", { service: raw.service, operation: name });
      }
      const data = operation(new JsonRequest(raw, name));
      return isPromise(data) ? later(log, raw, data) : success(raw, data);
    } catch (thrown) {
      return failure(log, raw, thrown);
    }
  };
}

const health: Operation = () => ({ status: "pass", checks: [] });

async function later(log: Log, raw: RawRequest, data: PromiseLike<unknown>): Promise<Frames> {
  try {
    return success(raw, await data);
  } catch (thrown) {
    return failure(log, raw, thrown);
  }
}

class JsonRequest implements WorkerRequest {
  readonly operation: string;
  readonly args: unknown;
  readonly body: Frames;
  readonly #raw: RawRequest;
  /** A function of its own, so that an operation may take it out of its request. */
  readonly partial = (data: unknown): Promise<void> => {
    try {
      return this.#raw.partial([bodyOf(data)]);
    } catch (error) {
      return Promise.reject(error);
    }
  };

  /** @throws PlantError REQUEST_MALFORMED when the arguments are no JSON. */
  constructor(raw: RawRequest, operation: string) {
    this.operation = operation;
    this.args = parseArgs(raw.body);
    this.body = raw.body;
    this.#raw = raw;
  }

  get trace(): string {
    return this.#raw.trace;
  }

  get signal(): AbortSignal {
    return this.#raw.signal;
  }

  remainingMs(): number {
    return this.#raw.remainingMs();
  }

  room(): Promise<Disposable> {
    return this.#raw.room();
  }
}

function bodyOf(data: unknown): Uint8Array {
  if (data instanceof JsonText) return Buffer.from(`{"success":true,"data":${data.text}}`);
  return Buffer.from(JSON.stringify({ success: true, data }));
}

/** @throws PlantError MESSAGE_TOO_LARGE */
function success(raw: RawRequest, data: unknown): Frames {
  const body = [bodyOf(data)];
  const size = sizeOf(body);
  if (size <= raw.replyBytesMax) return body;
  throw new PlantError("MESSAGE_TOO_LARGE", { size, max: raw.replyBytesMax });
}

/** The body that tells an error; what is no PlantError is a defect, and logged. */
function failure(log: Log, raw: RawRequest, thrown: unknown): Frames {
  const error = asPlantError(thrown);
  const { service, trace } = raw;
  if (error.code === "INTERNAL") {
    const operation = textOf(raw.body[0]?.subarray(0, 100));
    log.error("An operation failed", { code: error.code, trace, service, operation, error });
  }
  return [encodeError(error, { log, trace, service, replyBytesMax: raw.replyBytesMax }, true)];
}

interface Telling {
  readonly log: Log;
  readonly trace: string;
  readonly service: string;
  readonly replyBytesMax: number;
}

/** An error as JSON, in a body or bare; a detail that cannot travel stays at home. */
export function encodeError(error: PlantError, telling: Telling, isBody: boolean): Uint8Array {
  const { log, trace, service, replyBytesMax } = telling;
  try {
    const wire = error.toWire();
    const text = JSON.stringify(isBody ? { success: false, error: wire } : wire);
    if (Buffer.byteLength(text) <= replyBytesMax) return Buffer.from(text);
  } catch (thrown) {
    if (!(thrown instanceof TypeError)) throw thrown;
  }
  log.error("The detail of an error could not be told", { code: error.code, trace, service });
  const plain = { ...new PlantError(error.code).toWire(), message: error.message.slice(0, 500) };
  return Buffer.from(JSON.stringify(isBody ? { success: false, error: plain } : plain));
}

/** Whether an operation answers later. */
export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | undefined | null)?.then === "function";
}

function textOf(frame: Uint8Array | undefined): string {
  if (frame === undefined) return "";
  return Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength).toString("utf8");
}

function parseArgs(body: Frames): unknown {
  if (body.length < 2) return undefined;
  const frame = body[body.length - 1];
  const text = textOf(frame);
  if (text === "") return undefined;
  if (frame !== undefined && frame.length > nestedLeast && isDeep(frame)) {
    throw new PlantError("REQUEST_MALFORMED", { reason: "the arguments are nested too deep" });
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    const reason = "the arguments are not JSON";
    throw new PlantError("REQUEST_MALFORMED", { reason }, { cause: error });
  }
}

/** Bytes from which it is looked how deep arguments are nested: short ones are never slow. */
const nestedLeast = 16_384;
const depthMax = 128;
const [quote, backslash, open, close] = [0x22, 0x5c, 0x5b, 0x5d];

/** Whether lists and objects lie too deep in each other: such JSON is read a thousand times slower. */
function isDeep(json: Uint8Array): boolean {
  let depth = 0;
  let isText = false;
  for (let at = 0; at < json.length; at += 1) {
    const byte = json[at] as number;
    if (byte === quote) isText = !isText;
    else if (isText) {
      if (byte === backslash) at += 1;
      continue;
    }
    // Braces are brackets with one more bit.
    const bracket = byte & 0xdf;
    if (bracket === open) {
      depth += 1;
      if (depth > depthMax) return true;
    } else if (bracket === close) depth -= 1;
  }
  return false;
}
