// The small things everything stands on: errors, waiting, loops, randomness, keys, redaction.
import assert from "node:assert/strict";
import { test } from "node:test";
import { backoffMs } from "../../../src/util/backoff.ts";
import { catalogue } from "../../../src/util/catalogue.ts";
import { stampNow, systemClock } from "../../../src/util/clock.ts";
import {
  generateSigningKey,
  keyId,
  pemOf,
  publicKeyFrom,
  sign,
  signingKeyFromPem,
  signingKeyFromSeed,
  verify,
} from "../../../src/util/ed25519.ts";
import { asPlantError, hasCode, PlantError } from "../../../src/util/errors.ts";
import { openLog } from "../../../src/util/log.ts";
import { nearestWord } from "../../../src/util/nearest.ts";
import { seededRandom, systemRandom } from "../../../src/util/random.ts";
import { startLoop, within } from "../../../src/util/running.ts";
import { fakeClock } from "../../fakes/clock.ts";

test("every code of the catalogue has words and a next step", () => {
  for (const [code, entry] of Object.entries(catalogue)) {
    assert.match(code, /^[A-Z][A-Z0-9_]+$/);
    assert.ok(entry.sentence.length > 0 && entry.causes.length > 0 && entry.next.length > 0, code);
  }
});

test("a misspelt word is told from words that are like no other", () => {
  const known = ["heartbeatMs", "queueMax", "ABC"];
  const rows = {
    hearbeatMs: "heartbeatMs", // left out
    qeueuMax: "queueMax", // swapped
    QUEUEMAX: "queueMax",
    abd: "ABC",
    axy: undefined,
    colour: undefined,
    "": undefined,
    [`queueMax${"x".repeat(1000)}`]: undefined,
  };
  for (const [word, meant] of Object.entries(rows)) assert.equal(nearestWord(word, known), meant);
});

test("an error crosses the wire with its code and detail, and gets its words back", () => {
  const error = new PlantError("NO_SERVICE", { service: "a.b" });
  assert.equal(error.message, "Nobody serves a.b");
  const back = PlantError.fromWire(JSON.parse(JSON.stringify(error.toWire())));
  assert.equal(back.code, "NO_SERVICE");
  assert.equal(back.message, error.message);
  assert.ok(hasCode(back, "EXPIRED", "NO_SERVICE"));
});

test("a code this version does not know becomes REMOTE_FAILED and keeps the sender's words", () => {
  const back = PlantError.fromWire({ code: "NEWER", message: "hm", detail: { a: 1 } });
  assert.equal(back.code, "REMOTE_FAILED");
  assert.equal(back.detail.remoteCode, "NEWER");
  assert.equal(asPlantError("x").code, "INTERNAL");
});

test("an error a peer garbled is still an error", () => {
  const garbled = [{ code: { toString: 1 } }, { code: 7, message: { a: 1 }, detail: null }, {}];
  for (const wire of garbled) {
    const back = PlantError.fromWire(wire);
    assert.equal(back.code, "REMOTE_FAILED");
    assert.equal(back.detail.remoteCode, "none");
    assert.equal(back.detail.message, "");
  }
  const service = JSON.parse(`${"[".repeat(20_000)}${"]".repeat(20_000)}`);
  assert.deepEqual(PlantError.fromWire({ code: "NO_SERVICE", detail: { service } }).detail, {});
});

test("back-off grows, stays under its ceiling and never reaches zero", () => {
  const range = { baseMs: 100, ceilingMs: 5000 };
  for (let attempt = 0; attempt < 2000; attempt += 1) {
    assert.ok(backoffMs(range, attempt, 0.999999999) >= 1);
    assert.ok(backoffMs(range, attempt, 0) <= 5000);
  }
  assert.equal(backoffMs(range, 0, 0), 100);
  assert.equal(backoffMs(range, 3, 0), 800);
});

test("a fake clock wakes sleepers in the order they are due", async () => {
  const clock = fakeClock();
  const woken: number[] = [];
  for (const ms of [30, 10, 20]) void clock.sleep(ms).then(() => woken.push(ms));
  await clock.advance(15);
  assert.deepEqual(woken, [10]);
  await clock.advance(100);
  assert.deepEqual(woken, [10, 20, 30]);
  assert.equal(stampNow(clock, "b", "ntp").mono, 1115);
});

test("a loop ends with the error of its round, and disposal waits for the round", async () => {
  const clock = fakeClock();
  const failing = startLoop({
    clock,
    round: () => {
      throw new Error("no");
    },
  });
  assert.equal((await failing.ended)?.message, "no");
  let rounds = 0;
  const loop = startLoop({
    clock,
    pauseMs: 10,
    round: () => {
      rounds += 1;
    },
  });
  await clock.advance(35);
  await loop[Symbol.asyncDispose]();
  await loop[Symbol.asyncDispose]();
  assert.equal(rounds, 4);
  assert.equal(await within(clock, 5, Promise.resolve(3)), 3);
});

test("the system clock sleeps no longer than its signal allows", async () => {
  const stop = new AbortController();
  const slept = systemClock.sleep(1e12, stop.signal);
  stop.abort();
  await slept;
  await systemClock.sleep(1e12, stop.signal);
});

test("a seed gives the same numbers every time", () => {
  const [a, b] = [seededRandom(7), seededRandom(7)];
  assert.deepEqual([a.unit(), a.unit(), a.bytes(4)], [b.unit(), b.unit(), b.bytes(4)]);
  assert.notEqual(seededRandom(8).unit(), seededRandom(7).unit());
  const bytes = [systemRandom.bytes(5000), systemRandom.bytes(5000)];
  assert.notDeepEqual(bytes[0], bytes[1]);
  for (const drawn of bytes) assert.equal(new Set(drawn).size, 256, "every byte comes up");
  assert.equal(systemRandom.bytes(0).length, 0);
  const drawn = systemRandom.unit();
  assert.ok(drawn >= 0 && drawn < 1);
});

/** RFC 8032, 7.1, tests 1 to 3: seed, public key, message, signature. */
const rfc8032 = [
  [
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "",
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  ],
  [
    "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    "72",
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  ],
] as const;

test("signatures are those of RFC 8032, and a changed bit is noticed", () => {
  for (const [seed, publicKey, message, signature] of rfc8032) {
    const key = signingKeyFromSeed(Buffer.from(seed, "hex"));
    assert.equal(Buffer.from(key.publicKey).toString("hex"), publicKey);
    const signed = sign(key, Buffer.from(message, "hex"));
    assert.equal(Buffer.from(signed).toString("hex"), signature);
    const check = publicKeyFrom(key.publicKey);
    assert.ok(verify(check, Buffer.from(message, "hex"), signed));
    signed[5] = (signed[5] ?? 0) ^ 1;
    assert.equal(verify(check, Buffer.from(message, "hex"), signed), false);
    assert.equal(verify(check, Buffer.from(message, "hex"), signed.subarray(1)), false);
  }
  const key = generateSigningKey();
  assert.equal(keyId(signingKeyFromPem(pemOf(key)).publicKey), keyId(key.publicKey));
});

test("a log line is JSON with its context and code, and no secret reaches it", () => {
  const lines: string[] = [];
  const log = openLog({ service: "test", level: "info", write: (line) => lines.push(line) });
  log.debug("hidden");
  log.within("part").warn("seen", {
    code: "X",
    count: 3,
    token: "hush",
    error: new PlantError("NO_SERVICE"),
    inner: { passphrase: "hush" },
  });
  assert.equal(lines.length, 1);
  const line = JSON.parse(lines[0] ?? "");
  assert.equal(line.level, "warn");
  assert.equal(line.service, "test");
  assert.equal(line.context, "part");
  assert.equal(line.code, "X");
  assert.equal(line.fields.count, 3);
  assert.equal(line.fields.error.code, "NO_SERVICE");
  assert.doesNotMatch(lines[0] ?? "", /hush/);
});
