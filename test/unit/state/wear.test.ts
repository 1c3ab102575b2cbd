// What is written of the device's wear: shares per stream, running days, what survives. It must
// not know how bytes are counted.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { SideTable } from "../../../src/journal/journal.ts";
import { type WearCounters, WearLedger } from "../../../src/state/wear.ts";
import { PlantError } from "../../../src/util/errors.ts";
import { openTestStore, temporaryFolder } from "../../fakes/store.ts";

const dayMs = 86_400_000;

interface Bench {
  readonly rows: Map<string, Uint8Array>;
  readonly ledger: () => WearLedger;
  counters: WearCounters;
  runMs: number;
  failure: PlantError | undefined;
  writes: number;
}

function makeBench(): Bench {
  const rows = new Map<string, Uint8Array>();
  const bench: Bench = {
    rows,
    ledger: () =>
      new WearLedger({ table, runMs: () => bench.runMs, counters: () => bench.counters }),
    counters: countersOf({}),
    runMs: 0,
    failure: undefined,
    writes: 0,
  };
  const table: SideTable = {
    get: (key) => rows.get(Buffer.from(key).toString("hex")),
    *range() {
      for (const [key, value] of rows) yield { key: Buffer.from(key, "hex"), value };
    },
    async write(changes) {
      if (bench.failure !== undefined) throw bench.failure;
      bench.writes += 1;
      const { commits, ...rest } = bench.counters;
      bench.counters = { ...rest, commits: commits + 1 };
      for (const { key, value } of changes) {
        if (value === undefined) rows.delete(Buffer.from(key).toString("hex"));
        else rows.set(Buffer.from(key).toString("hex"), value);
      }
    },
  };
  return bench;
}

function countersOf(found: Partial<WearCounters>): WearCounters {
  const streams = { state: 0, event: 0, log: 0, metric: 0, ...found.streams };
  return { bytesPut: 0, commits: 0, ...found, streams };
}

test("bytes are shared out by what each stream put, and the rest is other", () => {
  const bench = makeBench();
  const ledger = bench.ledger();
  const streams = { state: 500, event: 100, log: 200, metric: 0 };
  bench.counters = countersOf({ deviceBytes: 10_000, bytesPut: 1000, commits: 3, streams });
  const { todayBytes, days, perStream } = ledger.report();
  assert.equal(todayBytes, 10_000);
  assert.deepEqual(perStream, { state: 5000, event: 1000, log: 2000, other: 2000 });
  assert.deepEqual(days, [{ day: 0, bytes: 10_000, perStream }]);
  assert.deepEqual(ledger.report(), { todayBytes, perDayBytes: null, days, perStream });
});

test("what a day wears is its rate on the first day, then the mean of the week's whole days", () => {
  const bench = makeBench();
  const ledger = bench.ledger();
  const perDay = (runMs: number, deviceBytes: number) => {
    bench.runMs = runMs;
    bench.counters = countersOf({ deviceBytes, bytesPut: 1, commits: 1 });
    return ledger.report().perDayBytes;
  };
  assert.equal(perDay(dayMs / 48, 100), null, "half an hour tells nothing");
  assert.equal(perDay(dayMs / 4, 1000), 4000);
  assert.equal(perDay(dayMs + 5, 1600), 1000, "today is not over");
  assert.equal(perDay(3 * dayMs, 1600), Math.round(1600 / 3), "a day that wrote nothing counts");
  assert.equal(perDay(8 * dayMs, 1600), Math.round(600 / 7), "the first day is over a week ago");
});

test("a day is one of running time, and days are there after reopening", async () => {
  const bench = makeBench();
  const ledger = bench.ledger();
  for (let day = 0; day < 3; day += 1) {
    bench.runMs = day * dayMs + 5;
    bench.counters = countersOf({ deviceBytes: (day + 1) * 100, bytesPut: day, commits: day + 1 });
    await ledger.save();
  }
  bench.counters = countersOf({});
  const again = bench.ledger();
  bench.counters = countersOf({ deviceBytes: 7, commits: 1 });
  const { todayBytes, days } = again.report();
  assert.equal(todayBytes, 107);
  assert.deepEqual(
    days.map(({ day, bytes }) => [day, bytes]),
    [
      [0, 100],
      [1, 100],
      [2, 107],
    ],
  );
});

test("nothing is written when nobody else committed", async () => {
  const bench = makeBench();
  const ledger = bench.ledger();
  await ledger.save();
  assert.equal(bench.writes, 0);
  bench.counters = countersOf({ deviceBytes: 100, commits: 1 });
  await ledger.save();
  assert.equal(bench.writes, 1);
  bench.counters = countersOf({ deviceBytes: 30_000, commits: 2 });
  await ledger.save();
  assert.equal(bench.writes, 1, "its own commit is none");
  bench.counters = countersOf({ deviceBytes: 31_000, commits: 3 });
  await ledger.save();
  assert.equal(bench.writes, 2);
});

test("what could not be written is written the next time; another failure is told", async () => {
  const bench = makeBench();
  const ledger = bench.ledger();
  bench.counters = countersOf({ deviceBytes: 100, commits: 1 });
  bench.failure = new PlantError("STORE_FULL");
  await ledger.save();
  assert.equal(bench.rows.size, 0);
  bench.failure = undefined;
  await ledger.save();
  assert.equal(bench.rows.size, 1);
  bench.counters = countersOf({ deviceBytes: 200, commits: 5 });
  bench.failure = new PlantError("STORE_CLOSED");
  await assert.rejects(ledger.save(), { code: "STORE_CLOSED" });
});

test("counters that begin anew are added, not taken away", () => {
  const bench = makeBench();
  const ledger = bench.ledger();
  bench.counters = countersOf({ deviceBytes: 1000, bytesPut: 50, commits: 9 });
  ledger.report();
  bench.counters = countersOf({ deviceBytes: 30, bytesPut: 5, commits: 1 });
  assert.equal(ledger.report().todayBytes, 1030);
});

test("where the kernel does not say, nothing is made up", () => {
  const bench = makeBench();
  bench.counters = countersOf({ bytesPut: 1000, commits: 5 });
  assert.deepEqual(bench.ledger().report(), {
    ...{ todayBytes: 0, perDayBytes: null },
    ...{ days: [], perStream: {} },
  });
});

test("days beyond 400 are removed", async () => {
  const bench = makeBench();
  const ledger = bench.ledger();
  for (const day of [0, 1, 399, 400, 401]) {
    bench.runMs = day * dayMs;
    bench.counters = countersOf({ deviceBytes: (day + 1) * 10, commits: day + bench.writes + 1 });
    await ledger.save();
  }
  assert.deepEqual(
    ledger.report().days.map(({ day }) => day),
    [399, 400, 401],
  );
  assert.equal(bench.rows.size, 3);
});

test("stats show it, and it is there after a restart", async () => {
  using folder = temporaryFolder();
  let before = 0;
  {
    await using store = await openTestStore(folder.path);
    for (let value = 0; value < 20; value += 1) {
      await store.call("set-many", {
        source: "a",
        run: "r",
        number: value,
        flush: "now",
        points: [{ scope: "s", key: "k", value }],
      });
    }
    const { wear, deviceBytes } = await store.call("stats");
    assert.equal(wear.days.length, deviceBytes > 0 ? 1 : 0);
    before = wear.todayBytes;
  }
  await using store = await openTestStore(folder.path);
  const { wear } = await store.call("stats");
  assert.ok(wear.todayBytes >= before, `${before} bytes, then ${wear.todayBytes}`);
});
