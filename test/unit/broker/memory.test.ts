// What the broker keeps of what it reads, and when it looks at what is due. It must not know sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { step } from "../../../src/broker/step.ts";
import { type Timed, TimingWheel } from "../../../src/broker/timing-wheel.ts";
import { plant } from "../../../src/mdp/mdp.ts";
import { seededRandom } from "../../../src/util/random.ts";
import { bench, idOf, newBroker, smallSettings } from "../../fakes/broker.ts";

const door = { principal: "a", endpoint: "ipc:///b" };

/** A request whose frames are small views of a large read. */
function asRead(id: number) {
  const head = { id, remainingMs: 60_000, trace: Buffer.alloc(16, 7), flags: 0 };
  const body = [Buffer.from("the body")];
  const chunk = new Uint8Array(65_536);
  let at = 0;
  return plant.encodeFromClient({ kind: "request", service: "echo", head, body }).map((frame) => {
    chunk.set(frame, at);
    at += frame.length;
    return chunk.subarray(at - frame.length, at);
  });
}

test("a request that waits keeps its own bytes, not all that was read with it", () => {
  const state = newBroker(smallSettings);
  const frames = asRead(1);
  step(state, { kind: "message", peer: "c", door, frames, nowMs: 0 });
  const waiting = state.services.get("echo")?.turns.first?.waiting.first;
  assert.ok(waiting !== undefined);
  assert.equal(waiting.body[0], frames[4], "not before it has waited at all");
  step(state, { kind: "tick", nowMs: 25 });
  for (const kept of [waiting.body[0]!, waiting.trace]) {
    assert.ok(kept.buffer.byteLength < 65_536);
  }
  assert.equal(Buffer.from(waiting.body[0]!).toString(), "the body");
});

test("a body that is handed over at once is not copied, and not kept", () => {
  const state = newBroker(smallSettings);
  const ready = { kind: "ready", service: "echo", concurrency: 1 } as const;
  step(state, {
    kind: "message",
    peer: "w",
    door,
    frames: plant.encodeFromWorker(ready),
    nowMs: 0,
  });
  const frames = asRead(1);
  const { items, size } = step(state, { kind: "message", peer: "c", door, frames, nowMs: 0 });
  const [effect] = items.slice(0, size);
  assert.ok(effect?.kind === "send");
  assert.equal(effect.frames[4], frames[4]);
  const [worker] = state.workers;
  assert.deepEqual(worker?.active[0]?.body, []);
});

test("what is over is kept by no list", () => {
  const { ready, ask, reply, state, tick } = bench();
  ready("w");
  for (let id = 0; id < 100; id += 1) reply("w", idOf(ask("c", id)));
  assert.equal(state.fresh, undefined);
  assert.deepEqual([state.wheel.size, state.places.length], [0, 1]);
  tick(1);
  assert.deepEqual(state.effects.items, []);
});

interface Item extends Timed<Item> {
  readonly dueMs: number;
}

const item = (dueMs: number): Item => ({
  dueMs,
  wakeMs: 0,
  slot: -1,
  sooner: undefined,
  later: undefined,
});

test("what is due comes in order, however far away it was, after a standstill too", () => {
  const seed = 11;
  const random = seededRandom(seed);
  const wheel = new TimingWheel<Item>();
  const noted = new Set<Item>();
  let nowMs = 5_000_000;
  for (let round = 0; round < 3000; round += 1) {
    const one = item(nowMs + random.unit() * (random.unit() < 0.2 ? 200_000 : 500) - 50);
    wheel.insert(one, one.dueMs);
    noted.add(one);
    const [first] = noted;
    if (random.unit() < 0.2 && first !== undefined) {
      wheel.remove(first);
      noted.delete(first);
    }
    if (random.unit() < 0.3) nowMs += random.unit() * (random.unit() < 0.05 ? 30_000 : 60);
    const due = wheel.takeDue(nowMs);
    const expected = [...noted].filter(({ dueMs }) => dueMs <= nowMs);
    expected.sort((a, b) => a.dueMs - b.dueMs);
    assert.deepEqual(
      due.map(({ dueMs }) => dueMs),
      expected.map(({ dueMs }) => dueMs),
      `seed ${seed}, round ${round}`,
    );
    for (const one of due) noted.delete(one);
    assert.equal(wheel.size, noted.size);
    const nearest = Math.min(...[...noted].map(({ dueMs }) => dueMs));
    const nextMs = wheel.nextMs(nowMs, 250);
    assert.ok(nextMs > nowMs && nextMs <= nowMs + 250);
    assert.ok(nearest > nowMs + 225 || nextMs <= nearest + 25, `${nearest - nowMs}`);
  }
});

test("what is due may be taken in parts, and nothing is forgotten", () => {
  const wheel = new TimingWheel<Item>();
  for (let at = 0; at < 100; at += 1) {
    const one = item(1000 + 10 * (at % 30));
    wheel.insert(one, one.dueMs);
  }
  const counts: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    const due = wheel.takeDue(1200, 20);
    for (const { dueMs } of due) assert.ok(dueMs <= 1200);
    counts.push(due.length);
  }
  assert.deepEqual(counts, [20, 20, 20, 13, 0]);
  assert.equal(wheel.takeDue(2000, 50).length, 27);
});

test("what is never due is not noted", () => {
  const wheel = new TimingWheel<Item>();
  wheel.insert(item(0), Number.POSITIVE_INFINITY);
  assert.equal(wheel.size, 0);
});
