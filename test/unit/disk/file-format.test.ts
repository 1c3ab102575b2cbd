// The promise about LMDB's own file format: this release writes version 2, and reads a file that
// an earlier package wrote. It must not know what is stored.
import assert from "node:assert/strict";
import { copyFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { dataFile, openDisk, walkPages } from "../../../src/disk/disk.ts";
import { temporaryFolder } from "../../fakes/store.ts";

/** Made by lmdb 3.5.6; never made anew, for it stands for the files that are out there. */
const golden = fileURLToPath(new URL("../../vectors/lmdb-2.mdb", import.meta.url)).replace(
  "/.build/",
  "/",
);
const roomBytes = 16 * 1_048_576;

/** Version and page size that both first pages say. */
function saysOf(path: string): { version: number; pageBytes: number }[] {
  const file = readFileSync(path);
  return [0, 4096].map((page) => {
    assert.equal(file.readUInt32LE(page + 24), 0xbeefc0de);
    return { version: file.readUInt16LE(page + 28), pageBytes: file.readUInt32LE(page + 48) };
  });
}

test("a new store is in the version of LMDB's format that is promised", async () => {
  using folder = temporaryFolder();
  {
    await using disk = await openDisk({ folder: folder.path, roomBytes });
    for (const key of ["a", "b", "c"]) {
      await disk.commit([{ table: "t", key: Buffer.from(key), value: Buffer.from(key) }]);
    }
  }
  for (const { version } of saysOf(join(folder.path, dataFile))) assert.equal(version, 2);
});

test("a file that an earlier package wrote is sound, is read and is written on", async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, dataFile);
  copyFileSync(golden, file);
  const said = { version: 2, pageBytes: 4096 };
  assert.deepEqual(saysOf(golden), [said, said]);
  assert.equal(typeof walkPages(golden), "object", String(walkPages(golden)));
  const row = (at: number) => ({
    key: Buffer.from(`row ${String(at).padStart(3, "0")}`),
    value: Buffer.alloc(300, at),
  });
  for (let round = 0; round < 2; round += 1) {
    await using disk = await openDisk({ folder: folder.path, roomBytes });
    assert.deepEqual(
      [...disk.range("rows")].map(({ key, value }) => ({ key: Buffer.from(key), value })),
      Array.from({ length: 40 + round }, (_, at) => row(at)),
    );
    assert.deepEqual(disk.get("large", Buffer.from("large")), Buffer.alloc(9000, 0x5a));
    assert.deepEqual([...disk.range("empty")], []);
    await disk.commit([{ table: "rows", ...row(40 + round) }]);
  }
  assert.equal(typeof walkPages(file), "object", String(walkPages(file)));
  assert.deepEqual(saysOf(file), [said, said]);
});
