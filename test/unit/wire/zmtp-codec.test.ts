// The words of ZMTP: what is accepted, what is refused, and our own bytes.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  decodeCommand,
  encodeError,
  encodePing,
  encodePong,
  encodeReady,
  greeting,
  isGreetingSoFar,
  knowsPing,
  mayTalk,
  wireBytes,
  writeHead,
} from "../../../src/wire/zmtp-codec.ts";
import {
  commandBody as body,
  commandOf,
  frameOf,
  greetingOf,
  messageOf,
  property,
} from "../../fakes/zmtp-bytes.ts";

const changed = (at: number, byte: number) => {
  const bytes = greetingOf();
  bytes[at] = byte;
  return bytes;
};

const greetings: Readonly<Record<string, Buffer>> = {
  "version 3.1": greetingOf(),
  "version 3.0": greetingOf(3, 0),
  "a later minor version": greetingOf(3, 9),
  "a later major version": greetingOf(4, 0),
  "padding in the signature": changed(8, 1),
  "as-server set": changed(32, 1),
  "something in the filler": changed(63, 255),
};

const badGreetings: Readonly<Record<string, { bytes: Buffer; from: number }>> = {
  "another first byte": { bytes: changed(0, 0), from: 1 },
  "no 7f after the padding": { bytes: changed(9, 0x7e), from: 10 },
  "version 1": { bytes: greetingOf(1, 0), from: 11 },
  "version 2": { bytes: greetingOf(2, 1), from: 11 },
  "mechanism PLAIN": { bytes: greetingOf(3, 1, "PLAIN"), from: 13 },
  "mechanism CURVE": { bytes: greetingOf(3, 1, "CURVE"), from: 13 },
  "mechanism NULLX": { bytes: greetingOf(3, 1, "NULLX"), from: 17 },
  "mechanism null": { bytes: greetingOf(3, 1, "null"), from: 13 },
  "no mechanism": { bytes: greetingOf(3, 1, ""), from: 13 },
  "something after the mechanism": { bytes: changed(31, 1), from: 32 },
};

test("a greeting of version 3 and NULL is accepted at each of its bytes", () => {
  for (const [name, bytes] of Object.entries(greetings)) {
    for (let count = 0; count <= 64; count += 1) {
      assert.ok(isGreetingSoFar(bytes, count), `${name}, ${count} bytes`);
    }
  }
});

test("another greeting is refused at its first wrong byte", () => {
  for (const [name, { bytes, from }] of Object.entries(badGreetings)) {
    for (let count = 0; count <= 64; count += 1) {
      assert.equal(isGreetingSoFar(bytes, count), count < from, `${name}, ${count} bytes`);
    }
  }
});

test("our greeting is 3.1 with NULL, and a peer of 3.0 is not pinged", () => {
  assert.deepEqual(greeting, greetingOf());
  assert.equal(knowsPing(greetingOf(3, 0)), false);
  assert.equal(knowsPing(greetingOf(3, 1)), true);
  assert.equal(knowsPing(greetingOf(4, 0)), true);
});

const ping = (ttl: readonly [number, number], context: string) =>
  body("PING", Buffer.from(ttl), context);
const big = (count: number) => "i".repeat(count);
const typed = property("Socket-Type", "DEALER");
const ready = (identity: string) => ({
  kind: "ready",
  socketType: "DEALER",
  identity: Buffer.from(identity),
});

const commands: readonly (readonly [string, Buffer, unknown])[] = [
  ["READY with its type", body("READY", typed), ready("")],
  ["any case of a name", body("READY", property("sOCKET-tYPE", "DEALER")), ready("")],
  ["an empty identity", body("READY", typed, property("Identity", "")), ready("")],
  ["an identity", body("READY", property("IDENTITY", "me"), typed), ready("me")],
  ["a long identity", body("READY", typed, property("Identity", big(255))), ready(big(255))],
  ["metadata of others", body("READY", property("X-Who", big(900)), typed), ready("")],
  ["ERROR without a reason", body("ERROR", "\0"), { kind: "error", reason: "" }],
  ["ERROR", body("ERROR", "\u0002no"), { kind: "error", reason: "no" }],
  ["PING", ping([0, 0], ""), { kind: "ping", ttlMs: 0, context: Buffer.alloc(0) }],
  [
    "PING, TTL 25.8 s",
    ping([1, 2], "x"),
    { kind: "ping", ttlMs: 25_800, context: Buffer.from("x") },
  ],
  [
    "PING with all it may have",
    ping([255, 255], big(16)),
    { kind: "ping", ttlMs: 6_553_500, context: Buffer.from(big(16)) },
  ],
  ["PONG", body("PONG"), { kind: "pong" }],
  ["PONG with a context", body("PONG", big(16)), { kind: "pong" }],
  ["a name nobody knows", body("HELLO", "x"), { kind: "unknown", name: "HELLO" }],
  ["a name in another case", body("ready", typed), { kind: "unknown", name: "ready" }],
  ["SUBSCRIBE", body("SUBSCRIBE", "t"), { kind: "unknown", name: "SUBSCRIBE" }],
];

const badCommands: Readonly<Record<string, Buffer>> = {
  "no byte": Buffer.alloc(0),
  "a name of no length": Buffer.of(0),
  "a name of no length with data": Buffer.of(0, 1, 2),
  "a name that is cut": Buffer.from("\u0005READ"),
  "READY without a type": body("READY"),
  "READY with an identity alone": body("READY", property("Identity", "x")),
  "READY, a property without a name": body("READY", typed, property("", "x")),
  "READY, a name that is cut": body("READY", typed, "\u0009Ident"),
  "READY, a length that is cut": body("READY", typed, "\u0001x\0\0\0"),
  "READY, a value that is cut": body("READY", typed.subarray(0, -1)),
  "READY, a value without end": body("READY", "\u0001x", Buffer.alloc(4, 255)),
  "READY, one byte too many": body("READY", typed, "\u0001"),
  "READY, an identity of 256 bytes": body("READY", typed, property("identity", big(256))),
  "ERROR without a length": body("ERROR"),
  "ERROR that is cut": body("ERROR", "\u0003no"),
  "ERROR with more than its reason": body("ERROR", "\u0001no"),
  "PING without a TTL": body("PING"),
  "PING with half a TTL": body("PING", "\0"),
  "PING, a context of 17 bytes": ping([0, 0], big(17)),
  "PONG, a context of 17 bytes": body("PONG", big(17)),
};

test("commands are read", () => {
  for (const [name, bytes, command] of commands) {
    assert.deepEqual(decodeCommand(bytes), command, name);
  }
});

test("malformed commands are refused", () => {
  for (const [name, bytes] of Object.entries(badCommands)) {
    assert.equal(decodeCommand(bytes), undefined, name);
  }
});

test("our own commands are those of the RFC", () => {
  assert.deepEqual(encodeReady("ROUTER"), commandOf("READY", property("Socket-Type", "ROUTER")));
  assert.deepEqual(encodeReady("DEALER"), commandOf("READY", typed));
  assert.deepEqual(encodeError("no"), commandOf("ERROR", "\u0002no"));
  assert.deepEqual(encodePing(), commandOf("PING", "\0\0"));
  assert.deepEqual(encodePong(Buffer.from("abc")), commandOf("PONG", "abc"));
});

test("a router talks with DEALER, REQ and ROUTER, a dealer with ROUTER and REP", () => {
  const all = ["DEALER", "REQ", "ROUTER", "REP", "PUB", "SUB", "XPUB", "XSUB", "PUSH", "PULL"];
  const others = ["PAIR", "dealer", "", "DEALER "];
  const friends = (own: "ROUTER" | "DEALER") =>
    [...all, ...others].filter((it) => mayTalk(own, it));
  assert.deepEqual(friends("ROUTER"), ["DEALER", "REQ", "ROUTER"]);
  assert.deepEqual(friends("DEALER"), ["ROUTER", "REP"]);
});

test("the head of a frame is short up to 255 bytes, then long", () => {
  for (const length of [0, 1, 254, 255, 256, 65_535, 65_536, 16_777_216]) {
    for (const isLast of [true, false]) {
      const into = Buffer.alloc(9);
      const end = writeHead(into, 0, length, isLast);
      const frame = frameOf(isLast ? 0 : 1, Buffer.alloc(length));
      assert.deepEqual(
        into.subarray(0, end),
        frame.subarray(0, frame.length - length),
        `${length}`,
      );
    }
  }
  const huge = Buffer.alloc(9);
  writeHead(huge, 0, 2 ** 40 + 5, true);
  assert.equal(huge.toString("hex"), "020000010000000005");
});

test("the size of a message counts its heads", () => {
  const frames = ["", "a", Buffer.alloc(255), Buffer.alloc(256), Buffer.alloc(70_000)];
  assert.equal(wireBytes(frames.map((one) => Buffer.from(one))), messageOf(...frames).length);
});
