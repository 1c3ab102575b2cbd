// The enrolment exchange: one request, one answer, each side proving that it knows the code.
// It must not know HTTP, files or where codes are kept.
import { keyId, publicKeyFrom, type SigningKey, sign, verify } from "../util/ed25519.ts";
import { PlantError } from "../util/errors.ts";
import { openssl } from "../util/openssl.ts";
import { check, inspect, v } from "../util/shape.ts";
import { base64url, bytesOf, isSame, strictJson } from "./spelling.ts";

const requestDomain = Buffer.from("plantd-enrol-request-v1\0", "ascii");
const answerDomain = Buffer.from("plantd-enrol-answer-v1\0", "ascii");
const pemMax = 16_384;
const raw32 = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{43}$/));

const requestSchema = v.strictObject({
  v: v.literal(1),
  hint: v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{22}$/)),
  publicKey: raw32,
  serial: v.pipe(v.string(), v.minLength(1), v.maxLength(128)),
  version: v.pipe(v.string(), v.minLength(1), v.maxLength(64)),
  nonce: v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{22}$/)),
});
const answerSchema = v.strictObject({
  v: v.literal(1),
  device: v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{1,64}$/)),
  centre: v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{1,64}$/)),
  token: v.pipe(v.string(), v.maxLength(2048)),
  clientCert: v.pipe(v.string(), v.maxLength(pemMax)),
  ca: v.pipe(v.string(), v.maxLength(4 * pemMax)),
  root: raw32,
  keySet: v.pipe(v.string(), v.maxLength(262_144)),
  endpoints: v.strictObject({ mqtt: v.pipe(v.string(), v.minLength(1), v.maxLength(1024)) }),
});
const proof = v.pipe(v.string(), v.maxLength(128));
const signedRequest = v.strictObject({
  payload: v.pipe(v.string(), v.maxLength(4096)),
  proof,
  signature: proof,
});
const provenAnswer = v.strictObject({ payload: v.pipe(v.string(), v.maxLength(700_000)), proof });

/**
 * What a gateway asks: `hint` finds the code without telling it, raw public key, serial number,
 * version of the software, 16 random bytes; bytes in base64url.
 */
export type EnrolmentRequest = v.InferOutput<typeof requestSchema>;
/**
 * What the centre answers: device id, its own id, device token, client certificate and CA in PEM
 * (empty for a broker without TLS), raw root key, key-set document, where MQTT is.
 */
export type EnrolmentAnswer = v.InferOutput<typeof answerSchema>;
/** The request as it travels. */
export type SignedRequest = v.InferOutput<typeof signedRequest>;
/** The answer as it travels. */
export type ProvenAnswer = v.InferOutput<typeof provenAnswer>;

/** What a code is turned into; the centre keeps this and not the code. */
export interface CodeSecret {
  /** Names the code without telling it: 16 bytes, base64url. */
  readonly hint: string;
  /** Key of both proofs, 32 bytes. */
  readonly secret: Uint8Array;
}

/** The two secrets of a code. @param code its 16 bytes. */
export function codeSecret(code: Uint8Array): CodeSecret {
  const derive = (info: string, length: number) =>
    new Uint8Array(openssl().hkdfSync("sha256", code, "plantd-enrol-v1", info, length));
  return { hint: base64url(derive("hint", 16)), secret: derive("proof", 32) };
}

function requestProof(secret: Uint8Array, payload: Uint8Array): Buffer {
  return openssl().createHmac("sha256", secret).update(requestDomain).update(payload).digest();
}

/** The answer's proof covers the whole transcript: the request as it was sent, then the answer. */
function answerProof(secret: Uint8Array, request: SignedRequest, payload: Uint8Array): Buffer {
  const asked = openssl().createHash("sha256").update(JSON.stringify(request)).digest();
  return openssl()
    .createHmac("sha256", secret)
    .update(answerDomain)
    .update(asked)
    .update(payload)
    .digest();
}

/** Gateway: the request to send. @param nonce 16 random bytes. */
export function makeRequest(
  facts: { readonly serial: string; readonly version: string; readonly nonce: Uint8Array },
  key: SigningKey,
  code: CodeSecret,
): SignedRequest {
  const request: EnrolmentRequest = {
    v: 1,
    hint: code.hint,
    publicKey: base64url(key.publicKey),
    serial: facts.serial,
    version: facts.version,
    nonce: base64url(facts.nonce),
  };
  const payload = Buffer.from(JSON.stringify(request));
  return {
    payload: base64url(payload),
    proof: base64url(requestProof(code.secret, payload)),
    signature: base64url(sign(key, Buffer.concat([requestDomain, payload]))),
  };
}

/**
 * Centre: what a request says, before anything of it is believed, to find its code by `hint`.
 * @throws PlantError REQUEST_MALFORMED
 */
export function readRequest(body: unknown): { request: EnrolmentRequest; signed: SignedRequest } {
  const signed = check(signedRequest, body);
  const payload = bytesOf(signed.payload);
  const checked = inspect(requestSchema, payload === undefined ? undefined : strictJson(payload));
  if (!checked.ok || bytesOf(checked.value.publicKey) === undefined) {
    throw new PlantError("REQUEST_MALFORMED", { reason: "it is no enrolment request" });
  }
  return { request: checked.value, signed };
}

/**
 * Centre: whether the request comes from who knows the code and holds the key it names.
 * @returns the device's raw public key.
 * @throws PlantError ENROL_REFUSED
 */
export function verifyRequest(signed: SignedRequest, code: CodeSecret): Uint8Array {
  const { request } = readRequest(signed);
  const payload = bytesOf(signed.payload) ?? new Uint8Array();
  const given = bytesOf(signed.proof) ?? new Uint8Array();
  const signature = bytesOf(signed.signature) ?? new Uint8Array();
  const key = bytesOf(request.publicKey) ?? new Uint8Array();
  const isProven = isSame(given, requestProof(code.secret, payload));
  if (!isProven || request.hint !== code.hint) {
    throw new PlantError("ENROL_REFUSED", { reason: "the code is another" });
  }
  if (!verify(publicKeyFrom(key), Buffer.concat([requestDomain, payload]), signature)) {
    throw new PlantError("ENROL_REFUSED", { reason: "the device key did not sign" });
  }
  return key;
}

/** Centre: the answer to send. */
export function makeAnswer(
  answer: EnrolmentAnswer,
  signed: SignedRequest,
  code: CodeSecret,
): ProvenAnswer {
  const payload = Buffer.from(JSON.stringify(check(answerSchema, answer, "INTERNAL")));
  return {
    payload: base64url(payload),
    proof: base64url(answerProof(code.secret, signed, payload)),
  };
}

/**
 * Gateway: the answer, once it is proven to come from who made the code.
 * @throws PlantError ENROL_ANSWER_FORGED
 */
export function openAnswer(
  body: unknown,
  signed: SignedRequest,
  code: CodeSecret,
): EnrolmentAnswer {
  const forged = (reason: string) => new PlantError("ENROL_ANSWER_FORGED", { reason });
  const checked = inspect(provenAnswer, body);
  if (!checked.ok) throw forged("it is no answer");
  const payload = bytesOf(checked.value.payload);
  const given = bytesOf(checked.value.proof);
  if (payload === undefined || given === undefined) throw forged("it is not base64url");
  if (!isSame(given, answerProof(code.secret, signed, payload))) {
    throw forged("its proof is wrong");
  }
  const answer = inspect(answerSchema, strictJson(payload));
  if (!answer.ok) throw forged("its content is wrong");
  return answer.value;
}

/** Fingerprint of a raw public key as people compare it: its key identifier. */
export function fingerprintOf(publicKey: Uint8Array): string {
  return keyId(publicKey);
}
