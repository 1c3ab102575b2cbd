// The gateway's protocol against a broker that drops, doubles, delays and reorders, a store and a
// centre that are restarted and restored: what the store keeps arrives once and in order.
import assert from "node:assert/strict";
import { test } from "node:test";
import { playUpstream } from "../../simulation/upstream.ts";

const seeds = 200;

test(`what the store keeps reaches the centre exactly once in order, over ${seeds} schedules`, () => {
  let records = 0;
  for (let seed = 1; seed <= seeds; seed += 1) {
    const outcome = playUpstream(seed, { faultyMs: 20_000 });
    assert.deepEqual(outcome.violations, [], `seed ${seed}`);
    records += outcome.records;
  }
  assert.ok(records > seeds * 10);
});
