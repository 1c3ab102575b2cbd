// What becomes of batches that the centre refuses: where sending goes on, and how many covers there
// may be. It must not know the bus.
import assert from "node:assert/strict";
import { test } from "node:test";
import { freshStream, split } from "../../../src/sync/stream-state.ts";

const stood = { first: 31, head: 90, watermark: 35 };
const coveredMax = 1000;

test("a refused cover that begins before the watermark is sent again from behind it", () => {
  const stream = freshStream(stood, 10);
  split(stream, { first: 31, last: 40, count: 2 }, "X");
  assert.deepEqual([stream.next, stream.recordsMax, stream.splitTo], [36, 1, 40]);
  split(stream, { first: 38, last: 38, count: 1 }, "X");
  assert.equal(stream.next, 38);
});

test("a record refused alone three times in a row is covered, and only so many are", () => {
  for (const known of [coveredMax - 1, coveredMax]) {
    const covered = new Map(Array.from({ length: known }, (_, at) => [1000 + at, "X"]));
    const stream = freshStream(stood, 10, covered);
    const alone = { first: 40, last: 40, count: 1 };
    assert.equal(split(stream, alone, "X"), false);
    assert.equal(split(stream, { ...alone, first: 41 }, "X"), false, "another one");
    assert.equal(split(stream, alone, "X"), false);
    assert.equal(split(stream, alone, "X"), false);
    assert.equal(split(stream, alone, "X"), known < coveredMax);
    assert.equal(stream.coveredAt.size, coveredMax);
  }
});
