// The watchdog's beat follows the progress of the parts. Time stands still until moved.
import assert from "node:assert/strict";
import { test } from "node:test";
import { counterProof, queueProof, startWatchdog } from "../../../src/main/watchdog.ts";
import { openLog } from "../../../src/util/log.ts";
import { fakeClock } from "../../fakes/clock.ts";

function start(proofs: Parameters<typeof startWatchdog>[1]["proofs"]) {
  const clock = fakeClock();
  const lines: string[] = [];
  const seen = { beats: 0, lines };
  const log = openLog({ service: "t", level: "info", write: (line) => lines.push(line) });
  const beat = () => {
    seen.beats += 1;
  };
  return { clock, seen, dog: startWatchdog({ clock, log, beat }, { proofs, intervalMs: 100 }) };
}

test("it beats each round while every part makes progress", async () => {
  let work = 0;
  const proof = counterProof("store", () => {
    work += 1;
    return work;
  });
  const { clock, seen, dog } = start([proof, { part: "http", check: async () => true }]);
  await clock.advance(350);
  assert.equal(seen.beats, 4);
  await dog[Symbol.asyncDispose]();
});

test("a queue is alive while it is empty or moves, and not when it only waits", async () => {
  const queue = { waiting: 0, done: 5 };
  const { check } = queueProof("store", () => queue);
  const { signal } = new AbortController();
  assert.equal(await check(signal), true);
  assert.equal(await check(signal), true, "nothing waits");
  queue.waiting = 3;
  assert.equal(await check(signal), false);
  queue.done = 6;
  assert.equal(await check(signal), true);
});

test("one part that stands still silences it, and is named once", async () => {
  const { clock, seen, dog } = start([
    counterProof("store", () => 7),
    { part: "http", check: async () => true },
  ]);
  await clock.advance(1050);
  assert.equal(seen.beats, 1);
  assert.equal(seen.lines.length, 1);
  assert.match(seen.lines[0] ?? "", /"part":"store"/);
  await dog[Symbol.asyncDispose]();
});

test("a proof that fails, or does not come in time, is none; one that comes back is", async () => {
  let mood: "fails" | "hangs" | "works" = "fails";
  const check = async () => {
    if (mood === "fails") throw new Error("no");
    if (mood === "hangs") await new Promise(() => {});
    return true;
  };
  const { clock, seen, dog } = start([{ part: "http", check }]);
  await clock.advance(250);
  assert.equal(seen.beats, 0);
  mood = "hangs";
  await clock.advance(400);
  assert.equal(seen.beats, 0);
  mood = "works";
  await clock.advance(400);
  assert.ok(seen.beats >= 1);
  await dog[Symbol.asyncDispose]();
});

test("it ends at once when disposed, also twice", async () => {
  const { dog } = start([{ part: "http", check: async () => true }]);
  await dog[Symbol.asyncDispose]();
  await dog[Symbol.asyncDispose]();
  assert.equal(await dog.ended, undefined);
});
