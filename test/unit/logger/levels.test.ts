// Levels of parts while they run: set, for a while, kept, learned, applied. No real time.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type LevelMemory, partsMax, setMax } from "../../../src/logger/levels.ts";
import { hasCode, PlantError } from "../../../src/util/errors.ts";
import { openLog } from "../../../src/util/log.ts";
import { openLogLevels } from "../../../src/util/log-levels.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { openLogger } from "./bench.ts";

function memoryOf(rows: Record<string, unknown> = {}): LevelMemory {
  return {
    load: async () => ({ ...rows }),
    keep: async (part, level) => {
      if (level === undefined) delete rows[part];
      else rows[part] = level;
    },
  };
}

const processOf = (revision: string, parts = ["store"]) => ({ parts, level: "info", revision });

test("a process learns the levels with its next lines, once", async () => {
  const { ask } = await openLogger();
  const hear = (revision: string) => ask("append", { lines: [], process: processOf(revision) });
  assert.deepEqual(await hear(""), { accepted: 0, dropped: 0 });
  const set = await ask("set-level", { part: "store", level: "debug" });
  assert.deepEqual(set, { part: "store", level: "debug", configured: "info", isApplied: false });
  const { levels } = await hear("");
  assert.deepEqual(levels.parts, { store: { level: "debug" } });
  assert.equal((await hear(levels.revision)).levels, undefined);
  const [listed] = (await ask("levels", {})).levels;
  assert.deepEqual(listed, { part: "store", level: "debug", configured: "info", isApplied: true });
});

test("a level for a while ends by itself, at the logger and in the process", async () => {
  const { ask, clock } = await openLogger();
  await ask("set-level", { part: "store", level: "debug", forMs: 10_000 });
  await clock.advance(4000);
  const { levels } = await ask("append", { lines: [], process: processOf("") });
  assert.deepEqual(levels.parts, { store: { level: "debug", forMs: 6000 } });
  const own = openLogLevels(clock, "info");
  own.apply(levels);
  assert.equal(own.isEnabled("store", "debug"), true);
  await clock.advance(5999);
  assert.equal(own.isEnabled("store", "debug"), true);
  await clock.advance(1);
  assert.equal(own.isEnabled("store", "debug"), false, "though nobody told it");
  const reply = await ask("append", { lines: [], process: processOf(levels.revision) });
  assert.deepEqual(reply.levels.parts, {});
});

test("what was set for good outlives the logger, what was set for a while does not", async () => {
  const rows: Record<string, unknown> = { sync: "loud" };
  const levelMemory = memoryOf(rows);
  const first = await openLogger({ levelMemory });
  await first.ask("set-level", { part: "store", level: "warn" });
  await first.ask("set-level", { part: "http", level: "debug", forMs: 60_000 });
  assert.deepEqual(rows, { sync: "loud", store: "warn" });
  const second = await openLogger({ levelMemory });
  const { levels } = await second.ask("append", { lines: [], process: processOf("old.1") });
  assert.deepEqual(levels.parts, { store: { level: "warn" } });
  await second.ask("set-level", { part: "store", level: "configured" });
  assert.deepEqual(rows, { sync: "loud" });
});

test("after a while the level set for good holds again", async () => {
  const { ask, clock } = await openLogger({ levelMemory: memoryOf({ store: "warn" }) });
  await ask("set-level", { part: "store", level: "debug", forMs: 1000 });
  await clock.advance(1000);
  const [listed] = (await ask("levels", {})).levels;
  assert.deepEqual(listed, { part: "store", level: "warn" });
});

test("a level that cannot be kept is not set; for a while it needs no store", async () => {
  const keep = () => Promise.reject(new PlantError("STORE_FULL", { roomBytes: 1 }));
  const { ask } = await openLogger({ levelMemory: { load: async () => ({}), keep } });
  const refused = ask("set-level", { part: "store", level: "debug" });
  await assert.rejects(refused, (error) => hasCode(error, "STORE_FULL"));
  assert.deepEqual(await ask("levels", {}), { levels: [] });
  await ask("set-level", { part: "store", level: "debug", forMs: 1000 });
  assert.equal((await ask("levels", {})).levels.length, 1);
});

for (const args of [
  undefined,
  { part: "store" },
  { part: "store", level: "loud" },
  { part: "", level: "debug" },
  { part: "a b", level: "debug" },
  { part: "a".repeat(81), level: "debug" },
  { part: "a", level: "debug", forMs: 999 },
  { part: "a", level: "debug", forMs: 86_400_001 },
  { part: "a", level: "debug", forMs: 1000.5 },
]) {
  test(`refused as a level: ${JSON.stringify(args)?.slice(0, 60)}`, async () => {
    const { ask } = await openLogger();
    await assert.rejects(ask("set-level", args), (error) => hasCode(error, "REQUEST_MALFORMED"));
  });
}

test("a process that says nonsense of itself is refused", async () => {
  const { ask } = await openLogger();
  for (const about of [1, { parts: "x" }, processOf("r", ["../x"]), processOf("r".repeat(101))]) {
    const refused = ask("append", { lines: [], process: about });
    await assert.rejects(refused, (error) => hasCode(error, "REQUEST_MALFORMED"));
  }
});

test("parts with a level of their own, and parts known, are bounded", async () => {
  const { ask } = await openLogger();
  for (let at = 0; at < setMax; at += 1) {
    await ask("set-level", { part: `p${at}`, level: "debug", forMs: 60_000 });
  }
  const more = { part: "more", level: "debug", forMs: 60_000 };
  await assert.rejects(ask("set-level", more), (error) => hasCode(error, "LIMIT_REACHED"));
  await ask("set-level", { ...more, part: "p0" });
  await ask("set-level", { part: "p0", level: "configured" });
  await ask("set-level", more);
  for (let at = 0; at < partsMax + 5; at += 1) {
    await ask("append", { lines: [], process: processOf("", [`known${at}`]) });
  }
  assert.equal((await ask("levels", {})).levels.length, setMax + partsMax);
});

test("a log writes what its part should, by the first word of its context", () => {
  const clock = fakeClock();
  const lines: string[] = [];
  const levels = openLogLevels(clock, "info");
  const log = openLog({ service: "plantd", level: "info", levels, write: (l) => lines.push(l) });
  const line = log.within("driver:line1").within("bus");
  const http = log.within("http");
  const say = () => {
    lines.length = 0;
    log.debug("process");
    line.debug("line");
    http.debug("http");
    http.warn("warned");
    return lines.map((text) => JSON.parse(text).message);
  };
  assert.deepEqual(say(), ["warned"]);
  levels.apply({ revision: "1", parts: { "driver:line1": { level: "debug" } } });
  assert.deepEqual(say(), ["line", "warned"]);
  levels.apply({ revision: "2", parts: { plantd: { level: "debug" }, http: { level: "error" } } });
  assert.deepEqual(say(), ["process"]);
  levels.apply({ revision: "3", parts: { all: { level: "debug" }, http: { level: "warn" } } });
  assert.deepEqual(say(), ["process", "line", "warned"]);
  levels.apply({ revision: "4", parts: {} });
  assert.deepEqual(say(), ["warned"]);
});
