// Reads envelopes without verifying them: the ends of a simulation trust what is between them.
// It must not know what they are for.
import { zstdDecompressSync } from "node:zlib";
import { decodeBody, peekHeader } from "../../src/batch/batch.ts";
import type { DownMessage } from "../../src/sync/sync-state.ts";

const headAt = 7;
const signatureBytes = 64;

/** The body of an envelope, expanded. */
export function bodyOf(payload: Uint8Array): Uint8Array {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.length);
  const carried = bytes.subarray(headAt + bytes.readUInt32BE(3) + signatureBytes);
  return peekHeader(payload).codec === "zstd" ? zstdDecompressSync(carried) : carried;
}

/** What the centre says in an answer. */
export function heard(payload: Uint8Array): DownMessage {
  const envelope = { header: peekHeader(payload), body: bodyOf(payload) };
  const { type, nonce } = envelope.header;
  switch (type) {
    case "welcome":
      return { type, nonce, body: decodeBody(type, envelope) };
    case "ack":
      return { type, nonce, body: decodeBody(type, envelope) };
    case "want":
      return { type, nonce, body: decodeBody(type, envelope) };
    case "refuse":
      return { type, nonce, body: decodeBody(type, envelope) };
    default:
      throw new Error(`the centre sent a ${type}`);
  }
}
