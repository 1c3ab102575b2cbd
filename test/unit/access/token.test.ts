// Identity tokens: one exact profile, and everything near it is refused with a code.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { type Claims, issueToken, verifyToken } from "../../../src/access/access.ts";
import {
  generateSigningKey,
  keyId,
  publicKeyFrom,
  sign,
  signingKeyFromSeed,
} from "../../../src/util/ed25519.ts";
import { hasCode } from "../../../src/util/errors.ts";

const key = signingKeyFromSeed(new Uint8Array(32).fill(1));
const kid = keyId(key.publicKey);
const now = 1_800_000_000;
const claims: Claims = {
  iss: "centre-1",
  sub: "gw-1",
  aud: "plantd",
  iat: now,
  nbf: now,
  exp: now + 86_400,
  jti: "AAAAAAAAAAAAAAAAAAAAAA",
  ver: 1,
  kind: "device",
  epoch: 0,
  cnf: { jkt: kid },
  rol: ["device"],
  acl: [],
};
const keyOf = (id: string) => (id === kid ? publicKeyFrom(key.publicKey) : undefined);
const expected = { keyOf, audience: "plantd", issuer: "centre-1", now };
const base = (text: string) => Buffer.from(text).toString("base64url");
const head = `{"alg":"EdDSA","typ":"plant-id+jwt","kid":"${kid}"}`;

function forge(header: string, payload: string): string {
  const signed = `${base(header)}.${base(payload)}`;
  return `${signed}.${Buffer.from(sign(key, Buffer.from(signed))).toString("base64url")}`;
}

test("an issued token holds, and says what was put in", () => {
  assert.deepEqual(verifyToken(issueToken(claims, key), expected), claims);
  const text = JSON.stringify(claims);
  assert.deepEqual(verifyToken(forge(head, text), expected), claims);
});

const json = JSON.stringify(claims);
const changed = (change: Record<string, unknown>) =>
  forge(head, JSON.stringify({ ...claims, ...change }));
const hs256 = `${base(`{"alg":"HS256","typ":"plant-id+jwt","kid":"${kid}"}`)}.${base(json)}`;
const mac = createHmac("sha256", key.publicKey).update(hs256).digest("base64url");
const good = forge(head, json);

const malformed: Readonly<Record<string, string>> = {
  nothing: "",
  "two parts": good.split(".").slice(0, 2).join("."),
  "four parts": `${good}.`,
  "alg none": `${base(`{"alg":"none","typ":"plant-id+jwt","kid":"${kid}"}`)}.${base(json)}.`,
  "alg HS256 by the public key": `${hs256}.${mac}`,
  "another typ": forge(head.replace("plant-id+jwt", "JWT"), json),
  "a header too many": forge(head.replace("}", ',"crit":["x"]}'), json),
  "a jwk in the header": forge(head.replace("}", ',"jwk":{}}'), json),
  "headers in another order": forge(`{"typ":"plant-id+jwt","alg":"EdDSA","kid":"${kid}"}`, json),
  "a space in the header": forge(head.replace(",", ", "), json),
  "a kid that is a path": forge(head.replace(kid, "../../../etc/passwd"), json),
  "a kid that is a URL": forge(head.replace(kid, "http://example.org/key"), json),
  padding: `${good}=`,
  "a character outside the alphabet": good.replace(".", "+."),
  "a space inside": good.replace(".", " ."),
  "spare bits set in the signature": `${good.slice(0, -1)}${good.endsWith("A") ? "B" : "f"}`,
  "a claim twice": forge(head, json.replace('"ver":1', '"ver":1,"ver":1')),
  "a claim too many": changed({ admin: true }),
  "no exp": changed({ exp: undefined }),
  "exp as text": changed({ exp: "9999999999" }),
  "exp absurd": changed({ exp: 1e300 }),
  "exp with a fraction": changed({ exp: now + 0.5 }),
  "exp before nbf": changed({ exp: now - 1 }),
  "a life of 31 days": changed({ exp: now + 31 * 86_400 }),
  "a user for 13 hours": changed({ kind: "user", exp: now + 13 * 3600 }),
  "two audiences": changed({ aud: ["plantd", "other"] }),
  "another version": changed({ ver: 2 }),
  "a subject that is a topic": changed({ sub: "gw-1/#" }),
  "claims that are a list": forge(head, "[]"),
  "a prototype": forge(head, json.replace("{", '{"__proto__":{},')),
  "more than 2 KiB": changed({ site: "x".repeat(2000) }),
};

for (const [name, token] of Object.entries(malformed)) {
  test(`a token is no token: ${name}`, () => {
    assert.throws(
      () => verifyToken(token, expected),
      (error) => hasCode(error, "TOKEN_MALFORMED"),
    );
  });
}

test("a token by an unknown key or with a changed byte is a forgery", () => {
  const isForged = (error: unknown) => hasCode(error, "TOKEN_FORGED");
  assert.throws(() => verifyToken(issueToken(claims, generateSigningKey()), expected), isForged);
  const [first = "", , last = ""] = good.split(".");
  const other = `${first}.${base(JSON.stringify({ ...claims, sub: "gw-2" }))}.${last}`;
  assert.throws(() => verifyToken(other, expected), isForged);
});

const notValid: Readonly<Record<string, Partial<typeof expected>>> = {
  "another audience": { audience: "grafana" },
  "another issuer": { issuer: "centre-2" },
  "after its end": { now: claims.exp + 61 },
  "before its time": { now: claims.nbf - 61 },
};

for (const [name, change] of Object.entries(notValid)) {
  test(`a token does not hold: ${name}`, () => {
    assert.throws(
      () => verifyToken(good, { ...expected, ...change }),
      (error) => hasCode(error, "TOKEN_NOT_VALID"),
    );
  });
}

test("any bit flipped in a token is refused with a code", () => {
  for (let bit = 0; bit < good.length * 8; bit += 1) {
    const bytes = Buffer.from(good);
    bytes[bit >> 3]! ^= 1 << (bit & 7);
    assert.throws(
      () => verifyToken(bytes.toString("latin1"), expected),
      (error) => hasCode(error, "TOKEN_MALFORMED", "TOKEN_FORGED"),
      `bit ${bit}`,
    );
  }
});

test("claims a verifier would refuse are not issued", () => {
  assert.throws(
    () => issueToken({ ...claims, exp: now + 40 * 86_400 }, key),
    (error) => hasCode(error, "TOKEN_MALFORMED"),
  );
});
