// Room for long answers: what waits holds nothing, comes in turn, and keeps nobody short waiting.
// It must not know sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { plant } from "../../../src/mdp/mdp.ts";
import { turn } from "../../../src/util/slices.ts";
import { Room } from "../../../src/worker/room.ts";
import { type RawOperation, startWorker } from "../../../src/worker/worker.ts";
import { endpoint, failsWith, rawRouter } from "../../fakes/memory-bus.ts";

const never = new AbortController().signal;

/** A request as a broker hands it out. */
function request(id: number, flags: number, remainingMs = 60_000) {
  const head = { id, remainingMs, trace: Buffer.alloc(16, id), flags };
  return { kind: "request", service: "s", head, body: [Buffer.from("x")] } as const;
}

async function turns(count: number): Promise<void> {
  for (let at = 0; at < count; at += 1) await turn();
}

test("of many who ask at once each has a turn of its own, in their order", async () => {
  const room = new Room(() => true);
  let now = 0;
  const ticking = (async () => {
    for (; now < 10; now += 1) await turn();
  })();
  const seen: number[] = [];
  const when = new Set<number>();
  const work = Array.from({ length: 3 }, async (_, at) => {
    using _room = await room.enter(never);
    seen.push(at);
    when.add(now);
  });
  await Promise.all([...work, ticking]);
  assert.deepEqual(seen, [0, 1, 2]);
  assert.equal(when.size, 3);
});

test("few answers are made at one time, and the next comes when one is sent", async () => {
  const room = new Room(() => true);
  const held: Disposable[] = [];
  for (let at = 0; at < 10; at += 1) void room.enter(never).then((one) => held.push(one));
  await turns(20);
  assert.equal(held.length, 4);
  held[0]?.[Symbol.dispose]();
  held[0]?.[Symbol.dispose]();
  await turns(20);
  assert.equal(held.length, 5, "a place that is left twice is one");
});

test("nobody is let in while much waits; who gives up has no place, and keeps none", async () => {
  let isOpen = false;
  const room = new Room(() => isOpen);
  const gone = new AbortController();
  const left = room.enter(gone.signal);
  let isIn = false;
  void room.enter(never).then(() => {
    isIn = true;
  });
  await turns(3);
  assert.ok(!isIn);
  gone.abort(new Error("gave up"));
  await assert.rejects(left, /gave up/);
  await assert.rejects(room.enter(gone.signal), /gave up/);
  isOpen = true;
  room.look();
  await turns(1);
  assert.ok(isIn);
});

/** A worker that makes long answers when there is room, and short ones at once. */
async function longAndShort() {
  const it = await rawRouter();
  const made: number[] = [];
  const serve: RawOperation = (asked) => {
    if (asked.trace.startsWith("63")) return [Buffer.from("short")];
    return (async () => {
      using _room = await asked.room();
      made.push(Number.parseInt(asked.trace.slice(0, 2), 16));
      return [Buffer.from("long")];
    })();
  };
  const worker = await startWorker(it.deps, { endpoint, service: "s", concurrency: 64 }, serve);
  await it.clock.advance(10);
  const finals = () => it.answers.flatMap((one) => (one.kind === "final" ? [one.id] : []));
  return { it, made, worker, finals };
}

test("while the broker takes nothing no long answer is made; its deadline and a cancel hold", async () => {
  const { it, made, worker, finals } = await longAndShort();
  it.wire.room = 0;
  it.order(request(0x63, 0));
  for (const id of [1, 2, 3]) it.order(request(id, 0, id === 2 ? 500 : 60_000));
  await it.clock.advance(10);
  assert.deepEqual(made, []);
  it.order({ ...request(3, 0), kind: "cancel" });
  await it.clock.advance(1000);
  assert.equal(worker.busy, 1, "those whose time is over, or who are gone, wait no more");
  it.wire.drain();
  await it.clock.advance(10);
  await turns(10);
  await it.clock.advance(10);
  assert.deepEqual(made, [1]);
  assert.deepEqual(finals(), [0x63, 1]);
  assert.deepEqual(it.errors().length, 2);
  await worker[Symbol.asyncDispose]();
});

test("short answers go past long ones that wait for those being made", async () => {
  const it = await rawRouter();
  const going = Promise.withResolvers<void>();
  const serve: RawOperation = (asked) => {
    if (asked.trace.startsWith("63")) return [Buffer.from("short")];
    return (async () => {
      using _room = await asked.room();
      await going.promise;
      return [Buffer.from("long")];
    })();
  };
  const worker = await startWorker(it.deps, { endpoint, service: "s", concurrency: 64 }, serve);
  await it.clock.advance(10);
  for (let id = 1; id <= 20; id += 1) it.order(request(id, 0));
  await it.clock.advance(10);
  await turns(10);
  it.order(request(0x63, 0));
  await it.clock.advance(10);
  const finals = () => it.answers.flatMap((one) => (one.kind === "final" ? [one.id] : []));
  assert.deepEqual(finals(), [0x63]);
  going.resolve();
  await turns(60);
  await it.clock.advance(10);
  assert.equal(finals().length, 21);
  await worker[Symbol.asyncDispose]();
});

test("a stream without credit makes no part, and no other waits for it; a cancel ends it", async () => {
  const it = await rawRouter();
  const made = new Map<number, number>();
  const ended: unknown[] = [];
  const worker = await startWorker(
    it.deps,
    { endpoint, service: "s", concurrency: 64 },
    async (asked) => {
      const id = Number.parseInt(asked.trace.slice(0, 2), 16);
      try {
        for (;;) {
          using _room = await asked.room();
          made.set(id, (made.get(id) ?? 0) + 1);
          await asked.partial([Buffer.alloc(400_000)]);
        }
      } catch (error) {
        ended.push(error);
        throw error;
      }
    },
  );
  await it.clock.advance(10);
  const flags = plant.flag.partials | plant.flag.credit;
  for (let id = 1; id <= 10; id += 1) it.order(request(id, flags));
  await it.clock.advance(10);
  await turns(60);
  assert.deepEqual([...made.values()], Array(10).fill(3), "a megabyte each, and none in hand");
  it.order({ ...request(7, 0), kind: "credit", credit: 3 });
  await it.clock.advance(10);
  await turns(20);
  assert.equal(made.get(7), 6);
  it.order({ ...request(1, 0), kind: "cancel" });
  await it.clock.advance(10);
  assert.equal(worker.busy, 9);
  assert.ok(failsWith("CANCELLED")(ended[0]));
  await it.clock.advance(60_000);
  assert.equal(worker.busy, 0);
  await worker[Symbol.asyncDispose]();
});
