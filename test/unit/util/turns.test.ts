// Turns of the loop: one piece of work in each, and short work in between.
// It must not know what the work is.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Turns } from "../../../src/util/turns.ts";

test("of many who ask at once each has a turn of its own, in their order", async () => {
  const turns = new Turns();
  const seen: (number | string)[] = [];
  const work = Array.from({ length: 3 }, async (_, at) => {
    await turns.next();
    seen.push(at);
    setImmediate(() => seen.push("another"));
  });
  await Promise.all(work);
  assert.deepEqual(seen, [0, "another", 1, "another", 2]);
});
