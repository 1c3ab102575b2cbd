// Rollups behind a log: each record counts once, whenever the power goes, and history agrees with
// what was written. It must not know operations.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { JournalRecord } from "../../../src/journal/journal.ts";
import { type Aggregate, fold, merge, startOf } from "../../../src/state/aggregate.ts";
import { History } from "../../../src/state/history.ts";
import { Rollup, type RollupDeps } from "../../../src/state/rollup.ts";
import type { ClockSync } from "../../../src/util/clock.ts";
import { PlantError } from "../../../src/util/errors.ts";
import { seededRandom } from "../../../src/util/random.ts";
import { type FakeClock, fakeClock } from "../../fakes/clock.ts";
import { type MemoryLog, memoryLog } from "../../fakes/memory-log.ts";
import { bootId, openTestJournal, silentLog, temporaryFolder } from "../../fakes/store.ts";

const minute = 60_000;
const hour = 3_600_000;
const day = 24 * hour;
const limits = { minuteDays: 3650, days: 36_500, percent: 50 };
/** A whole hour. */
const start = 1_700_002_800_000;

interface Sample {
  readonly index: number;
  readonly wall: number;
  readonly value: unknown;
  readonly quality?: string;
  readonly sync?: ClockSync;
  readonly boot?: string;
  readonly mono?: number;
}

function record({ index, wall, value, quality = "good", ...rest }: Sample): JournalRecord {
  const { sync = "ntp", boot = bootId, mono = wall - start } = rest;
  return { kind: "point", index, value, quality, time: { wall, boot, mono, sync }, source: "t" };
}

const write = (log: MemoryLog, samples: readonly Sample[]) => log.write(samples.map(record));

function rollupOf(
  journal: RollupDeps["journal"],
  clock: FakeClock,
  options: { limits?: typeof limits; slots?: number } = {},
): Rollup {
  const deps = { clock, log: silentLog, boot: bootId, journal };
  return new Rollup(deps, options.limits ?? limits, options.slots);
}

/** What samples of one point come to in buckets. */
function expected(samples: readonly Sample[], index: number, widthMs: number): Aggregate[] {
  const buckets = new Map<number, Aggregate>();
  for (const { index: of, wall, value, quality = "good" } of samples) {
    if (of !== index) continue;
    const startMs = startOf(wall, widthMs);
    const sample = { wallMs: wall, value, quality: quality as Aggregate["lastQuality"] };
    buckets.set(startMs, fold(buckets.get(startMs), sample, startMs));
  }
  return [...buckets.values()].sort((a, b) => a.startMs - b.startMs);
}

function rounded(aggregates: readonly Aggregate[] | undefined): unknown {
  return (aggregates ?? []).map((aggregate) => ({
    ...aggregate,
    mean: aggregate.mean === undefined ? undefined : Math.round(aggregate.mean * 100) / 100,
  }));
}

/** Aggregates of one point, those of one span together. */
async function readAll(rollup: Rollup, index: number, widthMs = minute): Promise<Aggregate[]> {
  const { aggregates } = await rollup.read([index], -1e15, 1e15);
  const joined = new Map<number, Aggregate>();
  for (const part of aggregates.get(index) ?? []) {
    const startMs = startOf(part.startMs, widthMs);
    joined.set(startMs, merge(joined.get(startMs), part, startMs));
  }
  return [...joined.values()].sort((a, b) => a.startMs - b.startMs);
}

function randomSamples(random: () => number, count: number): Sample[] {
  const whole = (most: number) => Math.floor(random() * most);
  return Array.from({ length: count }, (_, at): Sample => {
    const late = whole(20) === 0 ? whole(5 * hour) : whole(2000);
    const kind = whole(12);
    const value = kind === 0 ? "open" : kind === 1 ? null : kind === 2 ? true : whole(9999) / 10;
    const quality = kind === 3 ? "bad" : "good";
    return { index: 1 + whole(40), wall: start + at * 20_000 - late, value, quality };
  });
}

test("rollups on a disk are there after it was opened again", async () => {
  using folder = temporaryFolder();
  const clock = fakeClock(start);
  const samples = [1, 2, 3].map((at) => ({ index: at, wall: start + at, value: at / 4 }));
  for (const round of [1, 2]) {
    await using journal = await openTestJournal(folder.path, {}, { clock });
    const records = samples.map(record);
    const build = () => records;
    await journal.append({ stream: "state", flush: "now", recordsMax: 3, build });
    const rollup = rollupOf(journal, clock);
    await rollup.flush();
    const all = round === 1 ? samples : [...samples, ...samples];
    assert.deepEqual(await readAll(rollup, 2), expected(all, 2, minute));
  }
});

test("values are in the rollups before and after they are written", async () => {
  const clock = fakeClock(start);
  const journal = memoryLog(clock);
  const samples = [1, 2, 3, 4].map((at) => ({ index: 7, wall: start + at * 30_000, value: at }));
  write(journal, samples);
  const rollup = rollupOf(journal, clock);
  assert.deepEqual(await readAll(rollup, 7), expected(samples, 7, minute));
  assert.equal(rollup.rolledUpTo(), 0);
  await rollup.flush();
  assert.equal(rollup.rolledUpTo(), 4);
  assert.deepEqual(await readAll(rollup, 7), expected(samples, 7, minute));
  assert.deepEqual(await readAll(rollup, 8), []);
});

test("what is due is written once an hour of the clock, and no oftener", async () => {
  const clock = fakeClock(start + 40 * minute);
  const journal = memoryLog(clock);
  const rollup = rollupOf(journal, clock);
  const reached: number[] = [];
  for (let at = 0; at < 12; at += 1) {
    write(journal, [{ index: 1, wall: clock.wallMs(), value: at }]);
    await rollup.tend();
    reached.push(rollup.rolledUpTo());
    await clock.advance(11 * minute);
  }
  assert.deepEqual(reached, [0, 0, 0, 4, 4, 4, 4, 4, 9, 9, 9, 9]);
});

test("whatever is written when, whatever fails: every record counts once", async () => {
  const seed = process.hrtime()[1];
  const generator = seededRandom(seed);
  const random = () => generator.unit();
  for (let round = 0; round < 40; round += 1) {
    const clock = fakeClock(start);
    const journal = memoryLog(clock);
    const samples: Sample[] = [];
    let rollup = rollupOf(journal, clock, { slots: 300 });
    for (let step = 0; step < 12; step += 1) {
      const added = randomSamples(random, 1 + Math.floor(random() * 60)).map((sample) => ({
        ...sample,
        wall: sample.wall + step * 700_000,
      }));
      samples.push(...added);
      write(journal, added);
      const isFull = random() < 0.5;
      journal.beforeRow = failAfter(Math.floor(random() * 80), () =>
        isFull ? new PlantError("STORE_FULL", { roomBytes: 0 }) : new PowerCut(),
      );
      const isCut = await rollup.flush().then(
        () => false,
        (error: Error) => error instanceof PowerCut,
      );
      journal.beforeRow = () => {};
      if (isCut || random() < 0.3) rollup = rollupOf(journal, clock, { slots: 300 });
      const index = 1 + Math.floor(random() * 40);
      const found = rounded(await readAll(rollup, index));
      assert.deepEqual(found, rounded(expected(samples, index, minute)), `seed ${seed}`);
    }
    for (let index = 1; index <= 40; index += 1) {
      const found = rounded(await readAll(rollup, index));
      assert.deepEqual(found, rounded(expected(samples, index, minute)), `seed ${seed}`);
    }
  }
});

class PowerCut extends Error {}

/** A cut of the power, or a full disk, before the row that `left` says. */
function failAfter(left: number, error: () => Error): () => void {
  let rows = left;
  return () => {
    rows -= 1;
    if (rows === -1) throw error();
  };
}

test("minutes become quarter-hours after their time, and these go after theirs", async () => {
  const clock = fakeClock(start);
  const journal = memoryLog(clock);
  const samples = randomSamples(() => 0.37, 400).map((sample, at) => ({
    ...sample,
    index: 5,
    wall: start + at * 400_000,
    value: at,
  }));
  write(journal, samples);
  const rollup = rollupOf(journal, clock, { limits: { minuteDays: 2, days: 10, percent: 50 } });
  await rollup.flush();
  const before = rollup.stats().rollupBytes ?? 0;
  await clock.advance(2 * day + 1);
  await rollup.tend();
  const quarters = await rollup.read([5], start - day, start + 10 * day);
  assert.equal(quarters.level, "quarter");
  const found = await readAll(rollup, 5, 15 * minute);
  assert.deepEqual(rounded(found), rounded(expected(samples, 5, 15 * minute)));
  assert.ok((rollup.stats().rollupBytes ?? 0) < before);
  const again = rollupOf(journal, clock);
  assert.deepEqual(await readAll(again, 5, 15 * minute), found);
  await clock.advance(9 * day);
  await rollup.tend();
  assert.deepEqual(await readAll(rollup, 5), []);
});

test("a full store keeps no room for rollups: they give way, go by age, and come back later", async () => {
  const clock = fakeClock(start);
  const journal = memoryLog(clock);
  const rollup = rollupOf(journal, clock, { limits: { minuteDays: 1, days: 2, percent: 50 } });
  const generator = seededRandom(7);
  const samples = randomSamples(() => generator.unit(), 2000);
  write(journal, samples.slice(0, 1000));
  await rollup.flush();
  const { rollupBytes = 0 } = rollup.stats();
  assert.ok(rollupBytes > 10_000);
  write(journal, samples.slice(1000));
  const used = { common: 0, urgent: 0, reserve: 0 };
  journal.beforeRow = ({ value }, room) => {
    if (value === undefined) return;
    if (room === "common") throw new PlantError("STORE_FULL", { roomBytes: 0 });
    used[room] += value.length;
  };
  await rollup.flush(true);
  assert.ok(used.urgent + used.reserve < 200, JSON.stringify(used));
  assert.equal(rollup.rolledUpTo(), 2000, "records may go");
  await clock.advance(3 * day);
  await rollup.tend();
  assert.equal(rollup.stats().rollupBytes, 0, "what is old goes all the same");
  assert.ok(used.reserve < 1000 && used.urgent < rollupBytes, JSON.stringify(used));
  journal.beforeRow = () => {};
  await rollup.flush(true);
  assert.ok((rollup.stats().rollupBytes ?? 0) > 0);
});

test("a power cut while minutes become quarter-hours neither doubles nor loses", async () => {
  for (let cut = 0; cut < 40; cut += 1) {
    const clock = fakeClock(start);
    const journal = memoryLog(clock);
    const samples = Array.from({ length: 30 }, (_, at) => ({
      index: 1 + (at % 3) * 20,
      wall: start + at * 200_000,
      value: at,
    }));
    write(journal, samples);
    await rollupOf(journal, clock).flush();
    await clock.advance(3 * day);
    journal.beforeRow = failAfter(cut, () => new PowerCut());
    const short = { minuteDays: 1, days: 100, percent: 50 };
    await rollupOf(journal, clock, { limits: short })
      .tend()
      .catch((error: Error) => assert.ok(error instanceof PowerCut));
    journal.beforeRow = () => {};
    const after = rollupOf(journal, clock, { limits: short });
    for (const index of [1, 21, 41]) {
      const found = await readAll(after, index, 15 * minute);
      assert.deepEqual(found, expected(samples, index, 15 * minute), `cut ${cut}`);
    }
  }
});

test("rollups keep to their share of the room: older ones become coarser, then go", async () => {
  const clock = fakeClock(start);
  const roomBytes = 16 * 1_048_576;
  const journal = memoryLog(clock, roomBytes);
  const rollup = rollupOf(journal, clock, {
    limits: { minuteDays: 3650, days: 36_500, percent: 1 },
  });
  for (let round = 0; round < 30; round += 1) {
    const from = start + round * 12 * hour;
    const samples = Array.from({ length: 2000 }, (_, at) => ({
      index: 1 + (at % 100),
      wall: from + Math.floor(at / 100) * minute,
      value: Math.sin(at) * 1000,
    }));
    write(journal, samples);
    await rollup.flush();
    await rollup.tend();
  }
  const { rollupBytes = 0 } = rollup.stats();
  assert.ok(rollupBytes <= roomBytes / 100, `${rollupBytes} B`);
  const { aggregates } = await rollup.read([1], start, start + 30 * day);
  const found = aggregates.get(1) ?? [];
  assert.ok((found.at(-1)?.startMs ?? 0) >= start + 29 * 12 * hour, "the newest are there");
});

test("a million keys that are set once cost few bytes each", async () => {
  const clock = fakeClock(start);
  const journal = memoryLog(clock);
  const rollup = rollupOf(journal, clock);
  for (let from = 1; from < 40_000; from += 10_000) {
    const samples = Array.from({ length: 10_000 }, (_, at) => ({
      index: from + at,
      wall: start + at,
      value: at / 10,
    }));
    write(journal, samples);
  }
  await rollup.flush();
  const each = (rollup.stats().rollupBytes ?? 0) / 40_000;
  assert.ok(each < 18, `${each} B per key`);
});

test("records of an unset clock wait, and are rolled up at the time the correction gives", async () => {
  const clock = fakeClock(start);
  const journal = memoryLog(clock);
  const rollup = rollupOf(journal, clock);
  const samples = [1, 2, 3].map((at) => ({
    index: 1,
    wall: at * 20_000,
    mono: at * 20_000,
    value: at,
    sync: "none" as const,
  }));
  write(journal, samples);
  await rollup.flush();
  assert.equal(rollup.rolledUpTo(), 0);
  assert.equal((await readAll(rollup, 1))[0]?.startMs, 0);
  const body = { boot: bootId, offsetMs: start, from: 1, to: 3, sync: "ntp" };
  journal.write([{ kind: "correction", body }]);
  await rollup.flush();
  assert.equal(rollup.rolledUpTo(), 4);
  const times = samples.map((sample) => ({ ...sample, wall: start + sample.wall }));
  for (const each of [rollup, rollupOf(journal, clock)]) {
    assert.deepEqual(await readAll(each, 1), expected(times, 1, minute));
  }
});

test("corrections that come whenever, and power cuts: every record counts once, in the end", async () => {
  const seed = process.hrtime()[1];
  const generator = seededRandom(seed);
  const whole = (most: number) => Math.floor(generator.unit() * most);
  for (let round = 0; round < 30; round += 1) {
    const clock = fakeClock(start);
    const journal = memoryLog(clock);
    let rollup = rollupOf(journal, clock, { slots: 200 });
    let count = 0;
    for (let step = 0; step < 10; step += 1) {
      const samples = Array.from({ length: 1 + whole(30) }, (_, at) => {
        const mono = step * 1_000_000 + at * 20_000;
        return { index: 1 + whole(3), wall: mono, mono, value: at, sync: "none" as const };
      });
      write(journal, samples);
      count += samples.length;
      if (generator.unit() < 0.4) {
        const offsetMs = start + whole(3) * hour;
        const body = { boot: bootId, offsetMs, from: 1, to: journal.head(), sync: "ntp" };
        journal.write([{ kind: "correction", body }]);
      }
      journal.beforeRow = failAfter(whole(40), () => new PowerCut());
      await rollup.flush().catch((error: Error) => {
        assert.ok(error instanceof PowerCut);
        rollup = rollupOf(journal, clock, { slots: 200 });
      });
      journal.beforeRow = () => {};
      let found = 0;
      for (const index of [1, 2, 3]) {
        for (const part of await readAll(rollup, index)) found += part.count;
      }
      assert.equal(found, count, `seed ${seed}`);
    }
  }
});

test("records of an unset clock of a boot that is over do not wait for ever", async () => {
  const clock = fakeClock(start);
  const journal = memoryLog(clock);
  const rollup = rollupOf(journal, clock);
  const boot = "a".repeat(32);
  write(journal, [{ index: 1, wall: 5, mono: 5, value: 1, sync: "none", boot }]);
  await rollup.flush();
  assert.equal(rollup.rolledUpTo(), 1);
});

test("narrow buckets and single values come from the log, exact to the record", async () => {
  const seed = process.hrtime()[1];
  const generator = seededRandom(seed);
  const clock = fakeClock(start);
  const journal = memoryLog(clock);
  const rollup = rollupOf(journal, clock);
  const history = new History({ clock, journal, rollup });
  const samples: Sample[] = [];
  for (let round = 0; round < 6; round += 1) {
    const added = randomSamples(() => generator.unit(), 300);
    samples.push(...added);
    write(journal, added);
    if (round % 2 === 0) await rollup.flush();
  }
  for (let round = 0; round < 20; round += 1) {
    const index = 1 + Math.floor(generator.unit() * 40);
    const fromMs = start + Math.floor(generator.unit() * 6000) * 1000;
    const toMs = fromMs + 1000 * (1 + Math.floor(generator.unit() * 3000));
    const inside = samples.filter(({ wall }) => wall >= fromMs && wall < toMs);
    const found = await history.buckets([[index]], { fromMs, toMs, widthMs: 1000 });
    assert.equal(found.source, "log");
    assert.deepEqual(rounded(found.series[0]), rounded(expected(inside, index, 1000)), `${seed}`);
    const values: unknown[] = [];
    for (let after: number | undefined = 0; after !== undefined; ) {
      const page: Awaited<ReturnType<History["raw"]>> = await history.raw(
        [index],
        { fromMs, toMs },
        { after, limit: 3 },
      );
      values.push(...page.values.map(({ value }) => value));
      after = page.next;
    }
    const wanted = inside.filter((sample) => sample.index === index).map(({ value }) => value);
    assert.deepEqual(values, wanted, `seed ${seed}`);
  }
});

test("wide buckets are whole minutes, and the answer says so", async () => {
  const clock = fakeClock(start);
  const journal = memoryLog(clock);
  const rollup = rollupOf(journal, clock);
  const history = new History({ clock, journal, rollup });
  const samples = Array.from({ length: 100 }, (_, at) => ({
    index: 1,
    wall: start + at * 10_000,
    value: at,
  }));
  write(journal, samples);
  const asked = { fromMs: start + 30_500, toMs: start + 999_000, widthMs: 61_000 };
  const { range, source, series } = await history.buckets([[1]], asked);
  assert.equal(source, "minutes");
  assert.deepEqual(range, { fromMs: start, toMs: start + 17 * minute, widthMs: 2 * minute });
  assert.deepEqual(rounded(series[0]), rounded(expected(samples, 1, 2 * minute)));
});
