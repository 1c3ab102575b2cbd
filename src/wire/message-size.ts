// What a message measures, against what one may. It must not know sockets.
import type { Frames, WireLimits } from "./socket.ts";

/** Bytes of a message. */
export function bytesOf(frames: Frames): number {
  let size = 0;
  for (let at = 0; at < frames.length; at += 1) size += frames[at]?.length ?? 0;
  return size;
}

/** Why a message is not taken; nothing for one within the limits. */
export function refusalOf(
  frames: Frames,
  size: number,
  limits: WireLimits,
): "frames" | "size" | undefined {
  if (frames.length > limits.framesMax) return "frames";
  return size > limits.messageBytesMax ? "size" : undefined;
}
