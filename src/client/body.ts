// Bodies of our services: `[operation, JSON]` out, `{success, data | error}` back.
// It must not know sockets or any service.
import type { Frames } from "../mdp/mdp.ts";
import { PlantError, type WireError } from "../util/errors.ts";

/** The body of a call; without arguments it has one frame. */
export function encodeCall(operation: string, args: unknown): Frames {
  const text = args === undefined ? undefined : JSON.stringify(args);
  if (text === undefined) return [Buffer.from(operation)];
  return [Buffer.from(operation), Buffer.from(text)];
}

/**
 * The `data` of a reply.
 * @throws PlantError the reply's error; REMOTE_FAILED for a reply of another shape.
 */
export function decodeReply(body: Frames): unknown {
  const reply = parse(body[0]);
  if (reply?.success === true) return reply.data;
  if (reply?.success === false && typeof reply.error === "object" && reply.error !== null) {
    throw PlantError.fromWire(reply.error as Partial<WireError>);
  }
  const message = typeof reply?.error === "string" ? reply.error : "its reply is not understood";
  throw new PlantError("REMOTE_FAILED", { remoteCode: "none", message: message.slice(0, 500) });
}

function parse(frame: Uint8Array | undefined): Record<string, unknown> | undefined {
  if (frame === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(
      Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength).toString("utf8"),
    );
    return typeof value === "object" && value !== null
      ? (value as Record<string, unknown>)
      : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
