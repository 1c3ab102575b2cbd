// Points in columns: order, replay over newer pages, lives, schemas, 64-bit integers, many at once.
// It must not know the bus.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { JournalRecord } from "../../../src/journal/journal.ts";
import { encodePage, takePage } from "../../../src/state/page.ts";
import { type PointChange, PointTable } from "../../../src/state/points.ts";
import { hasCode } from "../../../src/util/errors.ts";
import { type Random, seededRandom } from "../../../src/util/random.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { openTestStore, temporaryFolder } from "../../fakes/store.ts";

const code = (name: Parameters<typeof hasCode>[1]) => (error: unknown) => hasCode(error, name);
const time = { wall: 1_700_000_000_000, boot: "b".repeat(32), mono: 5, sync: "ntp" } as const;
const values = [1, -0.5, 1e300, true, false, null, "text", "18446744073709551615", { a: [1, "x"] }];
const seed = process.hrtime()[1];

function draw(random: Random, top: number): number {
  return Buffer.from(random.bytes(4)).readUInt32LE(0) % top;
}

function randomChange(random: Random): PointChange {
  const more = draw(random, 4) === 0 ? { unit: ["V", "A"][draw(random, 2)] } : {};
  const ttl = draw(random, 6) === 0 ? { ttlMs: 1000 } : {};
  return {
    scope: `s${draw(random, 3)}`,
    key: `k${draw(random, 40)}`,
    value: values[draw(random, values.length)],
    quality: "good",
    time,
    ...more,
    ...ttl,
  };
}

/** Everything that is known of a table, in order. */
function contentOf(table: PointTable): unknown[] {
  return [...table.list(undefined, undefined)].map((point) => {
    const slot = table.slots.find(point.scope, point.key);
    return [table.slots.definitionOf(slot), point, table.dueOf(slot)];
  });
}

test("pages newer than the mark, and the records after it again, give the same points", () => {
  const random = seededRandom(seed);
  for (let round = 0; round < 30; round += 1) {
    const table = new PointTable(1000);
    const log: { record: JournalRecord; sequence: number; runMs: number }[] = [];
    let mark = { sequence: 0, nextIndex: 1 };
    const pages = new Map<number, Uint8Array>();
    const waiting: number[] = [];
    const act = () => {
      const isSet = draw(random, 4) > 0;
      const changes = Array.from({ length: 1 + draw(random, 4) }, () => randomChange(random));
      const records = isSet
        ? table.recordsOfChanges(changes, "a")
        : table.recordsOfDeletes(changes, time);
      if (records.length === 0) return;
      const runMs = log.length * 10;
      table.settle(true, records, log.length + 1, runMs);
      for (const record of records) log.push({ record, sequence: log.length + 1, runMs });
    };
    for (let step = 0; step < 300; step += 1) {
      act();
      if (waiting.length === 0 && draw(random, 10) === 0) {
        mark = { sequence: log.length, nextIndex: table.nextIndex };
        waiting.push(...table.takeDirty());
      }
      const page = waiting.pop();
      if (page === undefined) continue;
      const bytes = encodePage(table, page);
      if (bytes === undefined) pages.delete(page);
      else pages.set(page, bytes);
    }
    // A checkpoint that was cut off: its mark is not there yet, some of its pages are.
    const marks = waiting.length === 0 ? [mark] : [{ sequence: 0, nextIndex: 1 }];
    for (const { sequence, nextIndex } of marks) {
      const again = new PointTable(1000);
      again.begin(nextIndex);
      for (const [page, bytes] of [...pages].sort(([a], [b]) => a - b))
        takePage(again, page, bytes);
      for (const one of log) {
        if (one.sequence > sequence) again.apply(one.record, one.sequence, one.runMs);
      }
      assert.deepEqual(contentOf(again), contentOf(table), `seed ${seed}, round ${round}`);
      assert.equal(again.nextIndex, table.nextIndex);
      assert.equal(again.count, table.count);
    }
  }
});

test("points come in order, whatever comes and goes while they are sorted", () => {
  const random = seededRandom(seed);
  const table = new PointTable(100_000);
  const model = new Map<string, number>();
  let sequence = 1;
  const act = (count: number, top: number) => {
    for (let at = 0; at < count; at += 1) {
      const place = { scope: `s${draw(random, 5)}`, key: `k${draw(random, top)}` };
      const id = `${place.scope}\0${place.key}`;
      const change = { ...place, value: at, quality: "good", time } as const;
      const isGone = draw(random, 3) === 0;
      const records = isGone
        ? table.recordsOfDeletes([place], time)
        : table.recordsOfChanges([change], "a");
      table.settle(true, records, sequence);
      sequence += records.length;
      if (isGone) model.delete(id);
      else model.set(id, at);
    }
  };
  act(6000, 4000);
  while (!table.sortSlice()) act(20, 4000);
  act(3000, 8000);
  const found = [...table.list(undefined, undefined)].map(({ scope, key, value }) => [
    `${scope}\0${key}`,
    value,
  ]);
  const wanted = [...model].sort(([a], [b]) => (a < b ? -1 : 1));
  assert.deepEqual(found, wanted, `seed ${seed}`);
  const after = { scope: "s2", key: "k5" };
  const rest = wanted.filter(([id]) => id > "s2\0k5").map(([id]) => id);
  assert.deepEqual(
    [...table.list(after, undefined)].map(({ scope, key }) => `${scope}\0${key}`),
    rest,
  );
});

test("a commit that failed leaves nothing staged", () => {
  const table = new PointTable(10);
  const change = { scope: "s", key: "k", value: 1, quality: "good", time } as const;
  const lost = table.recordsOfChanges([change], "a", 1);
  assert.deepEqual(table.expected("s", "k"), { value: 1, revision: 2 });
  table.settle(false, lost, 1);
  assert.equal(table.expected("s", "k"), undefined);
  assert.equal(table.count, 0);
  const kept = table.recordsOfChanges([change], "a", 1);
  table.settle(true, kept, 1);
  assert.equal(kept[0]?.index, 1);
  assert.equal(table.get("s", "k")?.revision, 2);
});

const put = (number: number, points: readonly object[], more: object = {}) => ({
  ...{ source: "t", run: "1", number, flush: "now", points },
  ...more,
});

test("a point goes when its time is over, by running time, and not a millisecond before", async () => {
  using folder = temporaryFolder();
  const clock = fakeClock();
  const place = { scope: "s", key: "k" };
  {
    await using store = await openTestStore(folder.path, {}, clock);
    await store.call("set-many", put(1, [{ ...place, value: 1, ttlMs: 10_000 }]));
    assert.equal((await store.call("get", place)).expiresMs, 10_000);
    await clock.advance(4000);
    clock.setWall(clock.wallMs() + 3_600_000);
    assert.equal((await store.call("get", place)).expiresMs, 6000);
  }
  await clock.advance(50_000);
  await using store = await openTestStore(folder.path, {}, clock);
  const left = (await store.call("get", place)).expiresMs;
  assert.ok(left > 5000 && left <= 6000, `${left}`);
  await clock.advance(left - 1);
  assert.equal((await store.call("get", place)).expiresMs, 1);
  await clock.advance(1);
  await assert.rejects(store.call("get", place), code("STATE_NOT_FOUND"));
  const { points } = await store.call("list", {});
  assert.deepEqual(points, []);
  // Lets the disk finish what the clock set off.
  await store.state[Symbol.asyncDispose]();
  const { records } = await store.call("changes", { stream: "state", after: 2 });
  const last = records.at(-1);
  assert.deepEqual([last.kind, last.source], ["delete", "ttl"]);
});

test("a point that is set anew lives anew; without a life it stays", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const { clock } = store;
  const point = { scope: "s", key: "k", value: 1 };
  await store.call("set-many", put(1, [{ ...point, ttlMs: 1000 }]));
  await clock.advance(900);
  await store.call("set-many", put(2, [{ ...point, ttlMs: 1000 }]));
  await clock.advance(900);
  assert.equal((await store.call("get", point)).expiresMs, 100);
  await store.call("set-many", put(3, [point]));
  await clock.advance(100_000);
  assert.equal((await store.call("get", point)).expiresMs, undefined);
  for (const ttlMs of [0, -1, 1.5, "1"]) {
    const bad = put(4, [{ ...point, ttlMs }]);
    await assert.rejects(store.call("set-many", bad), code("REQUEST_MALFORMED"), `${ttlMs}`);
  }
});

test("of those who change a point at once by its value, one wins", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const place = { scope: "s", key: "k" };
  const attempts = (expect: object, values: readonly unknown[]) =>
    Promise.allSettled(
      values.map((value) => store.call("compare-and-set", { ...place, value, expect })),
    );
  const first = await attempts({ absent: true }, [1, 2, 3, 4]);
  assert.equal(first.filter(({ status }) => status === "fulfilled").length, 1);
  const { value, revision } = await store.call("get", place);
  const second = await attempts({ value }, [10, 11, 12]);
  assert.equal(second.filter(({ status }) => status === "fulfilled").length, 1);
  const [lost] = await attempts({ revision }, [99]);
  assert.ok(lost?.status === "rejected" && hasCode(lost.reason, "STATE_CONFLICT"));
  const now = await store.call("get", place);
  assert.deepEqual(lost.reason.detail.current, { value: now.value, revision: now.revision });
  const rows: [Parameters<typeof hasCode>[1], object][] = [
    ["REQUEST_MALFORMED", { ...place, value: 1 }],
    ["REQUEST_MALFORMED", { ...place, value: 1, expect: {} }],
    ["REQUEST_MALFORMED", { ...place, value: 1, expect: { absent: true }, run: "1" }],
    ["STATE_CONFLICT", { ...place, value: 1, expect: { absent: true } }],
    ["STATE_CONFLICT", { scope: "s", key: "other", value: 1, expect: { value: null } }],
    ["SCOPE_RESERVED", { scope: "plantd/x", key: "k", value: 1, expect: { absent: true } }],
  ];
  for (const [wanted, args] of rows) {
    await assert.rejects(store.call("compare-and-set", args), code(wanted), JSON.stringify(args));
  }
});

test("many points are read and deleted by name, and a person's deeds are told", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const [a, b, c] = ["a", "b", "c"].map((key) => ({ scope: "s", key }));
  await store.call("set-many", put(1, [{ ...a, value: 1 }], { by: "anna" }));
  await store.call("set-many", put(2, [{ ...b, value: { deep: [1] } }]));
  const got = await store.call("get-many", { points: [a, b, c] });
  assert.deepEqual(
    got.points.map(({ value }: { value: unknown }) => value),
    [1, { deep: [1] }],
  );
  assert.deepEqual(got.missing, [c]);
  assert.deepEqual(await store.call("delete-many", { points: [a, c], by: "anna" }), { deleted: 1 });
  const { records } = await store.call("changes", { stream: "event", after: 0 });
  assert.deepEqual(
    records.map(({ event }: { event: Record<string, unknown> }) => [
      event.kind,
      event.who,
      event.action,
      event.target,
      event.before,
      event.after,
    ]),
    [
      ["audit", "anna", "set", "s/a", undefined, 1],
      ["audit", "anna", "delete", "s/a", 1, undefined],
    ],
  );
  await assert.rejects(store.call("get-many", { points: [] }), code("REQUEST_MALFORMED"));
  const many = new Array(1001).fill(a);
  await assert.rejects(store.call("get-many", { points: many }), code("REQUEST_MALFORMED"));
});

test("a schema refuses what does not fit, names it, and survives a restart", async () => {
  using folder = temporaryFolder();
  const schema = {
    points: {
      u: { type: "f64", unit: "V", min: 0, max: 400 },
      mode: { enum: ["auto", "hand"] },
      name: { type: "text", maxLength: 3 },
      count: { type: "u64", max: "18446744073709551614" },
      "phase-*-i": { type: "f64", max: 10 },
    },
    others: "refuse",
  };
  {
    await using store = await openTestStore(folder.path);
    await store.call("set-many", put(1, [{ scope: "s", key: "u", value: 500 }]));
    await assert.rejects(store.call("schema-set", { scope: "s", schema }), (error) => {
      assert.ok(hasCode(error, "SCHEMA_UNFIT"));
      const unfit = [{ key: "u", wanted: "at most 400", given: "500" }];
      assert.deepEqual(error.detail.unfit, unfit);
      return true;
    });
    const kept = await store.call("schema-set", { scope: "s", schema, keep: true });
    assert.equal(kept.count, 1);
  }
  await using store = await openTestStore(folder.path);
  assert.deepEqual((await store.call("schema-get", { scope: "s" })).schema, schema);
  const refused: [string, unknown, object?][] = [
    ["u", 401],
    ["u", -1],
    ["u", "1"],
    ["u", 1, { unit: "mV" }],
    ["mode", "off"],
    ["name", "long"],
    ["count", "18446744073709551615"],
    ["phase-1-i", 11],
    ["phase-i", 1],
    ["else", 1],
  ];
  const head = store.journal.head("state");
  for (const [key, value, more = {}] of refused) {
    const points = [
      { scope: "free", key: "x", value: 1 },
      { scope: "s", key, value, ...more },
    ];
    await assert.rejects(store.call("set-many", put(9, points)), code("SCHEMA_VIOLATED"), key);
  }
  assert.equal(store.journal.head("state"), head);
  const taken: [string, unknown][] = [
    ["u", 400],
    ["u", null],
    ["mode", "hand"],
    ["name", "abc"],
    ["count", "18446744073709551614"],
    ["phase-1-i", 10],
  ];
  const points = taken.map(([key, value]) => ({ scope: "s", key, value }));
  await store.call("set-many", put(10, points));
  const { type, unit } = await store.call("get", { scope: "s", key: "u" });
  assert.deepEqual([type, unit], ["f64", "V"]);
  await store.call("schema-delete", { scope: "s" });
  await store.call("set-many", put(11, [{ scope: "s", key: "else", value: 1 }]));
  await assert.rejects(store.call("schema-get", { scope: "s" }), code("STATE_NOT_FOUND"));
  for (const bad of [{}, { points: { u: { type: "i8" } } }, { points: { u: { min: 1 } } }]) {
    const args = { scope: "s", schema: bad };
    await assert.rejects(store.call("schema-set", args), code("REQUEST_MALFORMED"));
  }
});

test("64-bit integers are exact at their limits and nothing else is one", async () => {
  using folder = temporaryFolder();
  const rows: [string, "i64" | "u64", boolean][] = [
    ["9223372036854775807", "i64", true],
    ["9223372036854775808", "i64", false],
    ["-9223372036854775808", "i64", true],
    ["-9223372036854775809", "i64", false],
    ["18446744073709551615", "u64", true],
    ["18446744073709551616", "u64", false],
    ["0", "u64", true],
    ["-0", "i64", false],
    ["007", "i64", false],
    ["+7", "i64", false],
    ["7.0", "i64", false],
    ["1e3", "u64", false],
    [" 7", "u64", false],
    ["", "i64", false],
  ];
  const taken = rows.filter(([, , isTaken]) => isTaken);
  {
    await using store = await openTestStore(folder.path);
    let number = 0;
    for (const [value, type, isTaken] of rows) {
      number += 1;
      const point = { scope: "s", key: `${type} ${value}x`, value, type };
      const done = store.call("set-many", put(number, [point]));
      if (isTaken) await done;
      else await assert.rejects(done, code("REQUEST_MALFORMED"), value);
    }
  }
  await using store = await openTestStore(folder.path);
  for (const [value, type] of taken) {
    const point = await store.call("get", { scope: "s", key: `${type} ${value}x` });
    assert.deepEqual([point.value, point.type], [value, type]);
  }
});

test("at the end of the indices what is known is still set, and nothing new", () => {
  const table = new PointTable(100);
  const change = (key: string, more: object = {}): PointChange => ({
    scope: "a",
    key,
    value: 1,
    quality: "good",
    time,
    ...more,
  });
  table.begin(2 ** 32 - 3);
  const first = table.recordsOfChanges([change("known")], "s", 1);
  table.settle(true, first, 1);
  const limit = code("LIMIT_REACHED");
  assert.throws(
    () => table.recordsOfChanges([change("b"), change("c"), change("d")], "s", 3),
    limit,
  );
  const again = table.recordsOfChanges(Array(5).fill(change("known")), "s", 3);
  table.settle(true, again, 3);
  const last = table.recordsOfChanges([change("last")], "s", 8);
  table.settle(true, last, 8);
  assert.throws(() => table.recordsOfChanges([change("known", { unit: "V" })], "s", 10), limit);
  assert.deepEqual(table.keys("a"), ["known", "last"]);
});
