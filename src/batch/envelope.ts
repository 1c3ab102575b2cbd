// The envelope: a header, a signature over it and the body, and the body, bounded when expanded.
// It must not know what a body says or how it travels.
import type { KeyObject } from "node:crypto";
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { type SigningKey, sign, verify } from "../util/ed25519.ts";
import { PlantError } from "../util/errors.ts";
import { inspect, v } from "../util/shape.ts";
import { streams } from "./records.ts";

/** What an envelope may be; the last five come from the centre. */
const types = [
  "batch",
  "hello",
  "live",
  "on",
  "twin",
  "welcome",
  "ack",
  "want",
  "refuse",
  "desired",
  "cmd",
] as const;
export type MessageType = (typeof types)[number];

const magic = Buffer.from("PB1", "ascii");
const domain = Buffer.from("plantd-envelope-v1\0", "ascii");
const signatureBytes = 64;
const headerBytesMax = 4096;
/** Bodies below this are not worth compressing. */
const compressFrom = 128;
/** Window of the compressor: 8 MiB, so that a body cannot ask for more memory than that. */
const windowLogMax = 23;

const whole = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER));
const sequence = whole;
/** 32 hexadecimal digits. */
export const hexId = v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/));
export const deviceId = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{1,64}$/));
const wallMs = v.pipe(v.number(), v.integer(), v.minValue(-(2 ** 50)), v.maxValue(2 ** 50));

const headerSchema = v.strictObject({
  v: v.literal(1),
  device: deviceId,
  kid: v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{43}$/)),
  type: v.picklist(types),
  nonce: v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{22}$/)),
  epoch: v.optional(hexId),
  generation: v.optional(whole),
  head: v.optional(whole),
  stream: v.optional(v.picklist(streams)),
  first: v.optional(sequence),
  last: v.optional(sequence),
  lineage: v.optional(v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{22}$/))),
  boot: hexId,
  wall: wallMs,
  mono: wallMs,
  sync: v.picklist(["none", "rtc", "ntp", "central"]),
  codec: v.picklist(["none", "zstd"]),
});

/**
 * The header, in this order of fields:
 * `nonce` of the greeting it belongs to (16 bytes, base64url); `epoch` and `generation` of the
 * records in a batch, `head` the generation of the sender's newest epoch, `first` and `last`
 * sequence (`last` is `first - 1` in an empty batch), `lineage` the fingerprint of the lineage in
 * the last greeting; `boot`, `wall`, `mono`, `sync` the sender's clock.
 */
export type EnvelopeHeader = v.InferOutput<typeof headerSchema>;

/** What a sender fills in; `v`, `kid` and `codec` are the envelope's own. */
export type EnvelopeFields = Omit<EnvelopeHeader, "v" | "kid" | "codec">;

/** An envelope whose signature holds. */
export interface Envelope {
  readonly header: EnvelopeHeader;
  /** The body, expanded. */
  readonly body: Uint8Array;
}

/** Finds the key that must have signed; undefined refuses the envelope. */
export type KeyLookup = (header: EnvelopeHeader) => KeyObject | undefined;

export interface OpenLimits {
  /** The most bytes an envelope may have. */
  readonly envelopeBytesMax: number;
  /** The most bytes its body may have when expanded. */
  readonly bodyBytesMax: number;
}

/** Bounds of what is accepted when nothing else is said: 4 MiB, expanding to 32 MiB. */
export const openLimits: OpenLimits = { envelopeBytesMax: 2 ** 22, bodyBytesMax: 2 ** 25 };

/** Header names in their order; a header is written in no other. */
const names = Object.keys(headerSchema.entries) as (keyof EnvelopeHeader)[];

function headerText(header: EnvelopeHeader): string {
  return JSON.stringify(header, names);
}

/** Signs a body under a header and compresses it where that pays. `kid` is that of the key. */
export function seal(
  fields: EnvelopeFields,
  body: Uint8Array,
  signer: { readonly key: SigningKey; readonly kid: string },
): Uint8Array {
  const packed = body.length < compressFrom ? body : compress(body);
  const isPacked = packed.length < body.length;
  const codec = isPacked ? "zstd" : "none";
  const header = Buffer.from(headerText({ ...fields, v: 1, kid: signer.kid, codec }), "utf8");
  const carried = isPacked ? packed : body;
  const length = Buffer.alloc(4);
  length.writeUInt32BE(header.length);
  const signature = sign(signer.key, Buffer.concat([domain, length, header, carried]));
  return new Uint8Array(Buffer.concat([magic, length, header, signature, carried]));
}

function compress(body: Uint8Array): Uint8Array {
  return zstdCompressSync(body, {
    params: {
      [constants.ZSTD_c_compressionLevel]: 3,
      [constants.ZSTD_c_windowLog]: Math.min(windowLogMax, 21),
    },
    pledgedSrcSize: body.length,
  });
}

/**
 * Checks an envelope and expands its body; the signature before anything is expanded.
 * @throws PlantError ENVELOPE_MALFORMED, ENVELOPE_FORGED (no key, or not its signature),
 * BATCH_TOO_LARGE.
 */
export function open(
  bytes: Uint8Array,
  lookup: KeyLookup,
  limits: OpenLimits = openLimits,
): Envelope {
  if (bytes.length > limits.envelopeBytesMax) {
    throw new PlantError("BATCH_TOO_LARGE", { size: bytes.length, max: limits.envelopeBytesMax });
  }
  const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const { header, bodyAt } = readHeader(whole);
  const key = lookup(header);
  const { device, kid, type } = header;
  if (key === undefined) throw new PlantError("ENVELOPE_FORGED", { device, kid, type });
  const signatureAt = bodyAt - signatureBytes;
  const signed = Buffer.concat([
    domain,
    whole.subarray(magic.length, signatureAt),
    whole.subarray(bodyAt),
  ]);
  if (!verify(key, signed, whole.subarray(signatureAt, bodyAt))) {
    throw new PlantError("ENVELOPE_FORGED", { device, kid, type });
  }
  const carried = whole.subarray(bodyAt);
  if (header.codec === "none") {
    if (carried.length > limits.bodyBytesMax) {
      throw new PlantError("BATCH_TOO_LARGE", { size: carried.length, max: limits.bodyBytesMax });
    }
    return { header, body: carried };
  }
  return { header, body: expand(carried, limits.bodyBytesMax) };
}

/**
 * The header alone, unverified: for routing, never for believing.
 * @throws PlantError ENVELOPE_MALFORMED
 */
export function peekHeader(bytes: Uint8Array): EnvelopeHeader {
  return readHeader(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)).header;
}

function malformed(reason: string): PlantError {
  return new PlantError("ENVELOPE_MALFORMED", { reason });
}

function readHeader(whole: Buffer): { header: EnvelopeHeader; bodyAt: number } {
  const headerAt = magic.length + 4;
  if (whole.length < headerAt + signatureBytes) throw malformed("it is too short");
  if (!whole.subarray(0, magic.length).equals(magic)) throw malformed("it is no envelope");
  const length = whole.readUInt32BE(magic.length);
  if (length > headerBytesMax) throw malformed("its header is too long");
  const bodyAt = headerAt + length + signatureBytes;
  if (bodyAt > whole.length) throw malformed("it is too short");
  const text = whole.toString("utf8", headerAt, headerAt + length);
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) throw malformed("its header is not JSON");
    throw error;
  }
  const checked = inspect(headerSchema, raw);
  if (!checked.ok) {
    throw malformed(`its header is wrong at ${checked.flaws[0]?.path.join(".") || "the top"}`);
  }
  if (headerText(checked.value) !== text) throw malformed("its header has another spelling");
  return { header: checked.value, bodyAt };
}

function expand(carried: Uint8Array, max: number): Uint8Array {
  try {
    return zstdDecompressSync(carried, {
      maxOutputLength: max,
      params: { [constants.ZSTD_d_windowLogMax]: windowLogMax },
    });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ERR_BUFFER_TOO_LARGE") throw new PlantError("BATCH_TOO_LARGE", { max });
    if (code?.startsWith("ZSTD_") || code?.startsWith("Z_")) {
      throw malformed("its body cannot be expanded");
    }
    throw error;
  }
}
