// What becomes of long work with backups when who asked for it has gone.
// It must not know how backups are sealed.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { hasCode, PlantError } from "../../../src/util/errors.ts";
import { openTestStore } from "../../fakes/store.ts";

const passphrase = "correct horse";
const isCancelled = (error: unknown) => hasCode(error, "CANCELLED");

/** A request whose asker goes away at the first word of progress. */
function leaving() {
  const gone = new AbortController();
  const reason = new PlantError("CANCELLED");
  const partial = async () => {
    gone.abort(reason);
    throw reason;
  };
  return { signal: gone.signal, partial };
}

test("halves that a power cut left are gone after the start, whole backups stay", async () => {
  const folder = mkdtempSync(join(tmpdir(), "bc-"));
  const backups = join(folder, "b");
  const whole = ["mine.mdb", "plantd-1.plantbackup"];
  const halves = [".plantd-1.mdb", "plantd-1.plantbackup.part", "stick.plantbackup.coming"];
  try {
    mkdirSync(join(backups, ".restore"), { recursive: true });
    for (const name of [...whole, ...halves]) writeFileSync(join(backups, name), "");
    await using store = await openTestStore(folder);
    assert.deepEqual(readdirSync(backups).sort(), whole);
    assert.equal((await store.call("backup-list")).backups.length, 1);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("who goes while a backup is worked at ends the work, and nothing else", async () => {
  const folder = mkdtempSync(join(tmpdir(), "bc-"));
  try {
    await using store = await openTestStore(folder);
    // Noise, so that the file has several parts.
    const value = Array.from({ length: 5000 }, (_, at) => (at * 2_654_435_761) % 4_294_967_291);
    for (const key of ["k", "l", "m", "n"]) await store.call("set", { scope: "s", key, value });
    const { path } = await store.call("backup-create", { passphrase });
    const before = readdirSync(join(folder, "b"));
    const { epoch } = store.journal;
    await assert.rejects(store.call("backup-create", { passphrase }, leaving()), isCancelled);
    await assert.rejects(store.call("backup-verify", { path, passphrase }, leaving()), isCancelled);
    await assert.rejects(
      store.call("backup-restore", { path, passphrase }, leaving()),
      isCancelled,
    );
    assert.deepEqual(readdirSync(join(folder, "b")), before, "no halves of files are left");
    assert.equal(store.journal.epoch, epoch, "the store is the one it was");
    assert.deepEqual((await store.call("get", { scope: "s", key: "k" })).value, value);
    assert.ok(await store.call("backup-create", { passphrase }), "the next one is made");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
