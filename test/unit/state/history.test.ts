// The operations history and history-many: ranges, widths, pages, names, refusals.
// It must not know how values are kept.
import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../../../src/util/errors.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { bootId, openTestStore, type TestStore, temporaryFolder } from "../../fakes/store.ts";

const scope = "device/m1";
const minute = 60_000;
let number = 0;

async function set(store: TestStore, points: readonly object[]): Promise<void> {
  number += 1;
  const at = { scope, source: "t", run: "r", number, flush: "now" };
  await store.call("set-many", { ...at, points: points.map((point) => ({ scope, ...point })) });
}

/** Values of one key, one every `stepMs`, each at the clock's time. */
async function fill(store: TestStore, key: string, values: readonly unknown[], stepMs: number) {
  for (const value of values) {
    await set(store, [{ key, value }]);
    await store.clock.advance(stepMs);
  }
}

/** Moves time on until the store has looked at its clock and made so many corrections. */
async function corrected(store: TestStore, count: number): Promise<void> {
  for (let round = 0; round < 500; round += 1) {
    const { records } = await store.call("changes", { stream: "state", after: 0 });
    const found = records.filter(({ kind }: { kind: string }) => kind === "correction");
    if (found.length === count) return;
    await store.clock.advance(1000);
  }
  assert.fail("no correction came");
}

test("history says least, most, mean, last and count in each bucket, and the unit", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  store.clock.setWall(1_700_002_800_000);
  const from = store.clock.wallMs();
  await set(store, [{ key: "u", value: 1, unit: "V" }]);
  await store.clock.advance(20_000);
  await fill(store, "u", [2, 6, 4], 20_000);
  const found = await store.call("history", {
    scope,
    key: "u",
    from,
    to: from + 2 * minute,
    bucketMs: minute,
  });
  assert.deepEqual(found, {
    scope,
    key: "u",
    unit: "V",
    from,
    to: from + 2 * minute,
    bucketMs: minute,
    source: "minutes",
    buckets: [
      {
        start: from,
        count: 3,
        bad: 0,
        min: 1,
        max: 6,
        mean: 3,
        last: 6,
        lastTime: from + 40_000,
        lastQuality: "good",
      },
      {
        start: from + minute,
        count: 1,
        bad: 0,
        min: 4,
        max: 4,
        mean: 4,
        last: 4,
        lastTime: from + minute,
        lastQuality: "good",
      },
    ],
  });
});

test("without a range history is of the last day", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  await fill(store, "u", [5], 1000);
  const found = await store.call("history", { scope, key: "u" });
  assert.ok(found.to - found.from >= 24 * 60 * minute);
  assert.equal(found.buckets.length, 1);
  assert.equal(found.buckets[0].last, 5);
});

test("raw history comes in pages, in order, with a place to go on from", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  await fill(store, "u", [1, 2, 3, 4, 5], 1000);
  const page = { scope, key: "u", raw: true, limit: 2 };
  const first = await store.call("history", page);
  assert.deepEqual(
    first.values.map(({ value }: { value: unknown }) => value),
    [1, 2],
  );
  const second = await store.call("history", { ...page, after: first.next });
  assert.deepEqual(
    second.values.map(({ value }: { value: unknown }) => value),
    [3, 4],
  );
  const last = await store.call("history", { ...page, after: second.next });
  assert.deepEqual(
    last.values.map(({ value }: { value: unknown }) => value),
    [5],
  );
  assert.equal(last.next, undefined);
});

test("a key is followed through another unit, a deletion and a new life", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  await set(store, [
    { key: "u", value: 1, unit: "V" },
    { key: "other", value: 100 },
  ]);
  await set(store, [{ key: "u", value: 2, unit: "mV" }]);
  await store.call("delete", { service: scope, key: "u" });
  const gone = await store.call("history", { scope, key: "u" });
  assert.equal(gone.buckets[0].count, 2);
  await set(store, [{ key: "u", value: 3 }]);
  const found = await store.call("history", { scope, key: "u", buckets: 1 });
  assert.equal(found.buckets[0].count, 3);
  assert.equal(found.buckets[0].max, 3);
});

test("history is there after the store was opened again", async () => {
  using folder = temporaryFolder();
  {
    await using store = await openTestStore(folder.path);
    await fill(store, "u", [1, 2], 1000);
  }
  await using store = await openTestStore(folder.path);
  const found = await store.call("history", { scope, key: "u" });
  assert.equal(found.buckets[0].count, 2);
});

test("history-many answers for each point in the order asked, unknown ones with nothing", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  await set(store, [
    { key: "a", value: 1 },
    { key: "b", value: 2 },
  ]);
  const points = [
    { scope, key: "b" },
    { scope, key: "none" },
    { scope, key: "a" },
  ];
  const { series } = await store.call("history-many", { points, buckets: 10 });
  assert.deepEqual(
    series.map(({ key, buckets }: { key: string; buckets: { last: unknown }[] }) => [
      key,
      buckets[0]?.last,
    ]),
    [
      ["b", 2],
      ["none", undefined],
      ["a", 1],
    ],
  );
});

test("history refuses what it cannot answer", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  await set(store, [{ key: "u", value: 1 }]);
  const many = (count: number) => Array.from({ length: count }, () => ({ scope, key: "u" }));
  const rows = [
    ["history", { scope, key: "none" }, "STATE_NOT_FOUND"],
    ["history", { scope: "device/none", key: "u" }, "STATE_NOT_FOUND"],
    ["history", { key: "u" }, "REQUEST_MALFORMED"],
    ["history", { scope, key: "u", from: 5, to: 5 }, "REQUEST_MALFORMED"],
    ["history", { scope, key: "u", from: "x" }, "REQUEST_MALFORMED"],
    ["history", { scope, key: "u", to: 2 ** 60 }, "REQUEST_MALFORMED"],
    ["history", { scope, key: "u", buckets: 3, bucketMs: 5 }, "REQUEST_MALFORMED"],
    ["history", { scope, key: "u", buckets: 0 }, "REQUEST_MALFORMED"],
    ["history", { scope, key: "u", bucketMs: 0.5 }, "REQUEST_MALFORMED"],
    ["history", { scope, key: "u", buckets: 2001 }, "LIMIT_REACHED"],
    ["history", { scope, key: "u", from: 0, to: 1e12, bucketMs: 1 }, "LIMIT_REACHED"],
    ["history", { scope, key: "u", raw: true, limit: 5001 }, "LIMIT_REACHED"],
    ["history", { scope, key: "u", raw: true, after: -1 }, "REQUEST_MALFORMED"],
    ["history-many", { points: [] }, "REQUEST_MALFORMED"],
    ["history-many", { points: [{ scope }] }, "REQUEST_MALFORMED"],
    ["history-many", { points: many(257) }, "LIMIT_REACHED"],
    ["history-many", { points: many(256), buckets: 2000 }, "LIMIT_REACHED"],
  ] as const;
  for (const [operation, args, expected] of rows) {
    await assert.rejects(
      store.call(operation, args),
      (error: unknown) => hasCode(error, expected),
      JSON.stringify(args),
    );
  }
});

test("values from before the clock was set are in history at their true time, once it is", async () => {
  using folder = temporaryFolder();
  let sync: "none" | "ntp" = "none";
  await using store = await openTestStore(folder.path, {}, fakeClock(1000), { sync: () => sync });
  await fill(store, "u", [1, 2], 20_000);
  const early = store.clock.monotonicMs();
  sync = "ntp";
  const set = 1_700_002_800_000;
  store.clock.setWall(set);
  await corrected(store, 1);
  const found = await store.call("history", {
    scope,
    key: "u",
    raw: true,
    from: set - 100_000,
    to: set + 100_000,
  });
  const times = found.values.map(({ time, value }: { time: number; value: number }) => [
    value,
    time - set,
  ]);
  assert.deepEqual(times, [
    [1, -40_000],
    [2, -20_000],
  ]);
  const { records } = await store.call("changes", { stream: "state", after: 0 });
  const corrections = records.filter(({ kind }: { kind: string }) => kind === "correction");
  assert.deepEqual(
    corrections.map(({ body }: { body: unknown }) => body),
    [{ boot: bootId, offsetMs: set - early, from: 1, to: 3, sync: "ntp" }],
  );
  await store.clock.advance(100_000);
  const again = await store.call("changes", { stream: "state", after: 0 });
  assert.equal(again.records.length, records.length, "it is corrected once");
  const log = await store.call("changes", { stream: "log", after: 0 });
  assert.equal(log.records.length, 0, "a stream without records of this boot needs none");
});

test("a clock that jumps years either way changes no order and loses nothing", async () => {
  for (const years of [-10, 10]) {
    using folder = temporaryFolder();
    await using store = await openTestStore(folder.path, {}, undefined, { sync: () => "ntp" });
    await fill(store, "u", [1, 2], 1000);
    const truth = store.clock.wallMs();
    const jumpedAt = store.clock.monotonicMs();
    store.clock.setWall(truth + years * 365 * 86_400_000);
    await fill(store, "u", [3, 4], 1000);
    await corrected(store, 1);
    await fill(store, "u", [5], 1000);
    store.clock.setWall(truth + store.clock.monotonicMs() - jumpedAt);
    await corrected(store, 2);
    const { records } = await store.call("changes", { stream: "state", after: 0 });
    const points = records.filter(({ kind }: { kind: string }) => kind === "point");
    assert.deepEqual(
      points.map(({ value }: { value: unknown }) => value),
      [1, 2, 3, 4, 5],
    );
    const all = { scope, key: "u", raw: true, from: truth - 100_000, to: truth + 1_000_000 };
    const { values } = await store.call("history", all);
    assert.deepEqual(
      values.map(({ value }: { value: unknown }) => value),
      [1, 2, 3, 4, 5],
      `${years}`,
    );
    const times = values.map(({ time }: { time: number }) => time);
    assert.deepEqual(times, times.toSorted(), "in the order in which they were made");
  }
});
