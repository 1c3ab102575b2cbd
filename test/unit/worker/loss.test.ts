// What a worker does when its broker is lost, silent or full, and what it then keeps to itself.
// It must not know sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { plant } from "../../../src/mdp/mdp.ts";
import { type RawOperation, startWorker } from "../../../src/worker/worker.ts";
import { endpoint, rawRouter } from "../../fakes/memory-bus.ts";

const body = [Buffer.from("x")];

/** A request as a broker hands it out. */
function request(id: number, over: { flags?: number; remainingMs?: number } = {}) {
  const head = { id, remainingMs: 60_000, trace: Buffer.alloc(16), flags: 0, ...over };
  return { kind: "request", service: "s", head, body } as const;
}

/** A worker whose operations end when told; `order` reaches it. */
async function gated(work?: RawOperation) {
  const it = await rawRouter();
  const gates: (() => void)[] = [];
  const wait: RawOperation = () => new Promise((resolve) => gates.push(() => resolve(body)));
  const settings = { endpoint, service: "s", concurrency: 2 };
  const worker = await startWorker(it.deps, settings, work ?? wait);
  await it.clock.advance(10);
  const kinds = () => it.answers.map(({ kind }) => kind).filter((kind) => kind !== "heartbeat");
  return { ...it, worker, gates, kinds };
}

test("what a lost connection asked is not answered by the next one", async () => {
  const it = await gated();
  it.order(request(1));
  await it.clock.advance(10);
  it.wire.cut(endpoint);
  await it.clock.advance(1000);
  it.gates[0]?.();
  await it.clock.advance(10);
  assert.deepEqual(it.kinds(), ["ready", "ready"]);
  await it.worker[Symbol.asyncDispose]();
});

test("a request whose time passed before there was room for it is not begun", async () => {
  const it = await gated();
  for (const id of [1, 2]) it.order(request(id));
  await it.clock.advance(10);
  it.wire.cut(endpoint);
  await it.clock.advance(1000);
  for (const id of [3, 4]) it.order(request(id, { remainingMs: id * 1000 }));
  await it.clock.advance(3500);
  assert.equal(it.worker.busy, 2);
  for (const gate of it.gates) gate();
  await it.clock.advance(10);
  assert.equal(it.gates.length, 3, "of the two that waited, one is begun");
  assert.match(it.errors().join(), /TIME_RAN_OUT/);
  it.gates[2]?.();
  await it.clock.advance(10);
  assert.deepEqual(it.kinds(), ["ready", "ready", "error", "final"]);
  await it.worker[Symbol.asyncDispose]();
});

test("a silent broker is given up at the second look after its time, and not before", async () => {
  const it = await gated();
  it.order({ kind: "heartbeat" });
  await it.clock.advance(4900);
  assert.deepEqual(it.lines, []);
  await it.clock.advance(1200);
  assert.match(it.lines.join(), /BROKER_LOST.*silent/);
  it.lines.length = 0;
  for (let beat = 0; beat < 12; beat += 1) {
    it.order({ kind: "heartbeat" });
    await it.clock.advance(1000);
  }
  assert.deepEqual(it.lines, [], "one that beats stays");
  await it.worker[Symbol.asyncDispose]();
});

test("a worker that is sent away comes back", async () => {
  const it = await gated();
  it.order({ kind: "disconnect" });
  await it.clock.advance(1000);
  assert.deepEqual(it.kinds(), ["ready", "ready"]);
  await it.worker[Symbol.asyncDispose]();
});

test("a broker that does not want a worker is told to the log once, not at each try", async () => {
  const it = await gated();
  for (let second = 0; second < 50; second += 1) {
    it.order({ kind: "disconnect" });
    await it.clock.advance(1000);
  }
  assert.ok(it.kinds().length > 4, "it goes on trying");
  assert.equal(it.lines.length, 1, it.lines.join());
  assert.match(it.lines.join(), /WORKER_REFUSED.*access\.principals/);
  it.lines.length = 0;
  const before = it.kinds().length;
  while (it.kinds().length === before) await it.clock.advance(100);
  it.order({ kind: "heartbeat" });
  it.order({ kind: "disconnect" });
  await it.clock.advance(10);
  assert.match(it.lines.join(), /BROKER_LOST.*sent us away/);
  await it.worker[Symbol.asyncDispose]();
});

test("the last reply stays behind parts that were kept, though there is room again", async () => {
  const gate = Promise.withResolvers<void>();
  const it = await gated(async (asked) => {
    void asked.partial([Buffer.from("part")]);
    await gate.promise;
    return [Buffer.from("end")];
  });
  it.wire.room = 0;
  it.order(request(1, { flags: plant.flag.partials }));
  await it.clock.advance(10);
  it.wire.room = 100;
  gate.resolve();
  await it.clock.advance(2000);
  assert.deepEqual(it.kinds(), ["ready", "partial", "final"]);
  await it.worker[Symbol.asyncDispose]();
});

test("parts nobody awaited are forgotten when the request is cancelled", async () => {
  const it = await gated(async (asked) => {
    for (let at = 0; at < plant.creditAtStart + 10; at += 1) void asked.partial(body);
    await new Promise<void>((resolve) => asked.signal.addEventListener("abort", () => resolve()));
    return body;
  });
  it.order(request(1, { flags: plant.flag.partials | plant.flag.credit }));
  await it.clock.advance(10);
  it.order({ ...request(1), kind: "cancel" });
  await it.clock.advance(10);
  assert.equal(it.worker.busy, 0);
  assert.equal(it.kinds().filter((kind) => kind === "partial").length, plant.creditAtStart);
  await it.worker[Symbol.asyncDispose]();
});
