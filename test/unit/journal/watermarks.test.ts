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
