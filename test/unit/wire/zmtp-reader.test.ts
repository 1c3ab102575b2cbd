// Frames out of streams that are cut anywhere, bounded, mutated: always the same messages or the
// proper refusal. It must not know sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom, systemRandom } from "../../../src/util/random.ts";
import type { WireLimits } from "../../../src/wire/wire.ts";
import { commandBytesMax, FrameReader, type ReadStop } from "../../../src/wire/zmtp-reader.ts";
import { commandOf, frameOf, messageOf, readyOf } from "../../fakes/zmtp-bytes.ts";

const limits: WireLimits = {
  messageBytesMax: 1_000_000,
  framesMax: 20,
  sendQueueMax: 1,
  sendBytesMax: 1,
};

interface Heard {
  readonly reader: FrameReader;
  readonly said: string[];
  readonly frames: Uint8Array[][];
}

function newReader(given: Partial<WireLimits> = {}, isOpen = true): Heard {
  const said: string[] = [];
  const frames: Uint8Array[][] = [];
  const reader = new FrameReader(
    { ...limits, ...given },
    {
      takeMessage(message) {
        frames.push([...message]);
        said.push(`m ${message.map((one) => Buffer.from(one).toString("hex")).join(".")}`);
        return true;
      },
      takeCommand(body) {
        said.push(`c ${Buffer.from(body).toString("hex")}`);
        reader.mayTakeMessages = true;
        return true;
      },
    },
  );
  reader.mayTakeMessages = isOpen;
  return { reader, said, frames };
}

/** Pushes chunks as a socket does: each in memory of its own, each read to its end. */
function readAll(reader: FrameReader, chunks: readonly Uint8Array[]): ReadStop {
  let stop: ReadStop = "dry";
  for (const chunk of chunks) {
    if (chunk.length === 0) continue;
    const own = Buffer.allocUnsafeSlow(chunk.length);
    own.set(chunk);
    reader.push(own, 0);
    do {
      reader.spent = 0;
      stop = reader.read(512);
    } while (stop === "more");
    if (stop !== "dry") return stop;
  }
  return stop;
}

function cut(bytes: Buffer, size: number): Buffer[] {
  const chunks = [];
  for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
  return chunks;
}

const filled = (size: number, seed: number) =>
  Buffer.from(Uint8Array.from({ length: size }, (_, at) => at * 7 + seed));

const talk = Buffer.concat([
  readyOf("DEALER", "me"),
  messageOf(""),
  messageOf("MDPC02", "\u0001", "service", "body"),
  messageOf("MDPC02", "\u0001", "service", "another body"),
  frameOf(1, Buffer.from("first")),
  commandOf("PING", "\0\0", "between frames"),
  frameOf(0, Buffer.from("last")),
  messageOf("", "", ""),
  frameOf(1, Buffer.from("short with a long length"), true),
  frameOf(0, Buffer.alloc(0), true),
  frameOf(4, Buffer.from("\u0005HELLO"), true),
  messageOf(filled(255, 1), filled(256, 2), filled(300, 3)),
  messageOf("MDPC02", "x"),
]);

function heardOf(bytes: Buffer): readonly string[] {
  const { reader, said } = newReader({}, false);
  assert.equal(readAll(reader, [bytes]), "dry");
  return said;
}

test("a conversation is heard", () => {
  const said = heardOf(talk);
  assert.equal(said.length, 11);
  assert.equal(said[1], "m ");
  assert.equal(said[4], `c ${Buffer.from("\u0004PING\0\0between frames").toString("hex")}`);
  assert.equal(
    said[5],
    `m ${Buffer.from("first").toString("hex")}.${Buffer.from("last").toString("hex")}`,
  );
  assert.equal(said[6], "m ..");
});

test("a conversation is heard alike however its stream is cut in two", () => {
  const expected = heardOf(talk);
  for (let at = 0; at <= talk.length; at += 1) {
    const { reader, said } = newReader({}, false);
    assert.equal(readAll(reader, [talk.subarray(0, at), talk.subarray(at)]), "dry");
    assert.deepEqual(said, expected, `cut at ${at}`);
    assert.equal(reader.held, 0);
  }
});

test("a conversation is heard alike in pieces of 1, 2, 3 … bytes", () => {
  const expected = heardOf(talk);
  for (let size = 1; size < 80; size += 1) {
    const { reader, said } = newReader({}, false);
    assert.equal(readAll(reader, cut(talk, size)), "dry");
    assert.deepEqual(said, expected, `pieces of ${size}`);
  }
});

test("frames of every size are whole, in chunks of every size", () => {
  const sizes = [0, 1, 2, 254, 255, 256, 257, 8191, 8192, 65_535, 65_536, 65_537];
  const message = sizes.map((size, at) => filled(size, at));
  const bytes = Buffer.concat([messageOf(...message), messageOf("end")]);
  for (const size of [7, 255, 1000, 65_536, bytes.length]) {
    const { reader, frames } = newReader();
    assert.equal(readAll(reader, cut(bytes, size)), "dry");
    assert.equal(frames.length, 2);
    for (const [at, frame] of message.entries()) {
      assert.ok(frame.equals(frames[0]![at]!), `frame of ${frame.length} in chunks of ${size}`);
    }
    assert.equal(reader.held, 0);
  }
});

const length64 = (flags: number, high: number, low: number) => {
  const head = Buffer.alloc(9);
  head[0] = flags;
  head.writeUInt32BE(high, 1);
  head.writeUInt32BE(low, 5);
  return head;
};
const small = { messageBytesMax: 1000, framesMax: 3 };

const refused: Readonly<Record<string, { bytes: Buffer; stop: ReadStop; isOpen?: boolean }>> = {
  "reserved bit 3": { bytes: Buffer.of(8), stop: "frame" },
  "reserved bit 7": { bytes: Buffer.of(128, 0), stop: "frame" },
  "all bits": { bytes: Buffer.of(255), stop: "frame" },
  "a command with MORE": { bytes: Buffer.of(5), stop: "frame" },
  "a long command with MORE": { bytes: Buffer.of(7), stop: "frame" },
  "a length of 2^63": { bytes: length64(2, 2 ** 31, 0), stop: "frame" },
  "a length of 2^64 − 1": { bytes: length64(2, 2 ** 32 - 1, 2 ** 32 - 1), stop: "frame" },
  "a command of 2^63": { bytes: length64(6, 2 ** 31, 0), stop: "frame" },
  "a length of 2^63 − 1": { bytes: length64(2, 2 ** 31 - 1, 2 ** 32 - 1), stop: "size" },
  "a length of 2^32": { bytes: length64(2, 1, 0), stop: "size" },
  "one byte too many in one frame": { bytes: length64(2, 0, 1001), stop: "size" },
  "one byte too many in two frames": {
    bytes: Buffer.concat([frameOf(1, Buffer.alloc(900)), Buffer.of(0, 101)]),
    stop: "size",
  },
  "one frame too many": { bytes: messageOf("", "", "", ""), stop: "frames" },
  "one frame too many, announced": {
    bytes: Buffer.concat([messageOf("a", "b", "c"), Buffer.of(1, 0, 1, 0, 1, 0, 0, 9)]),
    stop: "frames",
  },
  "one byte too many in a command": {
    bytes: length64(6, 0, commandBytesMax + 1),
    stop: "command",
  },
  "a message before READY": { bytes: Buffer.of(0, 5), stop: "handshake", isOpen: false },
  "a long message before READY": {
    bytes: length64(2, 0, 300),
    stop: "handshake",
    isOpen: false,
  },
};

test("a stream is refused as soon as the offending head is there, however it is cut", () => {
  for (const [name, { bytes, stop, isOpen }] of Object.entries(refused)) {
    for (const size of [1, 2, 5, bytes.length]) {
      const { reader } = newReader(small, isOpen ?? true);
      assert.equal(readAll(reader, cut(bytes, size)), stop, `${name}, in pieces of ${size}`);
    }
  }
});

const allowed: Readonly<Record<string, Buffer>> = {
  "all bytes in one frame": messageOf(Buffer.alloc(1000)),
  "all bytes in three frames": messageOf(Buffer.alloc(900), "", Buffer.alloc(100)),
  "all frames": messageOf("", "", ""),
  "messages one after the other": Buffer.concat([
    messageOf(Buffer.alloc(1000)),
    messageOf(Buffer.alloc(999), "x"),
  ]),
  "the longest command": frameOf(
    4,
    Buffer.concat([Buffer.from("\u0001x"), Buffer.alloc(commandBytesMax - 2)]),
  ),
  "a command in a full message": Buffer.concat([
    frameOf(1, Buffer.alloc(500)),
    commandOf("PING", "\0\0"),
    frameOf(0, Buffer.alloc(500)),
  ]),
};

test("a stream at its limits is read", () => {
  for (const [name, bytes] of Object.entries(allowed)) {
    for (const size of [1, 100, bytes.length]) {
      const { reader } = newReader(small);
      assert.equal(readAll(reader, cut(bytes, size)), "dry", name);
      assert.equal(reader.held, 0);
    }
  }
});

test("nothing is kept for what was only announced, and what is kept is told", () => {
  const { reader } = newReader();
  readAll(reader, [length64(2, 0, 900_000)]);
  assert.ok(reader.held < 500, `${reader.held}`);
  readAll(reader, [Buffer.alloc(100_000)]);
  assert.ok(reader.held >= 100_000 && reader.held < 101_000, `${reader.held}`);
  assert.equal(readAll(reader, [Buffer.alloc(800_000)]), "dry");
  assert.equal(reader.held, 0);
});

test("equal leading frames are one object, a frame of 0 or 1 bytes is everybody's", () => {
  const { reader, frames } = newReader();
  const request = (service: string, body: string) => messageOf("MDPC02", "\u0001", service, body);
  readAll(reader, [request("one", "aa"), request("one", "aa")]);
  readAll(reader, [Buffer.concat([request("two", "bb"), request("one", "aa"), messageOf("")])]);
  const [first, second, third, fourth] = frames;
  for (const at of [0, 1, 2]) assert.equal(first![at], second![at]);
  assert.notEqual(first![3], second![3]);
  assert.equal(String(third![2]), "two");
  for (const at of [0, 1, 2]) assert.equal(first![at], fourth![at]);
  const other = newReader();
  readAll(other.reader, [messageOf("", "\u0001")]);
  assert.equal(other.frames[0]![1], first![1]);
  assert.equal(other.frames[0]![0], frames[4]![0]);
});

test("a peer that says something else from now on is remembered anew", () => {
  const { reader, frames } = newReader();
  readAll(reader, [messageOf("old words", "x")]);
  for (let count = 0; count < 40; count += 1) readAll(reader, [messageOf("new words", "x")]);
  assert.equal(frames.at(-1)![0], frames.at(-2)![0]);
  assert.equal(String(frames.at(-1)![0]), "new words");
});

test("reading stops when its budget is spent or its taker has enough, and goes on", () => {
  const said: string[] = [];
  let isEnough = false;
  const reader = new FrameReader(limits, {
    takeMessage(frames) {
      said.push(String(frames[0]));
      return !isEnough;
    },
    takeCommand: () => true,
  });
  reader.mayTakeMessages = true;
  const bytes = Buffer.concat(Array.from({ length: 10 }, (_, at) => messageOf(`m${at}`)));
  reader.push(bytes, 0);
  assert.equal(reader.read(5), "more");
  assert.deepEqual(said, ["m0"]);
  reader.spent = 0;
  isEnough = true;
  assert.equal(reader.read(1000), "more");
  assert.deepEqual(said, ["m0", "m1"]);
  isEnough = false;
  assert.equal(reader.read(1000), "dry");
  assert.equal(said.length, 10);
});

test("mutated streams are heard or refused, and never throw or keep more than they may", () => {
  const seed = Math.floor(systemRandom.unit() * 2 ** 31);
  const dice = seededRandom(seed);
  const rows = Object.values(refused).map(({ bytes }) => bytes);
  for (let round = 0; round < 2000; round += 1) {
    const bytes = Buffer.from(round % 4 === 0 ? (rows[round % rows.length] ?? talk) : talk);
    for (let change = dice.unit() * 6; change > 0; change -= 1) {
      bytes[Math.floor(dice.unit() * bytes.length)] = Math.floor(dice.unit() * 256);
    }
    const { reader, frames } = newReader({ messageBytesMax: 2000 }, dice.unit() < 0.5);
    const stop = readAll(reader, cut(bytes, 1 + Math.floor(dice.unit() * bytes.length)));
    assert.ok(stop !== "more", `seed ${seed}, round ${round}`);
    assert.ok(reader.held <= 2000 + 128 * 21, `seed ${seed}, round ${round}: ${reader.held}`);
    for (const message of frames) {
      assert.ok(message.length <= limits.framesMax, `seed ${seed}, round ${round}`);
    }
  }
});
