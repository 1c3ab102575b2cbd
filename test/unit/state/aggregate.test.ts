// Aggregates of values: what they count and keep, and that the way they are put together is no
// matter. It must not know where they are kept.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Aggregate,
  fold,
  merge,
  minuteMs,
  numberOf,
  quarterMs,
  type Sample,
  startOf,
  widen,
} from "../../../src/state/aggregate.ts";
import { seededRandom } from "../../../src/util/random.ts";

function foldAll(samples: readonly Sample[], startMs: number): Aggregate | undefined {
  let into: Aggregate | undefined;
  for (const sample of samples) into = fold(into, sample, startMs);
  return into;
}

const good = (wallMs: number, value: unknown): Sample => ({ wallMs, value, quality: "good" });

test("an aggregate has count, least, most, mean and the last value by time", () => {
  const found = foldAll([good(10, 4), good(30, 1), good(20, 7)], 0);
  assert.deepEqual(found, {
    startMs: 0,
    count: 3,
    bad: 0,
    numbers: 3,
    min: 1,
    max: 7,
    mean: 4,
    last: 1,
    lastMs: 30,
    lastQuality: "good",
  });
});

test("of values with the same time the one that came last is the last", () => {
  assert.equal(foldAll([good(10, "a"), good(10, "b")], 0)?.last, "b");
});

test("values that are no numbers are counted and the last is kept, no more", () => {
  for (const value of [
    true,
    "open",
    null,
    { a: 1 },
    [2],
    "1e5",
    "007",
    "-0",
    "123456789012345678901",
  ]) {
    const found = foldAll([good(1, value)], 0);
    assert.deepEqual(found, {
      startMs: 0,
      count: 1,
      bad: 0,
      last: value,
      lastMs: 1,
      lastQuality: "good",
    });
  }
});

test("a bad value is counted and may be the last, but is no part of least, most and mean", () => {
  const bad: Sample = { wallMs: 5, value: 99, quality: "bad" };
  const found = foldAll([good(1, 2), bad], 0);
  assert.equal(found?.max, 2);
  assert.equal(found?.bad, 1);
  assert.equal(found?.count, 2);
  assert.equal(found?.lastQuality, "bad");
  assert.equal(foldAll([bad], 0)?.min, undefined);
});

test("an integer of 64 bits is a number, and as the last value exact", () => {
  const found = foldAll([good(1, "18446744073709551615"), good(2, "18446744073709551614")], 0);
  assert.equal(found?.last, "18446744073709551614");
  assert.equal(found?.max, 2 ** 64);
  assert.equal(numberOf("-9223372036854775808"), -(2 ** 63));
});

test("spans are counted from 1970, before it too", () => {
  assert.equal(startOf(59_999, minuteMs), 0);
  assert.equal(startOf(60_000, minuteMs), 60_000);
  assert.equal(startOf(-1, minuteMs), -60_000);
});

test("the mean of very large numbers stays between least and most", () => {
  const found = foldAll([good(1, 1.7e308), good(2, 1.7e308), good(3, -1.7e308)], 0);
  assert.ok(Number.isFinite(found?.mean));
});

test("however values are split, merged or widened, they come to the same", () => {
  const seed = process.hrtime()[1];
  const random = seededRandom(seed);
  const whole = (most: number) => Math.floor(random.unit() * most);
  for (let round = 0; round < 300; round += 1) {
    const samples = Array.from({ length: 1 + whole(60) }, (_, at): Sample => {
      const kind = whole(10);
      const value = kind === 0 ? "text" : kind === 1 ? null : (whole(2000) - 1000) / 10;
      const quality = kind === 2 ? "bad" : kind === 3 ? "uncertain" : "good";
      return { wallMs: at * 1000 * (1 + whole(3)) + whole(1000), value, quality };
    }).sort((a, b) => a.wallMs - b.wallMs);
    const whole15 = foldAll(samples, 0);
    const minutes = new Map<number, Aggregate>();
    for (const sample of samples) {
      const startMs = startOf(sample.wallMs, minuteMs);
      minutes.set(startMs, fold(minutes.get(startMs), sample, startMs));
    }
    const [quarter, ...more] = widen(minutes.values(), quarterMs);
    assert.deepEqual(more, [], `seed ${seed}`);
    assert.deepEqual(rounded(quarter), rounded(whole15), `seed ${seed}`);
    const cut = whole(samples.length + 1);
    const first = foldAll(samples.slice(0, cut), 0);
    const second = foldAll(samples.slice(cut), 0);
    const joined = second === undefined ? first : merge(first, second, 0);
    assert.deepEqual(rounded(joined), rounded(whole15), `seed ${seed}`);
  }
});

function rounded(aggregate: Aggregate | undefined): unknown {
  if (aggregate?.mean === undefined) return aggregate;
  return { ...aggregate, mean: Math.round(aggregate.mean * 1e6) / 1e6 };
}
