// What was acknowledged is at the centre exactly once and in order, whatever is killed meanwhile;
// what was never answered is there at most once; nothing else is there.
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { startSimulator } from "../../drivers/simulator/simulator.ts";
import { parseConfig } from "../../src/config/config.ts";
import { systemClock } from "../../src/util/clock.ts";
import { silentLog } from "../fakes/field-line.ts";
import { until } from "../fakes/patience.ts";
import { compare, countOf, drained, keepLedger, killRounds } from "./ledger.ts";
import { startSite } from "./site.ts";

test("kill -9 of each process in turn loses nothing and doubles nothing", async (t) => {
  const seed = 1 + (Math.floor(systemClock.wallMs()) % 1_000_000);
  t.diagnostic(`seed ${seed}`);
  const device = { profile: "plantd-demo-pump", unit: 1 };
  const line = { kind: "modbus-tcp", host: "127.0.0.1", port: 0, devices: { "pump-1": device } };
  const lineOf = (port: number) =>
    parseConfig(JSON.stringify({ lines: { lan: { ...line, port } } }), {});
  const { lan } = lineOf(0).lines;
  assert.ok(lan);
  await using pump = await startSimulator(
    { clock: systemClock, log: silentLog },
    { name: "lan", config: lan },
  );
  const port = Number(pump.endpoint.split(":").at(-1));
  await using site = await startSite({
    config: JSON.stringify({ lines: { lan: { ...line, port } } }),
    lines: ["lan"],
  });
  const ledger = await killRounds(site, 20, seed);
  assert.ok(ledger.acknowledged.size > 200, `only ${ledger.acknowledged.size} acknowledged`);
  t.diagnostic(`${ledger.acknowledged.size} acknowledged, ${ledger.unanswered.size} unanswered`);
});

test("mosquitto killed and emptied while a backlog waits: nothing is missing", async (t) => {
  await using site = await startSite();
  const client = await site.client();
  await site.kill("central", { stay: true });
  const ledger = keepLedger(client, 7);
  await until("a backlog grows", () => ledger.acknowledged.size > 1500, { limitMs: 60_000 });
  await site.kill("mosquitto", { stay: true });
  rmSync(join(site.folder, "c", "mosquitto", "data"), { recursive: true, force: true });
  await until("it grows further", () => ledger.acknowledged.size > 2500, { limitMs: 60_000 });
  await ledger.stop();
  await client[Symbol.asyncDispose]();
  site.revive("mosquitto");
  site.revive("central");
  await drained(site);
  await compare(site, ledger);
  t.diagnostic(`${ledger.acknowledged.size} acknowledged`);
});

test("a backup put back while the link is up: what came after it is orphaned, no more", async (t) => {
  await using site = await startSite();
  const client = await site.client();
  const write = async (seed: number, scope: string) => {
    const ledger = keepLedger(client, seed, scope);
    await until(`${scope} is written`, () => ledger.acknowledged.size > 300, { limitMs: 60_000 });
    await ledger.stop();
    return ledger;
  };
  const passphrase = "put back what was";
  const state = async (operation: string, args: object) => {
    const parts = client.stream("org.plantd.State", operation, args, { deadlineMs: 60_000 });
    for (;;) {
      const part = await parts.next();
      if (part.done === true) return part.value as { path: string };
    }
  };
  const before = await write(31, "before");
  const { path } = await state("backup-create", { passphrase });
  const lost = await write(32, "lost");
  await until(
    "the centre has some of it",
    async () => {
      return (await countOf(site, "lost", false)) > 100;
    },
    { limitMs: 60_000, errorsMeanNotYet: true },
  );
  await state("backup-restore", { path, passphrase });
  const after = await write(33, "after");
  await client[Symbol.asyncDispose]();
  await drained(site);
  await compare(site, before);
  await compare(site, after);
  assert.equal(await countOf(site, "lost", false), 0, "it counts although the store lost it");
  const orphans = await countOf(site, "lost", true);
  assert.ok(orphans > 100 && orphans <= lost.acknowledged.size + lost.unanswered.size);
  assert.equal((await countOf(site, "before", true)) + (await countOf(site, "after", true)), 0);
  const { values } = (await site.fetchJson("/api/v1/devices/gw-test/values")) as {
    values: { scope: string }[];
  };
  assert.ok(values.some(({ scope }) => scope === "after"));
  assert.ok(
    values.every(({ scope }) => scope !== "lost"),
    "a lost value is still the latest",
  );
  t.diagnostic(`${orphans} orphans of ${lost.acknowledged.size} that the backup did not know`);
});
