// Bytes at the listeners of our own transport: every split of what is right, and every kind of
// what is wrong, written by hand from RFC 37. After each of them a healthy peer is served.
// It must not use the codec it tests.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { seededRandom } from "../../src/util/random.ts";
import { transportNamed, type WireRefusal } from "../../src/wire/wire.ts";
import { until } from "../fakes/patience.ts";
import { deps, openPlayer, openStage, type Stage } from "../fakes/wire-stage.ts";

const folder = mkdtempSync(join(tmpdir(), "py-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const zmtp = transportNamed("zmtp");
const limit = { timeout: 60_000 };
let made = 0;
function newPath(): string {
  made += 1;
  return join(folder, `${made}.sock`);
}

const concat = (...parts: (Buffer | string | number[])[]) =>
  Buffer.concat(parts.map((part) => Buffer.from(part as Buffer)));
/** A greeting, and what of it is to be another, by its place. */
function greeting(changes: Readonly<Record<number, number | string>> = {}): Buffer {
  const bytes = Buffer.alloc(64);
  bytes.set([0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1]);
  bytes.write("NULL", 12);
  for (const [at, value] of Object.entries(changes)) {
    if (typeof value === "string") bytes.fill(0, 12, 32).write(value, Number(at), "latin1");
    else bytes[Number(at)] = value;
  }
  return bytes;
}
function property(name: string, value: string, lie = value.length): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(lie >>> 0);
  return concat([name.length], name, length, Buffer.from(value, "latin1"));
}
/** A frame of any flags; its length as it is, or as it lies. */
function frame(flags: number, body: Buffer | string, lie?: number | bigint): Buffer {
  const bytes = Buffer.from(body as string, "latin1");
  if ((flags & 2) === 0) return concat([flags, Number(lie ?? bytes.length)], bytes);
  const length = Buffer.alloc(8);
  length.writeBigUInt64BE(BigInt(lie ?? bytes.length));
  return concat([flags], length, bytes);
}
const command = (name: string, data: Buffer | string = "") =>
  frame(4, concat([name.length], name, Buffer.from(data as string, "latin1")));
const ready = (...properties: Buffer[]) => command("READY", concat(...properties));
const dealer = property("Socket-Type", "DEALER");
const hello = concat(greeting(), ready(dealer, property("Identity", "")));
const long = "l".repeat(300);
const stream = concat(
  hello,
  frame(0, "a"),
  frame(1, ""),
  frame(0, "b"),
  command("PING", "\0\u0001ctx"),
  frame(1, "c"),
  frame(3, long),
  frame(2, "short body, long head"),
  frame(0, ""),
);
const messages = [["a"], ["", "b"], ["c", long, "short body, long head"], [""]];

/** Two turns: what was written before is read before what is written after. */
async function turn(): Promise<void> {
  for (let count = 0; count < 2; count += 1) await new Promise((done) => setImmediate(done));
}

interface Raw {
  readonly socket: Socket;
  readonly received: () => Buffer;
  readonly isClosed: () => boolean;
}
async function open(path: string): Promise<Raw> {
  const chunks: Buffer[] = [];
  const socket = connect(path);
  let isClosed = false;
  socket.on("data", (chunk) => chunks.push(chunk));
  socket.on("error", () => {}); // a reset is what it deserves
  socket.on("close", () => {
    isClosed = true;
  });
  await new Promise((done) => socket.once("connect", done));
  return { socket, received: () => Buffer.concat(chunks), isClosed: () => isClosed };
}

async function isServed(stage: Stage): Promise<void> {
  await using player = openPlayer(zmtp, stage.endpoint);
  player.dealer.send([Buffer.from("well?")]);
  await until("a healthy peer is served", () => player.heard.length === 1);
}

const textOf = (stage: Stage, from: number) =>
  stage.heard
    .slice(from)
    .map(({ frames }) => frames.map((one) => Buffer.from(one).toString("latin1")));

/** Hears all messages of the stream, however it is cut; each cut is the end of one write. */
async function cut(stage: Stage, path: string, cuts: readonly number[]): Promise<void> {
  const from = stage.heard.length;
  const raw = await open(path);
  let at = 0;
  for (const end of [...cuts, stream.length]) {
    raw.socket.write(stream.subarray(at, end));
    at = end;
    await turn();
  }
  const what = `cut at ${cuts.slice(0, 5).join(", ")}`;
  await until(what, () => stage.heard.length === from + messages.length);
  assert.deepEqual(textOf(stage, from), messages, what);
  await until("PONG with the context", () => raw.received().includes("\u0004PONGctx"));
  raw.socket.destroy();
}

test("every split of the byte stream is the same messages", limit, async () => {
  const path = newPath();
  await using stage = await openStage(zmtp, `ipc://${path}`, { answers: false });
  const places = Array.from({ length: stream.length - 1 }, (_, at) => at + 1);
  for (const place of places) await cut(stage, path, [place]);
  await cut(stage, path, places);
  assert.deepEqual(stage.refused, []);
});

test("random splits of the byte stream are the same messages", limit, async () => {
  const seed = Math.floor(deps.random.unit() * 2 ** 31);
  process.stdout.write(`# splits: seed ${seed}\n`);
  const dice = seededRandom(seed);
  const path = newPath();
  await using stage = await openStage(zmtp, `ipc://${path}`, { answers: false });
  for (let round = 0; round < 100; round += 1) {
    const count = 1 + Math.floor(dice.unit() * 12);
    const places = Array.from({ length: count }, () => Math.floor(dice.unit() * stream.length));
    await cut(
      stage,
      path,
      [...new Set(places)].sort((a, b) => a - b),
    );
  }
});

const welcome: Readonly<Record<string, Buffer>> = {
  "version 3.0": concat(greeting({ 11: 0 }), ready(dealer)),
  "version 3.7": concat(greeting({ 11: 7 }), ready(dealer)),
  "version 9.0": concat(greeting({ 10: 9, 11: 0 }), ready(dealer)),
  "padding, as-server and filler that mean nothing": concat(
    greeting({ 1: 7, 5: 1, 32: 1, 33: 255, 63: 9 }),
    ready(dealer),
  ),
  "a name in other letters": concat(greeting(), ready(property("sOCKET-tYPE", "REQ"))),
  "properties nobody knows, and empty ones": concat(
    greeting(),
    frame(
      6,
      concat([5], "READY", property("X", "green"), dealer, property("Z", ""), property("Y", long)),
    ),
  ),
  "the longest identity": concat(
    greeting(),
    frame(6, concat([5], "READY", dealer, property("Identity", "i".repeat(255)))),
  ),
};
for (const [name, bytes] of Object.entries(welcome)) {
  test(`is welcome: ${name}`, limit, async () => {
    const path = newPath();
    await using stage = await openStage(zmtp, `ipc://${path}`, { answers: false });
    const raw = await open(path);
    raw.socket.write(concat(bytes, frame(0, "here")));
    await until(name, () => stage.heard.length === 1);
    assert.deepEqual(textOf(stage, 0), [["here"]]);
    raw.socket.destroy();
  });
}

/** What is wrong, and how it is counted. */
const wrong: Readonly<Record<string, readonly [WireRefusal, Buffer]>> = {
  "nothing like it": ["greeting", Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n")],
  "a version 1.0 peer": ["greeting", concat([1, 0], frame(0, "x"))],
  "a version 2.0 peer": ["greeting", concat([0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 1, 5, 0, 0])],
  "a signature that does not end": ["greeting", greeting({ 9: 0x7e })],
  "version 0": ["greeting", greeting({ 10: 0 })],
  CURVE: ["greeting", greeting({ 12: "CURVE" })],
  PLAIN: ["greeting", greeting({ 12: "PLAIN" })],
  "a mechanism in small letters": ["greeting", greeting({ 12: "null" })],
  "a mechanism that only begins as ours": ["greeting", greeting({ 12: "NULLX" })],
  "no mechanism": ["greeting", greeting({ 12: "" })],
  "a mechanism after zeros": ["greeting", greeting({ 31: 1 })],
  "a message before READY": ["handshake", concat(greeting(), frame(0, "x"))],
  "PING before READY": ["handshake", concat(greeting(), command("PING", "\0\0"))],
  "a command nobody knows before READY": ["handshake", concat(greeting(), command("HELLO", "x"))],
  "READY of a PUB": ["handshake", concat(greeting(), ready(property("Socket-Type", "PUB")))],
  "READY of nothing that is": [
    "handshake",
    concat(greeting(), ready(property("Socket-Type", "!"))),
  ],
  "READY without a type": ["command", concat(greeting(), ready())],
  "a name of no letters": ["command", concat(greeting(), ready(property("", "x"), dealer))],
  "a name longer than the rest": ["command", concat(greeting(), command("READY", "\u00ffab"))],
  "a value longer than the rest": [
    "command",
    concat(greeting(), ready(property("Socket-Type", "DEALER", 7))),
  ],
  "a value of 4 GB": [
    "command",
    concat(greeting(), ready(property("Socket-Type", "DEALER", 0xffffffff))),
  ],
  "a value that stops in its length": [
    "command",
    concat(greeting(), command("READY", concat(dealer, [1], "x", [0, 0]))),
  ],
  "an identity of 256 bytes": [
    "command",
    concat(
      greeting(),
      frame(6, concat([5], "READY", dealer, property("Identity", "i".repeat(256)))),
    ),
  ],
  "READY twice": ["command", concat(hello, ready(dealer))],
  "a command without a name": ["command", concat(hello, frame(4, ""))],
  "a command whose name is longer": ["command", concat(hello, frame(4, "\u0009PING"))],
  "PING without its time": ["command", concat(hello, command("PING", "\0"))],
  "PING with a context too long": [
    "command",
    concat(hello, command("PING", `\0\0${"x".repeat(17)}`)),
  ],
  "PONG with a context too long": ["command", concat(hello, command("PONG", "x".repeat(17)))],
  "a command of 1 MB": ["command", concat(hello, frame(6, "", 2 ** 20))],
  "a reserved bit": ["frame", concat(hello, frame(8, "x"))],
  "all bits": ["frame", concat(hello, frame(0xff, "x", 1))],
  "a command with more to come": ["frame", concat(hello, frame(5, "\u0004PING\0\0"))],
  "a reserved bit in mid-message": ["frame", concat(hello, frame(1, "a"), frame(0x41, "x"))],
  "a length of 63 bits and one": ["frame", concat(hello, frame(2, "", 2n ** 63n))],
  "the largest length": ["frame", concat(hello, frame(2, "", 2n ** 64n - 1n))],
  "a length nobody has room for": ["size", concat(hello, frame(2, "", 2n ** 40n))],
  "one byte too many": ["size", concat(hello, frame(2, "", 1001))],
  "one byte too many in two frames": [
    "size",
    concat(hello, frame(3, "x".repeat(500)), frame(2, "", 501)),
  ],
  "one frame too many": ["frames", concat(hello, ...Array(8).fill(frame(1, "")), frame(0, ""))],
};
for (const [name, [refusal, bytes]] of Object.entries(wrong)) {
  test(`is refused as ${refusal}: ${name}`, limit, async () => {
    const path = newPath();
    const limits = { messageBytesMax: 1000, framesMax: 8, answers: false };
    await using stage = await openStage(zmtp, `ipc://${path}`, limits);
    for (const isWhole of [true, false]) {
      const before = stage.refused.length;
      const raw = await open(path);
      if (isWhole) raw.socket.write(bytes);
      else for (const byte of bytes) raw.socket.write(Buffer.of(byte));
      await until(name, () => stage.refused.length > before);
      await until("it is closed", raw.isClosed);
    }
    assert.deepEqual(stage.refused, [refusal, refusal]);
    assert.equal(stage.router.counters.refused[refusal], 2);
    assert.deepEqual(stage.heard, []);
    await using player = openPlayer(zmtp, stage.endpoint);
    player.dealer.send([Buffer.from("well?")]);
    await until("a healthy peer is served", () => stage.heard.length === 1);
    assert.equal(stage.router.counters.connections, 1);
  });
}

test("PING in mid-message, as libzmq sends it, is answered and splits nothing", limit, async () => {
  const path = newPath();
  await using stage = await openStage(zmtp, `ipc://${path}`, { answers: false });
  const raw = await open(path);
  raw.socket.write(concat(hello, frame(1, "a"), command("PING", "\0\u0001mid"), frame(0, "b")));
  await until("the message around it", () => stage.heard.length === 1);
  assert.deepEqual(textOf(stage, 0), [["a", "b"]]);
  await until("PONG", () => raw.received().includes("\u0004PONGmid"));
  raw.socket.destroy();
});

test("a command nobody knows is passed over once messages flow", limit, async () => {
  const path = newPath();
  await using stage = await openStage(zmtp, `ipc://${path}`, { answers: false });
  const raw = await open(path);
  raw.socket.write(concat(hello, command("SUBSCRIBE", "x"), command("XYZZY"), frame(0, "after")));
  await until("the message after it", () => stage.heard.length === 1);
  assert.deepEqual(stage.refused, []);
  raw.socket.destroy();
});

const silent: Readonly<Record<string, Buffer>> = {
  "at once": Buffer.alloc(0),
  "in its signature": greeting().subarray(0, 5),
  "in its greeting": greeting().subarray(0, 40),
  "after its greeting": greeting(),
  "in READY": hello.subarray(0, 70),
};
for (const [name, bytes] of Object.entries(silent)) {
  test(`who falls silent ${name} is let go after the handshake time`, limit, async () => {
    const path = newPath();
    await using stage = await openStage(zmtp, `ipc://${path}`, { handshakeMs: 60 });
    const raw = await open(path);
    if (bytes.length > 0) raw.socket.write(bytes);
    await until(name, raw.isClosed);
    assert.deepEqual(stage.refused, ["handshake"]);
    await isServed(stage);
  });
}

test(
  "who falls silent after the handshake stays, and a half-closed one is let go",
  limit,
  async () => {
    const path = newPath();
    await using stage = await openStage(zmtp, `ipc://${path}`, { handshakeMs: 40, answers: false });
    const [quiet, half] = [await open(path), await open(path)];
    quiet.socket.write(hello);
    half.socket.end(concat(hello, frame(0, "last words"), frame(1, "unfinished")));
    await until("the half-closed one is gone", () => stage.gone.length === 1);
    assert.deepEqual(textOf(stage, 0), [["last words"]]);
    await deps.clock.sleep(100);
    quiet.socket.write(frame(0, "still here"));
    await until("the quiet one is heard", () => stage.heard.length === 2);
    assert.equal(quiet.isClosed(), false);
    quiet.socket.destroy();
    await until("now it is gone", () => stage.gone.length === 2);
  },
);

test("a dealer survives every wrong router, and comes back to a right one", limit, async () => {
  const wrongRouters = {
    "no ZMTP": Buffer.from("220 mail.example ESMTP\r\n"),
    "another mechanism": greeting({ 12: "CURVE" }),
    "a DEALER": concat(greeting(), ready(dealer)),
    "a READY that lies": concat(greeting(), command("READY", "\u00ffab")),
    "a message too early": concat(greeting(), frame(0, "x")),
    "reserved bits": concat(greeting(), ready(property("Socket-Type", "ROUTER")), frame(0xf8, "x")),
  };
  for (const [name, bytes] of Object.entries(wrongRouters)) {
    const path = newPath();
    const seen = new Set<Socket>();
    const server = createServer((socket) => {
      seen.add(socket);
      socket.on("error", () => {}); // it hangs up on us
      socket.write(bytes);
    });
    await new Promise<void>((done) => server.listen(path, done));
    await using player = openPlayer(zmtp, `ipc://${path}`);
    await until(`it lets go of ${name}`, () => player.downs > 0 || seen.size > 1);
    assert.deepEqual(player.heard, []);
    for (const socket of seen) socket.destroy();
    await new Promise((done) => server.close(done));
    if (player.downs > 0) continue; // it stood for a moment; a steady dealer makes another
    await using stage = await openStage(zmtp, `ipc://${path}`);
    player.dealer.send([Buffer.from("at last")]);
    await until(`it comes back after ${name}`, () => player.heard.length === 1);
    assert.equal(stage.heard.length, 1);
  }
});
