// Backups checked and put back, and the format held until an update is confirmed.
// It must not know the bus.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { zstdDecompressSync } from "node:zlib";
import { hasCode } from "../../src/util/errors.ts";
import { openTestJournal, openTestStore, type TestStore, temporaryFolder } from "../fakes/store.ts";

const passphrase = "correct horse";
const root = new URL("../..", import.meta.url).href.replace(/\.build\/$/, "");
const vectors = new URL("test/vectors/store-format-1/", root);

function set(store: TestStore, number: number, value: unknown): Promise<unknown> {
  const points = [{ scope: "d", key: "k", value }];
  return store.call("set-many", { source: "s", run: "r", number, flush: "now", points });
}

async function valueIn(store: TestStore): Promise<unknown> {
  return (await store.call("get", { scope: "d", key: "k" })).value;
}

test("a backup is checked whole, goes out and in byte by byte, and is put back with an audit", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  await set(store, 1, "old");
  const { path } = await store.call("backup-create", { passphrase, by: "anna" });
  await set(store, 2, "new");
  const found = await store.call("backup-verify", { path, passphrase });
  assert.deepEqual([found.format, found.heads.state], [store.journal.format, 2]);
  assert.equal(await valueIn(store), "new");

  const parts: string[] = [];
  const partial = async (part: unknown) => {
    parts.push((part as { bytes: string }).bytes);
  };
  const read = await store.call("backup-read", { name: basename(path) }, { partial });
  rmSync(path);
  const bytes = Buffer.concat(parts.map((part) => Buffer.from(part, "base64")));
  const half = bytes.length >> 1;
  const put = (from: number, to: number, more = {}) =>
    store.call("backup-put", {
      name: "back.plantbackup",
      from,
      bytes: bytes.subarray(from, to).toString("base64"),
      ...more,
    });
  await put(0, half);
  await assert.rejects(put(half + 1, bytes.length), (error) => hasCode(error, "REQUEST_MALFORMED"));
  const { path: sent } = await put(half, bytes.length, { sha256: read.sha256 });

  const before = store.journal.epoch;
  const { epoch } = await store.call("backup-restore", { path: sent, passphrase, by: "anna" });
  assert.notEqual(epoch, before);
  assert.equal(await valueIn(store), "old");
  const { records } = await store.call("changes", { stream: "event", after: 0 });
  const { kind, detail } = records.at(-1).event;
  assert.deepEqual(
    [kind, detail.who, detail.action, detail.before, detail.after],
    ["audit", "anna", "backup-restore", before, epoch],
  );
});

const wrongFiles: Readonly<Record<string, [(bytes: Buffer) => Buffer, string]>> = {
  "cut short": [(bytes) => bytes.subarray(0, -1), "BACKUP_UNREADABLE"],
  "a bit of it changed": [
    (bytes) => {
      bytes[1000] = (bytes[1000] ?? 0) ^ 1;
      return bytes;
    },
    "BACKUP_UNREADABLE",
  ],
  "no backup": [() => Buffer.alloc(2000, 1), "BACKUP_UNREADABLE"],
};

for (const [words, [change, code]] of Object.entries(wrongFiles)) {
  test(`a backup that is wrong is told by a code and changes nothing: ${words}`, async () => {
    using folder = temporaryFolder();
    await using store = await openTestStore(folder.path);
    await set(store, 1, "kept");
    const { path } = await store.call("backup-create", { passphrase });
    writeFileSync(path, change(readFileSync(path)));
    for (const operation of ["backup-verify", "backup-restore"]) {
      await assert.rejects(store.call(operation, { path, passphrase }), (error) =>
        hasCode(error, code as "BACKUP_UNREADABLE"),
      );
    }
    assert.equal(await valueIn(store), "kept");
  });
}

test("a name that leads out of the folder of backups is refused", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  for (const name of ["../s/data.mdb", "/etc/passwd", "x", ".plantbackup", "a/b.plantbackup"]) {
    await assert.rejects(store.call("backup-read", { name }), (error) =>
      hasCode(error, "REQUEST_MALFORMED"),
    );
  }
});

/** Puts the database that the release before wrote into a folder. */
function layOld(folder: string): void {
  mkdirSync(join(folder, "s"), { recursive: true });
  const path = fileURLToPath(new URL("data.mdb.zst", vectors));
  writeFileSync(join(folder, "s", "data.mdb"), zstdDecompressSync(readFileSync(path)));
}

test("while an update is pending the old format is written; confirmed, it is upgraded with its data", async () => {
  using folder = temporaryFolder();
  layOld(folder.path);
  const pending = join(folder.path, "update-pending");
  writeFileSync(pending, "");
  {
    await using store = await openTestStore(folder.path, {}, undefined, { keepsFormat: true });
    await set(store, 1, "held");
    const { format, formatHeld } = await store.call("stats");
    assert.deepEqual([format, formatHeld], [1, true]);
    await assert.rejects(store.call("upgrade"), (error) => hasCode(error, "UPDATE_PENDING"));
  }
  // Rolled back before it was confirmed: what the new release wrote reads in the old format.
  {
    await using journal = await openTestJournal(folder.path, { keepsFormat: true });
    assert.equal(journal.format, 1);
  }
  await using store = await openTestStore(folder.path, {}, undefined, { keepsFormat: true });
  assert.equal(await valueIn(store), "held");
  rmSync(pending);
  assert.deepEqual(await store.call("upgrade"), { format: 2, upgraded: true });
  assert.deepEqual(await store.call("upgrade"), { format: 2, upgraded: false });
  assert.equal(await valueIn(store), "held");
  await set(store, 2, "after");
  assert.equal(await valueIn(store), "after");
});
