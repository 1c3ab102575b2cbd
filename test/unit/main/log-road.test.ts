// Log lines on their way: batches, a logger that is away, and what is dropped. No real time.
import assert from "node:assert/strict";
import { test } from "node:test";
import { hear, openLogRoad } from "../../../src/main/log-road.ts";
import { openLog } from "../../../src/util/log.ts";
import { openLogLevels } from "../../../src/util/log-levels.ts";
import { fakeClock } from "../../fakes/clock.ts";

function setUp() {
  const clock = fakeClock();
  const road = openLogRoad({
    linesMax: 5,
    batchMax: 2,
    pauseMs: 100,
    pollMs: 3000,
    pauseCeilingMs: 300,
    closeMs: 500,
  });
  const log = openLog({ service: "t", level: "info", write: (line) => road.push(line) });
  const seen = { batches: [] as string[][], isAway: false };
  const deliver = async (lines: readonly string[]) => {
    if (seen.isAway) throw new Error("nobody there");
    seen.batches.push([...lines]);
  };
  return { clock, road, seen, start: () => road.start({ clock, log, deliver }) };
}

test("lines written before the start travel first, in batches", async () => {
  const { clock, road, seen, start } = setUp();
  for (const line of ["1", "2", "3"]) road.push(line);
  const running = start();
  await clock.advance(50);
  assert.deepEqual(seen.batches, [["1", "2"], ["3"]]);
  road.push("4");
  await clock.advance(100);
  assert.deepEqual(seen.batches.at(-1), ["4"]);
  await running[Symbol.asyncDispose]();
});

test("while the logger is away the oldest go, and the loss is told when it is back", async () => {
  const { clock, road, seen, start } = setUp();
  seen.isAway = true;
  const running = start();
  for (let number = 1; number <= 9; number += 1) road.push(`${number}`);
  await clock.advance(250);
  seen.isAway = false;
  await clock.advance(300);
  const lines = seen.batches.flat();
  assert.deepEqual(lines.slice(0, 5), ["5", "6", "7", "8", "9"]);
  assert.match(lines[5] ?? "", /"lines":4.*dropped/);
  await running[Symbol.asyncDispose]();
});

test("a logger that stays away is tried less and less often, up to the ceiling", async () => {
  const { clock, road } = setUp();
  const triedMs: number[] = [];
  const deliver = async () => {
    triedMs.push(clock.monotonicMs());
    throw new Error("nobody there");
  };
  const log = openLog({ service: "t", level: "info", write: () => {} });
  const fromMs = clock.monotonicMs();
  road.push("1");
  const running = road.start({ clock, log, deliver });
  for (let step = 0; step < 12; step += 1) await clock.advance(100);
  const waits = triedMs.map((atMs) => atMs - fromMs);
  assert.deepEqual(waits, [0, 200, 500, 800, 1100]);
  await running[Symbol.asyncDispose]();
});

test("lines dropped during a delivery are not taken twice, nor are later ones lost", async () => {
  const { clock, road } = setUp();
  const batches: string[][] = [];
  let finish = () => {};
  const deliver = (lines: readonly string[]) => {
    batches.push([...lines]);
    return new Promise<void>((resolve) => {
      finish = resolve;
    });
  };
  const log = openLog({ service: "t", level: "info", write: () => {} });
  for (let number = 1; number <= 5; number += 1) road.push(`${number}`);
  const running = road.start({ clock, log, deliver });
  await clock.advance(10);
  road.push("6"); // 1 goes, which is already on its way
  for (let round = 0; round < 4; round += 1) {
    finish();
    await clock.advance(10);
  }
  assert.deepEqual(batches, [
    ["1", "2"],
    ["3", "4"],
    ["5", "6"],
  ]);
  await running[Symbol.asyncDispose]();
});

test("the last lines are tried once more at the end, no longer than allowed", async () => {
  const { clock, road, seen, start } = setUp();
  const running = start();
  await clock.advance(10);
  road.push("last");
  await running[Symbol.asyncDispose]();
  assert.deepEqual(seen.batches, [["last"]]);
});

test("without lines the logger is asked now and then what it has to say", async () => {
  const { clock, road, seen, start } = setUp();
  const running = start();
  await clock.advance(2900);
  assert.deepEqual(seen.batches, []);
  await clock.advance(200);
  assert.deepEqual(seen.batches, [[]]);
  road.push("1");
  await clock.advance(2900);
  assert.deepEqual(seen.batches, [[], ["1"]]);
  await clock.advance(300);
  assert.deepEqual(seen.batches, [[], ["1"], []]);
  await running[Symbol.asyncDispose]();
  assert.equal(seen.batches.length, 3, "the end has nothing to ask");
});

test("levels in an answer are taken, nonsense is not", () => {
  const clock = fakeClock();
  const levels = openLogLevels(clock, "info");
  for (const reply of [null, {}, { levels: 3 }, { levels: { revision: "x", parts: { a: 1 } } }]) {
    hear(levels, reply);
    assert.equal(levels.revision, "");
  }
  hear(levels, { accepted: 1, levels: { revision: "x", parts: { store: { level: "debug" } } } });
  assert.equal(levels.revision, "x");
  assert.equal(levels.isEnabled("store", "debug"), true);
  assert.equal(levels.isEnabled("sync", "debug"), false);
});
