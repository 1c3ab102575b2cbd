// The real store process killed 200 times under load: what it acknowledged is there, once and in
// order, whenever it was killed. It must not know the bus.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { killStore } from "../power/kill.ts";

const kills = 200;

test(`killed ${kills} times, the store has what it acknowledged`, async (t) => {
  const seed = Number(process.env.PLANTD_SEED ?? process.hrtime()[1]);
  t.diagnostic(`seed ${seed}`);
  const root = mkdtempSync(join(tmpdir(), "pk-"));
  try {
    // Two stores beside each other, each with its own ledger.
    const results = await Promise.all(
      [0, 1].map((at) => killStore(join(root, `${at}`), { kills: kills / 2, seed: seed + at })),
    );
    for (const { kills: done, acknowledged, violations } of results) {
      assert.deepEqual(violations, []);
      assert.equal(done, kills / 2);
      assert.ok(acknowledged > done, `${acknowledged} acknowledged`);
      t.diagnostic(`${done} kills, ${acknowledged} acknowledged`);
    }
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});
