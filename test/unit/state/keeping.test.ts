// A small store that is filled for a long time stays small, is read without a gap, and tells every
// reader the same last values as it has itself; failures in between change nothing of that.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type BatchRecord, lastOf, readCover } from "../../../src/batch/batch.ts";
import type { Journal } from "../../../src/journal/journal.ts";
import { StateCore } from "../../../src/state/core.ts";
import { PlantError } from "../../../src/util/errors.ts";
import { type Random, seededRandom } from "../../../src/util/random.ts";
import { type FakeClock, fakeClock } from "../../fakes/clock.ts";
import {
  bootId,
  openTestJournal,
  silentLog,
  storeConfig,
  temporaryFolder,
} from "../../fakes/store.ts";

const hourMs = 3_600_000;
const quota = { state: 1, event: 1, log: 1, metric: 1 };
const config = { ...storeConfig, mapMiB: 16, quota, thinAfterMs: 2 * hourMs, keepMs: 24 * hourMs };
const roomOfTests = 5 * 1_048_576;
const quotaBytes = roomOfTests / 100;

interface Opened extends AsyncDisposable {
  readonly core: StateCore;
  readonly journal: Journal;
}

async function open(
  path: string,
  clock: FakeClock,
  {
    change = (journal: Journal) => journal,
    roomBytes = roomOfTests,
  }: { readonly change?: (journal: Journal) => Journal; readonly roomBytes?: number } = {},
): Promise<Opened> {
  const options = { roomBytes, keepMs: config.keepMs, quota };
  const journal = await openTestJournal(path, options, { clock });
  const random = seededRandom(1);
  const deps = { clock, log: silentLog, random, boot: bootId, journal: change(journal) };
  const core = new StateCore(deps, config);
  await core.load();
  return { core, journal, [Symbol.asyncDispose]: () => journal[Symbol.asyncDispose]() };
}

/** Values that do not become small, of a few points, some deleted, over an hour. */
async function fillHour({ core }: Opened, clock: FakeClock, random: Random): Promise<void> {
  for (let at = 0; at < 2; at += 1) {
    const changes = Array.from({ length: 400 }, (_, second) => ({
      scope: "device/pump",
      key: `k${Math.floor(random.unit() * 8)}`,
      value: Math.round(random.unit() * 1e5) / 100,
      quality: random.unit() < 0.1 ? ("bad" as const) : ("good" as const),
      time: { ...core.now(), wall: clock.wallMs() + second * 1000 },
    }));
    await core.set(changes, { flush: "now", by: "driver.line" });
    if (random.unit() < 0.1) await core.remove([{ scope: "device/pump", key: "k3" }]);
    await clock.advance(hourMs / 2);
  }
}

/** All that a reader finds from `after` on, each sequence once. */
function readAll(journal: Journal, stream: "state" | "log" | "event", from = 0): BatchRecord[] {
  const records: BatchRecord[] = [];
  const head = journal.head(stream);
  for (let after = from; after < head; ) {
    const { records: page, last } = journal.read({ stream, after, limit: 997, bytesMax: 1e6 });
    assert.ok(last > after, `it goes on behind ${after}`);
    for (const record of page as unknown as BatchRecord[]) {
      const next = records.at(-1) === undefined ? record.sequence : lastOf(records.at(-1)!) + 1;
      assert.equal(record.sequence, next, "no gap, nothing twice");
      records.push(record);
    }
    after = last;
  }
  return records;
}

/** Current values as one who reads everything works them out. */
function replay(records: readonly BatchRecord[]): Record<string, unknown> {
  const names = new Map<number, string>();
  const values = new Map<string, { sequence: number; value: unknown }>();
  const take = (record: BatchRecord) => {
    if (record.kind === "define") names.set(record.index, `${record.scope} ${record.key}`);
    if (record.kind !== "point" && record.kind !== "delete") return;
    const name = names.get(record.index) ?? `nameless ${record.index}`;
    const value = record.kind === "delete" ? undefined : [record.value, record.quality];
    const held = values.get(name);
    if (held === undefined || held.sequence < record.sequence) {
      values.set(name, { sequence: record.sequence, value });
    }
  };
  for (const record of records) {
    if (record.kind !== "cover") take(record);
    else {
      const { definitions, last, count } = readCover(record.body);
      assert.equal(count, record.to - record.sequence + 1);
      for (const definition of definitions) take({ kind: "define", ...definition });
      for (const value of last) take(value);
    }
  }
  return Object.fromEntries(
    [...values].flatMap(([name, { value }]) => (value === undefined ? [] : [[name, value]])).sort(),
  );
}

function valuesOf({ core }: Opened): Record<string, unknown> {
  const points = [...core.points.list(undefined, undefined)];
  return Object.fromEntries(
    points.map(({ scope, key, value, quality }) => [`${scope} ${key}`, [value, quality]]).sort(),
  );
}

function kindsOf(records: readonly BatchRecord[]): Set<string> {
  return new Set(
    records.map((record) => {
      if (record.kind !== "cover") return record.kind;
      const { reason, aggregates } = readCover(record.body);
      return `${reason} ${aggregates?.spanMs ?? ""}`.trim();
    }),
  );
}

const seed = process.hrtime()[1] % 1_000_000;

test(`weeks without a reader fit a small store, and are read whole (seed ${seed})`, async () => {
  using folder = temporaryFolder();
  const clock = fakeClock();
  const random = seededRandom(seed);
  const seen = new Set<string>();
  let covers = 0;
  for (let opening = 0; opening < 2; opening += 1) {
    await using store = await open(folder.path, clock);
    await store.journal.position("away", { register: true });
    for (let hour = 0; hour < 60; hour += 1) {
      await fillHour(store, clock, random);
      if (hour % 5 !== 4) continue;
      await store.core.tend();
      const { bytes } = store.journal.use("state");
      assert.ok(bytes <= quotaBytes, `${bytes} bytes after ${hour} hours`);
      if (hour % 20 === 19)
        for (const kind of kindsOf(readAll(store.journal, "state"))) seen.add(kind);
    }
    const records = readAll(store.journal, "state");
    assert.equal(records[0]?.sequence, 1);
    assert.deepEqual(replay(records), valuesOf(store), "a reader knows the last values");
    covers = records.filter(({ kind }) => kind === "cover").length;
    assert.equal((await store.journal.position("away")).state.first, 1);
    const kept = valuesOf(store);
    await store[Symbol.asyncDispose]();
    await using again = await open(folder.path, clock);
    assert.deepEqual(valuesOf(again), kept, "they are rebuilt");
  }
  for (const kind of ["point", "thinned 60000", "thinned 900000", "quota"]) {
    assert.ok(seen.has(kind), `${kind} is among ${[...seen]}`);
  }
  assert.ok(covers < 60, `${covers} covers`);
});

test("a reader in the middle of a cover reads it again, and one before it is told nothing is gone", async () => {
  using folder = temporaryFolder();
  const clock = fakeClock();
  const random = seededRandom(2);
  await using store = await open(folder.path, clock);
  await store.journal.position("away", { register: true });
  while (!readAll(store.journal, "state").some(({ kind }) => kind === "cover")) {
    await fillHour(store, clock, random);
    await store.core.tend();
  }
  const cover = readAll(store.journal, "state").find(({ kind }) => kind === "cover")!;
  const middle = Math.floor((cover.sequence + lastOf(cover)) / 2);
  assert.equal(await store.journal.ack("away", "state", middle), middle);
  const { state } = await store.journal.position("away");
  assert.deepEqual([state.first, state.watermark], [1, middle]);
  const query = { stream: "state", limit: 1, bytesMax: 1e6 } as const;
  for (const after of [cover.sequence - 1, middle, lastOf(cover) - 1]) {
    const { records, last } = store.journal.read({ ...query, after });
    assert.deepEqual([records[0]?.sequence, last], [cover.sequence, lastOf(cover)]);
  }
  assert.equal(
    store.journal.read({ ...query, after: lastOf(cover) }).records[0]?.sequence,
    lastOf(cover) + 1,
  );
  await store.journal.ack("away", "state", lastOf(cover));
  await clock.advance(25 * hourMs);
  await store.core.tend();
  await clock.advance(25 * hourMs);
  await store.core.tend();
  assert.throws(() => store.journal.read({ ...query, after: cover.sequence - 1 }), {
    code: "SEQUENCE_GONE",
  });
});

test("an abandoned consumer is named when values are thinned and dropped", async () => {
  using folder = temporaryFolder();
  const clock = fakeClock();
  const random = seededRandom(3);
  await using store = await open(folder.path, clock, { roomBytes: 3 * 1_048_576 });
  await store.journal.addConsumer("gone", ["state"]);
  await store.journal.addConsumer("lines only", ["log"]);
  for (let hour = 0; hour < 60; hour += 1) {
    await fillHour(store, clock, random);
    if (hour % 3 === 0) await store.core.tend();
  }
  const { first } = store.journal.use("event");
  const events = readAll(store.journal, "event", first - 1).map((record) => {
    return (record as unknown as { event: { kind: string; severity: string; detail: object } })
      .event;
  });
  const severities = new Map(events.map(({ kind, severity }) => [kind, severity]));
  assert.equal(severities.get("store-thinned"), "warning");
  assert.equal(severities.get("store-dropped"), "alarm");
  const consumers = events.map(({ detail }) => (detail as { consumers?: unknown }).consumers);
  assert.deepEqual(consumers.at(-1), ["gone"]);
});

test("acknowledged records go before any other is thinned", async () => {
  using folder = temporaryFolder();
  const clock = fakeClock();
  const random = seededRandom(4);
  await using store = await open(folder.path, clock);
  await store.journal.position("near", { register: true });
  for (let hour = 0; hour < 60; hour += 1) {
    await fillHour(store, clock, random);
    await store.journal.ack("near", "state", store.journal.head("state"));
    if (hour % 3 === 0) await store.core.tend();
  }
  const first = store.journal.use("state").first;
  const kinds = kindsOf(readAll(store.journal, "state", first - 1));
  assert.ok(first > 1 && !kinds.has("thinned 60000"), [...kinds].join());
});

test("lines are dropped oldest first into one cover, and counted", async () => {
  using folder = temporaryFolder();
  const clock = fakeClock();
  await using store = await open(folder.path, clock);
  await store.journal.position("away", { register: true });
  const random = seededRandom(5);
  for (let at = 0; at < 120; at += 1) {
    const text = Buffer.from(random.bytes(3000)).toString("base64");
    await store.core.append("log", [{ kind: "line", text }], { flush: "now" });
    if (at % 10 === 9) await store.core.tend();
  }
  const [cover, next] = readAll(store.journal, "log");
  assert.ok(cover?.kind === "cover" && next?.kind === "line");
  assert.deepEqual(cover.body, { reason: "quota", count: cover.to });
  assert.ok(store.journal.use("log").bytes <= quotaBytes);
});

/** A journal whose replacements fail at chosen times, before or after they are done. */
function failing(
  journal: Journal,
  fails: (count: number) => "before" | "after" | undefined,
): Journal {
  let count = 0;
  return new Proxy(journal, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (name !== "replace") return typeof value === "function" ? value.bind(target) : value;
      return async (replacement: Parameters<Journal["replace"]>[0]) => {
        count += 1;
        const how = fails(count);
        if (how === "before") throw new PlantError("STORE_FULL", { folder: "", roomBytes: 0 });
        const freed = await target.replace(replacement);
        if (how === "after") throw new PlantError("STORE_FAILED", { folder: "", reason: "gone" });
        return freed;
      };
    },
  });
}

for (const how of ["before", "after"] as const) {
  test(`a failure ${how} a replacement leaves everything readable, and the next time goes on`, async () => {
    using folder = temporaryFolder();
    const clock = fakeClock();
    const random = seededRandom(6);
    const fails = (count: number) => (count % 3 === 1 ? how : undefined);
    for (let opening = 0; opening < 2; opening += 1) {
      await using store = await open(folder.path, clock, {
        change: (journal) => failing(journal, fails),
      });
      await store.journal.position("away", { register: true });
      for (let hour = 0; hour < 40; hour += 1) {
        await fillHour(store, clock, random);
        if (hour % 5 === 4) await store.core.tend();
      }
      for (let round = 0; round < 6; round += 1) await store.core.tend();
      assert.deepEqual(replay(readAll(store.journal, "state")), valuesOf(store));
      const { bytes } = store.journal.use("state");
      assert.ok(bytes <= quotaBytes, `${bytes} bytes`);
    }
  });
}

test("sizes of streams are found again at the next opening as they were", async () => {
  using folder = temporaryFolder();
  const clock = fakeClock();
  const random = seededRandom(8);
  let before: unknown;
  for (let opening = 0; opening < 3; opening += 1) {
    await using store = await open(folder.path, clock);
    const { bytes, coverBytes } = store.journal.use("state");
    if (before !== undefined) assert.deepEqual({ bytes, coverBytes }, before);
    await store.journal.position("away", { register: true });
    for (let hour = 0; hour < 40; hour += 1) await fillHour(store, clock, random);
    await store.core.tend();
    await fillHour(store, clock, random);
    const use = store.journal.use("state");
    before = { bytes: use.bytes, coverBytes: use.coverBytes };
  }
});

test("what a full store refuses of values and lines, it still takes of events and marks", async () => {
  using folder = temporaryFolder();
  const clock = fakeClock();
  await using store = await open(folder.path, clock, { roomBytes: 3 * 1_048_576 });
  await store.journal.position("away", { register: true });
  const random = seededRandom(9);
  const text = (bytes: number) => Buffer.from(random.bytes(bytes)).toString("base64");
  const fill = async (bytes: number) => {
    for (let at = 0; at < 800; at += 1) {
      const change = {
        scope: "s",
        key: `k${at % 7}`,
        value: text(bytes),
        quality: "good" as const,
      };
      await store.core.set([{ ...change, time: store.core.now() }], { flush: "now", by: "d" });
      await store.core.append("log", [{ kind: "line", text: text(bytes) }], { flush: "now" });
    }
  };
  for (const bytes of [24_000, 3000, 200]) {
    await assert.rejects(fill(bytes), { code: "STORE_FULL" });
  }
  const event = { kind: "event", event: { kind: "x" }, time: store.core.now(), source: "d" };
  for (let at = 0; at < 20; at += 1) await store.core.append("event", [event], { flush: "now" });
  const setting = { scope: "config/site", key: "name", value: "x", quality: "good" as const };
  const by = { flush: "now", by: "plantd", who: "ann" } as const;
  await store.core.set([{ ...setting, time: store.core.now() }], by);
  assert.equal(store.core.points.get("config/site", "name")?.value, "x");
  const audited = readAll(store.journal, "event").at(-1) as unknown as { event: { who: string } };
  assert.equal(audited.event.who, "ann");
  const sequence = store.journal.head("log");
  assert.equal(await store.journal.ack("away", "log", sequence), sequence);
  await assert.rejects(fill(200), { code: "STORE_FULL" });
  // Companions in one commit do not take each other along.
  const answers = await Promise.allSettled([
    store.core.append("log", [{ kind: "line", text: text(3000) }], { flush: "group" }),
    store.core.append("event", [event], { flush: "now" }),
  ]);
  assert.deepEqual(
    answers.map(({ status }) => status),
    ["rejected", "fulfilled"],
  );
  await store.core.tend();
  await fill(200).catch((error: unknown) => assert.fail(`${error}`));
});

test("what made room is in the history, also after another opening", async () => {
  using folder = temporaryFolder();
  const clock = fakeClock();
  const fromMs = clock.wallMs();
  const values = 30;
  {
    await using store = await open(folder.path, clock);
    for (let hour = 0; hour < values; hour += 1) {
      const body = Array.from({ length: 300 }, (_, at) => ({
        scope: "device/pump",
        key: `other-${at}`,
        value: `${hour} ${at} ${String(Math.sin(hour * at)).repeat(4)}`,
        quality: "good" as const,
        time: store.core.now(),
      }));
      const level = { ...body[0]!, key: "level", value: hour };
      await store.core.set([level, ...body], { flush: "now", by: "driver.line" });
      await clock.advance(hourMs);
      await store.core.tend();
    }
    assert.ok(store.journal.use("state").first > 1, "records have gone");
  }
  await using store = await open(folder.path, clock);
  await store.core.past.rollup.follow();
  const { rollup, history } = store.core.past;
  const indices = rollup.names.indicesOf("device/pump", "level");
  const range = { fromMs, toMs: clock.wallMs() + hourMs, widthMs: hourMs };
  const { series } = await history.buckets([indices], range);
  const counts = series[0]!.map(({ count }) => count);
  assert.equal(
    counts.reduce((sum, count) => sum + count, 0),
    values,
  );
});
