// The state service over a real disk: values, idempotence, changes, marks, limits, backups.
// It must not know the bus.
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { hasCode, PlantError } from "../../../src/util/errors.ts";
import { openTestStore, temporaryFolder } from "../../fakes/store.ts";

const code = (name: Parameters<typeof hasCode>[1]) => (error: unknown) => hasCode(error, name);
const point = (key: string, value: unknown, more: object = {}) => ({
  scope: "device/m1",
  key,
  value,
  ...more,
});
const many = (number: number, points: readonly unknown[], more: object = {}) => ({
  source: "driver.a",
  run: "r1",
  number,
  flush: "now",
  points,
  ...more,
});

test("a value that was set is there, with quality, time, revision and source", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const done = await store.call("set-many", many(1, [point("u", 230.5, { unit: "V" })]));
  assert.deepEqual(done, { first: 1, last: 2, repeated: false });
  const got = await store.call("get", { scope: "device/m1", key: "u" });
  assert.equal(got.value, 230.5);
  assert.equal(got.unit, "V");
  assert.equal(got.quality, "good");
  assert.equal(got.revision, 2);
  assert.equal(got.source, "driver.a");
  assert.equal(got.time.wall, store.clock.wallMs());
  await assert.rejects(
    store.call("get", { scope: "device/m1", key: "x" }),
    code("STATE_NOT_FOUND"),
  );
});

test("the same number again gets the same reply and no second record", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const first = await store.call("set-many", many(1, [point("u", 1)]));
  const again = await store.call("set-many", many(1, [point("u", 1)]));
  assert.deepEqual(again, { ...first, repeated: true });
  assert.equal(store.journal.head("state"), 2);
});

test("requests in flight together keep their order, and a repeat among them writes once", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const replies = await Promise.all(
    [1, 2, 1, 3, 2].map((number) => store.call("set-many", many(number, [point("u", number)]))),
  );
  assert.deepEqual(
    replies.map(({ first, last, repeated }) => [first, last, repeated]),
    [
      [1, 2, false],
      [3, 3, false],
      [1, 2, true],
      [4, 4, false],
      [3, 3, true],
    ],
  );
});

test("numbers and runs that lie behind are refused; a new run starts over", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  await store.call("set-many", many(5, [point("u", 1)]));
  await assert.rejects(store.call("set-many", many(4, [point("u", 1)])), code("SOURCE_NUMBER_OLD"));
  await store.call("set-many", many(1, [point("u", 2)], { run: "r2" }));
  await assert.rejects(store.call("set-many", many(6, [point("u", 1)])), code("SOURCE_NUMBER_OLD"));
});

test("values and what sources said survive a restart; the epoch is a new one", async () => {
  using folder = temporaryFolder();
  let epoch = "";
  {
    await using store = await openTestStore(folder.path);
    epoch = store.journal.epoch;
    await store.call("set-many", many(1, [point("u", 1), point("i", 2)]));
  }
  await using store = await openTestStore(folder.path);
  assert.equal((await store.call("get", { scope: "device/m1", key: "i" })).value, 2);
  const again = await store.call("set-many", many(1, [point("u", 1)]));
  assert.deepEqual(again, { first: 1, last: 4, repeated: true });
  const { lineage } = await store.call("position", { consumer: "sync" });
  assert.deepEqual(
    lineage.map((one: { parent: string | null }) => one.parent),
    [null, epoch],
  );
  assert.equal(lineage[1].cuts.state, 4);
});

test("a definition stands before the first record that uses it", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  await store.call("set-many", many(1, [point("u", 1, { type: "f64" }), point("u", 2)]));
  await store.call("set-many", many(2, [point("u", 3, { unit: "mV" })]));
  await store.call("delete", { service: "device/m1", key: "u" });
  await store.call("set-many", many(3, [point("u", 4)]));
  const { records, epoch } = await store.call("changes", { stream: "state", after: 0 });
  assert.equal(epoch, store.journal.epoch);
  assert.deepEqual(
    records.map((one: { sequence: number; kind: string; index: number }) => [
      one.sequence,
      one.kind,
      one.index,
    ]),
    [
      [1, "define", 1],
      [2, "point", 1],
      [3, "point", 1],
      [4, "define", 2],
      [5, "point", 2],
      [6, "delete", 2],
      [7, "define", 3],
      [8, "point", 3],
    ],
  );
});

test("changes are bounded by count and bytes, and always give one", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const points = Array.from({ length: 50 }, (_, at) => point(`k${at}`, "x".repeat(100)));
  await store.call("set-many", many(1, points));
  const three = await store.call("changes", { stream: "state", after: 10, limit: 3 });
  assert.deepEqual([three.records.length, three.last, three.head], [3, 13, 100]);
  const few = await store.call("changes", { stream: "state", after: 0, bytesMax: 1 });
  assert.equal(few.records.length, 1);
  const end = await store.call("changes", { stream: "state", after: 100 });
  assert.deepEqual([end.records, end.last], [[], 100]);
  await assert.rejects(
    store.call("changes", { stream: "state", after: 101 }),
    code("SEQUENCE_AHEAD"),
  );
});

test("changes wait for a record, and end without one when the time is over", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const waiting = store.call("changes", { stream: "event", after: 0, waitMs: 30_000 });
  const events = [{ kind: "start", severity: "info", message: "up" }];
  await store.call("append-event", { source: "a", run: "1", number: 1, events, flush: "now" });
  const got = await waiting;
  assert.equal(got.records[0].event.message, "up");
  const idle = store.call("changes", { stream: "event", after: 1, waitMs: 1000 });
  await store.clock.advance(1000);
  assert.deepEqual((await idle).records, []);
});

test("those who only listen are bounded, and never keep out those who bring values", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const leave = new AbortController();
  const { signal } = leave;
  const waits: Record<string, object> = {
    changes: { stream: "event", after: 0, waitMs: 30_000 },
    watch: {},
  };
  const listening: Promise<unknown>[] = [];
  for (const [operation, args] of Object.entries(waits)) {
    for (let at = 0; at < 128; at += 1) listening.push(store.call(operation, args, { signal }));
    await assert.rejects(store.call(operation, args, { signal }), code("LIMIT_REACHED"), operation);
  }
  await store.call("set-many", many(1, [point("u", 1)]));
  leave.abort();
  await Promise.all(listening);
  const late = store.call("changes", { stream: "event", after: 0, waitMs: 10 });
  await store.clock.advance(10);
  assert.deepEqual((await late).records, []);
});

test("a watermark moves both ways, never past the head; acknowledged records go by age", async () => {
  using folder = temporaryFolder();
  const clock = (await import("../../fakes/clock.ts")).fakeClock();
  await using store = await openTestStore(folder.path, { keepMs: 1000, checkpointMs: 500 }, clock);
  for (let number = 1; number <= 3; number += 1) {
    await store.call("set-many", many(number, [point("u", number)]));
  }
  const ack = (sequence: number) =>
    store.call("ack", { consumer: "sync", stream: "state", sequence });
  assert.deepEqual(await ack(3), { watermark: 3 });
  assert.deepEqual(await ack(2), { watermark: 2 });
  await assert.rejects(ack(5), code("SEQUENCE_AHEAD"));
  await clock.advance(5000);
  // Lets the disk finish what the clock set off.
  await store.state[Symbol.asyncDispose]();
  const { streams } = await store.call("position", { consumer: "sync" });
  assert.deepEqual([streams.state.first, streams.state.watermark, streams.state.head], [3, 2, 4]);
  assert.deepEqual(await ack(0), { watermark: 2 });
  await assert.rejects(store.call("changes", { stream: "state", after: 0 }), code("SEQUENCE_GONE"));
});

test("plantd's operations answer with plantd's fields", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const service = "org.plantd.Test";
  assert.deepEqual(await store.call("create-scope", { service }), {
    scope: service,
    status: "created",
  });
  await assert.rejects(store.call("create-scope", { service }), code("SCOPE_EXISTS"));
  const set = await store.call("set", { token: "t", service, key: "k", value: "v" });
  assert.deepEqual([set.scope, set.key, set.value, set.status], [service, "k", "v", "set"]);
  const got = await store.call("state-get", { service, key: "k" });
  assert.deepEqual([got.scope, got.key, got.value], [service, "k", "v"]);
  assert.deepEqual(await store.call("list-keys", { service }), {
    scope: service,
    keys: ["k"],
    count: 1,
  });
  assert.deepEqual(await store.call("list-scopes", {}), { scopes: [service], count: 1 });
  assert.equal((await store.call("delete", { service, key: "k" })).status, "deleted");
  assert.equal((await store.call("delete-scope", { service })).status, "deleted");
  await assert.rejects(store.call("list-keys", { service }), code("SCOPE_NOT_FOUND"));
  assert.equal((await store.call("health", { service })).scope_exists, false);
});

test("a list comes in pages, by scope and key, with nothing left out", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const points = ["b", "a"].flatMap((scope) =>
    [3, 1, 2].map((key) => ({ scope, key: `k${key}`, value: key })),
  );
  await store.call("set-many", many(1, points));
  const found: string[] = [];
  let after: string | undefined;
  do {
    const page = await store.call("list", { limit: 2, ...(after === undefined ? {} : { after }) });
    found.push(...page.points.map((one: { scope: string; key: string }) => one.scope + one.key));
    after = page.next;
  } while (after !== undefined);
  assert.deepEqual(found, ["ak1", "ak2", "ak3", "bk1", "bk2", "bk3"]);
  const one = await store.call("list", { scope: "b", prefix: "k2" });
  assert.equal(one.points.length, 1);
  await assert.rejects(store.call("list", { after: "!" }), code("REQUEST_MALFORMED"));
});

test("long values end a page, and a part of a watch, before a message is too large", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const keys = Array.from({ length: 200 }, (_, at) => `k${String(at).padStart(3, "0")}`);
  const value = { text: "x".repeat(60_000) };
  await store.call("set-many", many(1, [point("a", 1), ...keys.map((key) => point(key, value))]));
  const bytesMax = 8_388_608;
  const found: string[] = [];
  let after: string | undefined;
  do {
    const page = await store.call("list", after === undefined ? {} : { after });
    assert.ok(JSON.stringify(page).length < bytesMax);
    found.push(...page.points.map((one: { key: string }) => one.key));
    after = page.next;
  } while (after !== undefined);
  assert.deepEqual(found, ["a", ...keys]);
  const told: string[] = [];
  const leave = new AbortController();
  const partial = async (data: unknown) => {
    const { points } = data as { points: { key: string }[] };
    assert.ok(JSON.stringify(data).length < bytesMax);
    told.push(...points.map(({ key }) => key));
    if (told.length === keys.length) leave.abort();
  };
  await store.call("watch", { after: 202 }, { partial, signal: leave.signal });
  assert.deepEqual(told.toSorted(), keys);
});

test("a watch tells what changed since a revision, then what changes, and ends", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  await store.call("set-many", many(1, [point("a", 1), point("b", 2)]));
  const parts: { key: string }[][] = [];
  const partial = async (data: unknown) => {
    parts.push((data as { points: { key: string }[] }).points);
  };
  const watch = store.call("watch", { scopes: ["device/m1"], after: 3 }, { partial });
  await store.clock.advance(1);
  await store.call("set-many", many(2, [point("c", 3), { scope: "other", key: "x", value: 1 }]));
  await store.clock.advance(30_000);
  assert.deepEqual(await watch, { position: 8, epoch: store.journal.epoch });
  assert.deepEqual(
    parts.map((points) => points.map(({ key }) => key)),
    [["b"], ["c"]],
  );
});

/** The arguments as JSON, with a number in it that JSON.parse reads as Infinity. */
const spelt = (args: unknown) => JSON.stringify(args).replaceAll('"#"', "1e400");
const stamp = { wall: 1, boot: "0".repeat(32), mono: 1, sync: "none" };
const refused: Record<string, [Parameters<typeof hasCode>[1], unknown]> = {
  "no points": ["REQUEST_MALFORMED", many(1, [])],
  "no source": ["REQUEST_MALFORMED", { ...many(1, [point("k", 1)]), source: "" }],
  "a negative number": ["REQUEST_MALFORMED", many(-1, [point("k", 1)])],
  "a number above 2^53": ["REQUEST_MALFORMED", many(2 ** 53, [point("k", 1)])],
  "a point that is no object": ["REQUEST_MALFORMED", many(1, [1])],
  "no value": ["REQUEST_MALFORMED", many(1, [{ scope: "s", key: "k" }])],
  "an empty key": ["REQUEST_MALFORMED", many(1, [point("", 1)])],
  "a control character": ["REQUEST_MALFORMED", many(1, [point("a\0b", 1)])],
  "a key of 256 bytes": ["LIMIT_REACHED", many(1, [point("k".repeat(256), 1)])],
  "an unknown type": ["REQUEST_MALFORMED", many(1, [point("k", 1, { type: "i8" })])],
  "an unknown quality": ["REQUEST_MALFORMED", many(1, [point("k", 1, { quality: "ok" })])],
  "a time without a boot": ["REQUEST_MALFORMED", many(1, [point("k", 1, { time: { wall: 1 } })])],
  "text as a number": ["REQUEST_MALFORMED", many(1, [point("k", "1", { type: "f64" })])],
  "a u64 below zero": ["REQUEST_MALFORMED", many(1, [point("k", "-1", { type: "u64" })])],
  "a u64 of 2^64": [
    "REQUEST_MALFORMED",
    many(1, [point("k", (2n ** 64n).toString(), { type: "u64" })]),
  ],
  "a value above 64 KiB": ["LIMIT_REACHED", many(1, [point("k", "x".repeat(65_535))])],
  "a value 17 deep": [
    "LIMIT_REACHED",
    many(1, [point("k", JSON.parse("[".repeat(17) + "]".repeat(17)))]),
  ],
  "a number beyond all": ["REQUEST_MALFORMED", spelt(many(1, [point("k", "#")]))],
  "a number beyond all within a value": [
    "REQUEST_MALFORMED",
    spelt(many(1, [point("k", { a: ["#"] })])),
  ],
  "a time beyond all": [
    "REQUEST_MALFORMED",
    spelt(many(1, [point("k", 1, { time: { ...stamp, wall: "#" } })])),
  ],
  "10,001 points": ["LIMIT_REACHED", many(1, new Array(10_001).fill(point("k", 1)))],
};
const taken: Record<string, unknown> = {
  "a key of 255 bytes": point("k".repeat(255), 1),
  "a key in Greek": point("θερμοκρασία", 1),
  "a value of 64 KiB": point("k", "x".repeat(65_534)),
  "a value 16 deep": point("k", JSON.parse("[".repeat(16) + "]".repeat(16))),
  "a bad value of null": point("k", null, { type: "f64", quality: "bad", reason: "no-answer" }),
  "the largest u64": point("k", (2n ** 64n - 1n).toString(), { type: "u64" }),
  "the least i64": point("k", (-(2n ** 63n)).toString(), { type: "i64" }),
};

test("what is wrong is refused with a code, what is at a limit is taken", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  for (const [name, [expected, args]] of Object.entries(refused)) {
    await assert.rejects(store.call("set-many", args), code(expected), name);
  }
  assert.equal(store.journal.head("state"), 0);
  let number = 0;
  for (const [name, one] of Object.entries(taken)) {
    number += 1;
    const done = await store.call("set-many", many(number, [one]));
    assert.equal(done.repeated, false, name);
  }
});

test("an event is refused with a code when nothing could write it down again", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const event = { kind: "k", severity: "info", message: "m" };
  const deep = "[".repeat(50_000) + "]".repeat(50_000);
  const rows: [Parameters<typeof hasCode>[1], object, string][] = [
    ["REQUEST_MALFORMED", { time: { ...stamp, mono: "#" } }, "1e400"],
    ["REQUEST_MALFORMED", { detail: { a: "#" } }, "-1e400"],
    ["LIMIT_REACHED", { detail: "#" }, deep],
    ["LIMIT_REACHED", { detail: "#" }, JSON.stringify("x".repeat(65_536))],
  ];
  for (const [expected, more, text] of rows) {
    const args = { source: "driver.a", run: "r1", number: 1, events: [{ ...event, ...more }] };
    const spelled = JSON.stringify(args).replace('"#"', text);
    await assert.rejects(store.call("append-event", spelled), code(expected));
  }
  assert.equal(store.journal.head("event"), 0);
});

test("a page goes on after the longest names", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const long = '"'.repeat(255);
  const points = ["!", long].map((key) => ({ scope: long, key, value: 1 }));
  await store.call("set-many", many(1, [...points, { scope: "z", key: "z", value: 1 }]));
  const first = await store.call("list", { limit: 2 });
  const rest = await store.call("list", { limit: 2, after: first.next });
  assert.equal(rest.points.length, 1);
});

test("no more points than pointsMax, and a refused request leaves nothing", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path, { pointsMax: 2 });
  await store.call("set-many", many(1, [point("a", 1), point("a", 2), point("b", 1)]));
  await assert.rejects(store.call("set-many", many(2, [point("c", 1)])), code("LIMIT_REACHED"));
  const done = await store.call("set-many", many(2, [point("a", 3)]));
  assert.deepEqual([done.first, done.last], [6, 6]);
});

test("a backup comes back with its values and a new epoch; a wrong one changes nothing", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const passphrase = "correct horse";
  await store.call("set-many", many(1, [point("a", 1)]));
  const { path, bytes } = await store.call("backup-create", { passphrase });
  assert.deepEqual(
    (await store.call("backup-list")).backups.map((one: { bytes: number }) => one.bytes),
    [bytes],
  );
  await store.call("set-many", many(2, [point("a", 2)]));
  const { epoch } = store.journal;
  const value = async () => (await store.call("get", { scope: "device/m1", key: "a" })).value;
  const wrong = { path, passphrase: "battery staple" };
  await assert.rejects(store.call("backup-restore", wrong), code("PASSPHRASE_WRONG"));
  const sealed = readFileSync(path);
  const broken = join(folder.path, "broken");
  for (const [name, edit] of Object.entries({
    flipped: () => {
      const copy = Buffer.from(sealed);
      copy[copy.length - 5]! ^= 1;
      return copy;
    },
    short: () => sealed.subarray(0, -1),
    empty: () => Buffer.alloc(0),
    other: () => Buffer.alloc(5000, 7),
  })) {
    writeFileSync(broken, edit());
    await assert.rejects(
      store.call("backup-restore", { path: broken, passphrase }),
      code("BACKUP_UNREADABLE"),
      name,
    );
  }
  assert.equal(store.journal.epoch, epoch);
  assert.equal(await value(), 2);
  const restored = await store.call("backup-restore", { path, passphrase });
  assert.notEqual(restored.epoch, epoch);
  assert.equal(await value(), 1);
  await store.call("set-many", many(3, [point("a", 3)]));
  assert.equal(await value(), 3);
  assert.deepEqual(
    readdirSync(join(folder.path, "b")).filter((name) => !name.endsWith(".plantbackup")),
    [],
  );
});

test("an alarm is on the disk when it is answered, other events wait for companions", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path, { flushMaxMs: 10_000 });
  const append = (number: number, severity: string) => {
    const events = [{ kind: "k", severity, message: "m" }];
    return store.call("append-event", { source: "a", run: "1", number, events });
  };
  assert.equal((await append(1, "alarm")).last, 1);
  const waiting = append(2, "info");
  assert.equal(store.journal.head("event"), 1);
  await store.clock.advance(10_000);
  assert.equal((await waiting).last, 2);
});

test("a checkpoint that failed is written with the next one", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path, { checkpointMs: 1000 });
  await store.call("set-many", many(1, [point("a", 1), point("b", 2)]));
  const { journal } = store;
  const save = journal.saveCheckpoint.bind(journal);
  const sizes: number[] = [];
  journal.saveCheckpoint = async (pages, mark) => {
    sizes.push(pages.size);
    if (sizes.length === 1) throw new PlantError("STORE_FULL", { roomBytes: 1 });
    await save(pages, mark);
  };
  // Room is made although the first one failed, which takes the disk a while.
  for (let at = 0; at < 100 && sizes.length < 2; at += 1) await store.clock.advance(1000);
  assert.deepEqual(sizes, [1, 1]);
});

test("a store is replaced by one backup at a time", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const passphrase = "correct horse";
  await store.call("set-many", many(1, [point("a", 1)]));
  const { path } = await store.call("backup-create", { passphrase });
  const first = store.call("backup-restore", { path, passphrase });
  await assert.rejects(store.call("backup-restore", { path, passphrase }), code("STORE_BUSY"));
  assert.equal((await first).epoch, store.journal.epoch);
});

test("changes in parts go up to the head, each part of one epoch, and end with where they stand", async () => {
  using folder = temporaryFolder();
  for (let opening = 0; opening < 3; opening += 1) {
    await using store = await openTestStore(folder.path);
    const points = Array.from({ length: 1500 }, (_, at) => point(`k${at}`, at + opening));
    await store.call("set-many", many(opening + 1, points));
  }
  await using store = await openTestStore(folder.path);
  const parts: { epoch: string; last: number; records: { sequence: number }[] }[] = [];
  const partial = async (data: unknown) => void parts.push(JSON.parse(JSON.stringify(data)));
  const args = { stream: "state", after: 10, parts: true };
  const end = await store.call("changes", args, { partial });
  assert.deepEqual(end, { last: 6000, head: 6000 });
  assert.deepEqual(
    parts.flatMap(({ records }) => records.map(({ sequence }) => sequence)),
    Array.from({ length: 5990 }, (_, at) => at + 11),
  );
  assert.ok(parts.every(({ records, last }) => records.at(-1)?.sequence === last));
  assert.ok(parts.every(({ records }) => records.length <= 2000));
  assert.equal(new Set(parts.map(({ epoch }) => epoch)).size, 3);
});

test("changes in parts follow for as long as was asked, and stop when the caller gives up", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const parts: number[] = [];
  const partial = async (data: unknown) => void parts.push((data as { last: number }).last);
  const args = { stream: "state", after: 0, parts: true, waitMs: 1000 };
  const followed = store.call("changes", args, { partial });
  await store.call("set-many", many(1, [point("u", 1)]));
  await store.call("set-many", many(2, [point("u", 2)]));
  await store.clock.advance(1000);
  assert.deepEqual(await followed, { last: 3, head: 3 });
  assert.deepEqual(parts, [2, 3]);
  const giving = new AbortController();
  const left = store.call("changes", { ...args, after: 3 }, { partial, signal: giving.signal });
  giving.abort();
  assert.deepEqual(await left, { last: 3, head: 3 });
  const late = store.call("changes", { ...args, after: 9 }, { partial });
  await assert.rejects(late, code("SEQUENCE_AHEAD"));
  const tooMany = store.call("changes", { ...args, limit: 2001 }, { partial });
  await assert.rejects(tooMany, code("LIMIT_REACHED"));
});
