// What blocks hold: records of every kind, covers over spans, points as columns; audit records,
// side rows, running time. It must not know what the records mean to anybody.
import assert from "node:assert/strict";
import { test } from "node:test";
import { qualityNames } from "../../../src/batch/batch.ts";
import { encodeBlock } from "../../../src/journal/block.ts";
import { blockPoints, decodeBlock, type JournalRecord } from "../../../src/journal/journal.ts";
import { PlantError } from "../../../src/util/errors.ts";
import { seededRandom } from "../../../src/util/random.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { openTestJournal, temporaryFolder } from "../../fakes/store.ts";

const head = { stream: "state", epoch: "ab".repeat(16), first: 100, wallMs: 1, runMs: 2 } as const;
const boot = "cd".repeat(16);
const time = { wall: 1_700_000_000_000, boot, mono: 5, sync: "ntp" } as const;
const point = (index: number, value: unknown, more: object = {}): JournalRecord => ({
  kind: "point",
  index,
  value,
  quality: "good",
  time,
  ...more,
});
const cover = (to: number) => ({ kind: "cover", to, body: { reason: "quota" } });

test("a cover stands for its span, and what follows it is numbered behind", () => {
  const { head: found, records } = decodeBlock(
    encodeBlock(head, [point(1, 5), cover(130), cover(140), point(2, 6)]),
  );
  assert.deepEqual(
    records.map(({ sequence, kind, to }) => [sequence, kind, to]),
    [
      [100, "point", undefined],
      [101, "cover", 130],
      [131, "cover", 140],
      [141, "point", undefined],
    ],
  );
  assert.deepEqual([found.first, found.last, found.count], [100, 141, 4]);
});

test("reading after a sequence inside a cover gives the cover itself", async () => {
  using folder = temporaryFolder();
  await using journal = await openTestJournal(folder.path);
  const records = [point(1, 1), cover(9), point(1, 2)];
  const { first, last } = await journal.append({
    stream: "state",
    flush: "now",
    recordsMax: 3,
    build: () => records,
  });
  assert.deepEqual([first, last, journal.head("state")], [1, 10, 10]);
  for (const [after, expected] of [
    [0, [1, 2, 10]],
    [1, [2, 10]],
    [2, [2, 10]],
    [8, [2, 10]],
    [9, [10]],
    [10, []],
  ] as const) {
    const found = journal.read({ stream: "state", after, limit: 9, bytesMax: 1e6 });
    assert.deepEqual(
      found.records.map(({ sequence }) => sequence),
      expected,
      `after ${after}`,
    );
    assert.equal(found.last, 10);
  }
});

const odd: Readonly<Record<string, JournalRecord>> = {
  "of a kind that sections have not": { kind: "novelty", text: "x" },
  "without a kind": { text: "x" },
  "with a field more": point(1, 1, { ttlMs: 5 }),
  "with a fraction of a millisecond": point(1, 1, { time: { ...time, wall: 0.5 } }),
  "with a time beyond all times": point(1, 1, { time: { ...time, mono: 2 ** 52 } }),
  "with a field more in its time": point(1, 1, { time: { ...time, leap: true } }),
  "with a half surrogate": { kind: "line", text: "a\ud800" },
  "with an index that is none": point(-1, 1),
  "with an index beyond 32 bits": point(2 ** 32, 1),
  "with another quality": point(1, 1, { quality: "fine" }),
  "with null for a reason": point(1, 1, { reason: null }),
};

test("a record that the sections do not hold exactly is kept all the same", () => {
  for (const [name, record] of Object.entries(odd)) {
    const { records } = decodeBlock(encodeBlock(head, [point(7, 1), record]));
    assert.deepEqual(records[1], { ...record, sequence: 101 }, name);
    assert.equal(blockPoints(encodeBlock(head, [point(7, 1), record]))?.index[0], 7, name);
  }
});

test("points come as columns, with the places of their records", () => {
  const records = [
    { kind: "define", index: 1, scope: "s", key: "k" },
    point(1, 5.5),
    { kind: "delete", index: 3, time },
    point(2 ** 32 - 1, "x", { quality: "bad", reason: "stale" }),
    point(3, null, { time: { ...time, wall: -1, sync: "none" } }),
  ];
  const points = blockPoints(encodeBlock(head, records));
  assert.ok(points !== undefined);
  assert.equal(points.count, 3);
  assert.deepEqual([...points.offsets], [1, 3, 4]);
  assert.deepEqual([...points.index], [1, 2 ** 32 - 1, 3]);
  assert.deepEqual([...points.wall], [time.wall, time.wall, -1]);
  assert.deepEqual([...points.mono], [5, 5, 5]);
  assert.deepEqual(points.values, [5.5, "x", null]);
  assert.deepEqual(
    Array.from(points.quality, (place) => qualityNames[place]),
    ["good", "bad", "good"],
  );
  assert.deepEqual(
    Array.from(points.clock, (place) => points.clocks[place]?.sync),
    ["ntp", "ntp", "none"],
  );
  assert.equal(points.clocks[points.clock[0] ?? 9]?.boot, boot);
  assert.equal(blockPoints(encodeBlock(head, [cover(200)])), undefined);
});

test("what a person did is in the log with it, by one commit, once", async () => {
  using folder = temporaryFolder();
  await using journal = await openTestJournal(folder.path);
  const before = journal.stats().commits ?? 0;
  const event = { kind: "audit", who: "anna", action: "set", target: "s/k" };
  const set = () =>
    journal.append({
      stream: "state",
      flush: "now",
      recordsMax: 1,
      source: { source: "anna", run: "r", number: 1 },
      build: () => [point(1, 1)],
      audit: () => [{ kind: "event", event, time }],
    });
  assert.deepEqual(await set(), { first: 1, last: 1, repeated: false });
  assert.equal((await set()).repeated, true);
  assert.equal(journal.stats().commits, before + 1);
  assert.equal(journal.head("event"), 1);
  const { records } = journal.read({ stream: "event", after: 0, limit: 9, bytesMax: 1e6 });
  assert.deepEqual(records, [{ sequence: 1, kind: "event", event, time }]);
});

test("side rows are there after reopening, in their order, and more than one commit's worth", async () => {
  using folder = temporaryFolder();
  const keyOf = (at: number) => Buffer.from(String(at).padStart(5, "0"));
  {
    await using journal = await openTestJournal(folder.path);
    const rows = Array.from({ length: 2000 }, (_, at) => ({ key: keyOf(at), value: keyOf(at) }));
    await journal.side("rollup").write(rows);
    await journal.side("boot").write([{ key: keyOf(1), value: Buffer.from("boot") }]);
    await journal.side("rollup").write([{ key: keyOf(7), value: undefined }]);
  }
  await using journal = await openTestJournal(folder.path);
  const side = journal.side("rollup");
  assert.equal([...side.range()].length, 1999);
  assert.equal(side.get(keyOf(7)), undefined);
  const found = [...side.range({ from: keyOf(5), to: keyOf(10), reverse: true, limit: 3 })];
  assert.deepEqual(
    found.map(({ value }) => Buffer.from(value).toString()),
    ["00009", "00008", "00006"],
  );
});

test("running time goes on over openings, whatever the wall clock does", async () => {
  using folder = temporaryFolder();
  const clock = fakeClock();
  let ran = 0;
  for (let opening = 0; opening < 4; opening += 1) {
    await using journal = await openTestJournal(folder.path, {}, { clock });
    assert.equal(journal.runMs(), ran);
    await clock.advance(1000);
    clock.setWall(1_000_000_000_000 * opening);
    await journal.append({
      stream: "log",
      flush: "now",
      recordsMax: 1,
      build: () => [{ kind: "line", text: "x" }],
    });
    await clock.advance(500);
    ran += 1500;
    assert.equal(journal.runMs(), ran);
  }
  await using journal = await openTestJournal(folder.path, {}, { clock });
  assert.deepEqual(
    [...journal.blocks("log", 1)].map(({ head: { first, runMs } }) => [first, runMs]),
    [
      [2, 2500],
      [3, 4000],
      [4, 5500],
    ],
  );
});

test("random points come back as they went in, as records and as columns", () => {
  const seed = Number(process.env.PLANTD_SEED ?? process.hrtime()[1]);
  const random = seededRandom(seed);
  const pick = (count: number) => Math.floor(random.unit() * count);
  const records = Array.from({ length: 400 }, () =>
    point(pick(60), [pick(5000) / 10, -0, 1e308, 2 ** 53, "-9223372036854775808"][pick(5)]),
  );
  const bytes = encodeBlock(head, records);
  assert.deepEqual(
    decodeBlock(bytes).records,
    records.map((record, at) => ({ ...record, sequence: 100 + at })),
    `PLANTD_SEED=${seed}`,
  );
  const columns = blockPoints(bytes);
  assert.deepEqual(
    columns?.values,
    records.map(({ value }) => value),
    `PLANTD_SEED=${seed}`,
  );
});

test("records too many or too large for one block make several, without a gap", async () => {
  using folder = temporaryFolder();
  await using journal = await openTestJournal(folder.path);
  const noise = Buffer.from(seededRandom(3).bytes(50_000)).toString("base64");
  const large = Array.from({ length: 100 }, (_, at) => point(1, noise.slice(at)));
  const small = Array.from({ length: 9000 }, (_, at) => point(at % 50, at));
  for (const records of [large, small]) {
    await journal.append({
      stream: "state",
      flush: "now",
      recordsMax: records.length,
      build: () => records,
    });
  }
  const heads = [...journal.blocks("state", 0)].map(({ head: found }) => found);
  assert.ok(heads.length > 5 && heads.every(({ count }) => count <= 4096));
  assert.deepEqual(
    heads.slice(1).map(({ first }) => first),
    heads.slice(0, -1).map(({ last }) => last + 1),
  );
  const { records } = journal.read({ stream: "state", after: 0, limit: 9999, bytesMax: 1e9 });
  assert.deepEqual(
    records.map(({ value }) => value),
    [...large, ...small].map(({ value }) => value),
  );
});

test("an audit that fails refuses its request alone, and nothing it staged stays", async () => {
  using folder = temporaryFolder();
  await using journal = await openTestJournal(folder.path, { flushMaxMs: 1000 });
  const staged = new Set<string>();
  const settled: unknown[] = [];
  const set = (name: string, audit?: () => never) =>
    journal.append({
      stream: "state",
      flush: name === "c" ? "now" : "group",
      recordsMax: 1,
      source: { source: name, run: "r", number: 1 },
      build: (first) => {
        staged.add(name);
        return [point(first, 1)];
      },
      settle: (isFlushed) => {
        if (!isFlushed) staged.clear();
        settled.push([name, isFlushed]);
      },
      ...(audit === undefined ? {} : { audit }),
    });
  const fail = () => {
    throw new PlantError("LIMIT_REACHED", { limit: "words", max: 1 });
  };
  const all = await Promise.allSettled([set("a"), set("b", fail), set("c")]);
  assert.deepEqual(
    all.map(({ status }) => status),
    ["fulfilled", "rejected", "fulfilled"],
  );
  assert.deepEqual([...staged], ["a", "c"]);
  assert.deepEqual(settled, [
    ["a", false],
    ["b", false],
    ["a", true],
    ["c", true],
  ]);
  assert.equal(journal.head("state"), 2);
  assert.equal((await set("c")).repeated, true);
});
