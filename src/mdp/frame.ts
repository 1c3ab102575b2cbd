// Frames of bytes and the checks every dialect shares: names, counts, sizes.
// It must not know sockets or any command.
import { PlantError } from "../util/errors.ts";

/** Frames of one message, in order. */
export type Frames = readonly Uint8Array[];

/** Longest service name, in bytes. */
export const serviceBytesMax = 255;

/** @throws PlantError FRAME_MALFORMED with the name of the wrong frame. */
export function malformed(part: string): never {
  throw new PlantError("FRAME_MALFORMED", { part });
}

/** Bytes as latin-1 text, one character per byte. */
export function textOf(frame: Uint8Array): string {
  const buffer = Buffer.isBuffer(frame)
    ? frame
    : Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
  return buffer.toString("latin1");
}

/** Latin-1 text as bytes. */
export function bytesOf(text: string): Buffer {
  return Buffer.from(text, "latin1");
}

/** @throws PlantError FRAME_MALFORMED, part `header`, unless the first frame is this one. */
export function checkHeader(frames: Frames, wanted: string): void {
  const first = frames[0];
  if (first === undefined || textOf(first) !== wanted) malformed("header");
}

const commandFrames = Array.from({ length: 16 }, (_, byte) => Buffer.of(byte));

/** The frame of a command byte, the same one each time: frames are never changed. */
export function commandFrame(byte: number): Uint8Array {
  return commandFrames[byte] ?? Buffer.of(byte);
}

/** The command byte; 0 when the frame is missing or has another length. */
export function commandOf(frame: Uint8Array | undefined): number {
  return frame?.length === 1 ? (frame[0] ?? 0) : 0;
}

/**
 * A service name: 1 to 255 bytes of printable ASCII without spaces.
 * @throws PlantError FRAME_MALFORMED, part `service`.
 */
export function serviceOf(frame: Uint8Array | undefined): string {
  if (frame === undefined || frame.length === 0 || frame.length > serviceBytesMax) {
    return malformed("service");
  }
  for (const byte of frame) if (byte < 0x21 || byte > 0x7e) return malformed("service");
  return textOf(frame);
}

/** The frames from `at` on, at least one. @throws PlantError FRAME_MALFORMED, part `body`. */
export function bodyOf(frames: Frames, at: number): Frames {
  return frames.length > at ? frames.slice(at) : malformed("body");
}

/** Refuses frames after the last one a command has. */
export function endsAt(frames: Frames, count: number): void {
  if (frames.length > count) malformed("end");
}

/** Bytes of all frames together. */
export function sizeOf(frames: Frames): number {
  let size = 0;
  for (const frame of frames) size += frame.length;
  return size;
}
