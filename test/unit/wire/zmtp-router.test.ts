// The router on real unix sockets, against peers that are no more than bytes, under a clock that
// stands still. It must not know what travels.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { greet, opening, raiseRouter } from "../../fakes/router-stage.ts";
import {
  commandOf,
  frameOf,
  greetingOf,
  messageOf,
  openRawPeer,
  readyOf,
} from "../../fakes/zmtp-bytes.ts";

const limit = { timeout: 20_000 };

test("messages at the limits, unknown commands and PONG pass", limit, async () => {
  await using stage = await raiseRouter();
  const peer = await greet(stage.path);
  peer.socket.write(commandOf("HELLO", "you"));
  peer.socket.write(commandOf("PONG", "?"));
  peer.socket.write(commandOf("SUBSCRIBE", "?"));
  peer.socket.write(messageOf(..."12345678"));
  peer.socket.write(messageOf(Buffer.alloc(10_000, 65)));
  assert.deepEqual(await stage.hear(2), ["1|2|3|4|5|6|7|8", "10000"]);
});

test("an ERROR of a peer ends its connection", limit, async () => {
  await using stage = await raiseRouter();
  const peer = await greet(stage.path);
  peer.socket.write(commandOf("ERROR", "\u0002no"));
  await peer.closed;
  assert.deepEqual(await stage.hear(1), ["gone"]);
});

test("two peers of one identity are two peers", limit, async () => {
  await using stage = await raiseRouter({
    take: (router, peer, text) => router.send(peer, [Buffer.from(text.toUpperCase())]),
  });
  const peers = ["one", "two"].map((word) =>
    openRawPeer(stage.path, greetingOf(), readyOf("DEALER", "same"), messageOf(word)),
  );
  const got = await Promise.all(peers.map((peer) => peer.until(opening + 5)));
  assert.deepEqual(
    got.map((bytes) => bytes.subarray(opening)),
    [messageOf("ONE"), messageOf("TWO")],
  );
  assert.equal(stage.peers.length, 2);
});

test("a connection too many is closed at once; the next finds room again", limit, async () => {
  await using stage = await raiseRouter({ connectionsMax: 2 });
  const first = await greet(stage.path);
  await greet(stage.path);
  assert.equal((await openRawPeer(stage.path, greetingOf()).closed).length, 0);
  assert.deepEqual(await stage.hear(1), ["refused connections"]);
  first.socket.destroy();
  await stage.hear(2);
  await new Promise(setImmediate);
  await greet(stage.path);
  assert.equal(stage.router.counters.refused.connections, 1);
});

test("PING is answered with its context, between messages", limit, async () => {
  await using stage = await raiseRouter();
  const peer = await greet(stage.path);
  const context = "sixteen bytes  !";
  peer.socket.write(
    Buffer.concat([
      frameOf(1, Buffer.from("a")),
      commandOf("PING", "\0\0", context),
      frameOf(0, Buffer.from("b")),
    ]),
  );
  const pong = commandOf("PONG", context);
  assert.deepEqual((await peer.until(opening + pong.length)).subarray(opening), pong);
  assert.deepEqual(await stage.hear(1), ["a|b"]);
});

test("a peer that is silent beyond the time it gave is gone", limit, async () => {
  await using stage = await raiseRouter();
  const peer = await greet(stage.path);
  peer.socket.write(commandOf("PING", "\0\u000a"));
  await peer.until(opening + 7);
  await stage.clock.advance(900);
  peer.socket.write(messageOf("alive"));
  await stage.hear(1);
  await stage.clock.advance(900);
  assert.deepEqual(stage.told, ["alive"]);
  await stage.clock.advance(200);
  await peer.closed;
  assert.deepEqual(await stage.hear(2), ["alive", "gone"]);
});

test("a silent peer is asked, and given up after three times the time", limit, async () => {
  await using stage = await raiseRouter({ pingMs: 1000 });
  const old = await greet(stage.path, "DEALER", 0);
  const peer = await greet(stage.path);
  const ping = commandOf("PING", "\0\0");
  await stage.clock.advance(1050);
  assert.deepEqual((await peer.until(opening + ping.length)).subarray(opening), ping);
  peer.socket.write(commandOf("PONG"));
  peer.socket.write(messageOf("here"));
  await stage.hear(1);
  await stage.clock.advance(2900);
  assert.deepEqual(stage.told, ["here"]);
  await stage.clock.advance(200);
  await peer.closed;
  assert.deepEqual(await stage.hear(2), ["here", "gone"]);
  assert.equal(peer.got().length, opening + 3 * ping.length);
  assert.equal(old.got().length, opening);
  assert.equal(old.socket.readableEnded, false);
});

test(
  "of unfinished messages that hold too much, the largest loses its connection",
  limit,
  async () => {
    await using stage = await raiseRouter({ receiveBytesTotalMax: 80_000 });
    const begin = (count: number) => frameOf(0, Buffer.alloc(10_000)).subarray(0, count);
    const large = await greet(stage.path);
    large.socket.write(begin(9900));
    const others = await Promise.all(Array.from({ length: 8 }, () => greet(stage.path)));
    await new Promise(setImmediate);
    for (const peer of others) peer.socket.write(begin(9000));
    await large.closed;
    assert.deepEqual(await stage.hear(2), ["refused memory known", "gone"]);
    for (const peer of others) peer.socket.write(Buffer.alloc(10_000 + 9 - 9000));
    assert.equal((await stage.hear(10)).filter((words) => words === "10000").length, 8);
  },
);

test("a peer that dies in the middle of a message frees what it held", limit, async () => {
  await using stage = await raiseRouter();
  for (let round = 0; round < 30; round += 1) {
    const peer = await greet(stage.path);
    peer.socket.end(frameOf(0, Buffer.alloc(10_000)).subarray(0, 9000));
    await peer.closed;
  }
  assert.deepEqual([...new Set(stage.told)], ["gone"]);
  assert.equal(stage.router.counters.refused.memory, 0);
});

test(
  "a peer that does not read is told slow once, loses what is too much, then drained",
  limit,
  async () => {
    await using stage = await raiseRouter({ sendBytesMax: 2_000_000, sendQueueMax: 1000 });
    const peer = await greet(stage.path);
    peer.socket.pause();
    peer.socket.write(messageOf("hi"));
    await stage.hear(1);
    const [name] = stage.peers;
    const frame = Buffer.alloc(10_000, 1);
    for (let count = 0; count < 400; count += 1) stage.router.send(name!, [frame]);
    await new Promise(setImmediate);
    const { dropped } = stage.router.counters;
    assert.ok(dropped > 50 && dropped < 200, `${dropped} dropped`);
    assert.deepEqual(stage.told, ["hi", "slow"]);
    peer.socket.resume();
    assert.deepEqual(await stage.hear(3), ["hi", "slow", "drained"]);
    const got = await peer.until(opening + (400 - dropped) * 10_009);
    assert.equal(got.length, opening + (400 - dropped) * 10_009);
    assert.equal(stage.router.counters.messagesOut, 400 - dropped);
  },
);

test("one message is let in whatever its size", limit, async () => {
  await using stage = await raiseRouter({ sendBytesMax: 10 });
  const peer = await greet(stage.path);
  peer.socket.write(messageOf("hi"));
  await stage.hear(1);
  stage.router.send(stage.peers[0]!, [Buffer.alloc(300_000)]);
  assert.equal((await peer.until(opening + 300_009)).length, opening + 300_009);
});

test("a paused peer is not heard until it is resumed, and then in order", limit, async () => {
  let isPaused = false;
  await using stage = await raiseRouter({
    take(router, peer, text) {
      assert.equal(isPaused, false, "heard while paused");
      if (text === "5" || text === "700") isPaused = router.pause(peer);
    },
  });
  const peer = await greet(stage.path);
  const count = 2000;
  peer.socket.write(Buffer.concat(Array.from({ length: count }, (_, at) => messageOf(String(at)))));
  const other = await greet(stage.path);
  for (const upTo of [6, 701]) {
    await stage.hear(upTo);
    other.socket.write(commandOf("PING", "\0\0"));
    await other.until(opening + 7 * (upTo === 6 ? 1 : 2));
    assert.equal(stage.told.length, upTo);
    isPaused = false;
    stage.router.resume(stage.peers[0]!);
  }
  await stage.hear(count);
  assert.deepEqual(
    stage.told,
    Array.from({ length: count }, (_, at) => String(at)),
  );
});

test("a flood does not keep others waiting", limit, async () => {
  let flood = 0;
  await using stage = await raiseRouter({
    onMessage: (_, frames) => {
      if (frames.length === 1) flood += 1;
      else floodBefore = flood;
    },
  });
  let floodBefore = -1;
  const flooding = await greet(stage.path);
  const quiet = await greet(stage.path);
  flooding.socket.write(Buffer.concat(Array.from({ length: 50_000 }, () => messageOf("x"))));
  quiet.socket.write(messageOf("a", "b"));
  while (flood < 50_000 || floodBefore < 0) await new Promise(setImmediate);
  assert.ok(floodBefore < 5000, `${floodBefore} before`);
});

test("a closed peer gets what waits for it, and is not told gone", limit, async () => {
  await using stage = await raiseRouter({
    take(router, peer) {
      for (let at = 0; at < 50; at += 1) router.send(peer, [Buffer.alloc(1000)]);
      router.close(peer);
      router.send(peer, [Buffer.from("too late")]);
    },
  });
  const peer = await greet(stage.path);
  peer.socket.write(Buffer.concat([messageOf("bye"), messageOf("unheard")]));
  assert.equal((await peer.closed).length, opening + 50 * 1009);
  assert.deepEqual(stage.told, ["bye"]);
  assert.equal(stage.router.counters.dropped, 1);
});

test("a peer that ends its side first still gets its answer", limit, async () => {
  await using stage = await raiseRouter({
    take: (router, peer) => router.send(peer, [Buffer.alloc(300)]),
  });
  const peer = openRawPeer(stage.path, greetingOf(), readyOf("DEALER"), messageOf("ask"));
  peer.socket.end();
  assert.equal((await peer.closed).length, opening + 309);
  assert.deepEqual(stage.told, ["ask", "gone"]);
});

test(
  "disposal writes what was accepted, hears nothing more and removes the socket",
  limit,
  async () => {
    const stage = await raiseRouter({ sendBytesMax: 10_000_000 });
    const peer = await greet(stage.path);
    peer.socket.write(messageOf("hi"));
    await stage.hear(1);
    for (let at = 0; at < 50; at += 1) stage.router.send(stage.peers[0]!, [Buffer.alloc(100_000)]);
    const disposed = stage.router[Symbol.asyncDispose]();
    peer.socket.write(messageOf("unheard"));
    assert.equal((await peer.closed).length, opening + 50 * 100_009);
    peer.socket.end();
    await disposed;
    await stage.router[Symbol.asyncDispose]();
    assert.equal(await stage.router.ended, undefined);
    assert.deepEqual(stage.told, ["hi"]);
    assert.equal(existsSync(stage.path), false);
    assert.equal(stage.router.counters.connections, 0);
  },
);

test("disposal waits a second for a peer that does not read, no longer", limit, async () => {
  const stage = await raiseRouter({ sendBytesMax: 10_000_000 });
  const peer = await greet(stage.path);
  peer.socket.pause();
  peer.socket.write(messageOf("hi"));
  await stage.hear(1);
  stage.router.send(stage.peers[0]!, [Buffer.alloc(5_000_000)]);
  let isOver = false;
  const disposed = stage.router[Symbol.asyncDispose]().then(() => {
    isOver = true;
  });
  await stage.clock.advance(900);
  assert.equal(isOver, false);
  await stage.clock.advance(150);
  await disposed;
  assert.equal(stage.router.counters.dropped, 1);
});

test("a receiver that throws ends the router with its error", limit, async () => {
  const stage = await raiseRouter({
    take() {
      throw new RangeError("a defect");
    },
  });
  const peers = [await greet(stage.path), await greet(stage.path)];
  peers[0]!.socket.write(messageOf("hi"));
  assert.match(String(await stage.router.ended), /RangeError: a defect/);
  await Promise.all(peers.map((peer) => peer.closed));
  await stage.router[Symbol.asyncDispose]();
});

for (const last of ["the end of its bytes", "a frame that is wrong"]) {
  test(`who left with a backlog is forgotten at ${last}, and disposal ends`, limit, async () => {
    await using stage = await raiseRouter({
      take: (router, name) => router.send(name, [Buffer.from("to nobody")]),
    });
    const peer = await greet(stage.path);
    const flood = Array.from({ length: 900 }, () => messageOf("much"));
    if (last !== "the end of its bytes") flood.push(frameOf(0x40, Buffer.from("?")));
    peer.socket.write(Buffer.concat(flood), () => peer.socket.destroy());
    while (stage.told.at(-1) !== "gone") await new Promise(setImmediate);
    assert.equal(stage.told.filter((words) => words === "much").length, 900);
    assert.equal(stage.router.counters.connections, 0);
  });
}
