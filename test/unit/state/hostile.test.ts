// What peers that mean harm, or do not know better, ask of the store: refused, and nothing is left.
// It must not know the bus.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { hasCode } from "../../../src/util/errors.ts";
import { bootId, openTestStore, temporaryFolder } from "../../fakes/store.ts";

const code = (name: Parameters<typeof hasCode>[1]) => (error: unknown) => hasCode(error, name);
const passphrase = "correct horse";

function many(number: number, points: readonly object[], source = "driver.x"): object {
  return { source, run: "r", number, points };
}

const text = (key: string, length: number) => ({ scope: "a", key, value: "x".repeat(length) });

test("values that are texts find the room of valuesMiB, and no more, over a restart too", async () => {
  using folder = temporaryFolder();
  const settings = { valuesMiB: 1 };
  const fifteen = Array.from({ length: 15 }, (_, at) => text(`k${at}`, 65_000));
  {
    await using store = await openTestStore(folder.path, settings);
    await store.call("set-many", many(1, fifteen));
    const over = many(2, [text("more", 60_000), text("yet", 60_000)]);
    await assert.rejects(store.call("set-many", over), code("LIMIT_REACHED"));
    const json = { scope: "a", key: "j", value: { list: Array.from({ length: 20_000 }, () => 1) } };
    await store.call("set-many", many(2, [json]));
    const others = [json, { ...json, key: "k" }].map((one, at) => ({ ...one, key: `l${at}` }));
    await assert.rejects(store.call("set-many", many(3, others)), code("LIMIT_REACHED"));
  }
  await using store = await openTestStore(folder.path, settings);
  const over = many(3, [text("more", 60_000)]);
  await assert.rejects(store.call("set-many", over), code("LIMIT_REACHED"));
  // What replaces as much, what is shorter, and numbers are taken.
  await store.call("set-many", many(3, fifteen));
  await store.call("set-many", many(4, [{ scope: "a", key: "number", value: 7 }]));
  await store.call("set-many", many(5, [text("k0", 10)]));
  await store.call("set-many", over);
});

test("a full room takes what grows together with what shrinks in one request", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path, { valuesMiB: 1 });
  const full = Array.from({ length: 16 }, (_, at) => text(`k${at}`, 65_000));
  await store.call("set-many", many(1, full));
  await store.call("set-many", many(2, [text("k0", 1), text("fresh", 60_000)]));
  const twice = [text("k1", 1), text("k1", 65_000), text("new", 64_000)];
  await assert.rejects(store.call("set-many", many(3, twice)), code("LIMIT_REACHED"));
  await store.call("delete-many", { points: full.map(({ scope, key }) => ({ scope, key })) });
  await store.call("set-many", many(3, twice));
});

test("a schema that is refused does not hold", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path, { pointsMax: 1 });
  await store.call("set-many", many(1, [{ scope: "a", key: "k", value: 1 }]));
  const schema = { points: {}, others: "refuse" };
  await assert.rejects(
    store.call("schema-set", { scope: "a", schema, keep: true }),
    code("LIMIT_REACHED"),
  );
  await assert.rejects(store.call("schema-get", { scope: "a" }), code("STATE_NOT_FOUND"));
  await store.call("set-many", many(2, [{ scope: "a", key: "k", value: 2 }]));
});

test("an import that is refused leaves none of its sources' points", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const schema = { points: { "*": { type: "f64" } } };
  await store.call("schema-set", { scope: "strict", schema });
  const time = { wall: 1, boot: bootId, mono: 1, sync: "none" };
  const line = (point: object) => JSON.stringify({ quality: "good", time, ...point });
  const lines = [
    line({ scope: "a", key: "one", value: 1, source: "s1" }),
    line({ scope: "strict", key: "two", value: "x", source: "s2" }),
  ];
  const refused = store.call("import", { first: 2, lines });
  await assert.rejects(refused, code("SCHEMA_VIOLATED"));
  await assert.rejects(store.call("get", { scope: "a", key: "one" }), code("STATE_NOT_FOUND"));
  const right = [lines[0], line({ scope: "strict", key: "two", value: 2, source: "s2" })];
  assert.equal((await store.call("import", { first: 2, lines: right })).new, 2);
  const { source } = await store.call("get", { scope: "strict", key: "two" });
  assert.equal(source, "s2");
});

test("a list of pairs is not the object of the same pairs", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const time = { wall: 1, boot: bootId, mono: 1, sync: "none" };
  const line = (value: unknown) =>
    JSON.stringify({ scope: "a", key: "k", value, quality: "good", time, source: "s" });
  await store.call("import", { first: 2, lines: [line({ b: 1, a: 2 })] });
  const fates = async (value: unknown) =>
    await store.call("import", { first: 2, lines: [line(value)], dryRun: true });
  assert.equal((await fates({ a: 2, b: 1 })).same, 1);
  assert.equal((await fates([["a", 2], ["b", 1]])).kept, 1); // biome-ignore format: pairs
});

const schemas: Record<string, object> = {
  "more patterns than are tried": Object.fromEntries(
    Array.from({ length: 65 }, (_, at) => [`${at}*`, {}]),
  ),
  "more stars than are tried": { [`${"*a".repeat(9)}b`]: {} },
};
for (const [name, points] of Object.entries(schemas)) {
  test(`a schema with ${name} is refused`, async () => {
    using folder = temporaryFolder();
    await using store = await openTestStore(folder.path);
    const asked = { scope: "a", schema: { points } };
    await assert.rejects(store.call("schema-set", asked), code("LIMIT_REACHED"));
  });
}

test("a rule that the check of shapes would lose is refused, not lost", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  for (const name of ["__proto__", "constructor", "prototype"]) {
    const asked = `{"scope":"a","schema":{"points":{"${name}":{"type":"text"}}}}`;
    await assert.rejects(store.call("schema-set", asked), code("REQUEST_MALFORMED"));
  }
  const toText = '{"scope":"a","schema":{"points":{"toString":{"enum":[{"b":1,"a":[2]}]}}}}';
  await store.call("schema-set", toText);
  const fits = { scope: "a", key: "toString", value: { a: [2], b: 1 } };
  await store.call("set-many", many(1, [fits]));
  const unfit = many(2, [{ ...fits, value: { a: [2], b: 2 } }]);
  await assert.rejects(store.call("set-many", unfit), code("SCHEMA_VIOLATED"));
});

const half = "\ud800";
const event = { kind: "k", severity: "info", message: "m" };
const far = { wall: 2 ** 51, boot: bootId, mono: 1, sync: "none" };
const one = { scope: "a", key: "k", value: 1 };
const refused: Record<string, [operation: string, args: object]> = {
  "half a character as source": ["set-many", many(1, [one], half)],
  "half a character as run": ["set-many", { ...many(1, [one]), run: half }],
  "half a character as person": ["set-many", { ...many(1, [one]), by: half }],
  "half a character as source of events": [
    "append-event",
    { source: half, run: "r", number: 1, events: [event] },
  ],
  "half a character as consumer": ["ack", { consumer: half, stream: "state", sequence: 0 }],
  "half a character as consumer to add": ["consumer-add", { consumer: half }],
  "a time that cannot be kept": ["set-many", many(1, [{ ...one, time: far }])],
  "a time since boot that cannot be kept": [
    "set-many",
    many(1, [{ ...one, time: { ...far, wall: 1, mono: -1e300 } }]),
  ],
  "an event's time that cannot be kept": [
    "append-event",
    { source: "s", run: "r", number: 1, events: [{ ...event, time: far }] },
  ],
};
for (const [name, [operation, args]] of Object.entries(refused)) {
  test(`${operation} refuses ${name}`, async () => {
    using folder = temporaryFolder();
    await using store = await openTestStore(folder.path);
    await assert.rejects(store.call(operation, args), code("REQUEST_MALFORMED"));
  });
}

test("a point named twice in one deletion is deleted, and counted, once", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  await store.call("set-many", many(1, [one]));
  const points = [one, one].map(({ scope, key }) => ({ scope, key }));
  assert.deepEqual(await store.call("delete-many", { points, by: "me" }), { deleted: 1 });
  assert.equal(store.journal.head("event"), 1);
});

function put(name: string, bytes: Buffer, sha256?: string): object {
  const hash = sha256 ?? createHash("sha256").update(bytes).digest("hex");
  return { name, from: 0, bytes: bytes.toString("base64"), sha256: hash };
}

test("no file that comes replaces a backup, and what does not come whole does not stay", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const { path } = await store.call("backup-create", { passphrase });
  const name = path.slice(path.lastIndexOf("/") + 1);
  const sealed = readFileSync(path);
  const refusal = store.call("backup-put", put(name, Buffer.from("other")));
  await assert.rejects(refusal, code("REQUEST_MALFORMED"));
  assert.deepEqual(readFileSync(path), sealed);
  assert.equal((await store.call("backup-put", put(name, sealed))).path, path);
  const part = (of: string) => ({ name: of, from: 0, bytes: "AAAA" });
  await store.call("backup-put", part("x.plantbackup"));
  await store.call("backup-put", part("y.plantbackup"));
  assert.ok(!existsSync(join(folder.path, "b", "x.plantbackup.coming")));
  assert.ok(existsSync(join(folder.path, "b", "y.plantbackup.coming")));
});

test("what is no file is neither read nor listed as a backup", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const backups = join(folder.path, "b");
  mkdirSync(join(backups, "folder.plantbackup"), { recursive: true });
  assert.deepEqual(await store.call("backup-list"), { backups: [] });
  const isNoFile = (error: { detail?: { reason?: string } }) =>
    hasCode(error, "BACKUP_UNREADABLE") && error.detail?.reason === "it is no file";
  for (const path of ["/dev/zero", "folder.plantbackup"]) {
    await assert.rejects(store.call("backup-verify", { path, passphrase }), isNoFile);
  }
  await assert.rejects(store.call("backup-read", { name: "folder.plantbackup" }), isNoFile);
});

test("a sealed file whose head asks for a gigabyte of memory is not worked on", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const { path } = await store.call("backup-create", { passphrase });
  const sealed = readFileSync(path);
  sealed[9] = 20;
  writeFileSync(path, sealed);
  const refusal = store.call("backup-verify", { path, passphrase });
  await assert.rejects(refusal, code("BACKUP_UNREADABLE"));
});

test("backups are made one at a time", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const first = store.call("backup-create", { passphrase });
  await assert.rejects(store.call("backup-create", { passphrase }), code("STORE_BUSY"));
  await first;
});
