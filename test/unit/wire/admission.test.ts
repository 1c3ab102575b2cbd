// Who libzmq lets in, and the keys it is decided by: answers, texts, files.
import assert from "node:assert/strict";
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Code } from "../../../src/util/catalogue.ts";
import { hasCode } from "../../../src/util/errors.ts";
import { encodeZ85, isCurveKey, newKeyPair, publicKeyOf } from "../../../src/wire/curve-keys.ts";
import { Pool } from "../../../src/wire/pool.ts";
import { WaitingLine } from "../../../src/wire/waiting-line.ts";
import {
  ensureKeyPair,
  readKeyPair,
  readPeerKeys,
  writeNewKeyPair,
} from "../../../src/wire/wire.ts";
import { answerKnock, type Room } from "../../../src/wire/zap.ts";

const folder = mkdtempSync(join(tmpdir(), "pk-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const failsWith = (code: Code) => (error: unknown) => hasCode(error, code);
/** The example of RFC 32, and a key as it is printed in both forms for libzmq. */
const example = Buffer.from("864fd26fb559f75b", "hex");
const shown = "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6";
const shownBytes = Buffer.from(
  "8e0bdd697628b91d8f245587ee95c5b04d48963f79259877b49cd9063aead3b7",
  "hex",
);

test("Z85 is that of its RFC", () => {
  assert.equal(encodeZ85(example), "HelloWorld");
  assert.equal(encodeZ85(new Uint8Array()), "");
  assert.equal(encodeZ85(Buffer.alloc(4, 0xff)), "%nSc0");
  assert.equal(isCurveKey(shown), true);
});

const notKeys = {
  empty: "",
  "a character short": shown.slice(1),
  "a character long": `${shown}0`,
  "a character that is none": shown.replace("J", '"'),
  "more than 32 bits": `#####${shown.slice(5)}`,
};
for (const [name, text] of Object.entries(notKeys)) {
  test(`a text is no key: ${name}`, () => assert.equal(isCurveKey(text), false));
}

test("a new pair has a public key that belongs to the secret one, and is never the same", () => {
  const [one, other] = [newKeyPair(), newKeyPair()];
  assert.ok(isCurveKey(one.publicKey) && isCurveKey(one.secretKey));
  assert.equal(publicKeyOf(one.secretKey), one.publicKey);
  assert.notEqual(one.secretKey, other.secretKey);
});

const listeners = [
  { principal: "technician", endpoint: "tcp://127.0.0.1:1", keys: [shown] },
  { principal: "driver", endpoint: "ipc:///x" },
];
function knock(domain: string, mechanism: string, credential?: Buffer, room: Room = "some") {
  const texts = ["1.0", "7", domain, "127.0.0.1", "", mechanism];
  const frames: Buffer[] = [
    Buffer.of(0, 1, 2, 3, 4),
    Buffer.alloc(0),
    ...texts.map((t) => Buffer.from(t)),
  ];
  if (credential !== undefined) frames.push(credential);
  const { reply, ...rest } = answerKnock(frames, listeners, () => room);
  assert.deepEqual(reply[0], frames[0]);
  assert.equal(String(reply[2]), "1.0");
  assert.equal(String(reply[3]), "7");
  assert.equal(reply.length, 8);
  return { ...rest, status: String(reply[4]) };
}

test("a listed key is let in", () => {
  assert.deepEqual(knock("0", "CURVE", shownBytes), {
    listener: 0,
    verdict: "let in",
    status: "200",
  });
});

const refused = {
  "another key": () => knock("0", "CURVE", Buffer.alloc(32, 1)),
  "a key of another length": () => knock("0", "CURVE", shownBytes.subarray(1)),
  "no key": () => knock("0", "CURVE"),
  "NULL where keys are asked for": () => knock("0", "NULL"),
  "PLAIN where keys are asked for": () => knock("0", "PLAIN", Buffer.from("x")),
  "PLAIN where nothing is asked for": () => knock("1", "PLAIN", Buffer.from("x")),
  "CURVE where nothing is asked for": () => knock("1", "CURVE", shownBytes),
};
for (const [name, ask] of Object.entries(refused)) {
  test(`is refused for good: ${name}`, () => {
    const { verdict, status } = ask();
    assert.deepEqual({ verdict, status }, { verdict: "wrong key", status: "400" });
  });
}

test("who finds no room may try again; a wrong key is told nothing of room", () => {
  assert.equal(knock("0", "CURVE", shownBytes, "none").status, "300");
  assert.equal(knock("1", "NULL", undefined, "none").status, "300");
  assert.equal(knock("0", "NULL", undefined, "none").status, "400");
});

test("who comes in a crowd is sent away at once", () => {
  assert.equal(knock("1", "NULL", undefined, "crowded").status, "500");
  assert.equal(knock("0", "CURVE", shownBytes, "crowded").status, "500");
  assert.equal(knock("0", "NULL", undefined, "crowded").status, "400");
});

test("a question nobody can mean is answered with 500", () => {
  assert.equal(knock("2", "NULL").status, "500");
  assert.equal(knock("", "NULL").status, "500");
  assert.equal(answerKnock([], listeners, () => "some").verdict, "not understood");
});

test("a key file is made once, for its owner alone, and read again", () => {
  const path = join(folder, "a", "b", "broker.key");
  const made = ensureKeyPair(path);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.equal(statSync(join(folder, "a", "b")).mode & 0o777, 0o700);
  assert.deepEqual(ensureKeyPair(path), made);
  assert.deepEqual(readKeyPair(path), made);
  assert.throws(() => writeNewKeyPair(path), failsWith("KEY_FILE_EXISTS"));
  assert.deepEqual(readKeyPair(path), made);
  assert.deepEqual(readdirSync(join(folder, "a", "b")), ["broker.key"]);
});

test("the key file of a peer keeps the broker's key too; one without it does not connect", () => {
  const path = join(folder, "peer.key");
  const serverKey = newKeyPair().publicKey;
  const made = writeNewKeyPair(path, serverKey);
  assert.deepEqual(readPeerKeys(path), made);
  assert.equal(readPeerKeys(path).serverKey, serverKey);
  const alone = join(folder, "alone.key");
  writeNewKeyPair(alone);
  assert.throws(() => readPeerKeys(alone), failsWith("KEY_FILE_UNUSABLE"));
  writeFileSync(path, `${readFileSync(path, "utf8").trim()}x\n`);
  assert.throws(() => readPeerKeys(path), failsWith("KEY_FILE_UNUSABLE"));
});

const spoilt: Readonly<Record<string, (text: string) => string>> = {
  empty: () => "",
  "cut short": (text) => text.slice(0, -9),
  "a pair that is none": (text) => text.replace(/^public .*/m, `public ${newKeyPair().publicKey}`),
  "no secret": (text) => text.replace(/^secret .*/m, ""),
  "far too large": (text) => text + "#".repeat(5000),
};
for (const [name, spoil] of Object.entries(spoilt)) {
  test(`a key file is refused, and stays as it is: ${name}`, () => {
    const path = join(folder, `${name.replaceAll(" ", "-")}.key`);
    writeNewKeyPair(path);
    const text = spoil(readFileSync(path, "utf8"));
    writeFileSync(path, text);
    assert.throws(() => ensureKeyPair(path), failsWith("KEY_FILE_UNUSABLE"));
    assert.equal(readFileSync(path, "utf8"), text);
  });
}

test("a key file others may read is refused, and one that is missing or in no folder", () => {
  const path = join(folder, "open.key");
  writeNewKeyPair(path);
  chmodSync(path, 0o640);
  assert.throws(() => readKeyPair(path), failsWith("KEY_FILE_UNUSABLE"));
  assert.throws(() => readKeyPair(join(folder, "none")), failsWith("KEY_FILE_UNUSABLE"));
  assert.throws(() => ensureKeyPair(join(path, "x.key")), failsWith("KEY_FILE_UNUSABLE"));
});

test("a waiting line has room for its messages and its bytes, and for one that is larger", () => {
  const line = new WaitingLine({ messagesMax: 4, bytesMax: 100, pool: new Pool() });
  const frames = [Buffer.alloc(1)];
  assert.equal(line.push(frames, 500), true);
  assert.equal(line.push(frames, 1), false, "beyond its bytes");
  assert.equal(line.isLong, true);
  assert.equal(line.shift(), 500);
  assert.equal(line.isShort, true);
  for (let count = 0; count < 4; count += 1) assert.equal(line.push([Buffer.of(count)], 25), true);
  assert.equal(line.push(frames, 0), false, "beyond its messages");
  assert.equal(line.first?.[0]?.[0], 0);
  assert.equal(line.clear(), 4);
  assert.equal(line.length, 0);
  for (let count = 0; count < 5000; count += 1) {
    assert.equal(line.push([Buffer.from(String(count))], 1), true);
    assert.equal(String(line.first?.[0]), String(count));
    line.shift();
  }
});
