// Envelopes: signed, bounded, refused when anything about them is wrong.
import assert from "node:assert/strict";
import { test } from "node:test";
import { zstdCompressSync } from "node:zlib";
import {
  checkTopic,
  decodeBody,
  encodeBatch,
  encodeBody,
  open,
  openLimits,
  parseTopic,
  peekHeader,
  seal,
  topicOf,
} from "../../../src/batch/batch.ts";
import { generateSigningKey, publicKeyFrom, sign } from "../../../src/util/ed25519.ts";
import { hasCode } from "../../../src/util/errors.ts";
import { fields, key, kid, records } from "./samples.ts";

const publicKey = publicKeyFrom(key.publicKey);
const lookup = () => publicKey;
const signer = { key, kid };
const text = (words: string) => new TextEncoder().encode(words);

/** An envelope signed in earnest over any header text and any body. */
function signed(header: string, body: Uint8Array): Uint8Array {
  const length = Buffer.alloc(4);
  const head = Buffer.from(header);
  length.writeUInt32BE(head.length);
  const covered = Buffer.concat([text("plantd-envelope-v1\0"), length, head, body]);
  return Buffer.concat([text("PB1"), length, head, sign(key, covered), body]);
}

test("what was sealed opens with its header and body", () => {
  for (const body of [new Uint8Array(), text("short"), text("long ".repeat(5000))]) {
    const bytes = seal(fields, body, signer);
    const opened = open(bytes, lookup);
    assert.deepEqual(new Uint8Array(opened.body), body);
    assert.deepEqual({ ...opened.header }, { ...fields, v: 1, kid, codec: opened.header.codec });
    assert.equal(opened.header.codec, body.length > 100 ? "zstd" : "none");
  }
});

test("an envelope cut off anywhere or with any bit flipped is never accepted", () => {
  const bytes = seal(fields, encodeBatch(records), signer);
  const refused = (wrong: Uint8Array) =>
    assert.throws(
      () => open(wrong, lookup),
      (error) => hasCode(error, "ENVELOPE_MALFORMED", "ENVELOPE_FORGED"),
    );
  for (let length = 0; length < bytes.length; length += 1) refused(bytes.subarray(0, length));
  refused(Buffer.concat([bytes, text("x")]));
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const flipped = Uint8Array.from(bytes);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    refused(flipped);
  }
});

test("another key's signature and an unknown key are forgeries", () => {
  const bytes = seal(fields, text("x"), { key: generateSigningKey(), kid });
  const isForged = (error: unknown) => hasCode(error, "ENVELOPE_FORGED");
  assert.throws(() => open(bytes, lookup), isForged);
  assert.throws(() => open(bytes, () => undefined), isForged);
});

const good = JSON.stringify({ v: 1, kid, codec: "none" });
const spelt = (change: Record<string, unknown>) => {
  const { header } = open(seal(fields, text("x"), signer), lookup);
  return JSON.stringify({ ...header, ...change });
};
const rejectedHeaders: Readonly<Record<string, string>> = {
  "no JSON": "{",
  "fields missing": good,
  "a field too many": spelt({ more: 1 }),
  "another version": spelt({ v: 2 }),
  "another order": JSON.stringify(
    Object.fromEntries(Object.entries(JSON.parse(spelt({}))).reverse()),
  ),
  spaces: spelt({}).replace(",", ", "),
  "a field twice": spelt({}).replace('"v":1', '"v":1,"v":1'),
  "a device that is a path": spelt({ device: "../other" }),
  "a device with a wildcard": spelt({ device: "+" }),
  "an unknown type": spelt({ type: "root" }),
  "an unknown codec": spelt({ codec: "gzip" }),
  "a negative sequence": spelt({ first: -1 }),
  "a fraction": spelt({ last: 1.5 }),
  "a null": spelt({ stream: null }),
  "an empty text": "",
};

for (const [name, header] of Object.entries(rejectedHeaders)) {
  test(`a header is refused though it is signed: ${name}`, () => {
    assert.throws(
      () => open(signed(header, text("x")), lookup),
      (error) => hasCode(error, "ENVELOPE_MALFORMED"),
    );
  });
}

test("a body that expands beyond its bound is refused, and so is one that is not zstd", () => {
  const header = spelt({ codec: "zstd" });
  const bomb = zstdCompressSync(Buffer.alloc(openLimits.bodyBytesMax + 1));
  assert.throws(
    () => open(signed(header, bomb), lookup),
    (error) => hasCode(error, "BATCH_TOO_LARGE"),
  );
  const whole = zstdCompressSync(Buffer.from("some words, some words, some words"));
  for (const wrong of [text("no zstd at all"), whole.subarray(0, whole.length - 2)]) {
    assert.throws(
      () => open(signed(header, wrong), lookup),
      (error) => hasCode(error, "ENVELOPE_MALFORMED"),
    );
  }
});

test("an envelope beyond its bound is refused unread", () => {
  assert.throws(
    () => open(new Uint8Array(openLimits.envelopeBytesMax + 1), lookup),
    (error) => hasCode(error, "BATCH_TOO_LARGE"),
  );
});

test("an envelope belongs to the topic of its device, type and stream", () => {
  const header = peekHeader(seal(fields, text("x"), signer));
  assert.equal(topicOf(header), "plantd/v1/gw-1/up/s/state");
  checkTopic("plantd/v1/gw-1/up/s/state", header);
  for (const topic of [
    "plantd/v1/gw-2/up/s/state",
    "plantd/v1/gw-1/up/s/log",
    "plantd/v1/gw-1/up/hello",
  ]) {
    assert.throws(
      () => checkTopic(topic, header),
      (error) => hasCode(error, "ENVELOPE_FORGED"),
    );
  }
  assert.deepEqual(parseTopic("plantd/v1/gw-1/down/ack"), { device: "gw-1", tail: "down/ack" });
  for (const topic of ["plantd/v1/+/down/ack", "plantd/v1/gw-1/down", "plantd/v1//up/on", "a"]) {
    assert.equal(parseTopic(topic), undefined);
  }
});

test("live values with a time that is none are refused", () => {
  const header = { ...open(seal(fields, text("x"), signer), lookup).header, type: "live" } as const;
  const time = { wall: 1, boot: fields.boot, mono: 1, sync: "ntp" } as const;
  const bodyAt = (wall: number) =>
    text(
      JSON.stringify({
        counter: 1,
        points: [{ scope: "s", key: "k", value: 1, quality: "good", time: { ...time, wall } }],
      }),
    );
  assert.equal(decodeBody("live", { header, body: bodyAt(5) }).points[0]?.time.wall, 5);
  for (const wall of [1e308, 2 ** 53, -(2 ** 53)]) {
    assert.throws(
      () => decodeBody("live", { header, body: bodyAt(wall) }),
      (error) => hasCode(error, "MESSAGE_MALFORMED"),
    );
  }
});

test("control messages come back as they went, and only as what they are", () => {
  const ack = {
    centre: "centre-1",
    epoch: "ab".repeat(16),
    stream: "state",
    sequence: 7,
    serverTime: 1_700_000_000_000,
  } as const;
  const control = { ...fields, type: "ack" } as const;
  const opened = open(seal(control, encodeBody("ack", ack), signer), lookup);
  assert.deepEqual(decodeBody("ack", opened), ack);
  const isMalformed = (error: unknown) => hasCode(error, "MESSAGE_MALFORMED");
  assert.throws(() => decodeBody("want", opened), isMalformed);
  for (const wrong of ["", "{}", "null", JSON.stringify({ ...ack, sequence: -1 })]) {
    const { header } = opened;
    assert.throws(() => decodeBody("ack", { header, body: text(wrong) }), isMalformed);
  }
});
