// Damaged input at every door, a few of each: refused with a code, or taken. The long version is
// `npm run torture -- fuzz`.
import assert from "node:assert/strict";
import { test } from "node:test";
import { openDoors } from "../../torture/doors.ts";
import { fuzz } from "../../torture/fuzz.ts";

const seed = 7;

test("no door does anything with damaged input but take it or refuse it with a code", async () => {
  await using doors = await openDoors();
  const order = { count: 4000, seed, inputMsMax: Number.POSITIVE_INFINITY };
  const { runs, violations } = await fuzz(doors.all, order, () => {});
  assert.ok(runs >= 4000);
  assert.deepEqual(violations, []);
});

test("a door that throws something else, or refuses good input, is found out", async () => {
  const samples = [[Buffer.from("good")]];
  const order = { count: 10, seed, inputMsMax: Number.POSITIVE_INFINITY };
  const throws = (error: Error) => ({
    name: "d",
    shape: "bytes" as const,
    samples,
    enter() {
      throw error;
    },
  });
  const { violations } = await fuzz([throws(new TypeError("boom"))], order, () => {});
  assert.match(violations[0] ?? "", /^d, seed 7, input 0: TypeError: boom: 676f6f64$/);
  const slow = { name: "s", shape: "bytes" as const, samples, enter: () => undefined };
  const late = await fuzz([slow], { ...order, inputMsMax: -1 }, () => {});
  assert.match(late.violations[0] ?? "", /^s, .*: it took \d+ ms: 676f6f64$/);
});
