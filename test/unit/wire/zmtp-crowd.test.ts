// What all peers of a router hold together is bounded, and who goes beyond it loses what.
// It must not know what travels.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Pool } from "../../../src/wire/pool.ts";
import { Gate, type Gated } from "../../../src/wire/zmtp-gate.ts";
import { Turns } from "../../../src/wire/zmtp-turns.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { greet, opening, raiseRouter } from "../../fakes/router-stage.ts";
import { messageOf } from "../../fakes/zmtp-bytes.ts";

const limit = { timeout: 20_000 };

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise(setImmediate);
}

/** What a router keeps of what its peers sent, in the middle of things. */
function unreadOf(router: unknown): number {
  const { parties } = router as { parties: Map<string, { gate: Gate }> };
  return parties.get("p")?.gate.unread ?? 0;
}

test(
  "beyond the bound of all peers whoever left most unread goes, and nobody else",
  limit,
  async () => {
    const sendBytesTotalMax = 4_000_000;
    await using stage = await raiseRouter({ sendBytesMax: 5_000_000, sendBytesTotalMax });
    const peers = [];
    for (const name of ["a", "b", "c"]) {
      const peer = await greet(stage.path);
      peer.socket.write(messageOf(name));
      await stage.hear(peers.length + 1);
      peers.push(peer);
    }
    const [a = "", b = "", c = ""] = stage.peers;
    for (const peer of peers) peer.socket.pause();
    stage.router.send(a, [Buffer.alloc(1_900_000)]);
    stage.router.send(b, [Buffer.alloc(2_000_000)]);
    assert.deepEqual(stage.told, ["a", "b", "c"]);
    stage.router.send(c, [Buffer.alloc(90_000)]);
    stage.router.send(c, [Buffer.alloc(1_000_000)]);
    assert.deepEqual(stage.told, ["a", "b", "c", "refused memory known", "gone"]);
    const { counters } = stage.router;
    assert.deepEqual([counters.refused.memory, counters.dropped], [1, 1]);
    stage.router.send(b, [Buffer.of(1)]);
    assert.equal(counters.dropped, 2);
    for (const peer of peers) peer.socket.resume();
    const got = await peers[0]!.until(opening + 1_900_009);
    assert.equal(got.length, opening + 1_900_009);
    const most = opening + 90_009 + 1_000_009;
    assert.equal((await peers[2]!.until(most)).length, most);
    await peers[1]!.closed;
    assert.equal(counters.connections, 2);
  },
);

test("what one who reads is sent counts only until it is sent", limit, async () => {
  await using stage = await raiseRouter({
    sendBytesTotalMax: 1_000_000,
    take: (router, peer) => router.send(peer, [Buffer.alloc(40_000)]),
  });
  const peer = await greet(stage.path);
  for (let count = 0; count < 100; count += 1) {
    peer.socket.write(messageOf("more"));
    await peer.until(opening + 40_009 * (count + 1));
  }
  assert.equal(stage.router.counters.refused.memory, 0);
});

test("the pool asks every socket for its largest, and stops where nobody can go", () => {
  const pool = new Pool(100);
  const held = [[60], [30, 50]];
  held.forEach((sizes) => {
    pool.join(() => {
      const bytes = Math.max(...sizes);
      const relieve = () => {
        pool.unsent -= bytes;
        sizes[sizes.indexOf(bytes)] = 0;
      };
      return bytes === 0 ? undefined : { bytes, relieve };
    });
  });
  pool.unsent = 140;
  pool.relieve();
  assert.deepEqual([pool.unsent, held], [80, [[0], [30, 50]]]);
  pool.unsent += 1000;
  pool.relieve();
  assert.deepEqual([pool.unsent, held], [1000, [[0], [0, 0]]]);
});

test(
  "a crowd that floods is read within a bound, each peer wholly, and the quiet first",
  limit,
  async () => {
    const receiveBytesTotalMax = 4 * 4 * 65_536;
    let most = 0;
    let flood = 0;
    let quiet = -1;
    await using stage = await raiseRouter({
      receiveBytesTotalMax,
      onMessage(_, frames) {
        most = Math.max(most, unreadOf(stage.router));
        if (frames.length === 1) flood += 1;
        else quiet = flood;
      },
    });
    const crowd = await Promise.all(Array.from({ length: 24 }, () => greet(stage.path)));
    const other = await greet(stage.path);
    const each = 2000;
    const bytes = Buffer.concat(
      Array.from({ length: each }, () => messageOf(Buffer.alloc(70, 65))),
    );
    for (const { socket } of crowd) socket.write(bytes);
    await until(() => flood > 500);
    other.socket.write(messageOf("a", "b"));
    await until(() => flood === each * crowd.length && quiet >= 0);
    assert.ok(
      most > 2 * 65_536 && most <= receiveBytesTotalMax / 4 + 65_536,
      `${most} bytes unread`,
    );
    assert.ok(quiet < (each * crowd.length) / 2, `${quiet} messages before the quiet one`);
    assert.equal(stage.router.counters.refused.memory, 0);
    for (const { socket } of crowd) socket.write(messageOf("once more"));
    await until(() => flood === (each + 1) * crowd.length);
  },
);

test("paused peers may not hold more together than is allowed", limit, async () => {
  const told: string[] = [];
  await using stage = await raiseRouter({
    receiveBytesTotalMax: 200_000,
    take: (router, peer, text) => {
      if (text === "stop") router.pause(peer);
    },
    onRefused: (refusal) => told.push(refusal),
  });
  const rest = Buffer.concat(Array.from({ length: 50 }, () => messageOf(Buffer.alloc(1100, 65))));
  for (let count = 0; count < 6; count += 1) {
    const peer = await greet(stage.path);
    peer.socket.write(Buffer.concat([messageOf("stop"), rest]));
  }
  await until(() => told.length >= 3);
  assert.deepEqual([told, unreadOf(stage.router)], [["memory", "memory", "memory"], 0]);
  const last = await greet(stage.path);
  last.socket.write(messageOf("served"));
  await until(() => stage.told.includes("served"));
});

test("one principal that floods shuts its own gate, and no other's", limit, async () => {
  await using base = await raiseRouter();
  const listeners = ["p", "q"].map((principal) => ({
    principal,
    endpoint: `ipc://${base.path}${principal}`,
  }));
  await using stage = await raiseRouter({ listeners });
  const flooding = await greet(`${base.path}p`);
  const other = await greet(`${base.path}q`);
  const { parties } = stage.router as unknown as { parties: Map<string, { gate: Gate }> };
  parties.get("p")?.gate.note(1e9);
  flooding.socket.write(messageOf("held"));
  other.socket.write(messageOf("heard"));
  assert.deepEqual(await stage.hear(1), ["heard"]);
  parties.get("p")?.gate.note(-1e9);
  assert.deepEqual(await stage.hear(2), ["heard", "held"]);
});

test("the gate lets those in first that kept up, the others in order, and then opens", async () => {
  const order: string[] = [];
  const newOne = (name: string): Gated & { isOpen: boolean } => ({
    isOpen: true,
    hold() {
      const wasOpen = this.isOpen;
      this.isOpen = false;
      return wasOpen;
    },
    release() {
      this.isOpen = true;
      order.push(name);
    },
  });
  const all = ["a", "b", "c"].map(newOne);
  const [a, b] = all as [Gated & { isOpen: boolean }, Gated];
  const gate = new Gate(
    262_144,
    new Turns({ clock: fakeClock(), onDefect: (error) => assert.fail(String(error)) }),
    all,
  );
  assert.equal(gate.mustWait(a), false);
  a.isOpen = false; // it has a backlog
  gate.note(262_144);
  assert.deepEqual(
    all.map(({ isOpen }) => isOpen),
    [false, true, true],
  );
  gate.note(1);
  assert.deepEqual(
    all.map(({ isOpen }) => isOpen),
    [false, false, false],
  );
  await new Promise(setImmediate);
  assert.deepEqual(order, []);
  gate.note(-262_145);
  assert.equal(gate.mustWait(a), true);
  await until(() => order.length === 3);
  assert.deepEqual(order, ["b", "c", "a"]);
  await new Promise(setImmediate);
  assert.equal(gate.mustWait(b), false);
});

test("what a peer said before it went is heard, though writing to it fails", limit, async () => {
  for (const messages of [60, 1000]) {
    await using stage = await raiseRouter({
      take: (router, name) => router.send(name, [Buffer.alloc(100)]),
    });
    const peer = await greet(stage.path);
    const bytes = Array.from({ length: messages }, () => messageOf(Buffer.alloc(180, 65)));
    bytes.push(messageOf("the last"));
    peer.socket.write(Buffer.concat(bytes), () => peer.socket.destroy());
    await until(() => stage.told.at(-1) === "gone");
    const heard = stage.told.filter((words) => words === "180").length;
    assert.deepEqual([heard, stage.told.at(-2)], [messages, "the last"]);
    assert.equal(stage.router.counters.connections, 0);
  }
});

test(
  "a peer that takes nothing any more is heard, paused and closed as others are",
  limit,
  async () => {
    await using stage = await raiseRouter({
      take: (router, name, text) => {
        router.send(name, [Buffer.alloc(100)]);
        if (text === "stop") router.pause(name);
        if (text === "close") router.close(name);
      },
    });
    for (const last of ["stop", "close"]) {
      const peer = await greet(stage.path);
      const bytes = Array.from({ length: 900 }, () => messageOf(Buffer.alloc(180, 65)));
      bytes.splice(800, 0, messageOf(last));
      peer.socket.write(Buffer.concat(bytes), () => peer.socket.destroy());
      await until(() => stage.told.includes(last));
      if (last === "close") break;
      for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
      assert.equal(stage.told.at(-1), "stop");
      stage.router.resume(stage.peers[0]!);
      await until(() => stage.told.at(-1) === "gone");
      assert.equal(stage.told.filter((words) => words === "180").length, 900);
    }
    await until(() => stage.router.counters.connections === 0);
  },
);
