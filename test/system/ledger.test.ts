// What was acknowledged is at the centre exactly once and in order, whatever is killed meanwhile;
// what was never answered is there at most once; nothing else is there.
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../../src/util/clock.ts";
import { compare, drained, keepLedger, killRounds } from "./ledger.ts";
import { eventually, startSite } from "./site.ts";

test("kill -9 of each process in turn loses nothing and doubles nothing", async (t) => {
  const seed = 1 + (Math.floor(systemClock.wallMs()) % 1_000_000);
  t.diagnostic(`seed ${seed}`);
  await using site = await startSite();
  const ledger = await killRounds(site, 20, seed);
  assert.ok(ledger.acknowledged.size > 200, `only ${ledger.acknowledged.size} acknowledged`);
  t.diagnostic(`${ledger.acknowledged.size} acknowledged, ${ledger.unanswered.size} unanswered`);
});

test("mosquitto killed and emptied while a backlog waits: nothing is missing", async (t) => {
  await using site = await startSite();
  const client = await site.client();
  await site.kill("central", { stay: true });
  const ledger = keepLedger(client, 7);
  await eventually("a backlog grows", 60_000, () => ledger.acknowledged.size > 1500);
  await site.kill("mosquitto", { stay: true });
  rmSync(join(site.folder, "c", "mosquitto", "data"), { recursive: true, force: true });
  await eventually("it grows further", 60_000, () => ledger.acknowledged.size > 2500);
  await ledger.stop();
  await client[Symbol.asyncDispose]();
  site.revive("mosquitto");
  site.revive("central");
  await drained(site);
  await compare(site, ledger);
  t.diagnostic(`${ledger.acknowledged.size} acknowledged`);
});
