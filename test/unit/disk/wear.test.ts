// The counter of bytes written to storage. It must not know what they were for.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { startWear } from "../../../src/disk/wear.ts";
import { temporaryFolder } from "../../fakes/store.ts";

test("bytes are those since the beginning", () => {
  using folder = temporaryFolder();
  const source = join(folder.path, "io");
  const says = (bytes: number) =>
    writeFileSync(source, `rchar: 9\nwchar: 8\nwrite_bytes: ${bytes}\ncancelled_write_bytes: 7\n`);
  says(4096);
  const wear = startWear(source);
  assert.equal(wear.bytes(), 0);
  says(12_288);
  assert.equal(wear.bytes(), 8192);
});

test("where the kernel does not say, nothing is made up", () => {
  using folder = temporaryFolder();
  const source = join(folder.path, "io");
  assert.equal(startWear(source).bytes(), undefined);
  writeFileSync(source, "rchar: 9\n");
  assert.equal(startWear(source).bytes(), undefined);
});

test("a failure of another kind is not hidden", () => {
  using folder = temporaryFolder();
  assert.throws(() => startWear(folder.path), { code: "EISDIR" });
});
