// Client and worker against the real broker over wires in memory, under a clock that stands still.
// It must not know sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type BrokerConfig, startBroker } from "../../../src/broker/broker.ts";
import { startClient } from "../../../src/client/client.ts";
import { parseConfig } from "../../../src/config/config.ts";
import { type Frames, plant } from "../../../src/mdp/mdp.ts";
import type { Code } from "../../../src/util/catalogue.ts";
import { watchDeadlines } from "../../../src/util/deadlines.ts";
import { hasCode, PlantError } from "../../../src/util/errors.ts";
import { openLog } from "../../../src/util/log.ts";
import { seededRandom } from "../../../src/util/random.ts";
import { type Operation, startWorker, type WorkerConfig } from "../../../src/worker/worker.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { fakeWire } from "../../fakes/wire.ts";

const endpoint = "ipc:///fake";

/** A bus with a broker; `serve` and `ask` start what talks over it. */
async function bus(over: Partial<BrokerConfig> = {}) {
  const clock = fakeClock();
  const wire = fakeWire();
  const lines: string[] = [];
  const log = openLog({ service: "test", level: "warn", write: (line) => lines.push(line) });
  const deps = { clock, log, random: seededRandom(5), transport: wire };
  const config: BrokerConfig = {
    ...parseConfig("", {}).broker,
    listeners: [{ principal: "admin", endpoint }],
    ...over,
  };
  const start = () => startBroker(deps, config);
  let broker = await start();
  const stack = new AsyncDisposableStack();
  stack.defer(() => broker[Symbol.asyncDispose]());
  return {
    clock,
    wire,
    deps,
    lines,
    broker: () => broker,
    async kill() {
      wire.cut(endpoint);
      await broker[Symbol.asyncDispose]();
    },
    async revive() {
      broker = await start();
    },
    async client(config = {}) {
      return stack.use(await startClient(deps, { endpoint, ...config }));
    },
    async serve(operations: Record<string, Operation>, more: Partial<WorkerConfig> = {}) {
      const worker = await startWorker(deps, { endpoint, service: "s", ...more }, operations);
      stack.use(worker);
      await clock.advance(0);
      return worker;
    },
    /** Runs a promise to its end while time goes on in small steps. */
    async settle<T>(promise: Promise<T>, limitMs = 60_000): Promise<T> {
      let over = false;
      const watched = promise.finally(() => {
        over = true;
      });
      watched.catch(() => {});
      for (let spent = 0; !over && spent < limitMs; spent += 20) await clock.advance(20);
      assert.ok(over, "it did not end in time");
      return watched;
    },
    [Symbol.asyncDispose]: async () => {
      const closed = stack.disposeAsync();
      let over = false;
      void closed.finally(() => {
        over = true;
      });
      while (!over) await clock.advance(1000);
    },
  };
}

const forever: Operation = ({ signal }) =>
  new Promise((_, reject) =>
    signal.addEventListener("abort", () => reject(signal.reason), { once: true }),
  );

function failsWith(...codes: Code[]) {
  return (error: unknown) => hasCode(error, ...codes);
}

test("a call carries arguments, trace and deadline there, and data back", async () => {
  await using it = await bus();
  const seen: unknown[] = [];
  await it.serve({
    add: (request) => {
      const { a, b } = request.args as { a: number; b: number };
      seen.push(request.trace, request.remainingMs(), request.operation, request.body.length);
      return { sum: a + b };
    },
  });
  const client = await it.client();
  const trace = "ab".repeat(16);
  const sum = await it.settle(client.call("s", "add", { a: 2, b: 3 }, { deadlineMs: 1000, trace }));
  assert.deepEqual(sum, { sum: 5 });
  assert.deepEqual(seen, [trace, 900, "add", 2]);
});

test("an operation's PlantError is the reply; anything else is INTERNAL", async () => {
  await using it = await bus();
  await it.serve({
    known: () => {
      throw new PlantError("NOT_ALLOWED", { principal: "p", what: "w" });
    },
    unknown: () => {
      throw new TypeError("oops");
    },
    loop: () => {
      const ring: Record<string, unknown> = {};
      ring.self = ring;
      return ring;
    },
    badDetail: () => {
      throw new PlantError("NOT_ALLOWED", { count: 1n });
    },
  });
  const client = await it.client();
  const ask = (operation: string, ...codes: Code[]) =>
    assert.rejects(it.settle(client.call("s", operation, null)), failsWith(...codes));
  await ask("known", "NOT_ALLOWED");
  await ask("unknown", "INTERNAL");
  await ask("loop", "INTERNAL");
  await ask("badDetail", "NOT_ALLOWED");
  await ask("absent", "OPERATION_UNKNOWN");
});

test("arguments that are no JSON are REQUEST_MALFORMED; none at all are undefined", async () => {
  await using it = await bus();
  await it.serve({ see: ({ args }) => ({ kind: typeof args }) });
  const client = await it.client();
  const reply = await it.settle(client.request("s", [Buffer.from("see"), Buffer.from("{")]));
  assert.equal(JSON.parse(String(reply[0])).error.code, "REQUEST_MALFORMED");
  assert.deepEqual(await it.settle(client.call("s", "see", undefined)), { kind: "undefined" });
  const three = ["see", "middle", "7"].map((word) => Buffer.from(word));
  const parsed = await it.settle(client.request("s", three));
  assert.equal(JSON.parse(String(parsed[0])).data.kind, "number");
});

test("every worker answers health, with its own words if it has some", async () => {
  await using it = await bus();
  await it.serve({});
  const client = await it.client();
  assert.deepEqual(await it.settle(client.call("s", "health", {})), { status: "pass", checks: [] });
});

test("replies find their requests among many in flight", async () => {
  await using it = await bus();
  await it.serve(
    {
      later: async ({ args }) => {
        await it.clock.sleep(1000 - (args as number) * 10);
        return args;
      },
    },
    { concurrency: 100 },
  );
  const client = await it.client();
  const all = Array.from({ length: 100 }, (_, at) => client.call("s", "later", at));
  assert.deepEqual(
    await it.settle(Promise.all(all)),
    all.map((_, at) => at),
  );
});

test("a deadline ends the request, and the operation is told by its signal", async () => {
  await using it = await bus();
  let reason: unknown;
  await it.serve({
    hang: ({ signal }) =>
      new Promise((resolve) =>
        signal.addEventListener("abort", () => {
          reason = signal.reason;
          resolve(it.clock.sleep(5000));
        }),
      ),
  });
  const client = await it.client();
  const asked = client.call("s", "hang", {}, { deadlineMs: 300 });
  await assert.rejects(it.settle(asked), failsWith("TIME_RAN_OUT", "EXPIRED"));
  assert.ok(hasCode(reason, "TIME_RAN_OUT"));
});

test("an aborted signal cancels the request at both ends, at once", async () => {
  await using it = await bus();
  const worker = await it.serve({ forever });
  const client = await it.client();
  const stop = new AbortController();
  const asked = client.call("s", "forever", {}, { signal: stop.signal });
  asked.catch(() => {});
  await it.clock.advance(50);
  assert.equal(worker.busy, 1);
  stop.abort();
  await assert.rejects(asked, failsWith("CANCELLED"));
  await it.clock.advance(0);
  assert.equal(worker.busy, 0);
  await assert.rejects(
    client.call("s", "forever", {}, { signal: stop.signal }),
    failsWith("CANCELLED"),
  );
});

test("a stream yields its parts in order and returns its end", async () => {
  await using it = await bus();
  await it.serve({
    count: async (request) => {
      for (let at = 0; at < 100; at += 1) await request.partial(at);
      return "end";
    },
  });
  const client = await it.client();
  const stream = client.stream("s", "count", {});
  const seen: unknown[] = [];
  for (;;) {
    const next = await it.settle(stream.next());
    if (next.done === true) {
      assert.equal(next.value, "end");
      break;
    }
    seen.push(next.value);
  }
  assert.deepEqual(
    seen,
    Array.from({ length: 100 }, (_, at) => at),
  );
});

test("a worker sends no more parts than the client takes, and stops when it leaves", async () => {
  await using it = await bus();
  let sent = 0;
  const worker = await it.serve({
    flood: async (request) => {
      for (;;) {
        await request.partial(sent);
        sent += 1;
      }
    },
  });
  const client = await it.client();
  const stream = client.stream("s", "flood", {});
  await it.settle(stream.next());
  await it.clock.advance(1000);
  assert.equal(sent, plant.creditAtStart);
  const half = plant.creditAtStart / 2;
  for (let taken = 1; taken < half; taken += 1) await stream.next();
  await it.clock.advance(1000);
  assert.equal(sent, plant.creditAtStart + half, "credit comes back in halves");
  await stream.return(undefined);
  await it.clock.advance(0);
  assert.equal(worker.busy, 0);
});

test("an error ends a stream", async () => {
  await using it = await bus();
  await it.serve({
    short: async (request) => {
      await request.partial(1);
      throw new PlantError("LIMIT_REACHED", { limit: "x", max: 1 });
    },
  });
  const client = await it.client();
  const stream = client.stream("s", "short", {});
  assert.equal((await it.settle(stream.next())).value, 1);
  await assert.rejects(it.settle(stream.next()), failsWith("LIMIT_REACHED"));
});

test("requests above the client's limit are refused, and none is lost by it", async () => {
  await using it = await bus();
  await it.serve({ echo: ({ args }) => args });
  const client = await it.client({ requestsMax: 2 });
  const two = [client.call("s", "echo", 1), client.call("s", "echo", 2)];
  await assert.rejects(client.call("s", "echo", 3), failsWith("LIMIT_REACHED"));
  assert.deepEqual(await it.settle(Promise.all(two)), [1, 2]);
});

test("a request or reply too large is an error, not a silence", async () => {
  await using it = await bus({ messageBytesMax: 2000 });
  await it.serve({ big: () => "x".repeat(5000) }, { messageBytesMax: 2000 });
  const client = await it.client({ messageBytesMax: 2000 });
  await assert.rejects(client.call("s", "x".repeat(3000), {}), failsWith("MESSAGE_TOO_LARGE"));
  await assert.rejects(it.settle(client.call("s", "big", {})), failsWith("MESSAGE_TOO_LARGE"));
  const careless = await it.client();
  await assert.rejects(
    it.settle(careless.call("s", "big", "x".repeat(3000))),
    failsWith("MESSAGE_TOO_LARGE"),
  );
});

test("a deadline that is none is refused", async () => {
  await using it = await bus();
  const client = await it.client();
  for (const deadlineMs of [0, -1, Number.NaN]) {
    await assert.rejects(client.call("s", "x", {}, { deadlineMs }), failsWith("REQUEST_MALFORMED"));
  }
});

test("a service name or trace that cannot be one is refused before it leaves", async () => {
  await using it = await bus();
  const client = await it.client();
  for (const service of ["", "a b", "x".repeat(256), "ä"]) {
    await assert.rejects(client.call(service, "x", {}), failsWith("REQUEST_MALFORMED"));
  }
  await assert.rejects(
    client.call("s", "x", {}, { trace: "nonsense" }),
    failsWith("REQUEST_MALFORMED"),
  );
});

test("a request nobody serves is NO_SERVICE", async () => {
  await using it = await bus();
  const client = await it.client();
  await assert.rejects(
    it.settle(client.call("nobody", "x", {}, { deadlineMs: 1000 })),
    failsWith("NO_SERVICE"),
  );
});

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

test("a broker that sends more than a worker takes at once hears so", async () => {
  const clock = fakeClock();
  const wire = fakeWire();
  const log = openLog({ service: "test", level: "error", write: () => {} });
  const errors: string[] = [];
  const deps = { clock, log, random: seededRandom(5), transport: wire };
  await using router = await wire.bindRouter(deps, {
    listeners: [{ principal: "admin", endpoint }],
    messageBytesMax: 1000,
    framesMax: 10,
    sendQueueMax: 10,
    sendBytesMax: 10_000,
    connectionsMax: 10,
    onSlow() {},
    onDrained() {},
    onRefused() {},
    onGone: () => {},
    onMessage: (peer, frames) => {
      const said = plant.decodeFromWorker(frames);
      if (said.kind === "error") errors.push(String(said.error));
      if (said.kind !== "ready") return;
      for (const id of [1, 2]) {
        const head = { id, remainingMs: 5000, trace: Buffer.alloc(16), flags: 0 };
        const body = [Buffer.from("forever")];
        router.send(peer, plant.encodeToWorker({ kind: "request", service: "s", head, body }));
      }
    },
  });
  const worker = await startWorker(deps, { endpoint, service: "s" }, { forever });
  await clock.advance(10);
  assert.equal(worker.busy, 1);
  assert.match(errors.join(), /LIMIT_REACHED/);
  const closed = worker[Symbol.asyncDispose]();
  await clock.advance(5000);
  await closed;
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

test("disposal of a worker waits for its operations, and then says goodbye", async () => {
  await using it = await bus();
  const worker = await it.serve({ forever });
  const client = await it.client();
  const asked = client.call("s", "forever", {});
  asked.catch(() => {});
  await it.clock.advance(50);
  const closed = Promise.all([worker[Symbol.asyncDispose](), worker[Symbol.asyncDispose]()]);
  await it.settle(closed);
  assert.equal(await worker.ended, undefined);
  await assert.rejects(it.settle(asked), failsWith("CANCELLED"));
  assert.equal(it.broker().stats().workers, 0);
});

test("disposal of a client cancels what it asked", async () => {
  await using it = await bus();
  await it.serve({ forever });
  const client = await it.client();
  const asked = client.call("s", "forever", {});
  asked.catch(() => {});
  await client[Symbol.asyncDispose]();
  await assert.rejects(asked, failsWith("CANCELLED"));
  assert.equal(await client.ended, undefined);
  await assert.rejects(client.call("s", "forever", {}), failsWith("CANCELLED"));
});

test("rubbish from a broker ends neither client nor worker", async () => {
  const clock = fakeClock();
  const wire = fakeWire();
  const lines: string[] = [];
  const log = openLog({ service: "test", level: "warn", write: (line) => lines.push(line) });
  const deps = { clock, log, random: seededRandom(5), transport: wire };
  const head = { id: 1, remainingMs: 5000, trace: Buffer.alloc(16), flags: 0 };
  const replies: Frames[] = [];
  await using router = await wire.bindRouter(deps, {
    listeners: [{ principal: "admin", endpoint }],
    messageBytesMax: 1000,
    framesMax: 10,
    sendQueueMax: 10,
    sendBytesMax: 10_000,
    connectionsMax: 10,
    onSlow() {},
    onDrained() {},
    onRefused() {},
    onGone: () => {},
    onMessage: (peer, frames) => {
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
    },
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

test("deadlines are met in any order they are set, with one sleeper", async () => {
  const clock = fakeClock();
  const from = clock.monotonicMs();
  const left = new Set([500, 100, 300].map((ms) => from + ms));
  const met: number[] = [];
  const deadlines = watchDeadlines(clock, (nowMs) => {
    for (const due of left) {
      if (due > nowMs) continue;
      met.push(due - from);
      left.delete(due);
    }
    return Math.min(...left);
  });
  for (const due of left) deadlines.watch(due);
  await clock.advance(0);
  assert.equal(clock.waiting, 1);
  await clock.advance(1000);
  assert.deepEqual(met, [100, 300, 500]);
  deadlines.stop();
});
