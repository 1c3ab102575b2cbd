// Strict spellings: canonical base64url, JSON without double keys, comparison in constant time.
// It must not know what is spelt.
import { openssl } from "../util/openssl.ts";

/** The bytes of a base64url text; undefined when it is not the one spelling of them. @see RFC 4648 */
export function bytesOf(text: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9_-]*$/.test(text)) return undefined;
  const bytes = Buffer.from(text, "base64url");
  return bytes.toString("base64url") === text ? new Uint8Array(bytes) : undefined;
}

/** Bytes as base64url without padding. */
export function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64url");
}

/** The JSON of bytes; undefined unless it is UTF-8 and written as JSON.stringify writes it. */
export function strictJson(bytes: Uint8Array): unknown {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    const value: unknown = JSON.parse(text);
    return JSON.stringify(value) === text ? value : undefined;
  } catch (error) {
    // Not JSON, not UTF-8, or nested too deeply to be written again.
    const isRefused = [SyntaxError, TypeError, RangeError].some((kind) => error instanceof kind);
    if (isRefused) return undefined;
    throw error;
  }
}

/** Whether two byte strings are equal, without telling where they differ. */
export function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && openssl().timingSafeEqual(a, b);
}
