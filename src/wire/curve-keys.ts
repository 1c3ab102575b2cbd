// CURVE keys as text: made, checked, derived. It must not know where they are kept.
import { openssl } from "../util/openssl.ts";
import type { KeyPair } from "./socket.ts";

const digits =
  "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

/** Bytes, a multiple of four of them, as text. @see RFC 32 (Z85) */
export function encodeZ85(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let text = "";
  for (let at = 0; at + 4 <= bytes.length; at += 4) {
    const value = view.getUint32(at);
    for (let power = 85 ** 4; power >= 1; power /= 85) {
      text += digits[Math.floor(value / power) % 85] ?? "";
    }
  }
  return text;
}

/** Whether a text is a CURVE key: 40 characters of Z85 that stand for 32 bytes. */
export function isCurveKey(text: string): boolean {
  if (text.length !== 40) return false;
  for (let at = 0; at < 40; at += 5) {
    let value = 0;
    for (const digit of text.slice(at, at + 5)) {
      const worth = digits.indexOf(digit);
      if (worth < 0) return false;
      value = value * 85 + worth;
    }
    if (value > 0xffff_ffff) return false;
  }
  return true;
}

/** The bytes of a CURVE key. */
function decodeKey(text: string): Buffer {
  const bytes = Buffer.alloc(32);
  for (let at = 0; at < 8; at += 1) {
    let value = 0;
    for (const digit of text.slice(at * 5, at * 5 + 5)) value = value * 85 + digits.indexOf(digit);
    bytes.writeUInt32BE(value, at * 4);
  }
  return bytes;
}

/** A new pair from the system's randomness. @see RFC 26 (CurveZMQ), RFC 7748 (X25519) */
export function newKeyPair(): KeyPair {
  const { x, d } = openssl().generateKeyPairSync("x25519").privateKey.export({ format: "jwk" });
  const key = (text: string | undefined) => encodeZ85(Buffer.from(text ?? "", "base64url"));
  return { publicKey: key(x), secretKey: key(d) };
}

/** What comes before the 32 bytes of an X25519 key in PKCS #8. @see RFC 8410 */
const pkcs8 = Buffer.from("302e020100300506032b656e04220420", "hex");

/** The public key that belongs to a secret one. */
export function publicKeyOf(secretKey: string): string {
  const der = Buffer.concat([pkcs8, decodeKey(secretKey)]);
  const { createPrivateKey, createPublicKey } = openssl();
  const secret = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  const { x } = createPublicKey(secret).export({ format: "jwk" });
  return encodeZ85(Buffer.from(x ?? "", "base64url"));
}
