// Bodies of batches: what goes in comes out, and what is wrong is refused with a code.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type BatchRecord, decodeBatch, encodeBatch } from "../../../src/batch/batch.ts";
import { hasCode } from "../../../src/util/errors.ts";
import { seededRandom } from "../../../src/util/random.ts";
import { records } from "./samples.ts";

const span = { first: 10, last: 32 };
const isMalformed = (error: unknown) => hasCode(error, "BATCH_MALFORMED");

test("every kind of record and value comes back as it went in", () => {
  assert.deepEqual(decodeBatch(encodeBatch(records), span, 100), records);
});

test("an empty batch covers nothing", () => {
  assert.deepEqual(decodeBatch(encodeBatch([]), { first: 5, last: 4 }, 100), []);
});

test("a body must cover its span exactly", () => {
  const body = encodeBatch(records);
  for (const wrong of [
    { first: 10, last: 31 },
    { first: 10, last: 33 },
    { first: 9, last: 32 },
  ]) {
    assert.throws(() => decodeBatch(body, wrong, 100), isMalformed);
  }
});

test("records with a gap between them are not encoded", () => {
  const line = (sequence: number): BatchRecord => ({ sequence, kind: "line", text: "x" });
  assert.throws(() => encodeBatch([line(1), line(3)]), isMalformed);
  assert.throws(() => encodeBatch([line(2), line(2)]), isMalformed);
});

test("more records than allowed are refused before they are made", () => {
  const tooLarge = (error: unknown) => hasCode(error, "BATCH_TOO_LARGE");
  assert.throws(() => decodeBatch(encodeBatch(records), span, 21), tooLarge);
});

const rejected: Readonly<Record<string, readonly number[]>> = {
  "a kind that does not exist": [9, 1, 1, 0],
  "an empty section": [5, 0, 1, 0],
  "a section longer than the body": [5, 1, 9, 1, 1, 120, 1],
  "bytes behind the records": [5, 1, 5, 1, 1, 120, 1, 0],
  "a text reference beyond the table": [5, 1, 4, 1, 1, 120, 2],
  "no text where one must be": [5, 1, 4, 1, 1, 120, 0],
  "a text that is not UTF-8": [5, 1, 4, 1, 1, 255, 1],
  "a number in too many bytes": [5, 129, 0, 4, 1, 1, 120, 1],
  "a number beyond 2^53": [5, 1, 255, 255, 255, 255, 255, 255, 255, 255, 1],
  "a count beyond its bytes": [5, 200, 1, 4, 1, 1, 120, 1],
  "JSON that is not JSON": [6, 1, 4, 1, 1, 120, 1],
};

for (const [name, bytes] of Object.entries(rejected)) {
  test(`a body is refused: ${name}`, () => {
    assert.throws(() => decodeBatch(Uint8Array.from(bytes), { first: 1, last: 1 }, 9), isMalformed);
  });
}

test("a body cut off anywhere or with any bit flipped never breaks the reader", () => {
  const body = encodeBatch(records);
  const accepted = (bytes: Uint8Array) => {
    try {
      decodeBatch(bytes, span, 100);
      return true;
    } catch (error) {
      assert.ok(hasCode(error, "BATCH_MALFORMED", "BATCH_TOO_LARGE"), String(error));
      return false;
    }
  };
  for (let length = 0; length < body.length; length += 1) {
    assert.equal(accepted(body.subarray(0, length)), false, `${length} bytes`);
  }
  for (let bit = 0; bit < body.length * 8; bit += 1) {
    const flipped = Uint8Array.from(body);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    accepted(flipped);
  }
});

test("random records come back as they went in", () => {
  const seed = 20_261;
  const random = seededRandom(seed);
  const pick = (count: number) => Math.floor(random.unit() * count);
  const value = () =>
    [
      pick(4096),
      pick(1_000_000) / 1000,
      (random.unit() - 0.5) * 10 ** pick(30),
      -pick(2 ** 31) * 2 ** 22,
      String(BigInt(pick(2 ** 31)) * BigInt(pick(2 ** 31))),
      `text ${pick(5)}`,
    ][pick(6)];
  const many = Array.from(
    { length: 500 },
    (_, at): BatchRecord => ({
      sequence: 2 ** 40 + at,
      kind: "point",
      index: pick(50),
      value: value(),
      quality: "good",
      time: { wall: pick(2 ** 41), boot: "ab".repeat(16), mono: pick(2 ** 41), sync: "rtc" },
    }),
  );
  const last = 2 ** 40 + 499;
  const back = decodeBatch(encodeBatch(many), { first: 2 ** 40, last }, 1000);
  assert.deepEqual(back, many, `seed ${seed}`);
});
