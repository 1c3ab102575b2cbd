// Ed25519 keys and signatures by node:crypto. It must not know what is signed.
import type { KeyObject } from "node:crypto";
import { openssl } from "./openssl.ts";

/** PKCS#8 header of an Ed25519 private key; the 32-byte seed follows. @see RFC 8410 */
const pkcs8Head = Buffer.from("302e020100300506032b657004220420", "hex");
/** SubjectPublicKeyInfo header of an Ed25519 public key; the 32 bytes follow. @see RFC 8410 */
const spkiHead = Buffer.from("302a300506032b6570032100", "hex");

/** A key pair; `publicKey` is the raw 32 bytes. */
export interface SigningKey {
  readonly privateKey: KeyObject;
  readonly publicKey: Uint8Array;
}

/** Makes a new key pair. */
export function generateSigningKey(): SigningKey {
  return signingKeyFrom(openssl().generateKeyPairSync("ed25519").privateKey);
}

/** The key pair of a 32-byte seed. */
export function signingKeyFromSeed(seed: Uint8Array): SigningKey {
  const der = Buffer.concat([pkcs8Head, seed]);
  return signingKeyFrom(openssl().createPrivateKey({ key: der, format: "der", type: "pkcs8" }));
}

/** Reads a private key in PEM (PKCS#8). */
export function signingKeyFromPem(pem: string): SigningKey {
  return signingKeyFrom(openssl().createPrivateKey(pem));
}

/** The private key in PEM (PKCS#8). */
export function pemOf(key: SigningKey): string {
  return key.privateKey.export({ format: "pem", type: "pkcs8" }).toString();
}

function signingKeyFrom(privateKey: KeyObject): SigningKey {
  const der = openssl().createPublicKey(privateKey).export({ format: "der", type: "spki" });
  return { privateKey, publicKey: new Uint8Array(der.subarray(spkiHead.length)) };
}

/** A public key from its raw 32 bytes. */
export function publicKeyFrom(raw: Uint8Array): KeyObject {
  const der = Buffer.concat([spkiHead, raw]);
  return openssl().createPublicKey({ key: der, format: "der", type: "spki" });
}

/** 64 bytes of signature. @see RFC 8032 */
export function sign(key: SigningKey, message: Uint8Array): Uint8Array {
  return new Uint8Array(openssl().sign(null, message, key.privateKey));
}

/** Whether `signature` is that of `message`; false for anything malformed. */
export function verify(key: KeyObject, message: Uint8Array, signature: Uint8Array): boolean {
  return signature.length === 64 && openssl().verify(null, message, key, signature);
}

/** Identifier of a public key: the JWK thumbprint, base64url. @see RFC 7638, RFC 8037 */
export function keyId(publicKey: Uint8Array): string {
  const x = Buffer.from(publicKey).toString("base64url");
  const canonical = `{"crv":"Ed25519","kty":"OKP","x":"${x}"}`;
  return openssl().createHash("sha256").update(canonical).digest("base64url");
}
