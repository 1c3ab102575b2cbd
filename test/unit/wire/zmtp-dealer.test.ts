// The dealer on real unix sockets, against peers that are no more than bytes, under a clock that
// stands still. It must not know what travels.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { seededRandom } from "../../../src/util/random.ts";
import type { DealerOptions, DealerSocket } from "../../../src/wire/wire.ts";
import { connectZmtpDealer } from "../../../src/wire/zmtp-dealer.ts";
import { type FakeClock, fakeClock } from "../../fakes/clock.ts";
import { commandOf, greetingOf, messageOf, property, readyOf } from "../../fakes/zmtp-bytes.ts";

const folder = mkdtempSync(join(tmpdir(), "pd-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** What the dealer says before messages. */
const opening = Buffer.concat([
  greetingOf(),
  commandOf("READY", property("Socket-Type", "DEALER")),
]).length;

interface Stage {
  readonly clock: FakeClock;
  readonly dealer: DealerSocket;
  readonly path: string;
  readonly told: string[];
  hear(count: number): Promise<readonly string[]>;
}

let stages = 0;

function raise(given: Partial<DealerOptions> = {}): Stage {
  stages += 1;
  const path = join(folder, `${stages}`);
  const clock = fakeClock();
  const told: string[] = [];
  let look = () => {};
  const tell = (words: string) => {
    told.push(words);
    look();
  };
  const dealer = connectZmtpDealer(
    { clock, random: seededRandom(1) },
    {
      messageBytesMax: 10_000,
      framesMax: 8,
      sendQueueMax: 10,
      sendBytesMax: 100_000,
      endpoint: `ipc://${path}`,
      onMessage: (frames) => tell(frames.map(String).join("|")),
      onUp: () => tell("up"),
      onDown: () => tell("down"),
      onDrained: () => tell("drained"),
      ...given,
    },
  );
  const hear = (count: number) =>
    new Promise<readonly string[]>((resolve) => {
      look = () => {
        if (told.length >= count) resolve(told);
      };
      look();
    });
  return { clock, dealer, path, told, hear };
}

/** A listener of raw bytes: each connection is written to, and what it says is kept. */
interface Raw extends AsyncDisposable {
  /** The connection of this number, from 0, once it said so many bytes. */
  heard(at: number, bytes: number): Promise<{ socket: Socket; bytes: Buffer }>;
}

async function listen(path: string, ...first: readonly Uint8Array[]): Promise<Raw> {
  const all: { socket: Socket; bytes: Buffer }[] = [];
  let look = () => {};
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    const one = { socket, bytes: Buffer.alloc(0) };
    all.push(one);
    socket.on("error", () => {}); // the dealer may go while we write
    socket.on("data", (chunk) => {
      one.bytes = Buffer.concat([one.bytes, chunk]);
      look();
    });
    for (const bytes of first) socket.write(bytes);
    look();
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    heard: (at, bytes) =>
      new Promise((resolve) => {
        look = () => {
          const one = all[at];
          if (one !== undefined && one.bytes.length >= bytes) resolve(one);
        };
        look();
      }),
    async [Symbol.asyncDispose]() {
      for (const { socket } of all) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const limit = { timeout: 20_000 };

for (const type of ["ROUTER", "REP"]) {
  test(`what was sent before the connection arrives at a ${type}, in order`, limit, async () => {
    const { clock, dealer, path, told, hear } = raise();
    for (const word of ["one", "two"]) assert.equal(dealer.send([Buffer.from(word)]), true);
    await clock.advance(100);
    assert.deepEqual(told, []);
    await using raw = await listen(path, greetingOf(), readyOf(type), messageOf("a", "b"));
    await clock.advance(2000);
    await hear(2);
    const { bytes } = await raw.heard(0, opening + 10);
    assert.deepEqual(bytes.subarray(opening), Buffer.concat([messageOf("one"), messageOf("two")]));
    assert.deepEqual(told, ["up", "a|b"]);
    await dealer[Symbol.asyncDispose]();
    assert.deepEqual(told, ["up", "a|b"]);
  });
}

test("a full queue refuses, and tells when there is room again", limit, async () => {
  const { clock, dealer, path, told, hear } = raise();
  for (let at = 0; at < 10; at += 1) assert.equal(dealer.send([Buffer.from("x")]), true);
  assert.equal(dealer.send([Buffer.from("x")]), false);
  assert.equal(dealer.counters.dropped, 1);
  await using raw = await listen(path, greetingOf(), readyOf("ROUTER"));
  await clock.advance(2000);
  await hear(2);
  assert.deepEqual(told, ["up", "drained"]);
  assert.equal(dealer.send([Buffer.from("x")]), true);
  await raw.heard(0, opening + 11 * 3);
  await dealer[Symbol.asyncDispose]();
});

const refusals: Readonly<Record<string, readonly Uint8Array[]>> = {
  "another protocol": [Buffer.from("HTTP/1.1 400")],
  "a PUB": [greetingOf(), readyOf("PUB")],
  "a DEALER": [greetingOf(), readyOf("DEALER")],
  "an ERROR": [greetingOf(), commandOf("ERROR", "\u0002no")],
};

for (const [name, bytes] of Object.entries(refusals)) {
  test(`${name} instead of a router is tried again, and costs no message`, limit, async () => {
    const { clock, dealer, path, told, hear } = raise();
    dealer.send([Buffer.from("kept")]);
    const wrong = await listen(path, ...bytes);
    await clock.advance(30);
    await wrong.heard(0, 64);
    await wrong[Symbol.asyncDispose]();
    assert.deepEqual(told, []);
    await using raw = await listen(path, greetingOf(), readyOf("ROUTER"));
    await clock.advance(3000);
    await hear(1);
    const { bytes: heard } = await raw.heard(0, opening + 6);
    assert.deepEqual(heard.subarray(opening), messageOf("kept"));
    await dealer[Symbol.asyncDispose]();
  });
}

test("a router that never finishes its handshake is given up and tried again", limit, async () => {
  const { clock, dealer, path, told, hear } = raise({ handshakeMs: 500 });
  await using raw = await listen(path, greetingOf());
  await clock.advance(100);
  await raw.heard(0, opening);
  assert.equal(dealer.counters.refused.handshake, 0);
  await clock.advance(600);
  assert.equal(dealer.counters.refused.handshake, 1);
  await clock.advance(100);
  const { socket } = await raw.heard(1, opening);
  socket.write(readyOf("ROUTER"));
  assert.deepEqual(await hear(1), ["up"]);
  assert.deepEqual(told, ["up"]);
  await dealer[Symbol.asyncDispose]();
});

test("a loss is told once, and the socket takes nothing any more", limit, async () => {
  const { clock, dealer, path, hear, told } = raise();
  await using raw = await listen(path, greetingOf(), readyOf("ROUTER"), messageOf("hi"));
  await clock.advance(100);
  await hear(2);
  const { socket } = await raw.heard(0, opening);
  socket.destroy();
  assert.deepEqual(await hear(3), ["up", "hi", "down"]);
  assert.equal(dealer.send([Buffer.from("x")]), false);
  await clock.advance(5000);
  await dealer[Symbol.asyncDispose]();
  assert.deepEqual(told, ["up", "hi", "down"]);
});

test("a message too large ends the connection", limit, async () => {
  const { clock, dealer, path, hear } = raise();
  await using _ = await listen(
    path,
    greetingOf(),
    readyOf("ROUTER"),
    messageOf(Buffer.alloc(10_001)),
  );
  await clock.advance(100);
  assert.deepEqual(await hear(2), ["up", "down"]);
  assert.equal(dealer.counters.refused.size, 1);
  await dealer[Symbol.asyncDispose]();
});

test(
  "disposal sends what was accepted, though the connection does not stand yet",
  limit,
  async () => {
    const { clock, dealer, path, told } = raise();
    dealer.send([Buffer.from("last words")]);
    const disposed = dealer[Symbol.asyncDispose]();
    assert.equal(dealer.send([Buffer.from("too late")]), false);
    await using raw = await listen(path, greetingOf(), readyOf("ROUTER"));
    await clock.advance(300);
    const { bytes } = await raw.heard(0, opening + 12);
    assert.deepEqual(bytes.subarray(opening), messageOf("last words"));
    await disposed;
    assert.deepEqual(told, []);
  },
);

test("disposal waits a second for nobody, and not at all with nothing to send", limit, async () => {
  const empty = raise();
  await empty.dealer[Symbol.asyncDispose]();
  const { clock, dealer } = raise();
  dealer.send([Buffer.from("x")]);
  let isOver = false;
  const disposed = dealer[Symbol.asyncDispose]().then(() => {
    isOver = true;
  });
  await clock.advance(900);
  assert.equal(isOver, false);
  await clock.advance(150);
  await disposed;
  assert.equal(dealer.counters.dropped, 1);
});

test("attempts to connect are spread over at most a second each", limit, async () => {
  const { clock, dealer } = raise();
  await clock.advance(20_000);
  assert.equal(clock.waiting, 1);
  await clock.advance(1000);
  assert.equal(clock.waiting, 1);
  await dealer[Symbol.asyncDispose]();
  assert.equal(clock.waiting, 0);
});

for (const when of ["onUp", "onMessage", "onDown"] as const) {
  test(`a receiver that throws at ${when} ends the dealer, not the process`, limit, async () => {
    const defect = new Error("mine");
    const { clock, dealer, path } = raise({
      [when]: () => {
        throw defect;
      },
    });
    await using raw = await listen(path, greetingOf(), readyOf("ROUTER"), messageOf("hi"));
    await clock.advance(100);
    const { socket } = await raw.heard(0, when === "onDown" ? opening : 0);
    if (when === "onDown") socket.destroy();
    assert.equal(await dealer.ended, defect);
    assert.equal(dealer.send([Buffer.from("x")]), false);
    await dealer[Symbol.asyncDispose]();
    assert.equal(dealer.counters.connections, 0);
  });
}

test("a dealer that is disposed has ended without an error", limit, async () => {
  const { dealer } = raise();
  await dealer[Symbol.asyncDispose]();
  assert.equal(await dealer.ended, undefined);
});
