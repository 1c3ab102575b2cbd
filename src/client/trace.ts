// Trace ids of requests: the caller's own, or a random start per client followed by the request id.
// It must not know sockets or what is traced.
import { PlantError } from "../util/errors.ts";
import type { Random } from "../util/random.ts";

/** What a trace is made from. */
interface Traced {
  readonly id: number;
  /** In the options, the caller's own: 32 hexadecimal digits. */
  readonly about: { readonly options: { readonly trace?: string } };
}

export interface Traces {
  isOne(text: string): boolean;
  /** 16 bytes that hold until the next call: an encoder copies them. */
  bytesOf(traced: Traced): Uint8Array;
  /** The error with the trace among its facts, to be looked for in the log. */
  withTrace(error: PlantError, traced: Traced): PlantError;
}

/** Opens the traces of one client. */
export function openTraces(random: Random): Traces {
  const own = Buffer.alloc(16);
  own.set(random.bytes(8));
  const start = own.toString("hex", 0, 8);

  function bytesOf({ id, about }: Traced): Uint8Array {
    const { trace } = about.options;
    if (trace !== undefined) return Buffer.from(trace, "hex");
    own.writeUInt32BE(Math.floor(id / 2 ** 32), 8);
    own.writeUInt32BE(id >>> 0, 12);
    return own;
  }

  return {
    isOne: (text) => /^[0-9a-f]{32}$/i.test(text),
    bytesOf,
    withTrace(error, { id, about }) {
      const { trace } = about.options;
      const facts = { ...error.detail, trace: trace ?? start + id.toString(16).padStart(16, "0") };
      const { cause } = error;
      return new PlantError(error.code, facts, cause === undefined ? undefined : { cause });
    },
  };
}
