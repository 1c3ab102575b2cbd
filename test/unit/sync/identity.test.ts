// The identity on disk: a key made once, kept for the owner alone, and refused when damaged.
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import {
  deviceKey,
  proveKey,
  readIdentity,
  readProgress,
  writeProgress,
} from "../../../src/sync/identity.ts";
import { generateSigningKey, sign } from "../../../src/util/ed25519.ts";
import { PlantError } from "../../../src/util/errors.ts";
import { naclVerify } from "../../../src/util/seal.ts";

/** Runs with a folder of its own. */
async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "pl-id-"));
  try {
    await run(join(folder, "identity"));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function isUnusable(reason: string): (error: unknown) => boolean {
  return (error) =>
    error instanceof PlantError &&
    error.code === "SYNC_IDENTITY_UNUSABLE" &&
    error.detail.reason === reason;
}

test("the key is made once, for the owner alone, and both implementations know its signature", () =>
  inFolder(async (folder) => {
    const first = await deviceKey(folder);
    const again = await deviceKey(folder);
    assert.deepEqual(again.publicKey, first.publicKey);
    assert.equal(statSync(join(folder, "device.key")).mode & 0o777, 0o600);
    assert.equal(statSync(folder).mode & 0o777, 0o700);
    assert.deepEqual(readdirSync(folder), ["device.key"]);
    const message = Buffer.from("a batch");
    assert.ok(naclVerify(first.publicKey, message, sign(again, message)));
  }));

test("a key whose signature the second implementation does not know is refused", async () => {
  const [key, other] = [generateSigningKey(), generateSigningKey()];
  await proveKey("device.key", key);
  await assert.rejects(
    () => proveKey("device.key", { ...key, publicKey: other.publicKey }),
    isUnusable("two implementations disagree about its signature"),
  );
});

test("without an identity file the gateway is simply not enrolled", () =>
  inFolder(async (folder) => {
    await deviceKey(folder);
    assert.equal(readIdentity(folder), undefined);
  }));

test("a damaged key or identity is refused by name, and nothing is overwritten", () =>
  inFolder(async (folder) => {
    const key = await deviceKey(folder);
    writeFileSync(join(folder, "identity.json"), "{");
    assert.throws(() => readIdentity(folder), isUnusable("it is damaged"));
    writeFileSync(join(folder, "device.key"), "no key at all");
    await assert.rejects(() => deviceKey(folder), isUnusable("no key"));
    assert.equal(key.publicKey.length, 32);
    assert.equal(statSync(join(folder, "device.key")).size, "no key at all".length);
  }));

test("progress that cannot be read is no progress, and is written whole", () =>
  inFolder(async (folder) => {
    assert.deepEqual(readProgress(folder), { generation: 0 });
    await writeProgress(folder, { generation: 7, centre: "c" });
    assert.deepEqual(readProgress(folder), { generation: 7, centre: "c" });
    writeFileSync(join(folder, "progress.json"), '{"generation":-1}');
    assert.deepEqual(readProgress(folder), { generation: 0 });
  }));
