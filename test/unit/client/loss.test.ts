// What client and worker do when the broker is away, silent, full or talks rubbish.
// It must not know sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { startClient } from "../../../src/client/client.ts";
import { type Frames, plant } from "../../../src/mdp/mdp.ts";
import type { Code } from "../../../src/util/catalogue.ts";
import { hasCode } from "../../../src/util/errors.ts";
import { openLog } from "../../../src/util/log.ts";
import { seededRandom } from "../../../src/util/random.ts";
import { startWorker } from "../../../src/worker/worker.ts";
import { fakeClock } from "../../fakes/clock.ts";
import {
  bindListener,
  bus,
  endpoint,
  failsWith,
  forever,
  rawRouter,
} from "../../fakes/memory-bus.ts";
import { fakeWire } from "../../fakes/wire.ts";

test("without a broker a request waits, and fails as unreachable at its deadline", async () => {
  await using it = await bus();
  await it.kill();
  const client = await it.client();
  const asked = client.call("s", "x", {}, { deadlineMs: 700 });
  await assert.rejects(it.settle(asked), failsWith("BROKER_UNREACHABLE"));
});

test("who will not wait long for a connection hears so early, and loses nothing once it stands", async () => {
  await using it = await bus();
  await it.serve({
    slow: async () => {
      await it.clock.sleep(2000);
      return "done";
    },
  });
  const client = await it.client({ connectMs: 500 });
  assert.equal(await it.settle(client.call("s", "slow", {})), "done");
  await it.kill();
  await it.clock.advance(100);
  const asked = client.call("s", "slow", {}, { deadlineMs: 30_000 });
  await assert.rejects(it.settle(asked, 600), failsWith("BROKER_UNREACHABLE"));
});

test("a request made before the broker is there is answered once it is", async () => {
  await using it = await bus();
  await it.kill();
  await it.serve({ echo: ({ args }) => args });
  const client = await it.client();
  const asked = client.call("s", "echo", 4);
  await it.clock.advance(100);
  await it.revive();
  assert.equal(await it.settle(asked), 4);
});

test("when the broker dies, what is in flight fails, and both ends come back", async () => {
  await using it = await bus();
  let told: unknown;
  await it.serve({
    echo: ({ args }) => args,
    hang: ({ signal }) =>
      new Promise((resolve) =>
        signal.addEventListener("abort", () => {
          told = signal.reason;
          resolve(0);
        }),
      ),
  });
  const client = await it.client();
  const lost = client.call("s", "hang", {});
  lost.catch(() => {});
  await it.clock.advance(100);
  await it.kill();
  await assert.rejects(it.settle(lost), failsWith("BROKER_LOST"));
  assert.ok(hasCode(told, "BROKER_LOST"));
  await it.revive();
  assert.equal(await it.settle(client.call("s", "echo", 5), 2000), 5);
});

test("a broker that falls silent is given up, by the worker and by a waiting client", async () => {
  await using it = await bus();
  await it.serve({ forever, echo: ({ args }) => args }, { concurrency: 2 });
  const client = await it.client();
  const lost = client.call("s", "forever", {}, { deadlineMs: 30_000 });
  lost.catch(() => {});
  await it.clock.advance(100);
  it.wire.isMute = true;
  await assert.rejects(it.settle(lost, 9000), failsWith("BROKER_LOST"));
  await it.clock.advance(4000);
  it.wire.isMute = false;
  assert.equal(await it.settle(client.call("s", "echo", 6), 5000), 6);
});

test("after a standstill of ours, what is yet to be read saves the broker from being given up", async () => {
  await using it = await bus();
  const worker = await it.serve({
    late: async ({ signal }) => {
      await it.clock.sleep(4100, signal);
      return "late";
    },
  });
  const client = await it.client();
  const asked = client.call("s", "late", {}, { deadlineMs: 30_000 });
  await it.clock.advance(20);
  it.wire.isMute = true;
  await it.clock.advance(4060);
  it.wire.isMute = false;
  assert.equal(await it.settle(asked), "late");
  assert.equal(worker.busy, 0);
  assert.equal(it.broker().stats().workers, 1);
  assert.deepEqual(it.lines, [], "nobody took the broker for lost");
});

test("a connection that served well is missed for a short time only, however often it is lost", async () => {
  await using it = await bus();
  await it.serve({ echo: ({ args }) => args });
  const client = await it.client();
  for (let loss = 0; loss < 8; loss += 1) {
    await it.kill();
    await it.revive();
    await it.clock.advance(250);
    const call = client.call("s", "echo", loss, { deadlineMs: 250 });
    assert.equal(await it.settle(call), loss);
  }
});

test("who is closed while waiting to connect anew connects no more", async () => {
  await using it = await bus();
  let connections = 0;
  const transport = {
    ...it.wire,
    connectDealer(...of: Parameters<typeof it.wire.connectDealer>) {
      connections += 1;
      return it.wire.connectDealer(...of);
    },
  };
  const client = await startClient({ ...it.deps, transport }, { endpoint });
  await it.clock.advance(10);
  await it.kill();
  await it.clock.advance(1);
  await client[Symbol.asyncDispose]();
  await it.clock.advance(10_000);
  assert.equal(connections, 1);
  assert.equal(await client.ended, undefined);
});

test("what runs on for a lost connection takes room until it ends", async () => {
  await using it = await bus();
  const going = Promise.withResolvers<string>();
  let running = 0;
  await it.serve({
    stubborn: async () => {
      running += 1;
      return await going.promise;
    },
  });
  const client = await it.client();
  const lost = client.call("s", "stubborn", {});
  lost.catch(() => {});
  await it.clock.advance(20);
  await it.kill();
  await assert.rejects(it.settle(lost), failsWith("BROKER_LOST"));
  await it.revive();
  const asked = client.call("s", "stubborn", {});
  await it.clock.advance(2000);
  assert.equal(running, 1, "the second waits for the room of the first");
  going.resolve("over");
  assert.equal(await it.settle(asked), "over");
  assert.equal(running, 2);
});

test("a silent but healthy broker is not given up while a request takes long", async () => {
  await using it = await bus();
  await it.serve({
    slow: async ({ signal }) => {
      await it.clock.sleep(20_000, signal);
      return "done";
    },
  });
  const client = await it.client();
  const asked = client.call("s", "slow", {}, { deadlineMs: 30_000 });
  assert.equal(await it.settle(asked), "done");
});

test("what cannot be handed to the connection is refused, not forgotten", async () => {
  await using it = await bus();
  const client = await it.client();
  await it.clock.advance(0);
  it.wire.room = 0;
  await assert.rejects(client.call("s", "x", {}), failsWith("LIMIT_REACHED"));
});

test("rubbish from a broker ends neither client nor worker", async () => {
  const clock = fakeClock();
  const wire = fakeWire();
  const lines: string[] = [];
  const log = openLog({ service: "test", level: "warn", write: (line) => lines.push(line) });
  const deps = { clock, log, random: seededRandom(5), transport: wire };
  const head = { id: 1, remainingMs: 5000, trace: Buffer.alloc(16), flags: 0 };
  const replies: Frames[] = [];
  await using router = await bindListener(deps, (peer, frames) => {
    for (const bad of [[], [Buffer.from("no")], [Buffer.from("PLNC01"), Buffer.of(9)]]) {
      router.send(peer, bad);
    }
    const isClient = String(frames[0]) === plant.clientHeader;
    if (frames[1]?.[0] !== 1) replies.push(frames);
    else if (isClient) {
      const error = Buffer.from("not JSON");
      const strange = { ...head, id: 77 };
      router.send(
        peer,
        plant.encodeToClient({ kind: "final", service: "s", head: strange, body: [error] }),
      );
      router.send(peer, plant.encodeToClient({ kind: "error", service: "s", head, error }));
    } else {
      const body = [Buffer.from("hi")];
      router.send(peer, plant.encodeToWorker({ kind: "cancel", service: "s", head }));
      router.send(peer, plant.encodeToWorker({ kind: "request", service: "s", head, body }));
    }
  });
  await using client = await startClient(deps, { endpoint });
  const worker = await startWorker(deps, { endpoint, service: "s" }, { hi: () => "there" });
  await assert.rejects(client.call("s", "x", {}), failsWith("REMOTE_FAILED"));
  await clock.advance(10);
  assert.match(String(replies[0]?.[4]), /there/);
  assert.ok(lines.some((line) => line.includes("FRAME_MALFORMED")));
  const closed = worker[Symbol.asyncDispose]();
  await clock.advance(5000);
  await closed;
});

test("a cancel that finds the queue full goes out once there is room", async () => {
  await using it = await bus();
  const worker = await it.serve({ forever });
  const client = await it.client();
  const stop = new AbortController();
  const asked = client.call("s", "forever", {}, { signal: stop.signal });
  asked.catch(() => {});
  await it.clock.advance(20);
  it.wire.room = 0;
  stop.abort();
  await it.clock.advance(20);
  assert.equal(worker.busy, 1);
  it.wire.drain();
  await it.clock.advance(20);
  assert.equal(worker.busy, 0);
});

test("a broker that takes nothing any more is given up before cancels pile up", async () => {
  const it = await rawRouter();
  await using client = await startClient(it.deps, { endpoint, requestsMax: 2 });
  await it.clock.advance(0);
  for (let round = 0; round < 5; round += 1) {
    const stop = new AbortController();
    it.wire.room = 1;
    const asked = client.call("s", "x", {}, { signal: stop.signal });
    stop.abort();
    await assert.rejects(asked, failsWith("CANCELLED"));
    it.wire.room = 0;
  }
  assert.equal(it.lines.filter((line) => line.includes("BROKER_LOST")).length, 1);
});

test("a client that was idle for long gives its broker as much time as any", async () => {
  const it = await rawRouter();
  await using client = await startClient(it.deps, { endpoint });
  await it.clock.advance(60_000);
  const asked = client.call("s", "x", {}, { deadlineMs: 30_000 });
  asked.catch(() => {});
  await it.clock.advance(3900);
  assert.deepEqual(it.lines, []);
  assert.deepEqual(
    it.requests.map(({ service }) => service),
    ["s", "mmi.service"],
  );
  await it.clock.advance(400);
  await assert.rejects(asked, failsWith("BROKER_LOST"));
});

test("what the client itself must refuse never reaches a broker", async () => {
  const it = await rawRouter();
  const limits = { framesMax: 2, messageBytesMax: 1000 };
  await using client = await startClient(it.deps, { endpoint, ...limits });
  await it.clock.advance(0);
  const frame = Buffer.alloc(500);
  const rows: [Frames, Code][] = [
    [[], "REQUEST_MALFORMED"],
    [[frame, frame, Buffer.alloc(0)], "LIMIT_REACHED"],
    [[frame, Buffer.alloc(501)], "MESSAGE_TOO_LARGE"],
  ];
  for (const [body, code] of rows) {
    await assert.rejects(client.request("s", body), failsWith(code));
    await assert.rejects(client.streamRaw("s", body).next(), failsWith(code));
  }
  await it.clock.advance(0);
  assert.deepEqual(it.requests, []);
  client.request("s", [frame, frame]).catch(() => {});
  await it.clock.advance(0);
  assert.equal(it.requests.length, 1);
});
