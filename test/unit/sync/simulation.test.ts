// The gateway's protocol against a broker that drops, doubles, delays and reorders, a store and a
// centre that are restarted and restored: what the store keeps arrives once and in order.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Flaw, playUpstream, run } from "../../simulation/upstream.ts";

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

/** Rules broken on purpose, and how long faults must go on until that shows. */
const flaws: Readonly<Record<Flaw, number>> = {
  "trim on PUBACK": 150_000,
  "trim without a young welcome": 150_000,
  "no gate": 20_000,
  "no cut": 20_000,
  "ack before commit": 20_000,
  "no resend": 20_000,
  "no new epoch": 150_000,
  "duplicates applied": 150_000,
  "covers without last values": 150_000,
};

for (const [flaw, faultyMs] of Object.entries(flaws) as [Flaw, number][]) {
  test(`the simulation finds a broken rule: ${flaw}`, () => {
    const seedsOf = Array.from({ length: 40 }, (_, at) => at + 1);
    assert.ok(seedsOf.some((seed) => run(seed, { faultyMs, flaw }).length > 0));
  });
}
