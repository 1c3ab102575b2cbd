// The bytes that must never change: envelopes, bodies, tokens, and Ed25519 as RFC 8032 gives it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { type Claims, issueToken, verifyToken } from "../../../src/access/access.ts";
import { decodeBatch, encodeBatch, open, seal } from "../../../src/batch/batch.ts";
import { publicKeyFrom, sign, signingKeyFromSeed, verify } from "../../../src/util/ed25519.ts";
import { key, kid, records } from "./samples.ts";

const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, "hex"));
const hexOf = (value: Uint8Array) => Buffer.from(value).toString("hex");
const vectors = (name: string) =>
  JSON.parse(readFileSync(`${process.cwd()}/test/vectors/${name}.json`, "utf8"));
const publicKey = publicKeyFrom(key.publicKey);

test("a body and an envelope have the bytes they always had", () => {
  const { body, plain, packed } = vectors("envelope");
  assert.equal(hexOf(encodeBatch(records)), body);
  assert.equal(hexOf(seal(plain.fields, bytes(plain.body), { key, kid })), plain.envelope);
  const opened = open(bytes(packed.envelope), () => publicKey);
  assert.equal(opened.header.codec, "zstd");
  assert.deepEqual(decodeBatch(opened.body, { first: 10, last: 32 }, 100), records);
});

test("a token has the bytes it always had", () => {
  const { claims, token } = vectors("token") as { claims: Claims; token: string };
  assert.equal(issueToken(claims, key), token);
  const expected = { keyOf: () => publicKey, audience: "plantd", now: claims.iat };
  assert.deepEqual(verifyToken(token, expected), claims);
});

/** @see RFC 8032, 7.1, tests 1 to 3 */
const rfc8032 = [
  {
    seed: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    key: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    message: "",
    signature:
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  },
  {
    seed: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    key: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    message: "72",
    signature:
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  },
  {
    seed: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
    key: "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    message: "af82",
    signature:
      "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
  },
];

for (const [at, row] of rfc8032.entries()) {
  test(`Ed25519 agrees with test ${at + 1} of RFC 8032`, () => {
    const signer = signingKeyFromSeed(bytes(row.seed));
    assert.equal(hexOf(signer.publicKey), row.key);
    assert.equal(hexOf(sign(signer, bytes(row.message))), row.signature);
    const known = publicKeyFrom(bytes(row.key));
    assert.equal(verify(known, bytes(row.message), bytes(row.signature)), true);
    assert.equal(verify(known, bytes(`${row.message}00`), bytes(row.signature)), false);
    assert.equal(verify(known, bytes(row.message), bytes(row.signature).subarray(1)), false);
  });
}
