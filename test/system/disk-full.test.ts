// The disk on a medium that fills up and is emptied, and with no place left for readers: codes,
// nothing acknowledged lost, and all well again. It must not know tables of the journal.
import assert from "node:assert/strict";
import { type ChildProcess, fork, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { openDisk } from "../../src/disk/disk.ts";
import { hasCode } from "../../src/util/errors.ts";

const root = fileURLToPath(new URL("../..", import.meta.url)).replace(/\.build\/$/, "");
const built = join(root, ".build", "test", "system");
const partOf = (name: string) =>
  existsSync(join(built, `${name}.js`))
    ? join(built, `${name}.js`)
    : join(root, "test", "system", `${name}.ts`);
const folder = mkdtempSync(join(tmpdir(), "pdf-"));
const children = new Set<ChildProcess>();
const execArgv = ["--disable-warning=ExperimentalWarning"];

after(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

const canMount = process.getuid?.() === 0 && spawnSync("unshare", ["-m", "true"]).status === 0;

test("filled and emptied 50 times, a small medium loses nothing acknowledged", {
  skip: canMount ? false : "a mount of one's own needs root and unshare",
}, () => {
  const mount = join(folder, "small");
  mkdirSync(mount);
  const words = [process.execPath, ...execArgv, partOf("disk-full-part"), mount].join(" ");
  // The mount is seen by this process alone and goes with it.
  const script = `mount -t tmpfs -o size=3m tmpfs ${mount} && exec ${words}`;
  const { status, stdout, stderr } = spawnSync("unshare", ["-m", "sh", "-c", script], {
    encoding: "utf8",
    timeout: 120_000,
  });
  assert.equal(status, 0, stderr);
  const { rounds, acknowledged, refused, isFitting } = JSON.parse(stdout);
  assert.equal(rounds, 50);
  assert.ok(refused >= 50 && acknowledged > 500, stdout);
  assert.ok(isFitting, "each round found room again");
});

/** A process that holds places for readers of the store in `path`. */
async function holdReaders(path: string, count: number): Promise<ChildProcess> {
  const child = fork(partOf("reader-part"), [path, String(count)], { execArgv });
  children.add(child);
  const [held] = await once(child, "message");
  assert.ok(held >= count, `${held} of ${count}`);
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
  children.delete(child);
}

test("with every reader's place taken a read has a code, and works when the holder is dead", async () => {
  const path = join(folder, "crowded");
  const options = { folder: path, roomBytes: 16 * 1_048_576 };
  const row = { table: "t", key: Buffer.from("k"), value: Buffer.from("v") };
  {
    await using disk = await openDisk(options);
    await disk.commit([row]);
  }
  const child = await holdReaders(path, 126);
  const crowded = (error: unknown) => hasCode(error, "STORE_CROWDED");
  await assert.rejects(async () => {
    await using disk = await openDisk(options);
    disk.get("t", row.key);
  }, crowded);
  // Killed with its places taken: they are swept.
  await kill(child);
  await using disk = await openDisk(options);
  assert.equal(Buffer.from(disk.get("t", row.key) ?? []).toString(), "v");
  await disk.commit([{ ...row, value: Buffer.from("w") }]);
  assert.equal(Buffer.from(disk.get("t", row.key) ?? []).toString(), "w");
});

test("readers that come later leave the store its own place", async () => {
  const path = join(folder, "later");
  await using disk = await openDisk({ folder: path, roomBytes: 16 * 1_048_576 });
  const row = { table: "t", key: Buffer.from("k"), value: Buffer.from("v") };
  await disk.commit([row]);
  assert.equal(Buffer.from(disk.get("t", row.key) ?? []).toString(), "v");
  const child = await holdReaders(path, 120);
  for (let at = 0; at < 50; at += 1) {
    await disk.commit([{ ...row, value: Buffer.from(`${at}`) }]);
    assert.equal(Buffer.from(disk.get("t", row.key) ?? []).toString(), `${at}`);
    assert.equal([...disk.range("t")].length, 1);
  }
  await kill(child);
});
