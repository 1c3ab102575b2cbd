// The walk over LMDB's pages: sound files pass, each damaged field has its sentence, and no bytes
// make it throw or run on. It must not know tables or rows.
import assert from "node:assert/strict";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { flawOfPages, openDisk, type Write, walkPages } from "../../../src/disk/disk.ts";
import { flawOfBranches } from "../../../src/disk/pages.ts";
import { seededRandom } from "../../../src/util/random.ts";
import { temporaryFolder } from "../../fakes/store.ts";

const pageBytes = 4096;
const roomBytes = 64 * 1_048_576;
const seed = Number(process.env.PLANTD_SEED ?? process.hrtime()[1]);

const put = (table: string, key: string, bytes: number): Write => ({
  table,
  key: Buffer.from(key),
  value: Buffer.alloc(bytes, 7),
});
const remove = (table: string, key: string): Write => ({ table, key: Buffer.from(key) });
const name = (at: number) => `k${String(at).padStart(6, "0")}`;

/** Commits of many shapes, each a store of its own. */
const shapes: Record<string, readonly (readonly Write[])[]> = {
  "one row": [[put("t", "a", 10)]],
  "a table emptied": [[put("t", "a", 10)], [remove("t", "a")]],
  "an empty value": [[put("t", "a", 0)]],
  "odd lengths": [[1, 2, 3, 5, 7, 11].map((bytes) => put("t", `k${"x".repeat(bytes)}`, bytes))],
  "the longest keys": [[1, 2, 3, 4, 5].map((at) => put("t", `${at}${"k".repeat(1899)}`, 90))],
  "values about a page": [[2000, 2036, 4072, 4073, 8168].map((n) => put("t", `v${n}`, n))],
  "many tables": [Array.from({ length: 20 }, (_, at) => put(`table${at}`, "a", at * 300))],
  "blocks appended and the oldest removed": Array.from({ length: 40 }, (_, at) => [
    put("log", name(at), 100_000),
    put("meta", "head", 8),
    ...(at < 8 ? [] : [remove("log", name(at - 8))]),
  ]),
  "three levels of branches": Array.from({ length: 12 }, (_, at) =>
    Array.from({ length: 300 }, (_, row) =>
      put("t", `${(row * 7919 + at) % 1000}${"k".repeat(600)}`, 30),
    ),
  ),
  "all removed": [
    Array.from({ length: 900 }, (_, at) => put("t", name(at), 200)),
    Array.from({ length: 900 }, (_, at) => remove("t", name(at))),
    [put("u", "a", 1)],
  ],
};

test("every shape a store takes is sound, page for page", async () => {
  for (const [shape, commits] of Object.entries(shapes)) {
    using folder = temporaryFolder();
    const file = join(folder.path, "data.mdb");
    {
      await using disk = await openDisk({ folder: folder.path, roomBytes });
      for (const writes of commits) {
        await disk.commit(writes);
        assert.equal(flawOfBranches(file), undefined, shape);
      }
      assert.equal(flawOfPages(file), undefined, shape);
      const copy = join(folder.path, "copy.mdb");
      await disk.backup(copy);
      const counts = walkPages(copy);
      assert.ok(typeof counts === "object" && counts.lost === 0, `${shape}: ${counts}`);
    }
    const counts = walkPages(file);
    assert.ok(typeof counts === "object", `${shape}: ${counts}`);
    assert.equal(counts.lost + counts.reached + counts.free, counts.pages, shape);
  }
});

test("random commits leave sound files, also over a compact copy", async () => {
  const random = seededRandom(seed);
  const whole = (below: number) => Math.floor(random.unit() * below);
  using folder = temporaryFolder();
  for (let round = 0; round < 3; round += 1) {
    await using disk = await openDisk({ folder: folder.path, roomBytes });
    for (let commit = 0; commit < 20; commit += 1) {
      const writes = new Map<string, Write>();
      for (let at = whole(60); at >= 0; at -= 1) {
        const table = `t${whole(3)}`;
        const key = `${"k".repeat(whole(random.unit() < 0.1 ? 900 : 9))}${whole(300)}`;
        const bytes = whole(random.unit() < 0.1 ? 40_000 : 300);
        writes.set(table + key, random.unit() < 0.4 ? remove(table, key) : put(table, key, bytes));
      }
      await disk.commit([...writes.values()]);
      assert.equal(flawOfPages(join(folder.path, "data.mdb")), undefined, `seed ${seed}`);
    }
    const copy = join(folder.path, "copy");
    await disk.backup(copy);
    await disk[Symbol.asyncDispose]();
    copyFileSync(copy, join(folder.path, "data.mdb"));
  }
});

/** A sound file with two levels, overflow pages, and a free list; and where things are in it. */
async function makeSample(folder: string): Promise<Buffer> {
  await using disk = await openDisk({ folder, roomBytes });
  const rows = Array.from({ length: 200 }, (_, at) => put("t", name(at), 150));
  await disk.commit([...rows, put("t", "z", 9000), put("t", "y", 5000)]);
  for (let at = 0; at < 6; at += 1) await disk.commit([put("t", "x", 20_000), put("u", "a", at)]);
  await disk[Symbol.asyncDispose]();
  return readFileSync(join(folder, "data.mdb"));
}

/** Offsets in a data file, read without any check. */
class Sample {
  readonly bytes: Buffer;
  constructor(bytes: Buffer) {
    this.bytes = Buffer.from(bytes);
  }
  number(at: number): number {
    return this.bytes.readUInt32LE(at);
  }
  /** The newest meta record, and the other one. */
  meta(which: "newest" | "oldest"): number {
    const isSecond = this.number(24 + 128) < this.number(pageBytes + 24 + 128);
    return ((which === "newest") === isSecond ? pageBytes : 0) + 24;
  }
  root(tree: "free" | "main"): number {
    return this.number(this.meta("newest") + (tree === "free" ? 24 : 72) + 40) * pageBytes;
  }
  node(page: number, index: number): number {
    return page + 24 + this.bytes.readUInt16LE(page + 24 + index * 2);
  }
  value(node: number): number {
    return node + 8 + this.bytes.readUInt16LE(node + 6);
  }
  /** The record of table `t`, its root, one of its leaves, and the last leaf, which has overflow. */
  record(): number {
    return this.value(this.node(this.root("main"), 0));
  }
  branch(): number {
    return this.number(this.record() + 40) * pageBytes;
  }
  leaf(index: number): number {
    return this.number(this.node(this.branch(), index)) * pageBytes;
  }
  count(page: number): number {
    return this.bytes.readUInt16LE(page + 20) / 2;
  }
  lastLeaf(): number {
    return this.leaf(this.count(this.branch()) - 1);
  }
  /** The node of `z`, whose value is on pages of its own. */
  big(): number {
    return this.node(this.lastLeaf(), this.count(this.lastLeaf()) - 1);
  }
  freeList(): number {
    return this.value(this.node(this.root("free"), 0));
  }
}

type Damage = readonly [change: (file: Sample) => void, sentence: string];
const u16 = (at: (file: Sample) => number, value: number) => (file: Sample) => {
  file.bytes.writeUInt16LE(value, at(file));
};
const u32 = (at: (file: Sample) => number, value: number) => (file: Sample) => {
  file.bytes.writeUInt32LE(value, at(file));
};
const newest = (offset: number) => (file: Sample) => file.meta("newest") + offset;

/** What is damaged, and what is said of it; numbers are left out of the sentences. */
const damages: Record<string, Damage> = {
  "magic of the first page": [u32(() => 24, 1), "its first pages are none of a store"],
  "version of the second page": [
    u32(() => pageBytes + 28, 1),
    "its first pages are none of a store",
  ],
  "version of the first page": [u32(() => 28, 1), "it is in version # of LMDB's format"],
  "flags of a first page": [u16(() => pageBytes + 18, 0), "its first pages are none of a store"],
  "number of a first page": [u32(() => pageBytes, 7), "its first pages are none of a store"],
  "size of pages": [u32(() => 48, 8192), "its first pages are none of a store"],
  "size of pages that is none": [u32(() => 48, 5000), "its first pages are none of a store"],
  "flag of a commit without flush": [
    u16(newest(28), 0x1008),
    "its newest commit was never flushed",
  ],
  "last page": [u32(newest(120), 900_000), "it has # of # pages"],
  "root of the main tree": [u32(newest(112), 800_000), "a root is not there"],
  "root of the free list": [u32(newest(64), 1), "a root is not there"],
  "the other root of the free list": [
    (file) => file.bytes.writeUInt32LE(file.root("main") / pageBytes, file.meta("newest") + 64),
    "page # of the free list is met twice",
  ],
  "levels of the free list": [u16(newest(30), 0), "the free list has # levels"],
  "entries of the free list": [
    u32(newest(56), 77),
    "the free list says it has # entries and has #",
  ],
  "pages of the main tree": [
    u32(newest(88), 5),
    "the table of tables says it has # leaf pages and has #",
  ],
  "levels of a table": [u16((file) => file.record() + 6, 40), "table t has # levels"],
  "one level more": [
    u16((file) => file.record() + 6, 3),
    "page # of table t has the flags # and is no branch",
  ],
  "one level less": [
    u16((file) => file.record() + 6, 1),
    "page # of table t has the flags # and is no leaf",
  ],
  "kind of a table": [u16((file) => file.record() + 4, 4), "table t has duplicates"],
  "root of a table": [u32((file) => file.record() + 40, 0), "table t leads to page #"],
  "root of a table, its upper half": [
    u32((file) => file.record() + 44, 1),
    "table t leads to page #",
  ],
  "root of a table beyond all": [
    u32((file) => file.record() + 44, 2 ** 32 - 2),
    "table t leads to page #",
  ],
  "length of a record": [
    u16((file) => file.node(file.root("main"), 0), 47),
    "node # of page # of the table of tables is the record of no table",
  ],
  "flags of a record": [
    u16((file) => file.node(file.root("main"), 0) + 4, 6),
    "node # of page # of the table of tables has the flags #",
  ],
  "branch pages of a table": [
    u32((file) => file.record() + 8, 2),
    "table t says it has # branch pages and has #",
  ],
  "overflow pages of a table": [
    u32((file) => file.record() + 24, 2),
    "table t says it has # overflow pages and has #",
  ],
  "entries of a table": [
    u32((file) => file.record() + 32, 2),
    "table t says it has # entries and has #",
  ],
  "number of a branch": [u32((file) => file.branch(), 3), "page # of table t is page #"],
  "number of a leaf": [u32((file) => file.leaf(1), 3), "page # of table t is page #"],
  "age of a leaf": [
    u32((file) => file.leaf(1) + 8, 999),
    "page # of table t is younger than what leads to it",
  ],
  "flags of a leaf": [
    u16((file) => file.leaf(1) + 18, 0x22),
    "page # of table t has the flags # and is no leaf",
  ],
  "lower bound of a leaf, odd": [
    (file) => file.bytes.writeUInt16LE(file.count(file.leaf(1)) * 2 + 1, file.leaf(1) + 20),
    "page # of table t has the bounds # and #",
  ],
  "lower bound of a leaf, one less": [
    (file) => file.bytes.writeUInt16LE(file.count(file.leaf(1)) * 2 - 2, file.leaf(1) + 20),
    "page # of table t has no node at #",
  ],
  "upper bound of a leaf": [
    u16((file) => file.leaf(1) + 22, 65_000),
    "page # of table t has the bounds # and #",
  ],
  "offset of a node": [u16((file) => file.leaf(1) + 24, 4090), "page # of table t has node # at #"],
  "offset of a node, odd": [
    u16((file) => file.leaf(1) + 26, 2001),
    "page # of table t has node # at #",
  ],
  "two nodes at one place": [
    (file) => file.bytes.copy(file.bytes, file.leaf(1) + 26, file.leaf(1) + 24, file.leaf(1) + 26),
    "page # of table t has node # at #",
  ],
  "length of a key": [
    u16((file) => file.node(file.leaf(1), 1) + 6, 9),
    "page # of table t has no node at #",
  ],
  "a key without bytes": [
    (file) => {
      const node = file.node(file.leaf(1), 1);
      file.bytes.writeUInt16LE(0, node + 6);
      file.bytes.writeUInt16LE(157, node);
    },
    "page # of table t has a key of # bytes at node #",
  ],
  "length of a value": [
    u32((file) => file.node(file.leaf(1), 1), 3_000_000_000),
    "page # of table t has nodes that overlap",
  ],
  "order of keys": [
    (file) => file.bytes.write("k9", file.node(file.leaf(1), 1) + 8),
    "page # of table t has node # out of order",
  ],
  "a key of another page": [
    (file) => file.bytes.write("a", file.node(file.leaf(1), 0) + 8),
    "page # of table t has keys of another page",
  ],
  "a last key of another page": [
    (file) => {
      const leaf = file.leaf(1);
      file.bytes.write("z", file.node(leaf, file.count(leaf) - 1) + 8);
    },
    "page # of table t has keys of another page",
  ],
  "flags of a node": [
    u16((file) => file.node(file.leaf(1), 0) + 4, 4),
    "node # of page # of table t has the flags #",
  ],
  "what a branch leads to": [
    (file) => file.bytes.writeUInt16LE(file.branch() / pageBytes, file.node(file.branch(), 0)),
    "page # of table t is met twice",
  ],
  "a branch beyond the end": [
    u16((file) => file.node(file.branch(), 0) + 4, 1),
    "table t leads to page #",
  ],
  "a branch with one child": [
    (file) => {
      const branch = file.branch();
      const first = file.node(branch, 0);
      file.bytes.copy(file.bytes, branch + pageBytes - 8, first, first + 8);
      file.bytes.writeUInt16LE(0, branch + pageBytes - 2);
      file.bytes.writeUInt16LE(2, branch + 20);
      file.bytes.writeUInt16LE(pageBytes - 32, branch + 22);
      file.bytes.writeUInt16LE(pageBytes - 32, branch + 24);
    },
    "page # of table t leads to one page",
  ],
  "pages of a value": [
    (file) => file.bytes.writeUInt8(9, file.value(file.big()) + 16),
    "table t has # pages at # for a value of # bytes",
  ],
  "place of a value": [
    (file) => file.bytes.writeUInt8(1, file.value(file.big())),
    "table t leads to page #",
  ],
  "length of a large value": [
    u32((file) => file.big(), 90_000),
    "table t has # pages at # for a value of # bytes",
  ],
  "number of an overflow page": [
    u32((file) => file.number(file.value(file.big())) * pageBytes, 2),
    "page # of table t is page #",
  ],
  "age of an overflow page": [
    u32((file) => file.number(file.value(file.big())) * pageBytes + 8, 1),
    "page # of table t is of another commit than what leads to it",
  ],
  "flags of an overflow page": [
    u16((file) => file.number(file.value(file.big())) * pageBytes + 18, 2),
    "page # of table t has the flags # and is no overflow",
  ],
  "pages of an overflow page": [
    u32((file) => file.number(file.value(file.big())) * pageBytes + 20, 4),
    "page # of table t has # pages",
  ],
  "length of a free list": [
    u32((file) => file.freeList(), 4000),
    "a list on page # of the free list is shorter than it says",
  ],
  "a free page beyond the end": [
    u32((file) => file.freeList() + 8, 700_000),
    "the free list names page # and # more",
  ],
  "a free page in use": [
    (file) => {
      file.bytes.writeUInt32LE(1, file.freeList());
      file.bytes.writeBigInt64LE(BigInt(file.root("main") / pageBytes), file.freeList() + 8);
    },
    "page # is free and in use",
  ],
  "a page that is free twice": [
    (file) => {
      const at = file.freeList();
      const page = file.bytes.readBigInt64LE(at + 8);
      const free = page < 0n ? file.bytes.readBigInt64LE(at + 16) : page;
      file.bytes.writeUInt32LE(2, at);
      file.bytes.writeBigInt64LE(free, at + 8);
      file.bytes.writeBigInt64LE(free, at + 16);
    },
    "page # is free twice",
  ],
  "a run of free pages without its page": [
    (file) => {
      file.bytes.writeUInt32LE(1, file.freeList());
      file.bytes.writeBigInt64LE(-2n, file.freeList() + 8);
    },
    "a list on page # of the free list ends in the middle of a run",
  ],
  "an endless run of free pages": [
    (file) => {
      file.bytes.writeUInt32LE(2, file.freeList());
      file.bytes.writeBigInt64LE(-(2n ** 62n), file.freeList() + 8);
      file.bytes.writeBigInt64LE(2n, file.freeList() + 16);
    },
    "the free list names page # and # more",
  ],
  "a page in use that is called free": [
    (file) => {
      file.bytes.writeUInt32LE(1, file.freeList());
      file.bytes.writeBigInt64LE(BigInt(file.leaf(1) / pageBytes), file.freeList() + 8);
    },
    "page # of table t is free, too",
  ],
  "key of the free list": [
    u16((file) => file.node(file.root("free"), 0) + 6, 7),
    "page # of the free list has a key of # bytes at node #",
  ],
};

test("each damaged field is told in a sentence", async () => {
  using folder = temporaryFolder();
  const sound = await makeSample(folder.path);
  const path = join(folder.path, "wrong.mdb");
  writeFileSync(path, sound);
  assert.equal(flawOfPages(path), undefined);
  const told = Object.entries(damages).map(([what, [change]]) => {
    const file = new Sample(sound);
    change(file);
    writeFileSync(path, file.bytes);
    return [what, flawOfPages(path)?.replace(/\d[\d.e+]*/g, "#")];
  });
  assert.deepEqual(
    told,
    Object.entries(damages).map(([what, [, sentence]]) => [what, sentence]),
  );
});

test("what ends early is told, and what is not there or empty is no flaw", async () => {
  using folder = temporaryFolder();
  const sound = await makeSample(folder.path);
  const path = join(folder.path, "wrong.mdb");
  assert.equal(flawOfPages(path), undefined);
  for (let bytes = 0; bytes < sound.length; bytes += bytes < 8192 ? 100 : 2048) {
    writeFileSync(path, sound.subarray(0, bytes));
    const flaw = flawOfPages(path);
    const pages = walkPages(join(folder.path, "data.mdb"));
    assert.ok(typeof pages === "object");
    const isWhole = bytes === 0 || Math.floor(bytes / pageBytes) >= pages.pages - pages.free;
    if (!isWhole) assert.ok(flaw !== undefined, `cut to ${bytes}`);
  }
});

test("no bytes make the walk throw or run on", async () => {
  using folder = temporaryFolder();
  const sound = await makeSample(folder.path);
  const path = join(folder.path, "wrong.mdb");
  const random = seededRandom(seed);
  const whole = (below: number) => Math.floor(random.unit() * below);
  let told = 0;
  for (let round = 0; round < 200; round += 1) {
    const bytes = Buffer.from(sound);
    for (let flips = 1 + whole(8); flips > 0; flips -= 1) {
      const page = whole(sound.length / pageBytes);
      // Heads and records are where flips matter most.
      const at = page * pageBytes + whole(random.unit() < 0.7 ? 200 : pageBytes);
      bytes.writeUInt8((bytes.readUInt8(at) ^ (1 << whole(8))) & 0xff, at);
    }
    if (random.unit() < 0.2) {
      const page = whole(sound.length / pageBytes) * pageBytes;
      bytes.copy(bytes, whole(sound.length / pageBytes) * pageBytes, page, page + pageBytes);
    }
    writeFileSync(path, bytes);
    try {
      if (flawOfPages(path) !== undefined) told += 1;
      flawOfBranches(path);
    } catch (error) {
      throw new Error(`seed ${seed}, round ${round}`, { cause: error });
    }
  }
  assert.ok(told > 40, `seed ${seed}: ${told} were told`);
});
