// No single wrong bit of the first pages takes a store back a commit: LMDB would take it for whole.
// It must not know what is stored.
import assert from "node:assert/strict";
import { closeSync, copyFileSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { dataFile, flawOfPages, openDisk, openRemains } from "../../../src/disk/disk.ts";
import { readMetas } from "../../../src/disk/meta-pages.ts";
import { hasCode } from "../../../src/util/errors.ts";
import { temporaryFolder } from "../../fakes/store.ts";

const roomBytes = 16 * 1_048_576;
const pageBytes = 4096;
/** Bytes of a first page that say something. */
const saidBytes = 168;
const transactionAt = 152;

async function commitMore(folder: string, count: number): Promise<void> {
  await using disk = await openDisk({ folder, roomBytes });
  for (let at = 0; at < count; at += 1) {
    await disk.commit([
      { table: "t", key: Buffer.from("k"), value: Buffer.from(`${at} of ${count}`) },
    ]);
  }
}

/** The newest commit: its number and the root it leads to; or what is wrong. */
function newestOf(path: string): readonly [number, number | undefined] | string {
  const handle = openSync(path, "r");
  const meta = readMetas(handle);
  closeSync(handle);
  return typeof meta === "string" ? meta : [meta.transaction, meta.main.root];
}

test("no wrong bit of the first pages has another commit taken for the newest", async () => {
  using folder = temporaryFolder();
  const { path: home } = folder;
  const copied = join(home, "copied");
  const states: Record<string, string> = {};
  // Both parities, with the bit that moves a number by two set and not.
  for (let commit = 1; commit <= 5; commit += 1) {
    await commitMore(home, 1);
    const path = join(home, `after-${commit}.mdb`);
    copyFileSync(join(home, dataFile), path);
    states[`after commit ${commit}`] = path;
  }
  {
    await using disk = await openDisk({ folder: home, roomBytes });
    await disk.backup(join(home, "copy.mdb"));
  }
  states["a copy"] = join(home, "copy.mdb");
  for (let commit = 1; commit <= 3; commit += 1) {
    const folderOfCopy = `${copied}-${commit}`;
    await commitMore(folderOfCopy, 1);
    copyFileSync(states["a copy"], join(folderOfCopy, dataFile));
    await commitMore(folderOfCopy, commit);
    states[`${commit} commits after a copy`] = join(folderOfCopy, dataFile);
  }
  for (const [name, path] of Object.entries(states)) {
    const newest = newestOf(path);
    assert.ok(typeof newest !== "string", `${name}: ${newest}`);
    const bytes = readFileSync(path);
    const flipped = join(home, "flipped.mdb");
    writeFileSync(flipped, bytes);
    const handle = openSync(flipped, "r+");
    for (const page of [0, pageBytes]) {
      for (let bit = 0; bit < saidBytes * 8; bit += 1) {
        const at = page + (bit >> 3);
        writeSync(handle, Buffer.of((bytes[at] ?? 0) ^ (1 << (bit & 7))), 0, 1, at);
        const found = newestOf(flipped);
        // A copy has one commit: by another number it is the same.
        const isOther =
          typeof found !== "string" && found[0] !== newest[0] && found[1] !== newest[1];
        const isRolledBack = isOther && flawOfPages(flipped) === undefined;
        assert.ok(!isRolledBack, `${name}, byte ${at}, bit ${bit & 7}: ${found}, not ${newest}`);
        writeSync(handle, Buffer.of(bytes[at] ?? 0), 0, 1, at);
      }
    }
    closeSync(handle);
  }
});

test("what went back by a wrong bit is damaged, and its remains begin with the newest commit", async () => {
  for (const page of [0, 1]) {
    using folder = temporaryFolder();
    await commitMore(folder.path, 6);
    const path = join(folder.path, dataFile);
    const bytes = readFileSync(path);
    const at = page * pageBytes + transactionAt;
    bytes.writeUInt32LE(bytes.readUInt32LE(at) ^ 2, at);
    writeFileSync(path, bytes);
    await assert.rejects(openDisk({ folder: folder.path, roomBytes }), (error: unknown) =>
      hasCode(error, "STORE_DAMAGED"),
    );
    using remains = openRemains(path);
    const [first] = [...(remains.states[0]?.rows() ?? [])];
    assert.equal(Buffer.from(first?.value ?? []).toString(), "5 of 6", `page ${page}`);
  }
});
