// Enrolment codes, the exchange from both sides, and key sets.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  base64url,
  codeSecret,
  type EnrolmentAnswer,
  formatCode,
  issueKeySet,
  type KeySetContent,
  makeAnswer,
  makeRequest,
  openAnswer,
  openKeySet,
  parseCode,
  readRequest,
  verifyRequest,
} from "../../../src/access/access.ts";
import { generateSigningKey, keyId, signingKeyFromSeed } from "../../../src/util/ed25519.ts";
import { hasCode } from "../../../src/util/errors.ts";
import { seededRandom } from "../../../src/util/random.ts";

const codeBytes = seededRandom(5).bytes(16);
const code = codeSecret(codeBytes);
const device = signingKeyFromSeed(new Uint8Array(32).fill(2));
const root = signingKeyFromSeed(new Uint8Array(32).fill(3));
const facts = { serial: "SN-1", version: "0.1.0", nonce: new Uint8Array(16).fill(9) };
const content: KeySetContent = {
  v: 1,
  version: 3,
  centre: "centre-1",
  issued: 1_700_000_000_000,
  keys: [{ key: base64url(device.publicKey), uses: ["message"] }],
  revoked: [],
};

test("a code survives being written down and typed again", () => {
  const text = formatCode(codeBytes);
  assert.match(text, /^([0-9A-Z]{4}-){6}[0-9A-Z]{4}$/);
  const typed = ` ${text.toLowerCase().replaceAll("-", " ").replaceAll("0", "o").replaceAll("1", "l")}`;
  assert.deepEqual(parseCode(text), codeBytes);
  assert.deepEqual(parseCode(typed), codeBytes);
});

test("a code with a character misread, missing or too many is refused before it is sent", () => {
  const text = formatCode(codeBytes);
  const isMalformed = (error: unknown) => hasCode(error, "ENROL_CODE_MALFORMED");
  const swap = (at: number) =>
    text.slice(0, at) + (text[at] === "7" ? "8" : "7") + text.slice(at + 1);
  const wrong = ["", "hello", text.slice(1), `${text}0`, "U".repeat(28), "é".repeat(28)];
  for (let at = 0; at < text.length; at += 5) wrong.push(swap(at));
  for (const each of wrong) assert.throws(() => parseCode(each), isMalformed, each);
});

function answerOf(): EnrolmentAnswer {
  return {
    v: 1,
    device: "gw-1",
    centre: "centre-1",
    token: "a.b.c",
    clientCert: "",
    ca: "",
    root: base64url(root.publicKey),
    keySet: issueKeySet(content, root).text,
    endpoints: { mqtt: "mqtts://127.0.0.1:8883" },
  };
}

test("both sides of an enrolment prove that they know the code", () => {
  const signed = makeRequest(facts, device, code);
  const sent: unknown = JSON.parse(JSON.stringify(signed));
  const { request, signed: received } = readRequest(sent);
  assert.equal(request.hint, code.hint);
  assert.deepEqual(verifyRequest(received, code), device.publicKey);
  const answer = makeAnswer(answerOf(), received, code);
  assert.deepEqual(openAnswer(JSON.parse(JSON.stringify(answer)), signed, code), answerOf());
});

test("a request with another code, key or content is refused", () => {
  const isRefused = (error: unknown) => hasCode(error, "ENROL_REFUSED");
  const signed = makeRequest(facts, device, code);
  const other = makeRequest(facts, generateSigningKey(), code);
  const otherCode = codeSecret(new Uint8Array(16).fill(1));
  assert.throws(() => verifyRequest(signed, otherCode), isRefused);
  assert.throws(() => verifyRequest({ ...signed, payload: other.payload }, code), isRefused);
  assert.throws(() => verifyRequest({ ...signed, signature: other.signature }, code), isRefused);
  assert.throws(() => verifyRequest({ ...signed, proof: "" }, code), isRefused);
  for (const wrong of [null, {}, [], { ...signed, more: 1 }, { ...signed, payload: "!" }]) {
    assert.throws(
      () => readRequest(wrong),
      (error) => hasCode(error, "REQUEST_MALFORMED"),
    );
  }
});

test("an answer from who does not know the code, or to another request, is refused", () => {
  const isForged = (error: unknown) => hasCode(error, "ENROL_ANSWER_FORGED");
  const signed = makeRequest(facts, device, code);
  const replayed = makeRequest({ ...facts, nonce: new Uint8Array(16) }, device, code);
  const answer = makeAnswer(answerOf(), signed, code);
  const stranger = makeAnswer(answerOf(), signed, codeSecret(new Uint8Array(16)));
  for (const wrong of [null, {}, stranger, { ...answer, payload: stranger.proof }]) {
    assert.throws(() => openAnswer(wrong, signed, code), isForged);
  }
  assert.throws(() => openAnswer(answer, replayed, code), isForged);
});

test("a key set holds under its root, never below a known version, without revoked keys", () => {
  const isRefused = (error: unknown) => hasCode(error, "KEY_SET_REFUSED");
  const { text } = issueKeySet(content, root);
  const kid = keyId(device.publicKey);
  const opened = openKeySet(text, root.publicKey, 3);
  assert.ok(opened.keyOf(kid, "message"));
  assert.equal(opened.keyOf(kid, "token"), undefined);
  assert.equal(opened.keyOf("../etc", "message"), undefined);
  const revoked = issueKeySet({ ...content, revoked: [kid] }, root);
  assert.equal(revoked.keyOf(kid, "message"), undefined);
  assert.throws(() => openKeySet(text, root.publicKey, 4), isRefused);
  assert.throws(() => openKeySet(text, device.publicKey, 0), isRefused);
  for (const wrong of ["", "{}", `${text} `, text.slice(0, -3), text.replace("payload", "p")]) {
    assert.throws(() => openKeySet(wrong, root.publicKey, 0), isRefused);
  }
});

test("a key set nested too deeply is refused", () => {
  const text = `${"[".repeat(20_000)}${"]".repeat(20_000)}`;
  assert.throws(
    () => openKeySet(text, root.publicKey, 0),
    (error) => hasCode(error, "KEY_SET_REFUSED"),
  );
});
