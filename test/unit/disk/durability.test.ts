// What must be on the medium before something else is done, and what the reserve is for. It must
// not know what is stored.
import assert from "node:assert/strict";
import { closeSync, mkdirSync, openSync, statSync } from "node:fs";
import promises, { type FileHandle } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { dataFile, openDisk, type Room, type Write } from "../../../src/disk/disk.ts";
import { readMetas } from "../../../src/disk/meta-pages.ts";
import { hasCode } from "../../../src/util/errors.ts";
import { watchFlushes } from "../../fakes/flushes.ts";
import { temporaryFolder } from "../../fakes/store.ts";

const put = (key: string, value: string | Buffer, table = "t"): Write => ({
  table,
  key: Buffer.from(key),
  value: Buffer.from(value),
});
const roomBytes = 4 * 1_048_576;

test("a new store is on the medium before it has a name, and so are the folders above", async () => {
  using folder = temporaryFolder();
  using flushes = watchFlushes(folder.path);
  const place = join(folder.path, "a", "b");
  await (await openDisk({ folder: place, roomBytes }))[Symbol.asyncDispose]();
  assert.deepEqual(flushes.unsafe(), []);
  const flushed = flushes.flushed();
  for (const path of [".", "a", "a/b", `a/b/new/${dataFile}`]) {
    assert.ok(flushed.includes(path), `${path} among ${flushed}`);
  }
});

test("a copy is on the medium before it has a name, and holds no room that is free", async () => {
  using folder = temporaryFolder();
  await using disk = await openDisk({ folder: join(folder.path, "a"), roomBytes });
  const keys = Array.from({ length: 20 }, (_, at) => `k${at}`);
  await disk.commit(keys.map((key) => put(key, "x".repeat(50_000))));
  await disk.commit(keys.map((key) => ({ table: "t", key: Buffer.from(key) })));
  await disk.commit([put("a", "1")]);
  mkdirSync(join(folder.path, "b"));
  using flushes = watchFlushes(folder.path);
  const bytes = await disk.backup(join(folder.path, "b", dataFile));
  assert.deepEqual(flushes.unsafe(), []);
  assert.equal(flushes.flushed().length, 2);
  assert.equal(bytes, statSync(join(folder.path, "b", dataFile)).size);
  assert.ok(bytes < 100_000, `${bytes} bytes`);
});

test("what is urgent has a half of the reserve, and what makes room has all of it", async () => {
  using folder = temporaryFolder();
  await using disk = await openDisk({ folder: folder.path, roomBytes });
  const fill = async (room: Room) => {
    let count = 0;
    const more = async () => {
      for (; count < 1000; count += 1) {
        await disk.commit([put(`${room} ${count}`, "x".repeat(30_000))], room);
      }
    };
    await assert.rejects(more, (error) => hasCode(error, "STORE_FULL"));
    return count;
  };
  const common = await fill("common");
  const urgent = await fill("urgent");
  assert.equal(await fill("common"), 0);
  const reserve = await fill("reserve");
  assert.equal(await fill("urgent"), 0);
  // An eighth of the room is the reserve; each value takes eight pages.
  assert.ok(common >= 85 && common < 112, `${common} common`);
  assert.ok(urgent >= 5 && urgent <= 9, `${urgent} urgent`);
  assert.ok(reserve >= 5 && reserve <= 9, `${reserve} of the reserve`);
});

test("a commit under way when the store is closed is whole, and its caller hears of it", async () => {
  using folder = temporaryFolder();
  const place = { folder: folder.path, roomBytes };
  const disk = await openDisk(place);
  await disk.commit([put("a", "0")]);
  const under = disk.commit([put("b", "x".repeat(500_000))]);
  // It waits for nothing but the commit before it, which is over.
  await Promise.resolve();
  await Promise.resolve();
  const closed = disk[Symbol.asyncDispose]();
  await under;
  await closed;
  await using again = await openDisk(place);
  assert.equal(again.get("t", Buffer.from("b"))?.length, 500_000);
});

test("room is refused when it is only left in holes too small for what is put", async () => {
  using folder = temporaryFolder();
  await using disk = await openDisk({ folder: folder.path, roomBytes });
  let keys: string[] = [];
  let refused = 0;
  for (let size = 20_000; size < 1_000_000; size *= 3) {
    const before = refused;
    for (let at = 0; refused === before; at += 1) {
      const key = `${size} ${at}`;
      try {
        await disk.commit([put(key, "x".repeat(size))]);
        keys.push(key);
      } catch (error) {
        assert.ok(hasCode(error, "STORE_FULL"));
        refused += 1;
      }
    }
    const { usedBytes, fileBytes } = disk.stats();
    assert.ok(usedBytes <= 1.5 * roomBytes && fileBytes <= 1.5 * roomBytes, `${usedBytes}`);
    const gone = keys.filter((_, at) => at % 2 === 0);
    await disk.commit(gone.map((key) => ({ table: "t", key: Buffer.from(key) })));
    keys = keys.filter((_, at) => at % 2 === 1);
  }
});

/** Holds the first flush of zeros back for a while; tells when it was over. */
function slowZeros(over: () => void): Disposable {
  const { open } = promises;
  let isFirst = true;
  promises.open = async (...args: Parameters<typeof open>): Promise<FileHandle> => {
    const handle = await open(...args);
    const datasync = handle.datasync.bind(handle);
    handle.datasync = async () => {
      if (!isFirst) return await datasync();
      isFirst = false;
      await pause(150);
      await datasync();
      over();
    };
    return handle;
  };
  syncBuiltinESMExports();
  return {
    [Symbol.dispose]() {
      promises.open = open;
      syncBuiltinESMExports();
    },
  };
}

/** The number of the newest commit, as the file says it. */
function commitOf(folder: string): number {
  const handle = openSync(join(folder, dataFile), "r");
  const meta = readMetas(handle);
  closeSync(handle);
  assert.ok(typeof meta === "object", `${meta}`);
  return meta.transaction;
}

const besideZeros: Record<string, readonly Write[]> = {
  "that needs pages there": [put("a", "x".repeat(300_000))],
  "of a new table": [put("a", "v", "another")],
};
for (const [name, writes] of Object.entries(besideZeros)) {
  test(`a commit ${name} writes nothing until zeros are written`, async () => {
    using folder = temporaryFolder();
    const place = { folder: folder.path, roomBytes };
    {
      await using disk = await openDisk(place);
      await disk.commit([put("a", "0")]);
    }
    const before = commitOf(folder.path);
    let during: number | undefined;
    using _ = slowZeros(() => {
      during = commitOf(folder.path);
    });
    await using disk = await openDisk({ ...place, aheadBytes: 1_048_576 });
    assert.equal(disk.get("t", Buffer.from("a"))?.length, 1);
    // The zeros are on their way since the opening, and not flushed for a while.
    while (disk.stats().fileBytes < 100_000) await pause(1);
    await disk.commit(writes);
    assert.equal(during, before);
  });
}
