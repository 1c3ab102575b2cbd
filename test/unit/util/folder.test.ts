// Folders are made with all that leads to them, or the system says why not.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { makeFolder } from "../../../src/util/folder.ts";

test("a folder is made with those above it, and making it again changes nothing", () => {
  const top = mkdtempSync(join(tmpdir(), "folder-"));
  const path = join(top, "a", "b", "c");
  makeFolder(path, 0o700);
  makeFolder(path, 0o750);
  assert.equal(statSync(path).mode & 0o777, 0o700);
  assert.equal(statSync(join(top, "a")).mode & 0o777, 0o700);
  writeFileSync(join(top, "file"), "");
  assert.throws(() => makeFolder(join(top, "file"), 0o700), { code: "EEXIST" });
  assert.throws(() => makeFolder(join(top, "file", "x"), 0o700), { code: "ENOTDIR" });
  rmSync(top, { recursive: true });
});

test("where nothing can be made, the system says so and the call ends", () => {
  assert.throws(() => makeFolder("/proc/nothing", 0o700), { code: "ENOENT" });
  assert.throws(() => makeFolder("/proc/nothing/at/all", 0o700), { code: "ENOENT" });
});
