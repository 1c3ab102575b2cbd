// `plant state` and `plant log` as processes against a gateway of ours with its real store: what is
// kept, watched, looked back at, and set while it runs. It must not know how commands work.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { until } from "../fakes/patience.ts";
import { endAll, mainPath, type Spawned, start } from "../fakes/process.ts";

const folder = mkdtempSync(join(tmpdir(), "ps-"));
const env = { PLANTD_DATA_DIR: folder, PLANTD_RUN_DIR: join(folder, "run"), USER: "anna" };
const ready = '"message":"ready"';
const limit = { timeout: 120_000 };
let store: Spawned;

const run = (...parts: string[]) => start(mainPath("plantd"), ["run", ...parts], { env });

before(async () => {
  // A driver that finds nobody: it says so, and goes on.
  const line = { kind: "modbus-tcp", host: "127.0.0.1", port: 1, devices: {} };
  writeFileSync(join(folder, "plantd.yaml"), JSON.stringify({ lines: { l1: line } }));
  assert.ok(await run("broker").until(ready));
  store = run("store");
  assert.ok(await store.until(ready), store.said());
});

after(() => {
  endAll();
  rmSync(folder, { recursive: true, force: true });
});

interface Result {
  readonly exit: number | string;
  readonly out: string;
  readonly err: string;
}

async function plant(...words: string[]): Promise<Result> {
  const child = start(mainPath("plant"), [...words, "--timeout", "20s"], { env });
  const exit = await child.ended(60_000);
  return { exit, out: child.results(), err: child.errors() };
}

async function documentOf(...words: string[]): Promise<ReturnType<typeof JSON.parse>> {
  const { exit, out, err } = await plant(...words, "--json");
  assert.equal(exit, 0, out + err);
  return JSON.parse(out);
}

test("what is set is there with all that was said of it, and conditions hold", limit, async () => {
  const set = (...words: string[]) => plant("state", "set", "org.site", "limit", ...words);
  assert.equal((await set("40", "--unit", "kW", "--type", "f64", "--expect-absent")).exit, 0);
  const point = await documentOf("state", "get", "org.site", "limit");
  assert.deepEqual([point.value, point.unit, point.type, point.quality], [40, "kW", "f64", "good"]);
  const late = await set("50", "--expect", "39");
  assert.equal(late.exit, 1, late.out);
  assert.match(late.err, /STATE_CONFLICT[\s\S]*next/);
  assert.equal((await set("50", "--expect-revision", String(point.revision))).exit, 0);
  assert.match((await plant("state", "get", "org.site/limit")).out, /value +50/);
  assert.equal((await plant("state", "get", "org.site", "nothing")).exit, 3);
});

test("a schema refuses what does not fit, until it is gone", limit, async () => {
  const path = join(folder, "schema.json");
  writeFileSync(path, JSON.stringify({ points: { level: { type: "f64", min: 0 } } }));
  assert.equal((await plant("state", "schema", "set", "org.tank", path)).exit, 0);
  const { out } = await plant("state", "schema", "get", "org.tank");
  assert.deepEqual(JSON.parse(out).points, { level: { type: "f64", min: 0 } });
  const refused = await plant("state", "set", "org.tank", "level", "-1");
  assert.equal(refused.exit === 0, false);
  assert.match(refused.err, /SCHEMA_VIOLATED/);
  assert.equal((await plant("state", "schema", "delete", "org.tank", "--yes")).exit, 0);
  assert.equal((await plant("state", "set", "org.tank", "level", "-1")).exit, 0);
});

test("a watch hears changes and deletions, and records say who made them", limit, async () => {
  const words = ["state", "watch", "org.watched", "--json", "--after", "0"];
  const watch = start(mainPath("plant"), words, { env });
  assert.equal((await plant("state", "set", "org.watched", "a", "1")).exit, 0);
  assert.ok(await watch.until('"value":1'), watch.said());
  assert.equal((await plant("state", "delete", "org.watched", "a", "--yes")).exit, 0);
  assert.ok(await watch.until("plant.deletion/1"), watch.said());
  watch.signal("SIGINT");
  assert.equal(await watch.ended(), 130);
  const { out } = await plant("state", "changes", "event", "--json");
  const records = out
    .trim()
    .split("\n")
    .map((text) => JSON.parse(text));
  const audit = JSON.stringify(records.at(-1));
  assert.match(audit, /audit/);
  assert.match(audit, /anna/);
});

test("figures and scopes are told as they are", limit, async () => {
  const { scopes } = await documentOf("state", "list-scopes");
  assert.ok(scopes.includes("org.site"), String(scopes));
  const { points } = await documentOf("state", "list", "org.site", "--prefix", "lim");
  assert.equal(points.length, 1);
  const { exit, out } = await plant("state", "stats");
  assert.equal(exit, 0, out);
  assert.match(out, /^● store {2}OK[\s\S]*room[\s\S]*flush {2}p50 \d[\s\S]*saved {2}checkpoint/);
});

test(
  "a level is set while a driver runs, and again after the store was killed",
  limit,
  async () => {
    const driver = run("driver:l1");
    assert.ok(await driver.until(ready), driver.said());
    const isApplied = async (level: string) => {
      const { levels } = await documentOf("log", "level", "driver:l1");
      const [found] = levels;
      return found?.level === level && found.isApplied === true;
    };
    const wait = { errorsMeanNotYet: true, limitMs: 60_000 };
    await until("the part is known", () => isApplied("configured"), wait);
    assert.equal((await plant("log", "level", "driver:l1", "error")).exit, 0);
    await until("the level is applied", () => isApplied("error"), wait);
    store.signal("SIGKILL");
    await store.ended();
    store = run("store");
    assert.ok(await store.until(ready), store.said());
    await until("the level is applied again", () => isApplied("error"), wait);
    driver.signal("SIGTERM");
    await driver.ended();
    assert.doesNotMatch(driver.said(), /asked to end/, "that would be a line of the level info");
    const { out } = await plant("log", "--since", "1h", "--service", "plantd-store");
    assert.match(out, /part started/);
  },
);
