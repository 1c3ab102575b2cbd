// What is refused of the messages from the centre is told, but not each of them.
// It must not know what a message says.
import assert from "node:assert/strict";
import { test } from "node:test";
import { RefusalTally } from "../../../src/sync/inbound.ts";

test("the first refusal is told at once, of a flood one in ten seconds with their number", () => {
  const tally = new RefusalTally();
  const told: number[] = [];
  for (let atMs = 0; atMs <= 30_000; atMs += 1) {
    const count = tally.note(atMs);
    if (count !== undefined) told.push(count);
  }
  assert.deepEqual(told, [1, 10_000, 10_000, 10_000]);
});
