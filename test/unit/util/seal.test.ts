// The second Ed25519 and sealed files: both implementations agree, and no changed byte passes.
// It must not know what is sealed.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { publicKeyFrom, sign, signingKeyFromSeed, verify } from "../../../src/util/ed25519.ts";
import { hasCode } from "../../../src/util/errors.ts";
import { seededRandom } from "../../../src/util/random.ts";
import { naclSign, naclVerify, sealFile, unsealFile } from "../../../src/util/seal.ts";
import { temporaryFolder } from "../../fakes/store.ts";

test("two implementations of Ed25519 make the same signature and refuse the same", () => {
  const random = seededRandom(7);
  for (let round = 0; round < 5; round += 1) {
    const seed = random.bytes(32);
    const message = random.bytes(round * 40);
    const key = signingKeyFromSeed(seed);
    const mine = sign(key, message);
    assert.deepEqual(naclSign(seed, message), mine);
    assert.ok(naclVerify(key.publicKey, message, mine));
    assert.ok(verify(publicKeyFrom(key.publicKey), message, naclSign(seed, message)));
    const other = Uint8Array.from(mine, (byte, at) => (at === 40 ? byte ^ 1 : byte));
    assert.equal(naclVerify(key.publicKey, message, other), false);
    assert.equal(verify(publicKeyFrom(key.publicKey), message, other), false);
    assert.equal(naclVerify(key.publicKey, message, mine.subarray(1)), false);
  }
});

test("a sealed file of several parts opens to the same bytes; a moved part does not", async () => {
  using folder = temporaryFolder();
  const [from, to, back] = ["a", "b", "c"].map((name) => join(folder.path, name)) as [
    string,
    string,
    string,
  ];
  const random = seededRandom(3);
  const plain = Buffer.from(random.bytes(150_000));
  writeFileSync(from, plain);
  const passphrase = "correct horse";
  const size = await sealFile({ from, to, passphrase }, random);
  const sealed = readFileSync(to);
  assert.equal(sealed.length, size);
  await unsealFile({ from: to, to: back, passphrase });
  assert.ok(readFileSync(back).equals(plain));
  const part = 65_536 + 16;
  const start = sealed.length - 150_000 - 3 * 16;
  const swapped = Buffer.from(sealed);
  sealed.copy(swapped, start, start + part, start + 2 * part);
  sealed.copy(swapped, start + part, start, start + part);
  writeFileSync(to, swapped);
  const unreadable = (error: unknown) => hasCode(error, "BACKUP_UNREADABLE");
  await assert.rejects(unsealFile({ from: to, to: back, passphrase }), unreadable);
  await assert.rejects(unsealFile({ from: `${to}x`, to: back, passphrase }), (error) =>
    hasCode(error, "BACKUP_NOT_FOUND"),
  );
  await assert.rejects(sealFile({ from, to, passphrase: "short" }, random), (error) =>
    hasCode(error, "REQUEST_MALFORMED"),
  );
});
