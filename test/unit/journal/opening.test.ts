// The opening of a database, row by row: what it reads of the one before, what it writes and in
// which order. It must not know LMDB.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Disk, RangeOptions, Row, Write } from "../../../src/disk/disk.ts";
import { encodeBlock } from "../../../src/journal/block.ts";
import { openEpoch } from "../../../src/journal/opening.ts";
import { blockKey, readSources } from "../../../src/journal/tables.ts";
import { seededRandom } from "../../../src/util/random.ts";
import { openTestJournal, temporaryFolder } from "../../fakes/store.ts";

const none = { state: 0, event: 0, log: 0, metric: 0 };
const first = { epoch: "a".repeat(32), parent: null, cuts: none };

/** Tables in memory; of each commit its keys, and the format that the database says after it. */
function memoryDisk() {
  const tables = new Map<string, Map<string, Uint8Array>>();
  const commits: { readonly keys: string[]; readonly said: string }[] = [];
  const tableOf = (name: string) => {
    const known = tables.get(name) ?? new Map<string, Uint8Array>();
    tables.set(name, known);
    return known;
  };
  const put = ({ table, key, value }: Write) => {
    const name = Buffer.from(key).toString("latin1");
    if (value === undefined) tableOf(table).delete(name);
    else tableOf(table).set(name, value);
    return `${table}/${name}`;
  };
  const disk = {
    get: (table: string, key: Uint8Array) =>
      tableOf(table).get(Buffer.from(key).toString("latin1")),
    *range(table: string, { from, to, reverse = false, limit }: RangeOptions = {}): Iterable<Row> {
      const rows = [...tableOf(table)]
        .map(([key, value]) => ({ key: Buffer.from(key, "latin1"), value }))
        .filter(({ key }) => from === undefined || Buffer.compare(key, from) >= 0)
        .filter(({ key }) => to === undefined || Buffer.compare(key, to) < 0)
        .sort((one, other) => Buffer.compare(one.key, other.key));
      yield* (reverse ? rows.reverse() : rows).slice(0, limit);
    },
    commit: async (writes: readonly Write[]) => {
      const keys = writes.map(put);
      commits.push({ keys, said: Buffer.from(tableOf("meta").get("format") ?? []).toString() });
    },
  };
  const json = (table: string, name: string, value: unknown) =>
    put({ table, key: Buffer.from(name), value: Buffer.from(JSON.stringify(value)) });
  const block = (to: number, runMs: number) => {
    const records = Array.from({ length: to }, () => ({ kind: "line", text: "x" }));
    const head = { stream: "log", epoch: first.epoch, first: 1, wallMs: 1, runMs } as const;
    put({ table: "log", key: blockKey("log", 1), value: encodeBlock(head, records) });
  };
  return { disk: disk as unknown as Disk, commits, json, block };
}

const open = (disk: Disk) => openEpoch(disk, seededRandom(1), false);

test("a database of an older format says the newer one when all rows are in it, not before", async () => {
  const { disk, commits, json } = memoryDisk();
  json("meta", "format", { version: 1 });
  json("meta", "lineage", [first]);
  json("source", "driver", { run: "1", recent: [{ number: 1, first: 1, last: 1 }] });
  const { format } = await open(disk);
  assert.equal(format, 2);
  const [rewritten, marked, ...more] = commits;
  assert.equal(rewritten?.keys.includes("source/driver"), true);
  assert.match(rewritten?.said ?? "", /"version":1/);
  assert.match(marked?.said ?? "", /"version":2/);
  assert.deepEqual(more, []);
});

test("the running time goes on from the newest block or what was kept, and is kept anew", async () => {
  for (const [kept, newest] of [
    [5000, 9000],
    [9000, 5000],
  ] as const) {
    const { disk, json, block } = memoryDisk();
    json("meta", "format", { version: 2 });
    json("meta", "lineage", [first]);
    json("meta", "run", { runMs: kept });
    block(3, newest);
    assert.equal((await open(disk)).runMs, 9000);
    const row = Buffer.from(disk.get("meta", Buffer.from("run")) ?? []).toString();
    assert.match(row, /"runMs":9000/);
  }
});

test("numbers go on from the newest block, and never below what the newest epoch began with", async () => {
  for (const [cut, head] of [
    [2, 3],
    [7, 7],
  ] as const) {
    const { disk, json, block } = memoryDisk();
    json("meta", "format", { version: 2 });
    json("meta", "lineage", [{ ...first, cuts: { ...none, log: cut } }]);
    block(3, 1);
    const { heads, lineage } = await open(disk);
    assert.equal(heads.log, head);
    assert.deepEqual(lineage.at(-1)?.cuts, { ...none, log: head });
  }
});

test("of the sources the one longest silent comes first", () => {
  const { disk, json } = memoryDisk();
  for (const [name, runSeconds] of Object.entries({ a: 30, b: 10, c: 20 })) {
    json("source", name, { run: "1", recent: [], runSeconds });
  }
  json("source", "d", { run: "1", recent: [] });
  assert.deepEqual([...readSources(disk).keys()], ["d", "b", "c", "a"]);
});

test("a consumer that was removed and comes again is as if it had never been far", async () => {
  using folder = temporaryFolder();
  {
    await using journal = await openTestJournal(folder.path);
    await journal.welcome("far", "log", 0);
    await journal.removeConsumer("far");
  }
  await using journal = await openTestJournal(folder.path);
  assert.deepEqual(journal.consumers(), []);
  await journal.addConsumer("far", ["log"]);
  assert.deepEqual(journal.consumers(), [{ consumer: "far", isFar: false, streams: { log: 0 } }]);
});
