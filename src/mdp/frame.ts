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

/** A service name with a copy of its bytes. */
interface Name {
  readonly bytes: Uint8Array;
  readonly text: string;
}

/** Names kept at most, each way; a power of two. */
const namesMax = 1024;
/** Names seen, each at the place its bytes lead to. */
const seen: (Name | undefined)[] = new Array(namesMax).fill(undefined);
/** Frames kept at most to be known again by what they are; a power of two. */
const recentMax = 16;
const recentFrames: (Uint8Array | undefined)[] = new Array(recentMax).fill(undefined);
const recentTexts: string[] = new Array(recentMax).fill("");
const frameByName = new Map<string, Uint8Array>();

/**
 * A service name: 1 to 255 bytes of printable ASCII without spaces. The same name gives the same
 * string object, whose hash is known, so that maps find it fast; a peer's repeated frame, which
 * is the same object each time, is not even read.
 * @throws PlantError FRAME_MALFORMED, part `service`.
 */
export function serviceOf(frame: Uint8Array | undefined): string {
  if (frame === undefined || frame.length === 0 || frame.length > serviceBytesMax) {
    return malformed("service");
  }
  const place = placeOf(frame);
  const slot = place & (recentMax - 1);
  if (recentFrames[slot] === frame) return recentTexts[slot] ?? "";
  const text = readName(frame, place);
  if (2 * frame.length >= frame.buffer.byteLength) {
    recentFrames[slot] = frame; // a view of much else is not kept alive
    recentTexts[slot] = text;
  }
  return text;
}

function readName(frame: Uint8Array, place: number): string {
  const name = seen[place];
  if (name !== undefined && isSame(frame, name.bytes)) return name.text;
  for (const byte of frame) if (byte < 0x21 || byte > 0x7e) return malformed("service");
  const text = Buffer.from(frame).toString("latin1");
  seen[place] = { bytes: new Uint8Array(frame), text };
  return text;
}

/** A place from the length and a few bytes: names that share one only read more slowly. */
function placeOf(frame: Uint8Array): number {
  const { length } = frame;
  let hash = Math.imul(length, 31) + (frame[0] ?? 0);
  hash = Math.imul(hash, 31) + (frame[length >> 1] ?? 0);
  hash = Math.imul(hash, 31) + (length > 3 ? (frame[length - 3] ?? 0) : 0);
  hash = Math.imul(hash, 31) + (length > 2 ? (frame[length - 2] ?? 0) : 0);
  hash = Math.imul(hash, 31) + (frame[length - 1] ?? 0);
  return (hash ^ (hash >>> 10) ^ (hash >>> 20)) & (namesMax - 1);
}

/** The frame of a service name, the same one for the same name while few names are in use. */
export function serviceFrame(name: string): Uint8Array {
  const known = frameByName.get(name);
  if (known !== undefined) return known;
  if (frameByName.size >= namesMax) frameByName.clear();
  const frame = new Uint8Array(bytesOf(name)); // in memory of its own, which nothing else keeps
  frameByName.set(name, frame);
  return frame;
}

/**
 * The frames from `at` on: at least one, but for `mmi.*`, which may be asked with nothing.
 * @throws PlantError FRAME_MALFORMED, part `body`.
 */
export function requestBodyOf(frames: Frames, at: number, service: string): Frames {
  if (frames.length <= at && service.startsWith("mmi.")) return [];
  return bodyOf(frames, at);
}

/** The frames from `at` on, at least one. @throws PlantError FRAME_MALFORMED, part `body`. */
export function bodyOf(frames: Frames, at: number): Frames {
  const first = frames[at];
  if (first === undefined) return malformed("body");
  return frames.length === at + 1 ? [first] : frames.slice(at);
}

/** The frames of a message: those before its body, and the body. */
export function withBody(start: Frames, body: Frames): Frames {
  const before = start.length;
  const frames: Uint8Array[] = new Array(before + body.length); // pushing would grow it twice
  for (let at = 0; at < before; at += 1) frames[at] = start[at] ?? empty;
  for (let at = 0; at < body.length; at += 1) frames[before + at] = body[at] ?? empty;
  return frames;
}

/** Refuses frames after the last one a command has. */
export function endsAt(frames: Frames, count: number): void {
  if (frames.length > count) malformed("end");
}

/** The 32 bits at an offset, big-endian. */
export function wordAt(frame: Uint8Array, at: number): number {
  return signedAt(frame, at) >>> 0;
}

/** The same as a signed number, which is cheaper to compare. */
function signedAt(frame: Uint8Array, at: number): number {
  const high = ((frame[at] ?? 0) << 24) | ((frame[at + 1] ?? 0) << 16);
  return high | ((frame[at + 2] ?? 0) << 8) | (frame[at + 3] ?? 0);
}

/** The headers, and what stands before them in some dialects. */
export const header = {
  none: 0,
  empty: 1,
  plantClient: 2,
  plantWorker: 3,
  mdp1Client: 4,
  mdp1Worker: 5,
  mdp2Client: 6,
  mdp2Worker: 7,
} as const;

/** The digits at the end of a header, as 16 bits. */
const version = { one: 0x3031, two: 0x3032 } as const;

/** Which header a frame is. */
export function headerOf(frame: Uint8Array | undefined): number {
  if (frame === undefined) return header.none;
  if (frame.length !== 6) return frame.length === 0 ? header.empty : header.none;
  const digits = ((frame[4] ?? 0) << 8) | (frame[5] ?? 0);
  switch (signedAt(frame, 0)) {
    case 0x504c_4e43: // PLNC
      return digits === version.one ? header.plantClient : header.none;
    case 0x504c_4e57: // PLNW
      return digits === version.one ? header.plantWorker : header.none;
    case 0x4d44_5043: // MDPC
      return digits === version.two ? header.mdp2Client : mdp1(digits, header.mdp1Client);
    case 0x4d44_5057: // MDPW
      return digits === version.two ? header.mdp2Worker : mdp1(digits, header.mdp1Worker);
    default:
      return header.none;
  }
}

function mdp1(digits: number, found: number): number {
  return digits === version.one ? found : header.none;
}

/** Writes 32 bits at an offset, big-endian. */
export function putWord(frame: Uint8Array, at: number, value: number): void {
  frame[at] = value >>> 24;
  frame[at + 1] = value >>> 16;
  frame[at + 2] = value >>> 8;
  frame[at + 3] = value;
}

/** What the high 4 bytes of an id count, and their end: ids are below 2^53. */
const highWord = 2 ** 32;
const highMax = 2 ** 21;

/** Writes an id below 2^53 as 8 bytes. */
export function putId(frame: Uint8Array, id: number): void {
  const low = id >>> 0; // the remainder, without a division of floating-point numbers
  putWord(frame, 0, (id - low) / highWord);
  putWord(frame, 4, low);
}

/** The id in the first 8 bytes; -1 when it is 2^53 or more. */
export function idAt(frame: Uint8Array): number {
  const high = wordAt(frame, 0);
  return high < highMax ? high * highWord + wordAt(frame, 4) : -1;
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
