// The counters of bytes that others keep. It must not know what they were for.
import assert from "node:assert/strict";
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { startWear, wearSourcesOf } from "../../../src/disk/wear.ts";
import { temporaryFolder } from "../../fakes/store.ts";

const io = (bytes: number) =>
  `rchar: 9\nwchar: 8\nwrite_bytes: ${bytes}\ncancelled_write_bytes: 7\n`;
const stat = (sectors: number) => `   5 6 7 8  9 10 ${sectors} 11 0 12 13\n`;

test("bytes are those since the beginning, sectors are of 512 bytes", () => {
  using folder = temporaryFolder();
  const sources = { kernel: join(folder.path, "io"), medium: join(folder.path, "stat") };
  writeFileSync(sources.kernel, io(4096));
  writeFileSync(sources.medium, stat(100));
  const wear = startWear(sources);
  assert.deepEqual(wear(), { kernelBytes: 0, mediumBytes: 0 });
  writeFileSync(sources.kernel, io(12_288));
  writeFileSync(sources.medium, stat(103));
  assert.deepEqual(wear(), { kernelBytes: 8192, mediumBytes: 1536 });
});

test("what is not counted, or began anew, is left out", () => {
  using folder = temporaryFolder();
  const sources = { kernel: join(folder.path, "io"), medium: join(folder.path, "stat") };
  assert.deepEqual(startWear(sources)(), {});
  writeFileSync(sources.kernel, "rchar: 9\n");
  writeFileSync(sources.medium, stat(100));
  const wear = startWear(sources);
  writeFileSync(sources.medium, stat(99));
  assert.deepEqual(wear(), {});
});

test("a failure of another kind is not hidden", () => {
  using folder = temporaryFolder();
  const sources = { kernel: folder.path, medium: folder.path };
  assert.throws(() => startWear(sources), { code: "EISDIR" });
});

test("the medium is the one that holds the path", () => {
  using folder = temporaryFolder();
  const { dev } = statSync(folder.path);
  const { medium } = wearSourcesOf(folder.path);
  // Numbers below 256 are the plain case of the kernel's encoding.
  if (dev < 65_536) assert.equal(medium, `/sys/dev/block/${dev >> 8}:${dev & 255}/stat`);
  assert.match(medium, /^\/sys\/dev\/block\/\d+:\d+\/stat$/);
});
