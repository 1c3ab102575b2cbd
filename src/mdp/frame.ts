// Frames of bytes and the checks every dialect shares: headers, names, numbers, addresses.
// It must not know sockets or any command.
import { PlantError } from "../util/errors.ts";

/** Frames of one message, in order. They are never changed once they are made. */
export type Frames = readonly Uint8Array[];

/** Longest service name, in bytes. */
export const serviceBytesMax = 255;

/** The frame that delimits envelopes. */
export const empty = new Uint8Array(0);

const refusals = new Map<string, PlantError>();

/**
 * Refuses a message. The errors are made once: garbage is not worth a stack trace per message.
 * @throws PlantError FRAME_MALFORMED with the name of the wrong frame.
 */
export function malformed(part: string): never {
  let refusal = refusals.get(part);
  if (refusal === undefined) {
    refusal = new PlantError("FRAME_MALFORMED", Object.freeze({ part }));
    refusals.set(part, refusal);
  }
  throw refusal;
}

/** Latin-1 text as bytes. */
export function bytesOf(text: string): Uint8Array {
  return Buffer.from(text, "latin1");
}

/** Whether a frame has exactly these bytes. */
export function isSame(frame: Uint8Array | undefined, wanted: Uint8Array): boolean {
  if (frame === undefined || frame.length !== wanted.length) return false;
  for (let at = 0; at < wanted.length; at += 1) if (frame[at] !== wanted[at]) return false;
  return true;
}

const commandFrames = Array.from({ length: 16 }, (_, byte) => Buffer.of(byte));

/** The frame of a command byte, the same one each time. */
export function commandFrame(byte: number): Uint8Array {
  return commandFrames[byte] ?? Buffer.of(byte);
}

/** The command byte; 0 when the frame is missing or has another length. */
export function commandOf(frame: Uint8Array | undefined): number {
  return frame?.length === 1 ? (frame[0] ?? 0) : 0;
}

/** Names kept at most, each way. */
const namesMax = 1024;
/** Names seen, each at the place its bytes lead to, with a copy of these bytes. */
const seen: ({ readonly bytes: Uint8Array; readonly text: string } | undefined)[] = new Array(
  namesMax,
).fill(undefined);
const frameByName = new Map<string, Uint8Array>();

/**
 * A service name: 1 to 255 bytes of printable ASCII without spaces. The same name gives the same
 * string object, whose hash is known, so that maps find it fast.
 * @throws PlantError FRAME_MALFORMED, part `service`.
 */
export function serviceOf(frame: Uint8Array | undefined): string {
  if (frame === undefined || frame.length === 0 || frame.length > serviceBytesMax) {
    return malformed("service");
  }
  const place = placeOf(frame);
  const name = seen[place];
  if (name !== undefined && isSame(frame, name.bytes)) return name.text;
  for (const byte of frame) if (byte < 0x21 || byte > 0x7e) return malformed("service");
  const bytes = Buffer.from(frame);
  const text = bytes.toString("latin1");
  seen[place] = { bytes, text };
  return text;
}

function placeOf(frame: Uint8Array): number {
  let hash = frame.length;
  for (let at = 0; at < frame.length; at += 1) hash = (Math.imul(hash, 31) + (frame[at] ?? 0)) | 0;
  return (hash ^ (hash >>> 10) ^ (hash >>> 20)) & (namesMax - 1);
}

/** The frame of a service name, the same one for the same name while few names are in use. */
export function serviceFrame(name: string): Uint8Array {
  const known = frameByName.get(name);
  if (known !== undefined) return known;
  if (frameByName.size >= namesMax) frameByName.clear();
  const frame = bytesOf(name);
  frameByName.set(name, frame);
  return frame;
}

/**
 * The frames from `at` on: at least one, but for `mmi.*`, which may be asked with nothing.
 * @throws PlantError FRAME_MALFORMED, part `body`.
 */
export function requestBodyOf(frames: Frames, at: number, service: string): Frames {
  if (frames.length > at) return frames.slice(at);
  return service.startsWith("mmi.") ? [] : malformed("body");
}

/** The frames from `at` on, at least one. @throws PlantError FRAME_MALFORMED, part `body`. */
export function bodyOf(frames: Frames, at: number): Frames {
  return frames.length > at ? frames.slice(at) : malformed("body");
}

/** Adds the frames of a body to the frames before it, which are given back. */
export function withBody(start: Uint8Array[], body: Frames): Frames {
  for (let at = 0; at < body.length; at += 1) {
    const frame = body[at];
    if (frame !== undefined) start.push(frame);
  }
  return start;
}

/** Refuses frames after the last one a command has. */
export function endsAt(frames: Frames, count: number): void {
  if (frames.length > count) malformed("end");
}

/** The 32 bits at an offset, big-endian. */
export function wordAt(frame: Uint8Array, at: number): number {
  const high = (((frame[at] ?? 0) << 8) | (frame[at + 1] ?? 0)) * 65_536;
  return high + (((frame[at + 2] ?? 0) << 8) | (frame[at + 3] ?? 0));
}

/** Writes 32 bits at an offset, big-endian. */
export function putWord(frame: Uint8Array, at: number, value: number): void {
  frame[at] = value >>> 24;
  frame[at + 1] = value >>> 16;
  frame[at + 2] = value >>> 8;
  frame[at + 3] = value;
}

/** Writes an id below 2^53 as 8 bytes. */
export function putId(frame: Uint8Array, id: number): void {
  putWord(frame, 0, Math.floor(id / 4_294_967_296));
  putWord(frame, 4, id % 4_294_967_296);
}

/** The id in the first 8 bytes; -1 when it is 2^53 or more. */
export function idAt(frame: Uint8Array): number {
  const high = wordAt(frame, 0);
  return high < 2_097_152 ? high * 4_294_967_296 + wordAt(frame, 4) : -1;
}

/** The address of a client that foreign workers see: the broker's own id of the request. */
export function addressOf(id: number): Uint8Array {
  const frame = Buffer.allocUnsafe(8);
  putId(frame, id);
  return frame;
}

/**
 * The request id in an address; -1 when the address is not of our making.
 * @throws PlantError FRAME_MALFORMED, part `client`, when there is none.
 */
export function addressId(frame: Uint8Array | undefined): number {
  if (frame === undefined || frame.length === 0) return malformed("client");
  return frame.length === 8 ? idAt(frame) : -1;
}

/** Bytes of all frames together. */
export function sizeOf(frames: Frames): number {
  let size = 0;
  for (let at = 0; at < frames.length; at += 1) size += frames[at]?.length ?? 0;
  return size;
}
