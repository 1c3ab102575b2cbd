// Who is let in by the router, who is not, and what costs a peer its connection.
// It must not know what travels.
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom, systemRandom } from "../../../src/util/random.ts";
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

for (const [name, bytes] of Object.entries({
  "says nothing": Buffer.alloc(0),
  "says half a greeting": greetingOf().subarray(0, 30),
  "greets and says no more": greetingOf(),
  "begins its READY": Buffer.concat([greetingOf(), readyOf("DEALER").subarray(0, 9)]),
})) {
  test(`a peer that ${name} is closed when its time is over`, limit, async () => {
    await using stage = await raiseRouter({ handshakeMs: 500 });
    const peer = openRawPeer(stage.path, bytes);
    await peer.until(64);
    await stage.clock.advance(450);
    assert.deepEqual(stage.told, []);
    await stage.clock.advance(100);
    await peer.closed;
    assert.deepEqual(stage.told, ["refused handshake"]);
    assert.equal(stage.router.counters.refused.handshake, 1);
  });
}

test("a handshake has ten seconds when nothing else is said", limit, async () => {
  await using stage = await raiseRouter();
  const peer = openRawPeer(stage.path);
  await peer.until(64);
  await stage.clock.advance(9900);
  assert.deepEqual(stage.told, []);
  await stage.clock.advance(200);
  await peer.closed;
});

for (const type of ["DEALER", "REQ", "ROUTER"]) {
  test(`a ${type} talks with the router, in 3.0 and 3.1`, limit, async () => {
    await using stage = await raiseRouter({
      take: (router, peer) => router.send(peer, [Buffer.of(7)]),
    });
    for (const minor of [0, 1]) {
      const peer = await greet(stage.path, type, minor);
      peer.socket.write(messageOf("", "hello"));
      const got = await peer.until(opening + 3);
      assert.deepEqual(got.subarray(opening), messageOf("\u0007"));
      peer.socket.destroy();
    }
    assert.deepEqual(await stage.hear(4), ["|hello", "gone", "|hello", "gone"]);
    assert.equal(stage.router.counters.accepted, 2);
    assert.equal(stage.router.counters.connections, 0);
  });
}

const refusedBefore: Readonly<Record<string, { bytes: Buffer; refusal: string; error: boolean }>> =
  {
    "another protocol": { bytes: Buffer.from("GET / HTTP"), refusal: "greeting", error: false },
    "ZMTP 2": { bytes: greetingOf(2, 0), refusal: "greeting", error: false },
    PLAIN: { bytes: greetingOf(3, 1, "PLAIN"), refusal: "greeting", error: false },
    "a PUB": { bytes: readyOf("PUB"), refusal: "handshake", error: true },
    "a REP": { bytes: readyOf("REP"), refusal: "handshake", error: true },
    "a PING first": { bytes: commandOf("PING", "\0\0"), refusal: "handshake", error: true },
    "an unknown command first": { bytes: commandOf("HELLO"), refusal: "handshake", error: true },
    "a message first": { bytes: messageOf("hi"), refusal: "handshake", error: true },
    "READY without a type": { bytes: commandOf("READY"), refusal: "command", error: true },
    "reserved bits": { bytes: Buffer.of(64), refusal: "frame", error: true },
  };

for (const [name, { bytes, refusal, error }] of Object.entries(refusedBefore)) {
  test(`${name} is refused before messages flow`, limit, async () => {
    await using stage = await raiseRouter();
    const peer = openRawPeer(stage.path, ...(error ? [greetingOf(), bytes] : [bytes]));
    const got = await peer.closed;
    assert.equal(got.subarray(64).includes("ERROR"), error);
    assert.deepEqual(await stage.hear(1), [`refused ${refusal}`]);
  });
}

const refusedAfter: Readonly<Record<string, { bytes: Buffer; refusal: string }>> = {
  "a frame too many": { bytes: messageOf(..."123456789"), refusal: "frames" },
  "a byte too many": { bytes: frameOf(0, Buffer.alloc(10_001)), refusal: "size" },
  "an announced byte too many": {
    bytes: frameOf(0, Buffer.alloc(10_001)).subarray(0, 9),
    refusal: "size",
  },
  "reserved bits later": { bytes: Buffer.of(16, 0), refusal: "frame" },
  "MORE on a command": { bytes: Buffer.of(5, 1), refusal: "frame" },
  "a second READY": { bytes: readyOf("DEALER"), refusal: "command" },
  "a PING of no TTL": { bytes: commandOf("PING"), refusal: "command" },
  "a command without a name": { bytes: frameOf(4, Buffer.alloc(0)), refusal: "command" },
};

for (const [name, { bytes, refusal }] of Object.entries(refusedAfter)) {
  test(`${name} costs a peer its connection, and what came before is heard`, limit, async () => {
    await using stage = await raiseRouter();
    const peer = await greet(stage.path);
    peer.socket.write(Buffer.concat([messageOf("before"), bytes, messageOf("after")]));
    await peer.closed;
    assert.deepEqual(await stage.hear(3), ["before", `refused ${refusal} known`, "gone"]);
  });
}

test("streams of rubbish end nothing and leave nothing behind", limit, async () => {
  const seed = Math.floor(systemRandom.unit() * 2 ** 31);
  const dice = seededRandom(seed);
  await using stage = await raiseRouter();
  const words = Buffer.concat([
    greetingOf(),
    readyOf("DEALER", "x"),
    commandOf("PING", "\0\0", "context"),
    messageOf("a", "", Buffer.alloc(300, 66)),
    messageOf(Buffer.alloc(5000, 67)),
  ]);
  for (let round = 0; round < 40; round += 1) {
    const ends = Array.from({ length: 5 }, () => {
      const bytes = Buffer.from(words);
      const from = dice.unit() < 0.5 ? 64 : 0;
      for (let change = 0; change < 3; change += 1) {
        const at = from + Math.floor(dice.unit() ** 4 * (bytes.length - from));
        bytes[at] = Math.floor(dice.unit() * 256);
      }
      const cut = Math.floor(dice.unit() * bytes.length);
      const peer = openRawPeer(stage.path, bytes.subarray(0, cut), bytes.subarray(cut));
      peer.socket.end();
      return peer.closed;
    });
    await Promise.all(ends);
  }
  const peer = await greet(stage.path);
  peer.socket.write(messageOf("still here"));
  while (stage.told.at(-1) !== "still here") await new Promise(setImmediate);
  assert.equal(stage.router.counters.connections, 1, `seed ${seed}`);
  const { refused } = stage.router.counters;
  assert.ok(refused.greeting > 0 && refused.frame > 0, `seed ${seed}`);
});
