// The disk: atomic commits, ranges both ways, one owner, a bounded room that can be emptied again.
// It must not know what is stored.
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { dataFile, flawOfPages, openDisk, writesMax } from "../../../src/disk/disk.ts";
import { hasCode } from "../../../src/util/errors.ts";
import { seededRandom } from "../../../src/util/random.ts";
import { temporaryFolder } from "../../fakes/store.ts";

const bytes = (text: string) => Buffer.from(text);
const put = (key: string, value = "v") => ({ table: "t", key: bytes(key), value: bytes(value) });
const roomBytes = 4 * 1_048_576;

test("a commit is there after reopening, all tables of it", async () => {
  using folder = temporaryFolder();
  {
    await using disk = await openDisk({ folder: folder.path, roomBytes });
    await disk.commit([put("a", "1"), { table: "u", key: bytes("b"), value: bytes("2") }]);
    await disk.commit([{ table: "t", key: bytes("absent") }]);
  }
  await using disk = await openDisk({ folder: folder.path, roomBytes });
  assert.equal(Buffer.from(disk.get("t", bytes("a"))!).toString(), "1");
  assert.equal(Buffer.from(disk.get("u", bytes("b"))!).toString(), "2");
  assert.equal(disk.get("t", bytes("x")), undefined);
});

const ranges: Record<string, [object, string]> = {
  everything: [{}, "abcde"],
  "from included, to excluded": [{ from: bytes("b"), to: bytes("d") }, "bc"],
  downwards: [{ reverse: true }, "edcba"],
  "downwards between": [{ from: bytes("b"), to: bytes("d"), reverse: true }, "cb"],
  "downwards between absent keys": [{ from: bytes("aa"), to: bytes("cc"), reverse: true }, "cb"],
  limited: [{ limit: 2 }, "ab"],
  "downwards, limited": [{ to: bytes("d"), reverse: true, limit: 1 }, "c"],
  "none wanted": [{ limit: 0 }, ""],
  "nothing between": [{ from: bytes("x") }, ""],
};

test("a range is in key order, from included and to excluded, both ways", async () => {
  using folder = temporaryFolder();
  await using disk = await openDisk({ folder: folder.path, roomBytes });
  await disk.commit([..."ecabd"].map((key) => put(key)));
  for (const [name, [options, expected]] of Object.entries(ranges)) {
    const keys = [...disk.range("t", options)].map(({ key }) => Buffer.from(key).toString());
    assert.equal(keys.join(""), expected, name);
  }
});

test("a folder has one owner at a time", async () => {
  using folder = temporaryFolder();
  const disk = await openDisk({ folder: folder.path, roomBytes });
  await assert.rejects(openDisk({ folder: folder.path, roomBytes }), (error) =>
    hasCode(error, "STORE_LOCKED"),
  );
  await disk[Symbol.asyncDispose]();
  await disk[Symbol.asyncDispose]();
  await assert.rejects(disk.commit([put("a")]), (error) => hasCode(error, "STORE_CLOSED"));
  await using again = await openDisk({ folder: folder.path, roomBytes });
  await again.commit([put("a")]);
});

test("what does not fit is refused whole, and there is room again after removing", async () => {
  using folder = temporaryFolder();
  await using disk = await openDisk({ folder: folder.path, roomBytes });
  const big = "x".repeat(100_000);
  const full = (error: unknown) => hasCode(error, "STORE_FULL");
  for (let round = 0; round < 3; round += 1) {
    let count = 0;
    await assert.rejects(async () => {
      for (; count < 100; count += 1) {
        await disk.commit([put(`k${count}`, big), put(`s${round}.${count}`, "small")]);
      }
    }, full);
    assert.ok(count > 25, `${count} fitted`);
    assert.equal(disk.get("t", bytes(`s${round}.${count}`)), undefined);
    assert.equal(disk.get("t", bytes(`k${count - 1}`))?.length, big.length);
    for (let at = 0; at < count; at += 1) await disk.commit([{ table: "t", key: bytes(`k${at}`) }]);
  }
  assert.ok(statSync(join(folder.path, "data.mdb")).size < roomBytes * 1.5);
});

test("a commit of too many writes, or with a key of no or too many bytes, is refused", async () => {
  using folder = temporaryFolder();
  await using disk = await openDisk({ folder: folder.path, roomBytes });
  const at = (count: number) => Array.from({ length: count }, (_, index) => put(`k${index}`));
  const limited = (error: unknown) => hasCode(error, "LIMIT_REACHED");
  await disk.commit(at(writesMax));
  await assert.rejects(disk.commit(at(writesMax + 1)), limited);
  await disk.commit([put("k".repeat(1900))]);
  await assert.rejects(disk.commit([put("a"), put("k".repeat(1901))]), limited);
  await assert.rejects(disk.commit([put("")]), limited);
  assert.equal(disk.get("t", bytes("a")), undefined);
});

test("a backup is a database of its own and leaves no other file", async () => {
  using folder = temporaryFolder();
  await using disk = await openDisk({ folder: join(folder.path, "a"), roomBytes });
  await disk.commit([put("a", "1")]);
  const { mkdirSync } = await import("node:fs");
  mkdirSync(join(folder.path, "b"));
  const size = await disk.backup(join(folder.path, "b", "data.mdb"));
  assert.ok(size > 0);
  assert.deepEqual(readdirSync(join(folder.path, "b")), ["data.mdb"]);
  await using copy = await openDisk({ folder: join(folder.path, "b"), roomBytes });
  assert.equal(Buffer.from(copy.get("t", bytes("a"))!).toString(), "1");
});

const wrong: Record<string, (file: Buffer) => Buffer> = {
  "cut to one page": (file) => file.subarray(0, 4096),
  "cut to a half": (file) => file.subarray(0, file.length / 2),
  zeros: (file) => Buffer.alloc(file.length),
  "a text": () => bytes("hello\n"),
  "first pages of something else": (file) =>
    Buffer.concat([Buffer.alloc(8192, 0x5a), file.subarray(8192)]),
  "all but the first pages of something else": (file) =>
    Buffer.concat([file.subarray(0, 8192), Buffer.alloc(file.length - 8192, 0x5a)]),
};

test("a file that is no store, or a part of one, is STORE_DAMAGED and stays as it is", async () => {
  using folder = temporaryFolder();
  const first = join(folder.path, "a");
  {
    await using disk = await openDisk({ folder: first, roomBytes });
    const keys = Array.from({ length: 800 }, (_, at) => `k${at}`);
    await disk.commit(keys.map((key) => put(key, "v".repeat(1500))));
    await disk.commit(keys.slice(0, 10).map((key) => put(key, "w".repeat(1500))));
  }
  const sound = readFileSync(join(first, "data.mdb"));
  for (const [name, change] of Object.entries(wrong)) {
    const place = join(folder.path, name.replaceAll(" ", "-"));
    mkdirSync(place);
    const file = join(place, "data.mdb");
    writeFileSync(file, change(sound));
    const open = async () => {
      await using disk = await openDisk({ folder: place, roomBytes });
      return disk.get("t", bytes("k1"));
    };
    await assert.rejects(open(), (error) => hasCode(error, "STORE_DAMAGED"), name);
    assert.deepEqual(readFileSync(file), change(sound), name);
  }
});

test("a folder that cannot be one, or holds no file, is STORE_UNUSABLE", async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, "file");
  writeFileSync(file, "x");
  mkdirSync(join(folder.path, "b", "data.mdb"), { recursive: true });
  for (const place of [file, join(file, "inner"), join(folder.path, "b")]) {
    const opened = openDisk({ folder: place, roomBytes });
    await assert.rejects(opened, (error) => hasCode(error, "STORE_UNUSABLE"), place);
  }
});

test("a store opens after every commit of its life, also when it shrinks", async () => {
  using folder = temporaryFolder();
  for (let round = 0; round < 12; round += 1) {
    await using disk = await openDisk({ folder: folder.path, roomBytes });
    const keys = Array.from({ length: 300 }, (_, at) => `k${at}`);
    await disk.commit(keys.map((key) => put(key, "v".repeat(100 * (round + 1)))));
    await disk.commit(keys.map((key) => ({ table: "t", key: bytes(key) })));
  }
});

const seed = Number(process.env.PLANTD_SEED ?? process.hrtime()[1]);

test(`a file full of holes takes no more than its bound, in a map as it was (seed ${seed})`, async () => {
  using folder = temporaryFolder();
  const random = seededRandom(seed);
  const small = roomBytes;
  await using disk = await openDisk({ folder: folder.path, roomBytes: small });
  const { mapBytes } = disk.stats();
  const keys: string[] = [];
  let refused = 0;
  for (let at = 0; refused < 6; at += 1) {
    const length = Math.floor(random.unit() * (random.unit() < 0.5 ? 200_000 : 5000));
    try {
      await disk.commit([put(`k${at}`, "x".repeat(length)), put("head", `${at}`)]);
      keys.push(`k${at}`);
    } catch (error) {
      assert.ok(hasCode(error, "STORE_FULL"));
      refused += 1;
      const gone = keys.filter(() => random.unit() < 0.5);
      await disk.commit(gone.map((key) => ({ table: "t", key: bytes(key) })));
      for (const key of gone) keys.splice(keys.indexOf(key), 1);
    }
  }
  const { usedBytes, fileBytes, ...found } = disk.stats();
  assert.equal(found.mapBytes, mapBytes);
  assert.ok(usedBytes <= small * 1.5 && fileBytes <= small * 1.5, `${usedBytes} of ${fileBytes}`);
});

test("the file is written ahead of use, and what was acknowledged is in it", async () => {
  using folder = temporaryFolder();
  const wide = 16 * 1_048_576;
  const ahead = { folder: folder.path, roomBytes: wide, aheadBytes: 1_048_576 };
  for (let round = 0; round < 3; round += 1) {
    await using disk = await openDisk(ahead);
    for (let at = 0; at < 30; at += 1)
      await disk.commit([put(`${round}.${at}`, "x".repeat(90_000))]);
    const { fileBytes, usedBytes, flushes, commits } = disk.stats();
    assert.equal(commits, 30);
    assert.ok(flushes > 2 * commits, `${flushes} flushes`);
    assert.ok(fileBytes > usedBytes, `${usedBytes} of ${fileBytes}`);
    assert.equal(flawOfPages(join(folder.path, dataFile)), undefined);
  }
  await using disk = await openDisk(ahead);
  for (const { key, value } of disk.range("t")) assert.equal(value.length, 90_000, `${key}`);
  assert.equal([...disk.range("t")].length, 90);
  assert.ok(disk.stats().fileBytes <= wide * 1.5);
});

test("zeros are not written beyond the file's bound", async () => {
  using folder = temporaryFolder();
  const small = 2 * 1_048_576;
  const options = { folder: folder.path, roomBytes: small, aheadBytes: 64 * small };
  {
    await using disk = await openDisk(options);
    for (let at = 0; at < 20; at += 1) await disk.commit([put("a", `${at}`)]);
  }
  assert.ok(statSync(join(folder.path, dataFile)).size <= small * 1.5);
});

test("a file in a newer version of the package's format is refused as it is", async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, dataFile);
  await (await openDisk({ folder: folder.path, roomBytes }))[Symbol.asyncDispose]();
  const newer = readFileSync(file);
  newer.writeUInt32LE(3, 28);
  newer.writeUInt32LE(3, 4096 + 28);
  writeFileSync(file, newer);
  await assert.rejects(openDisk({ folder: folder.path, roomBytes }), (error) =>
    hasCode(error, "STORE_FORMAT_NEWER"),
  );
  assert.deepEqual(readFileSync(file), newer);
});

test("tables may be new while zeros are written", async () => {
  using folder = temporaryFolder();
  const wide = { folder: folder.path, roomBytes: 16 * 1_048_576, aheadBytes: 4 * 1_048_576 };
  for (let round = 0; round < 8; round += 1) {
    await using disk = await openDisk(wide);
    for (const at of [0, 1, 2]) {
      const table = `new ${round} ${at}`;
      await disk.commit([{ table, key: bytes("a"), value: Buffer.alloc(60_000 * at, at) }]);
    }
    assert.equal(flawOfPages(join(folder.path, dataFile)), undefined);
  }
  await using disk = await openDisk(wide);
  for (let at = 0; at < 24; at += 1) {
    const value = disk.get(`new ${Math.floor(at / 3)} ${at % 3}`, bytes("a"));
    assert.deepEqual(value, Buffer.alloc(60_000 * (at % 3), at % 3));
  }
});

test("reading a table that is not there writes nothing, and it may come later", async () => {
  using folder = temporaryFolder();
  await using disk = await openDisk({ folder: folder.path, roomBytes });
  await disk.commit([put("a")]);
  const before = readFileSync(join(folder.path, dataFile));
  assert.equal(disk.get("later", bytes("a")), undefined);
  assert.deepEqual([...disk.range("later")], []);
  assert.deepEqual(readFileSync(join(folder.path, dataFile)), before);
  await disk.commit([{ table: "later", key: bytes("a"), value: bytes("v") }]);
  assert.equal([...disk.range("later")].length, 1);
  assert.deepEqual(disk.get("later", bytes("a")), bytes("v"));
});
