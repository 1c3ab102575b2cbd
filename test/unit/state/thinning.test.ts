// Covers keep what is promised of the records they take the place of: definitions, last values,
// what the values came to, and a bounded size.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type BatchRecord, readCover } from "../../../src/batch/batch.ts";
import { coversOf } from "../../../src/state/thinning.ts";
import { seededRandom } from "../../../src/util/random.ts";

const minuteMs = 60_000;
const begin = 1_700_000_040_000;
const time = (ms: number) => ({
  wall: begin + ms,
  boot: "b".repeat(32),
  mono: ms,
  sync: "ntp" as const,
});

function point(sequence: number, index: number, value: unknown, ms: number): BatchRecord {
  return { kind: "point", sequence, index, value, quality: "good", time: time(ms), source: "d" };
}
const define = (sequence: number, index: number, key: string): BatchRecord => {
  return { kind: "define", sequence, index, scope: "s", key };
};

/** Sixty points a minute of each of some keys. */
function minutes(count: number, keys: number): BatchRecord[] {
  const records: BatchRecord[] = [];
  for (let index = 1; index <= keys; index += 1) records.push(define(index, index, `k${index}`));
  for (let second = 0; second < count * 60; second += 1) {
    for (let index = 1; index <= keys; index += 1) {
      records.push(point(records.length + 1, index, second * index, second * 1000));
    }
  }
  return records;
}

test("minutes of points become one cover of minute aggregates", () => {
  const records = minutes(3, 2);
  const [cover, ...others] = coversOf(records, { reason: "thinned", spanMs: minuteMs });
  assert.ok(cover !== undefined && others.length === 0);
  assert.deepEqual([cover.sequence, cover.to], [1, records.length]);
  const { count, definitions, last, aggregates } = readCover(cover.body);
  assert.equal(count, records.length);
  assert.deepEqual(
    definitions.map(({ index, key }) => [index, key]),
    [
      [1, "k1"],
      [2, "k2"],
    ],
  );
  assert.deepEqual(
    last.map((value) => value.kind === "point" && [value.index, value.value, value.sequence]),
    [
      [1, 179, records.length - 1],
      [2, 358, records.length],
    ],
  );
  const rows = aggregates?.rows.filter(({ index }) => index === 2);
  assert.deepEqual(
    rows?.map(({ startMs, count, min, max, mean }) => [startMs - begin, count, min, max, mean]),
    [
      [0, 60, 0, 118, 59],
      [60_000, 60, 120, 238, 179],
      [120_000, 60, 240, 358, 299],
    ],
  );
});

test("covers of minutes merge into quarter-hours that say the same as the points", () => {
  const records = minutes(15, 3);
  const parts = [records.slice(0, 700), records.slice(700, 1900), records.slice(1900)];
  const thinned = parts.flatMap((part) => [
    ...coversOf(part, { reason: "thinned", spanMs: minuteMs }),
  ]);
  const quarterMs = 15 * minuteMs;
  const merged = coversOf(thinned, { reason: "thinned", spanMs: quarterMs });
  assert.equal(merged.length, 1);
  const [direct] = coversOf(records, { reason: "thinned", spanMs: quarterMs });
  assert.deepEqual(merged[0], direct);
});

test("a cover in words of JSON stays near its bound, whatever the values are", () => {
  const random = seededRandom(7);
  const values = [() => random.unit() * 1e9, () => "x".repeat(300), () => ({ a: [1, 2, 3] })];
  const records = Array.from({ length: 20_000 }, (_, at) =>
    point(at + 1, Math.floor(random.unit() * 9000), values[at % 3]?.(), at * 7),
  );
  const covers = coversOf(records, { reason: "thinned", spanMs: minuteMs });
  assert.ok(covers.length > 4);
  let next = 1;
  for (const { sequence, to, body } of covers) {
    assert.equal(sequence, next);
    next = to + 1;
    const bytes = JSON.stringify(body).length;
    assert.ok(bytes < 150_000, `${bytes} bytes`);
  }
  assert.equal(next, 20_001);
});

test("what a later record has replaced is left out of what is dropped, a deletion is not", () => {
  const records: BatchRecord[] = [
    define(1, 1, "a"),
    point(2, 1, "old", 0),
    define(3, 2, "b"),
    { kind: "delete", sequence: 4, index: 2, time: time(5) },
    define(5, 3, "c"),
    point(6, 3, "kept", 6),
  ];
  const [cover] = coversOf(records, {
    reason: "quota",
    isReplaced: ({ index }) => index === 1,
  });
  const { definitions, last, aggregates } = readCover(cover?.body);
  assert.deepEqual(
    last.map(({ kind, index }) => [kind, index]),
    [
      ["delete", 2],
      ["point", 3],
    ],
  );
  // The name goes on in later records.
  assert.deepEqual(
    definitions.map(({ index }) => index),
    [1, 2, 3],
  );
  assert.equal(aggregates, undefined);
});

test("a definition that another of its name followed does not outlive what it named", () => {
  const records: BatchRecord[] = [define(1, 1, "a"), point(2, 1, 1, 0), define(3, 2, "a")];
  const [cover] = coversOf([...records, point(4, 2, 2, 1)], {
    reason: "quota",
    isReplaced: ({ index }) => index === 1,
  });
  assert.deepEqual(
    readCover(cover?.body).definitions.map(({ index }) => index),
    [2],
  );
});

test("corrections of times survive", () => {
  const body = { boot: "b".repeat(32), aheadMs: 5 };
  const records: BatchRecord[] = [point(1, 1, 1, 0), { kind: "correction", sequence: 2, body }];
  const once = coversOf(records, { reason: "thinned", spanMs: minuteMs });
  const [twice] = coversOf(once, { reason: "quota" });
  assert.deepEqual(readCover(twice?.body).corrections, [{ sequence: 2, body }]);
});
