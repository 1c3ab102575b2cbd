// The key-set document: the keys a site's centre signs with, versioned, signed by its root key.
// It must not know where the document is kept or how it travels.
import type { KeyObject } from "node:crypto";
import { keyId, publicKeyFrom, type SigningKey, sign, verify } from "../util/ed25519.ts";
import { PlantError } from "../util/errors.ts";
import { inspect, v } from "../util/shape.ts";
import { base64url, bytesOf, strictJson } from "./spelling.ts";

const domain = Buffer.from("plantd-keyset-v1\0", "ascii");
const textMax = 262_144;
const wall = v.pipe(v.number(), v.integer(), v.minValue(0));

const contentSchema = v.strictObject({
  v: v.literal(1),
  version: v.pipe(v.number(), v.integer(), v.minValue(1)),
  centre: v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{1,64}$/)),
  issued: wall,
  keys: v.pipe(
    v.array(
      v.strictObject({
        key: v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{43}$/)),
        uses: v.pipe(v.array(v.picklist(["message", "token", "command"])), v.minLength(1)),
      }),
    ),
    v.minLength(1),
    v.maxLength(64),
  ),
  revoked: v.pipe(v.array(v.pipe(v.string(), v.minLength(1), v.maxLength(64))), v.maxLength(4096)),
});
const documentSchema = v.strictObject({ payload: v.string(), signature: v.string() });

/**
 * What a key set says: its version, the centre's id, when it was issued (ms since 1970), raw
 * public keys (base64url) with what each may sign, and revoked key and token identifiers.
 */
export type KeySetContent = v.InferOutput<typeof contentSchema>;
export type KeyUse = KeySetContent["keys"][number]["uses"][number];

/** A key set whose root signature holds. */
export interface KeySet {
  readonly content: KeySetContent;
  /** The document's text, to keep and to show again. */
  readonly text: string;
  /** The key of an identifier for a use; undefined when it is not in the set or revoked. */
  keyOf(kid: string, use: KeyUse): KeyObject | undefined;
  /** Whether an identifier of a key or a token is revoked. */
  isRevoked(id: string): boolean;
}

/** Signs a key set with the root key. */
export function issueKeySet(content: KeySetContent, root: SigningKey): KeySet {
  const payload = Buffer.from(JSON.stringify(content));
  const signature = sign(root, Buffer.concat([domain, payload]));
  const text = JSON.stringify({ payload: base64url(payload), signature: base64url(signature) });
  return openKeySet(text, root.publicKey, 0);
}

/**
 * Checks a key-set document.
 * @param root raw public root key, pinned at enrolment.
 * @param versionMin a lower version is refused.
 * @throws PlantError KEY_SET_REFUSED
 */
export function openKeySet(text: string, root: Uint8Array, versionMin: number): KeySet {
  if (text.length > textMax) throw refused("it is too long");
  const document = inspect(documentSchema, strictJson(Buffer.from(text)));
  if (!document.ok) throw refused("it is no key set");
  const payload = bytesOf(document.value.payload);
  const signature = bytesOf(document.value.signature);
  if (payload === undefined || signature === undefined) throw refused("it is not base64url");
  if (!verify(publicKeyFrom(root), Buffer.concat([domain, payload]), signature)) {
    throw refused("the root key did not sign it");
  }
  const checked = inspect(contentSchema, strictJson(payload));
  if (!checked.ok) throw refused("its content is wrong");
  const content = checked.value;
  if (content.version < versionMin) throw refused("it is older than the one known");
  const keys = new Map<string, { key: KeyObject; uses: readonly KeyUse[] }>();
  for (const { key, uses } of content.keys) {
    const raw = bytesOf(key);
    if (raw === undefined) throw refused("a key is not base64url");
    keys.set(keyId(raw), { key: publicKeyFrom(raw), uses });
  }
  const revoked = new Set(content.revoked);
  return {
    content,
    text,
    isRevoked: (id) => revoked.has(id),
    keyOf(kid, use) {
      const found = keys.get(kid);
      return found?.uses.includes(use) && !revoked.has(kid) ? found.key : undefined;
    },
  };
}

function refused(reason: string): PlantError {
  return new PlantError("KEY_SET_REFUSED", { reason });
}
