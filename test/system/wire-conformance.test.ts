// One table of behaviours for every transport, alone and against libzmq as others use it: through
// pyzmq and zeromq.js. It must not know what travels on a bus.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Dealer, Router } from "zeromq";
import { systemClock as clock } from "../../src/util/clock.ts";
import { type Frames, type Transport, transportNamed } from "../../src/wire/wire.ts";
import { until } from "../fakes/patience.ts";
import { deps, limits, openPlayer, openStage, type Stage } from "../fakes/wire-stage.ts";
import { startZmqPeer } from "../fakes/zmq-peer.ts";

const folder = mkdtempSync(join(tmpdir(), "pc-"));
const limit = { timeout: 60_000 };
const python = await startZmqPeer();
after(async () => {
  await python.kill();
  rmSync(folder, { recursive: true, force: true });
});

let made = 0;
function newEndpoint(): string {
  made += 1;
  return `ipc://${join(folder, `${made}.sock`)}`;
}
function newName(): string {
  made += 1;
  return `s${made}`;
}

/** Every power of two up to 16 MB, and one beside each. */
const sizes = [0, ...Array.from({ length: 25 }, (_, power) => 2 ** power).flatMap(beside)];
function beside(size: number): number[] {
  return [size - 1, size, size + 1];
}
const block = Buffer.alloc(2 ** 24 + 1, "the quick brown fox jumps over the lazy dog");

const text = (frames: Frames | undefined) => frames?.map(String);
const say = (...frames: string[]) => frames.map((frame) => Buffer.from(frame));

/** A peer of a router, whoever wrote it. */
interface Guest {
  /** Sends each size there and back. @returns those that came back otherwise. */
  trip(sizes: readonly number[]): Promise<number[]>;
  /** Sends numbered messages, and receives as many echoes. */
  numbers(count: number): Promise<number[]>;
  send(frames: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

const guests: Readonly<Record<string, (endpoint: string, own: Transport) => Promise<Guest>>> = {
  "a dealer of its own": async (endpoint, own) => {
    const player = openPlayer(own, endpoint);
    const trip = async (asked: readonly number[]) => {
      const wrong: number[] = [];
      for (const size of asked) {
        const sent = block.subarray(0, size);
        player.dealer.send([sent]);
        await until(`${size} bytes`, () => player.heard.length > 0);
        const got = player.heard.shift();
        if (got?.length !== 1 || !sent.equals(got[0] as Buffer)) wrong.push(size);
      }
      return wrong;
    };
    return {
      trip,
      async numbers(count) {
        for (let at = 0; at < count; at += 1) assert.ok(player.dealer.send(say(`${at}`)));
        await until(`${count} answers`, () => player.heard.length >= count);
        return player.heard.splice(0).map(([frame]) => Number(String(frame)));
      },
      async send(frames) {
        player.dealer.send(say(...frames));
      },
      close: async () => player[Symbol.asyncDispose](),
    };
  },
  "a DEALER of pyzmq": async (endpoint) => {
    const name = newName();
    await python.open(name, "DEALER", { connect: endpoint });
    return {
      trip: async (asked) =>
        (await python.ask({ op: "sizes", name, sizes: asked, ms: 5000 })).wrong,
      numbers: async (count) =>
        (await python.ask({ op: "numbers", name, count, ms: 5000 })).numbers,
      async send(frames) {
        const hex = frames.map((frame) => Buffer.from(frame).toString("hex"));
        await python.ask({ op: "send", name, frames: hex });
      },
      close: async () => void (await python.ask({ op: "close", name })),
    };
  },
  "a Dealer of zeromq.js": async (endpoint) => {
    const socket = new Dealer({ linger: 0, receiveTimeout: 8000 });
    socket.connect(endpoint);
    return {
      async trip(asked) {
        const wrong: number[] = [];
        for (const size of asked) {
          const sent = block.subarray(0, size);
          await socket.send(sent);
          const got = await socket.receive();
          if (got.length !== 1 || !sent.equals(got[0] as Buffer)) wrong.push(size);
        }
        return wrong;
      },
      async numbers(count) {
        const got: number[] = [];
        const all = (async () => {
          while (got.length < count) got.push(Number(String((await socket.receive())[0])));
        })();
        for (let at = 0; at < count; at += 1) await socket.send(`${at}`);
        await all;
        return got;
      },
      send: (frames) => socket.send([...frames]),
      async close() {
        socket.close();
      },
    };
  },
};

/** A healthy peer is served within the time it takes. */
async function isServed(stage: Stage, own: Transport): Promise<void> {
  await using player = openPlayer(own, stage.endpoint);
  player.dealer.send(say("well?"));
  await until("a healthy peer is served", () => player.heard.length > 0);
}

for (const transportName of ["zmtp", "zeromq"] as const) {
  const own = transportNamed(transportName);
  const on = `, on ${transportName}`;

  for (const [guestName, open] of Object.entries(guests)) {
    test(`${guestName}: every size comes back whole${on}`, limit, async () => {
      await using stage = await openStage(own, newEndpoint());
      const guest = await open(stage.endpoint, own);
      assert.deepEqual(await guest.trip(sizes), []);
      await guest.close();
    });

    test(
      `${guestName}: 1,000 messages both ways at once keep their order${on}`,
      limit,
      async () => {
        await using stage = await openStage(own, newEndpoint());
        const guest = await open(stage.endpoint, own);
        const numbers = Array.from({ length: 1000 }, (_, at) => at);
        const rival = openPlayer(own, stage.endpoint);
        for (const at of numbers) assert.ok(rival.dealer.send(say(`${at}`)));
        assert.deepEqual(await guest.numbers(1000), numbers);
        await until("the other peer's answers", () => rival.heard.length === 1000);
        assert.deepEqual(
          rival.heard.map(text),
          numbers.map((at) => [`${at}`]),
        );
        await rival[Symbol.asyncDispose]();
        await guest.close();
        await until("both are told gone", () => stage.gone.length === 2);
      },
    );

    test(`${guestName}: frames up to the limit, and not one more${on}`, limit, async () => {
      await using stage = await openStage(own, newEndpoint(), { answers: false });
      const guest = await open(stage.endpoint, own);
      const frames = Array.from({ length: 100 }, (_, at) => (at % 3 === 0 ? "" : `${at}`));
      await guest.send(frames);
      await until("100 frames", () => stage.heard.length === 1);
      assert.deepEqual(text(stage.heard[0]?.frames), frames);
      await guest.send([...frames, "x"]);
      await until("101 frames are refused", () => stage.refused.length > 0);
      assert.deepEqual(stage.refused, ["frames"]);
      assert.equal(stage.router.counters.refused.frames, 1);
      assert.equal(stage.heard.length, 1);
      const other = await open(stage.endpoint, own);
      await other.send(["after"]);
      await until("others are served", () => stage.heard.length === 2);
      await Promise.all([guest.close(), other.close()]);
    });

    test(`${guestName}: comes back when the router was restarted${on}`, limit, async () => {
      const endpoint = newEndpoint();
      const first = await openStage(own, endpoint, { answers: false });
      const isOwn = guestName === "a dealer of its own";
      let guest = await open(endpoint, own);
      await guest.send(["one"]);
      await until("the first message", () => first.heard.length === 1);
      await first[Symbol.asyncDispose]();
      await using second = await openStage(own, endpoint, { answers: false });
      if (isOwn) {
        await guest.close(); // of no more use after a loss; a steady dealer makes another
        guest = await open(endpoint, own);
      }
      await until("it is heard again", async () => {
        await guest.send(["two"]);
        return second.heard.length > 0;
      });
      assert.deepEqual(text(second.heard[0]?.frames), ["two"]);
      await guest.close();
    });

    test(`${guestName}: room for one more only when one has left${on}`, limit, async () => {
      await using stage = await openStage(own, newEndpoint(), {
        answers: false,
        connectionsMax: 3,
        handshakeMs: 500,
      });
      const inside = await Promise.all([1, 2, 3].map(() => open(stage.endpoint, own)));
      for (const guest of inside) await guest.send(["in"]);
      await until("three are served", () => stage.heard.length === 3);
      assert.equal(stage.router.counters.connections, 3);
      let late = await open(stage.endpoint, own);
      await late.send(["late"]);
      await until("the fourth is refused", () => stage.refused.includes("connections"));
      assert.equal(stage.heard.length, 3);
      await inside[0]?.close();
      await until("one has left", () => stage.router.counters.connections < 3);
      await late.close();
      await until("the place is given again", async () => {
        late = await open(stage.endpoint, own);
        await late.send(["late"]);
        await clock.sleep(100); // one that is refused must not shake hands for ever
        if (stage.heard.length === 3) await late.close();
        return stage.heard.length > 3;
      });
      assert.deepEqual(text(stage.heard[3]?.frames), ["late"]);
      await Promise.all([...inside.slice(1), late].map((guest) => guest.close()));
    });
  }

  test(`a reader that stops has a bounded queue, and slows nobody else${on}`, limit, async () => {
    const sendBytesMax = 4 * 2 ** 20;
    await using stage = await openStage(own, newEndpoint(), { answers: false, sendBytesMax });
    const name = newName();
    const options = { RCVHWM: 2, RCVBUF: 65_536 };
    await python.open(name, "DEALER", { connect: stage.endpoint, options });
    await python.ask({ op: "send", name, frames: [Buffer.from("stalls").toString("hex")] });
    await until("the one that stalls", () => stage.heard.length === 1);
    const [{ peer: stalled } = assert.fail()] = stage.heard;
    const { counters } = stage.router;
    let sent = 0;
    for (; counters.dropped === 0 && sent < 1000; sent += 1) {
      stage.router.send(stalled, [Buffer.from(`${sent}`), block.subarray(0, 65_536)]);
      if (sent % 10 === 0) await clock.sleep(1);
    }
    assert.ok(counters.dropped > 0, "its queue is bounded");
    assert.deepEqual(stage.slow, [stalled]);
    assert.deepEqual(stage.drained, []);
    await using player = openPlayer(own, stage.endpoint);
    player.dealer.send(say("quick"));
    await until("another is heard", () => stage.heard.length === 2);
    stage.router.send(stage.heard[1]?.peer ?? "", say("answer"));
    await until("another is answered", () => player.heard.length === 1);
    const taken = sent - counters.dropped;
    const { messages } = await python.ask({ op: "receive", name, count: taken, ms: 3000 });
    const heard = messages.map(([first]: [number, string][]) =>
      Number(Buffer.from(String(first?.[1]), "hex")),
    );
    assert.deepEqual(
      heard,
      Array.from({ length: taken }, (_, at) => at),
    );
    await until("it is told drained", () => stage.drained.length > 0);
    assert.deepEqual(stage.drained, [stalled]);
    stage.router.send(stalled, say("again"));
    const after = await python.ask({ op: "receive", name, count: 1, ms: 3000 });
    assert.equal(after.messages.length, 1);
    await python.ask({ op: "close", name });
  });

  test(
    `a sender that is too quick for its peer is refused, and told of room${on}`,
    limit,
    async () => {
      const name = newName();
      const endpoint = newEndpoint();
      await python.open(name, "ROUTER", { bind: endpoint, options: { RCVHWM: 2, RCVBUF: 65_536 } });
      let rooms = 0;
      await using player = openPlayer(own, endpoint, {
        sendBytesMax: 2 ** 20,
        onDrained: () => {
          rooms += 1;
        },
      });
      await until("it is up", () => player.ups === 1);
      let taken = 0;
      while (player.dealer.send([Buffer.from(`${taken}`), block.subarray(0, 65_536)])) {
        taken += 1;
        assert.ok(taken < 1000, "its queue is bounded");
        if (taken % 10 === 0) await clock.sleep(1);
      }
      assert.equal(rooms, 0);
      const { messages } = await python.ask({ op: "receive", name, count: taken, ms: 3000 });
      assert.equal(messages.length, taken);
      await until("it is told of room", () => rooms === 1);
      assert.ok(player.dealer.send(say("again")));
      await python.ask({ op: "close", name });
    },
  );

  test(
    `two peers of one identity: neither hears what is meant for the other${on}`,
    limit,
    async () => {
      await using stage = await openStage(own, newEndpoint());
      const [one, two] = [newName(), newName()];
      const options = { IDENTITY: "the same" };
      const hello = (word: string) => ({ op: "send", frames: [Buffer.from(word).toString("hex")] });
      const ear = (name: string, ms: number) => python.ask({ op: "receive", name, count: 9, ms });
      await python.open(one, "DEALER", { connect: stage.endpoint, options });
      await python.ask({ ...hello("1"), name: one });
      await until("the first is heard", () => stage.heard.length === 1);
      await python.open(two, "DEALER", { connect: stage.endpoint, options });
      await python.ask({ ...hello("2"), name: two });
      await python.ask({ ...hello("1"), name: one });
      const heard = [await ear(one, 200), await ear(two, 200)].map(({ messages }) =>
        messages.map(([first]: [number, string][]) =>
          String(Buffer.from(String(first?.[1]), "hex")),
        ),
      );
      // libzmq serves the first alone; ours knows both by names of its own.
      assert.deepEqual(heard, [["1", "1"], transportName === "zmtp" ? ["2"] : []]);
      await python.ask({ op: "close", name: one });
      await python.ask({ op: "close", name: two });
      await until("both have left", () => stage.router.counters.connections === 0);
      const third = newName();
      await python.open(third, "DEALER", { connect: stage.endpoint, options });
      await python.ask({ ...hello("3"), name: third });
      assert.equal((await ear(third, 500)).messages.length, 1, "the identity is free again");
      await python.ask({ op: "close", name: third });
      const names = new Set(stage.heard.map(({ peer }) => peer));
      assert.equal(names.size, transportName === "zmtp" ? 3 : 2, "who comes back has another name");
    },
  );

  test(`a router that closes sends what it accepted${on}`, limit, async () => {
    const stage = await openStage(own, newEndpoint(), { answers: false });
    const name = newName();
    await python.open(name, "DEALER", { connect: stage.endpoint });
    await python.ask({ op: "send", name, frames: ["00"] });
    await until("the peer is there", () => stage.heard.length === 1);
    const count = 200;
    const peer = stage.heard[0]?.peer ?? "";
    for (let at = 0; at < count; at += 1) stage.router.send(peer, [block.subarray(0, 100_000)]);
    const closed = stage[Symbol.asyncDispose]();
    const { messages } = await python.ask({ op: "receive", name, count, ms: 2000 });
    assert.equal(messages.length, count);
    await closed;
    assert.equal(stage.router.counters.dropped, 0);
    await python.ask({ op: "close", name });
  });

  test(`a dealer that closes sends what it accepted${on}`, limit, async () => {
    await using stage = await openStage(own, newEndpoint(), { answers: false });
    const player = openPlayer(own, stage.endpoint);
    for (let at = 0; at < 200; at += 1) assert.ok(player.dealer.send([block.subarray(0, 100_000)]));
    await player[Symbol.asyncDispose]();
    await until("all of them", () => stage.heard.length === 200);
  });

  test(`a peer that vanishes is told gone, once${on}`, limit, async () => {
    await using stage = await openStage(own, newEndpoint());
    const doomed = await startZmqPeer();
    await doomed.open("d", "DEALER", { connect: stage.endpoint });
    await doomed.ask({ op: "send", name: "d", frames: ["00"] });
    await until("it is there", () => stage.heard.length === 1);
    await doomed.kill();
    await until("it is told gone", () => stage.gone.length === 1);
    assert.deepEqual(stage.gone, [stage.heard[0]?.peer]);
    stage.router.send(stage.gone[0] ?? "", say("nobody"));
    assert.equal(stage.router.counters.dropped, 1);
    await isServed(stage, own);
  });

  test(`PING of a peer is answered: it stays${on}`, limit, async () => {
    await using stage = await openStage(own, newEndpoint());
    const name = newName();
    // An answer may be late by seconds on a busy machine; one that never comes is noticed still.
    const options = { HEARTBEAT_IVL: 30, HEARTBEAT_TIMEOUT: 2500, HEARTBEAT_TTL: 5000 };
    await python.open(name, "DEALER", { connect: stage.endpoint, options });
    const receive = { op: "receive", name, count: 1, ms: 500 };
    await python.ask({ op: "send", name, frames: ["00"] });
    await python.ask(receive);
    await python.ask({ ...receive, ms: 3000 }); // PINGs alone, for longer than one may be unanswered
    await python.ask({ op: "send", name, frames: ["00"] });
    assert.equal((await python.ask(receive)).messages.length, 1);
    assert.equal(stage.router.counters.accepted, 1);
    assert.deepEqual(new Set(stage.heard.map(({ peer }) => peer)).size, 1);
    await python.ask({ op: "close", name });
  });

  for (const type of ["PUB", "SUB", "PUSH", "PULL", "REP", "PAIR"]) {
    test(`a ${type} is no peer of a ROUTER${on}`, limit, async () => {
      await using stage = await openStage(own, newEndpoint());
      const name = newName();
      await python.open(name, type, { connect: stage.endpoint });
      const { counters } = stage.router;
      const { refused } = counters;
      await until("it is refused", () => refused.handshake + refused.greeting > 0);
      assert.deepEqual(stage.heard, []);
      await python.ask({ op: "close", name });
      await isServed(stage, own);
    });
  }

  test(`a REQ and a ROUTER of pyzmq are peers too${on}`, limit, async () => {
    await using stage = await openStage(own, newEndpoint());
    const [req, router] = [newName(), newName()];
    const receive = (name: string) => python.ask({ op: "receive", name, count: 1, ms: 3000 });
    await python.open(req, "REQ", { connect: stage.endpoint });
    await python.ask({ op: "send", name: req, frames: ["61"] });
    assert.deepEqual((await receive(req)).messages, [[[1, "61"]]]);
    await python.open(router, "ROUTER", { connect: stage.endpoint, options: { PROBE_ROUTER: 1 } });
    const [[[, id]]] = (await receive(router)).messages;
    await python.ask({ op: "send", name: router, frames: [id, "62"] });
    const [[, body]] = (await receive(router)).messages;
    assert.deepEqual(body, [1, "62"]);
    for (const name of [req, router]) await python.ask({ op: "close", name });
  });

  test(`a dealer talks with a ROUTER of pyzmq: sizes, numbers, loss${on}`, limit, async () => {
    const endpoint = newEndpoint();
    const peer = await startZmqPeer();
    const { "a dealer of its own": open = assert.fail } = guests;
    const guest = await open(endpoint, own); // before anybody listens
    await peer.open("r", "ROUTER", { bind: endpoint });
    const trips = [...sizes.filter((size) => size <= 2 ** 20), 2 ** 24];
    const count = trips.length + 1000;
    const served = peer.ask({ op: "echo", name: "r", count, ms: 8000 });
    assert.deepEqual(await guest.trip(trips), []);
    assert.deepEqual(
      await guest.numbers(1000),
      Array.from({ length: 1000 }, (_, at) => at),
    );
    assert.equal((await served).done, count);
    await using player = openPlayer(own, endpoint);
    await until("it is up", () => player.ups === 1);
    await peer.kill();
    await until("it is told down", () => player.downs === 1);
    assert.equal(player.dealer.send(say("nobody")), false);
    await guest.close();
  });

  test(`a dealer talks with a Router of zeromq.js${on}`, limit, async () => {
    const endpoint = newEndpoint();
    const router = new Router({ linger: 0 });
    await router.bind(endpoint);
    const serving = (async () => {
      for (;;) await router.send(await router.receive());
    })().catch(() => {}); // closed
    const { "a dealer of its own": open = assert.fail } = guests;
    const guest = await open(endpoint, own);
    assert.deepEqual(await guest.trip([0, 1, 255, 256, 65_536, 2 ** 20]), []);
    assert.equal((await guest.numbers(1000)).length, 1000);
    await guest.close();
    router.close();
    await serving;
  });
}

test("limits of the stage are those of the table", () => {
  assert.equal(limits.messageBytesMax, sizes.at(-1));
  assert.ok(deps.clock === clock);
});
