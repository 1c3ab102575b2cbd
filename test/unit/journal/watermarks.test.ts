// How far consumers are believed, at the edges: floors, turns, words that are young or old, and
// what is forgotten of one that was removed. It must not know who consumes.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Disk } from "../../../src/disk/disk.ts";
import { Watermarks } from "../../../src/journal/watermarks.ts";
import { fakeClock } from "../../fakes/clock.ts";

const youngMs = 300_000;

function stage(floor = 0) {
  const rows: string[] = [];
  const clock = fakeClock();
  const disk = {
    range: () => [],
    commit: async (writes: readonly { key: Uint8Array; value?: Uint8Array }[]) => {
      await new Promise<void>((done) => setImmediate(done));
      for (const { key, value = "gone" } of writes) {
        rows.push(`${Buffer.from(key)} ${typeof value === "string" ? value : Buffer.from(value)}`);
      }
    },
  } as unknown as Disk;
  return { rows, clock, marks: new Watermarks({ clock, disk, floor: () => floor }) };
}

test("a mark goes back no further than what is kept, and forward as far as is said", async () => {
  const { marks } = stage(10);
  assert.equal(await marks.move("c", "log", 20), 20);
  assert.equal(await marks.move("c", "log", 15), 15);
  assert.equal(await marks.move("c", "log", 3), 10);
  assert.equal(marks.lowest("log", false), 10);
});

test("marks of several streams that move at once are all kept", async () => {
  const { marks, rows } = stage();
  await marks.register("c");
  await Promise.all([marks.move("c", "log", 5), marks.move("c", "event", 7)]);
  assert.deepEqual(marks.list()[0]?.streams, { state: 0, event: 7, log: 5, metric: 0 });
  assert.match(rows.at(-1) ?? "", /"event":7,"log":5/);
});

test("what is said at once counts in its order, whoever is added or removed meanwhile", async () => {
  const { marks, rows } = stage();
  await marks.register("c");
  await Promise.all([marks.move("c", "log", 5), marks.add("c", ["log", "event"])]);
  assert.deepEqual(marks.list()[0]?.streams, { event: 0, log: 5 });
  assert.match(rows.at(-1) ?? "", /"log":5/);
  await Promise.all([marks.add("c", ["log"]), marks.move("c", "event", 3)]);
  assert.deepEqual(marks.list()[0]?.streams, { event: 3, log: 5 });
  const word = marks.welcome("c", "log", 5);
  await Promise.all([marks.move("c", "log", 6), marks.remove("c"), word]);
  assert.deepEqual([marks.list(), rows.at(-1)], [[], "far/c gone"]);
  await Promise.all([marks.register("d"), marks.remove("d")]);
  assert.deepEqual([marks.list(), rows.at(-1)], [[], "far/d gone"]);
  await marks.welcome("e", "log", 5);
  assert.equal(rows.at(-1), "far/d gone", "nothing is kept of one who is not there");
});

test("a mere look at where a consumer stands makes nobody hold records", async () => {
  const { marks, rows } = stage(4);
  assert.equal(marks.peek("c").log, 4);
  await marks.move("d", "log", 9);
  assert.equal(marks.peek("d").log, 9);
  for (let at = 1; at < 64; at += 1) await marks.register(`c${at}`);
  assert.equal(marks.peek("one more").log, 4);
  assert.deepEqual([marks.count, rows.length], [64, 64]);
});

test("a far consumer's word is believed while it is young, and where room is short", async () => {
  const { marks, clock, rows } = stage();
  await marks.move("c", "log", 20);
  assert.equal(marks.lowest("log", false), 20);
  await marks.welcome("c", "log", 10);
  assert.ok(rows.includes("far/c true"));
  assert.equal(marks.lowest("log", false), 10);
  await clock.advance(youngMs);
  assert.equal(marks.lowest("log", false), 10);
  await clock.advance(1);
  assert.equal(marks.lowest("log", false), 0);
  assert.equal(marks.lowest("log", true), 10);
  assert.equal(marks.lowest("event", true), 0, "what it never had");
  assert.equal(marks.acknowledged("log"), 20);
});

test("nothing is remembered of a consumer that was removed", async () => {
  const { marks, rows } = stage();
  await marks.move("c", "log", 20);
  await marks.welcome("c", "log", 10);
  assert.equal(await marks.remove("c"), true);
  assert.deepEqual(rows.slice(-2), ["mark/c gone", "far/c gone"]);
  assert.equal(await marks.remove("c"), false);
  assert.equal(marks.lowest("log", false), Number.POSITIVE_INFINITY);
  await marks.move("c", "log", 30);
  assert.equal(marks.lowest("log", false), 30, "it is not far");
  await marks.welcome("c", "event", 0);
  assert.equal(marks.lowest("log", false), 0, "it said nothing of this stream since");
});
