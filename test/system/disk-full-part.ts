// Fills the medium at a path and empties it again, 50 times, and checks every acknowledged row
// each time: figures on stdout, or a failure. It must not know why the medium is small.
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Disk, flawOfPages, openDisk } from "../../src/disk/disk.ts";
import { hasCode } from "../../src/util/errors.ts";

const [mount = ""] = process.argv.slice(2);
const rounds = 50;
const ballast = join(mount, "ballast");
const options = {
  folder: join(mount, "s"),
  roomBytes: 64 * 1_048_576,
  aheadBytes: 262_144,
};
const key = (at: number) => Buffer.from(`k${String(at).padStart(6, "0")}`);
/** What was acknowledged and not removed since, with the byte each is filled with. */
const expected = new Map<number, { readonly length: number; readonly fill: number }>();
let next = 0;
let acknowledged = 0;
let refused = 0;
let isFitting = true;

for (let round = 0; round < rounds; round += 1) {
  await using disk = await openDisk(options);
  void disk.failed.then((error) => {
    throw new Error("the medium refused what was written: it should not have been", {
      cause: error,
    });
  });
  // In some rounds it is another who takes the room.
  if (round % 3 === 1) fillMedium();
  const fitted = await fill(disk);
  check(disk);
  rmSync(ballast, { force: true });
  const gone = [...expected.keys()].filter((at) => (at * 31 + round) % 5 > 0);
  for (const at of gone) {
    await disk.commit([{ table: "t", key: key(at) }], "reserve");
    expected.delete(at);
  }
  check(disk);
  if (round % 3 !== 1 && fitted < 5) isFitting = false;
}
assert.equal(flawOfPages(join(options.folder, "data.mdb")), undefined);
process.stdout.write(`${JSON.stringify({ rounds, acknowledged, refused, isFitting })}\n`);

/** Commits until there is no room; returns how many fitted. */
async function fill(disk: Disk): Promise<number> {
  for (let fitted = 0; ; fitted += 1) {
    const at = next;
    next += 1;
    const length = at % 4 === 0 ? 300 : 40_000 + ((at * 7919) % 60_000);
    const value = Buffer.alloc(length, at);
    const head = { table: "head", key: Buffer.from("head"), value: Buffer.from(`${at}`) };
    try {
      await disk.commit([{ table: "t", key: key(at), value }, head]);
    } catch (error) {
      assert.ok(hasCode(error, "STORE_FULL"), String(error));
      refused += 1;
      return fitted;
    }
    expected.set(at, { length, fill: at & 0xff });
    acknowledged += 1;
  }
}

function check(disk: Disk): void {
  const found = [...disk.range("t")];
  assert.equal(found.length, expected.size);
  for (const { key: name, value } of found) {
    const want = expected.get(Number(Buffer.from(name).toString().slice(1)));
    assert.ok(want !== undefined && value.length === want.length, Buffer.from(name).toString());
    assert.ok(
      value.every((byte) => byte === want.fill),
      Buffer.from(name).toString(),
    );
  }
}

function fillMedium(): void {
  try {
    for (;;) writeFileSync(ballast, Buffer.alloc(16_384), { flag: "a" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  }
}
