// What the centre holds after a gateway's store was damaged, went back to a snapshot, or to what
// could be read of it: the real store under sync's decisions and the centre's, over a true broker.
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openDisk, type Row } from "../../../src/disk/disk.ts";
import { answerInspection } from "../../../src/journal/inspector.ts";
import { openTestStore, type TestStore, temporaryFolder } from "../../fakes/store.ts";
import { RealUpstream } from "../../simulation/real-store.ts";

const roomBytes = 64 * 1_048_576;
let serial = 0;

/** Sets points of one scope, in one commit. */
async function set(store: TestStore, values: Record<string, unknown>, more: object = {}) {
  serial += 1;
  const points = Object.entries(values).map(([key, value]) => ({
    scope: "device/pump",
    key,
    value,
    ...more,
  }));
  const asked = { source: "test", run: `r${serial}`, number: 1, flush: "now", points };
  return (await store.call("set-many", asked)) as { first: number; last: number };
}

/** Does something to the log of a store that is closed. */
async function damage(folder: string, act: (rows: Row[]) => Row[]): Promise<void> {
  await using disk = await openDisk({ folder: join(folder, "s"), roomBytes });
  const rows = act([...disk.range("log", { to: Buffer.from([1]) })]);
  await disk.commit(rows.map(({ key, value }) => ({ table: "log", key, value })));
}

function flipped({ key, value }: Row): Row {
  const bytes = Buffer.from(value);
  bytes[bytes.length - 3]! ^= 4;
  return { key, value: bytes };
}

test("a block that is damaged before it went up costs the centre no latest value", async () => {
  using folder = temporaryFolder();
  {
    await using store = await openTestStore(folder.path);
    await store.call("position", { consumer: "sync", register: true });
    await set(store, { a: 1, b: 1 });
    // The damaged one: it defines c and d, and has the last value of a and c.
    await set(store, { a: 2, b: 2, c: 2, d: 2 }, { quality: "uncertain" });
    await set(store, { b: 3, d: 3 });
  }
  await damage(folder.path, (rows) => [flipped(rows[1]!)]);
  await using store = await openTestStore(folder.path);
  const upstream = new RealUpstream(store);
  await upstream.settle();
  assert.deepEqual(upstream.refusals, []);
  assert.deepEqual(upstream.latest(), await upstream.held());
  await set(store, { c: 4, e: 4 });
  await upstream.settle();
  assert.deepEqual(upstream.latest(), await upstream.held());
  assert.deepEqual(Object.keys(upstream.latest()).length, 5);
  assert.deepEqual(upstream.refusals, []);
});

test("what survives of a large damaged block is shared out over covers of bounded size", async () => {
  using folder = temporaryFolder();
  const many = Object.fromEntries(
    Array.from({ length: 900 }, (_, at) => [`k${at}`, `${at} ${"x".repeat(500)}`]),
  );
  {
    await using store = await openTestStore(folder.path);
    await set(store, { a: 1 });
    await set(store, many);
    await set(
      store,
      Object.fromEntries(
        Object.keys(many)
          .slice(0, 300)
          .map((key) => [key, 1]),
      ),
    );
  }
  await damage(folder.path, (rows) => [flipped(rows[1]!)]);
  await using store = await openTestStore(folder.path);
  const upstream = new RealUpstream(store);
  await upstream.settle();
  assert.deepEqual(upstream.refusals, []);
  assert.deepEqual(upstream.latest(), await upstream.held());
  assert.equal(Object.keys(upstream.latest()).length, 901);
  const asked = { stream: "state", limit: 9, bytesMax: 200_000, coversDamage: true };
  for (let after = 1; after < 1801; ) {
    const { records, last } = await store.call("changes", { ...asked, after });
    assert.ok(JSON.stringify(records).length < 400_000, "an answer is bounded");
    assert.ok(records[0].sequence <= after + 1 && last > after, "it goes on where it ended");
    after = last;
  }
});

/** Puts another data file in the place of a store's. */
function replace(folder: string, file: string): void {
  rmSync(join(folder, "s", "lock.mdb"), { force: true });
  copyFileSync(file, join(folder, "s", "data.mdb"));
}

/** No number of an epoch was used for two records, and no epoch came twice. */
function assertOnce(upstream: RealUpstream): void {
  const used = new Map<string, string>();
  for (const { epoch, stream, sequence, text } of upstream.sent) {
    const name = `${epoch} ${stream} ${sequence}`;
    assert.equal(used.get(name) ?? text, text, name);
    used.set(name, text);
  }
}

async function reopened(folder: string, upstream: RealUpstream): Promise<TestStore> {
  const store = await openTestStore(folder);
  upstream.store = store;
  upstream.connect();
  return store;
}

test("a gateway back at a snapshot uses no number twice, and the centre ends with its values", async () => {
  using folder = temporaryFolder();
  const snapshot = join(folder.path, "snapshot.mdb");
  let store = await openTestStore(folder.path);
  const upstream = new RealUpstream(store);
  const epochs = [store.journal.epoch];
  await set(store, { a: 1, b: 1 });
  await upstream.settle();
  await store.journal.backup(snapshot);
  // The centre applies what the snapshot has not: new values, a new point, a deletion.
  await set(store, { a: 2, c: 2 });
  await store.call("delete", { service: "device/pump", key: "b" });
  await set(store, { a: 3 });
  await upstream.settle();
  assert.deepEqual(Object.keys(upstream.latest()), ["device/pump a", "device/pump c"]);
  // Twice from the same one: both lives write under the same sequences.
  for (const value of [10, 20]) {
    await store[Symbol.asyncDispose]();
    replace(folder.path, snapshot);
    store = await reopened(folder.path, upstream);
    epochs.push(store.journal.epoch);
    assert.equal(store.journal.head("state"), 4);
    await upstream.settle();
    assert.deepEqual(upstream.latest(), await upstream.held(), "before anything new");
    await set(store, { b: value, d: value });
    await upstream.settle();
    assert.deepEqual(upstream.latest(), await upstream.held());
    assert.deepEqual(Object.keys(upstream.latest()).length, 3);
  }
  assert.equal(new Set(epochs).size, 3);
  assertOnce(upstream);
  assert.deepEqual(upstream.refusals, []);
  await store[Symbol.asyncDispose]();
});

test("a gateway that goes on with its remains uses no number twice, and values agree", async () => {
  using folder = temporaryFolder();
  let store = await openTestStore(folder.path);
  const upstream = new RealUpstream(store);
  const before = store.journal.epoch;
  await set(store, { a: 1, b: 1 });
  await upstream.settle();
  // What the centre has applied, what it has not, and what it has not and is damaged.
  await set(store, { a: 2, c: 2 });
  await upstream.settle();
  await set(store, { a: 3, d: 3 });
  await set(store, { b: 4, d: 4 });
  const known = { state: store.journal.head("state") };
  await store[Symbol.asyncDispose]();
  await damage(folder.path, (rows) => [flipped(rows[1]!), flipped(rows[2]!)]);
  const place = join(folder.path, "remains");
  mkdirSync(place);
  const answer = await answerInspection({
    do: "read-remains",
    file: join(folder.path, "s", "data.mdb"),
    folder: place,
    roomBytes,
    budgetMs: 5000,
    known,
    isClosed: true,
  });
  assert.ok(answer.kind === "remains" && answer.holes.length === 1, JSON.stringify(answer));
  replace(folder.path, join(answer.folder, "data.mdb"));
  store = await reopened(folder.path, upstream);
  assert.notEqual(store.journal.epoch, before);
  assert.equal(store.journal.head("state"), known.state);
  await upstream.settle();
  assert.deepEqual(upstream.latest(), await upstream.held());
  await set(store, { c: 5, d: 5, e: 5 });
  await upstream.settle();
  assert.deepEqual(upstream.latest(), await upstream.held());
  assert.deepEqual(Object.keys(upstream.latest()).length, 5);
  assertOnce(upstream);
  assert.deepEqual(upstream.refusals, []);
  await store[Symbol.asyncDispose]();
});
