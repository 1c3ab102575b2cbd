// The end of a worker: what it accepted is finished, what it has not begun is given back.
// It must not know sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Operation, startWorker } from "../../../src/worker/worker.ts";
import { bus, endpoint, failsWith, rawRouter } from "../../fakes/memory-bus.ts";

test("a worker that is closed finishes what is under way, undisturbed for a while", async () => {
  const rows = {
    "in time": { takesMs: 200, isTold: false },
    late: { takesMs: 1000, isTold: true },
  };
  for (const [name, { takesMs, isTold }] of Object.entries(rows)) {
    await using it = await bus();
    let told = false;
    const worker = await it.serve({
      work: async ({ signal }) => {
        await it.clock.sleep(takesMs);
        told = signal.aborted;
        return "done";
      },
    });
    const client = await it.client();
    const asked = client.call("s", "work", {});
    await it.clock.advance(1);
    const closed = worker[Symbol.asyncDispose]();
    assert.equal(await it.settle(asked), "done", name);
    assert.equal(told, isTold, name);
    await it.settle(closed);
    assert.equal(it.broker().stats().workers, 0);
  }
});

test("a stream hears of the end at once, and goes on from its position elsewhere", async () => {
  await using it = await bus();
  const worker = await it.serve({
    watch: async (request) => {
      await request.partial("here");
      await it.clock.sleep(30_000, request.signal);
      return { position: 7 };
    },
  });
  const client = await it.client();
  const stream = client.stream("s", "watch", {});
  assert.equal((await it.settle(stream.next())).value, "here");
  const closed = worker[Symbol.asyncDispose]();
  assert.deepEqual((await it.settle(stream.next(), 100)).value, { position: 7 });
  await it.settle(closed, 100);
});

test("an operation that does not end is left behind in time, and its client is told so", async () => {
  await using it = await bus();
  const worker = await it.serve({ deaf: () => new Promise(() => {}) });
  const client = await it.client();
  const asked = client.call("s", "deaf", {}, { deadlineMs: 20_000 });
  asked.catch(() => {});
  await it.clock.advance(1);
  await it.settle(worker[Symbol.asyncDispose](), 2100);
  await assert.rejects(it.settle(asked, 100), failsWith("WORKER_LOST"));
});

test("what comes while a worker closes is not begun there, and waits for the next worker", async () => {
  await using it = await bus();
  let begun = 0;
  const worker = await it.serve(
    {
      work: async () => {
        begun += 1;
        await it.clock.sleep(200);
        return begun;
      },
    },
    { concurrency: 2 },
  );
  const client = await it.client();
  const first = client.call("s", "work", {});
  await it.clock.advance(1);
  const closed = worker[Symbol.asyncDispose]();
  const second = client.call("s", "work", {});
  assert.equal(await it.settle(first), 1);
  await it.settle(closed, 100);
  assert.equal(begun, 1);
  await it.serve({ work: () => "by the next" });
  assert.equal(await it.settle(second, 100), "by the next");
});

test("what waits at the broker while a worker closes waits for the next worker", async () => {
  await using it = await bus();
  const work = async () => {
    await it.clock.sleep(100);
    return "done";
  };
  const worker = await it.serve({ work });
  const client = await it.client();
  const all = [1, 2, 3, 4, 5].map(() => client.call("s", "work", {}));
  const settled = Promise.allSettled(all);
  await it.clock.advance(1);
  await it.settle(worker[Symbol.asyncDispose]());
  await it.serve({ work });
  const results = await it.settle(settled);
  assert.deepEqual(
    results.map(({ status }) => status),
    Array.from({ length: 5 }, () => "fulfilled"),
  );
});

test("workers that come and go under load lose nothing and begin nothing twice", async () => {
  await using it = await bus();
  const begun: number[] = [];
  const work: Operation = async ({ args }) => {
    begun.push(args as number);
    await it.clock.sleep(30);
    return args;
  };
  let worker = await it.serve({ work }, { concurrency: 4 });
  const client = await it.client();
  const asked: Promise<unknown>[] = [];
  for (let round = 0; round < 20; round += 1) {
    for (let one = 0; one < 10; one += 1) {
      asked.push(client.call("s", "work", asked.length, { deadlineMs: 60_000 }));
    }
    const closed = worker[Symbol.asyncDispose]();
    if (round % 2 === 0) worker = await it.serve({ work }, { concurrency: 4 });
    await it.settle(closed);
    if (round % 2 === 1) worker = await it.serve({ work }, { concurrency: 4 });
  }
  const numbers = asked.map((_, at) => at);
  assert.deepEqual(await it.settle(Promise.all(asked)), numbers);
  assert.deepEqual(
    begun.toSorted((a, b) => a - b),
    numbers,
  );
  const { counters } = it.broker().stats();
  assert.deepEqual([counters.requestsLost, counters.workersLost], [0, 0]);
  assert.ok(counters.returned > 0);
});

test("a worker that is closed before it ever saw a broker ends at once, and never registers", async () => {
  const it = await rawRouter();
  const nowhere = { endpoint: "ipc:///nowhere", service: "s" };
  const worker = await startWorker(it.deps, nowhere, {});
  await it.clock.advance(10);
  const both = Promise.all([worker[Symbol.asyncDispose](), worker[Symbol.asyncDispose]()]);
  await it.clock.advance(0);
  await both;
  assert.equal(await worker.ended, undefined);
  assert.equal(it.answers.length, 0);
});

test("a worker that loses its broker while closing does not register anew", async () => {
  const it = await rawRouter();
  const deaf = () => new Promise<never>(() => {});
  const worker = await startWorker(it.deps, { endpoint, service: "s" }, { deaf });
  await it.clock.advance(10);
  const head = { id: 1, remainingMs: 60_000, trace: Buffer.alloc(16), flags: 0 };
  it.order({ kind: "request", service: "s", head, body: [Buffer.from("deaf")] });
  await it.clock.advance(10);
  it.answers.length = 0;
  const closed = worker[Symbol.asyncDispose]();
  it.wire.cut(endpoint);
  await it.clock.advance(1000);
  assert.ok(it.answers.every(({ kind }) => kind === "leave"));
  await it.clock.advance(4000);
  await closed;
  assert.ok(it.answers.every(({ kind }) => kind !== "ready"));
});

test("no more requests are begun at once than the worker announced", async () => {
  await using it = await bus();
  let running = 0;
  let most = 0;
  await it.serve(
    {
      work: async () => {
        running += 1;
        most = Math.max(most, running);
        await it.clock.sleep(10);
        running -= 1;
      },
    },
    { concurrency: 3 },
  );
  const client = await it.client();
  const all = Array.from({ length: 20 }, () => client.call("s", "work", {}));
  await it.settle(Promise.all(all));
  assert.equal(most, 3);
});
