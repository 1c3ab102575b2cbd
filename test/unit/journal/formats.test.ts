// Databases of format 1, as a release of that time wrote one: read, brought up, or held as they are.
// It must not know what the records mean.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { zstdDecompressSync } from "node:zlib";
import { openDisk } from "../../../src/disk/disk.ts";
import { type Journal, streams } from "../../../src/journal/journal.ts";
import { hasCode } from "../../../src/util/errors.ts";
import { readFormat1 } from "../../fakes/format1-reader.ts";
import { openTestJournal, openTestStore, temporaryFolder } from "../../fakes/store.ts";

const vector = (name: string) =>
  zstdDecompressSync(readFileSync(`${process.cwd()}/test/vectors/store-format-1/${name}.zst`));

/** What that release said the database holds. */
const holds = JSON.parse(vector("holds.json").toString());

/** Puts the old database into a folder. */
function place(folder: string): string {
  const store = join(folder, "s");
  mkdirSync(store);
  writeFileSync(join(store, "data.mdb"), vector("data.mdb"));
  return store;
}

function recordsOf(journal: Journal, stream: (typeof streams)[number], to: number) {
  const parts: unknown[] = [];
  for (let after = 0; after < to; ) {
    const { records, last, epoch } = journal.read({ stream, after, limit: 1000, bytesMax: 4e6 });
    parts.push({ epoch, after, last, records });
    after = last;
  }
  return JSON.parse(JSON.stringify(parts));
}

test("a database of format 1 opens with all that it held, and is brought up", async () => {
  using folder = temporaryFolder();
  place(folder.path);
  for (let opening = 0; opening < 2; opening += 1) {
    await using store = await openTestStore(folder.path, { keepMs: 1e9 });
    const { journal } = store;
    assert.equal(journal.format, 2);
    for (const stream of streams) {
      const { head } = holds.position.streams[stream];
      assert.deepEqual(recordsOf(journal, stream, head), holds.streams[stream], stream);
    }
    const points: unknown[] = [];
    for (let after: string | undefined; ; ) {
      const page = await store.call("list", { after });
      points.push(...page.points);
      if (page.next === undefined) break;
      after = page.next;
    }
    assert.deepEqual(points, holds.points);
    const { streams: places, lineage } = await store.call("position", { consumer: "sync" });
    for (const stream of streams) {
      assert.equal(places[stream].watermark, holds.position.streams[stream].watermark);
    }
    assert.deepEqual(lineage.slice(0, 5), holds.lineage);
  }
});

test("what a source said to a release before is known again", async () => {
  using folder = temporaryFolder();
  place(folder.path);
  for (let opening = 0; opening < 2; opening += 1) {
    await using store = await openTestStore(folder.path);
    const again = { source: "driver.line1", run: "last", number: 1 };
    const points = [{ scope: "s", key: "k", value: 1 }];
    const { repeated, last } = await store.call("set-many", { ...again, points });
    assert.equal(repeated, true);
    assert.ok(last < holds.position.streams.state.head + 1);
  }
});

test("records of both formats are read across their boundary", async () => {
  using folder = temporaryFolder();
  place(folder.path);
  const { head } = holds.position.streams.log;
  {
    await using journal = await openTestJournal(folder.path);
    const records = [{ kind: "line", text: "new" }];
    await journal.append({ stream: "log", flush: "now", recordsMax: 1, build: () => records });
  }
  await using journal = await openTestJournal(folder.path);
  const last = recordsOf(journal, "log", head + 1).at(-1);
  assert.deepEqual(last.records, [{ kind: "line", text: "new", sequence: head + 1 }]);
  const kinds = [...journal.blocks("log", 0)].map(({ bytes }) => bytes[4]);
  assert.deepEqual([...new Set(kinds)], [1, 2]);
});

test("a database that keeps its format is written so that the release before reads it all", async () => {
  using folder = temporaryFolder();
  const store = place(folder.path);
  const { head } = holds.position.streams.state;
  const text = "ü".repeat(700);
  {
    await using journal = await openTestJournal(folder.path, { keepsFormat: true });
    assert.equal(journal.format, 1);
    const records = [
      { kind: "point", index: 1, value: -0.5 },
      { kind: "line", text },
    ];
    const source = { source: "a", run: "r", number: 4 };
    const build = () => records;
    await journal.append({ stream: "state", flush: "now", recordsMax: 2, build, source });
    await journal.side("wear").write([{ key: Buffer.from("a"), value: Buffer.from("b") }]);
    await journal.ack("sync", "state", head + 1);
    const cover = [{ kind: "cover", to: head + 9, body: {} }];
    const spanning = journal.append({
      stream: "state",
      flush: "now",
      recordsMax: 1,
      build: () => cover,
    });
    await assert.rejects(spanning, /broken invariant/);
  }
  {
    await using disk = await openDisk({ folder: store, roomBytes: 1e8 });
    const found = readFormat1(disk);
    assert.equal(found.version, 1);
    assert.deepEqual(found.records.state?.slice(head), [
      { kind: "point", index: 1, value: -0.5 },
      { kind: "line", text },
    ]);
    assert.equal(found.records.state?.length, head + 2);
    assert.equal(found.marks.sync?.state, head + 1);
    assert.deepEqual(found.sources.a?.recent, [{ number: 4, first: head + 1, last: head + 2 }]);
    assert.equal(found.lineage.length, holds.lineage.length + 1);
  }
  await using journal = await openTestJournal(folder.path);
  assert.equal(journal.format, 2);
  assert.equal(journal.head("state"), head + 2);
  assert.equal(Buffer.from(journal.side("wear").get(Buffer.from("a")) ?? "").toString(), "b");
});

test("a database brought up is refused by the release before, and a new one is of format 2", async () => {
  using folder = temporaryFolder();
  const store = place(folder.path);
  await (await openTestJournal(folder.path))[Symbol.asyncDispose]();
  await using disk = await openDisk({ folder: store, roomBytes: 1e8 });
  assert.throws(() => readFormat1(disk), /of format 2/);
  using other = temporaryFolder();
  await using journal = await openTestJournal(other.path, { keepsFormat: true });
  assert.equal(journal.format, 2);
});

test("a small row with a wrong bit is damage, and never another value", async () => {
  const damages: string[] = [];
  for (const table of ["meta", "source"]) {
    using folder = temporaryFolder();
    const store = place(folder.path);
    await (await openTestJournal(folder.path))[Symbol.asyncDispose]();
    const rows: { key: Uint8Array; value: Uint8Array }[] = [];
    {
      await using disk = await openDisk({ folder: store, roomBytes: 1e8 });
      for (const row of disk.range(table)) rows.push(row);
    }
    for (const { key, value } of rows) {
      for (const at of [0, 3, value.length - 1]) {
        const flipped = Buffer.from(value);
        flipped[at]! ^= 1;
        await putRow(store, { table, key, value: flipped });
        await openTestJournal(folder.path).then(
          (journal) => journal[Symbol.asyncDispose](),
          (error) => {
            assert.ok(hasCode(error, "STORE_DAMAGED", "STORE_FORMAT_NEWER"), String(error));
            damages.push(`${table} ${Buffer.from(key)}`);
          },
        );
        await putRow(store, { table, key, value });
      }
    }
  }
  for (const name of ["meta lineage", "meta checkpoint", "meta mark/sync", "source driver.line1"]) {
    assert.equal(damages.filter((found) => found === name).length, 3, name);
  }
});

async function putRow(folder: string, row: { table: string; key: Uint8Array; value: Uint8Array }) {
  await using disk = await openDisk({ folder, roomBytes: 1e8 });
  await disk.commit([row]);
}
