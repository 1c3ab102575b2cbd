// What becomes of requests whose worker is lost or silent, by the policy of their service.
// It must not know sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type BrokerSettings, makePolicies } from "../../../src/broker/policy.ts";
import { plant } from "../../../src/mdp/mdp.ts";
import { bench, bodies, codeOf, idOf, kinds, smallSettings } from "../../fakes/broker.ts";

const ifLost: Partial<BrokerSettings> = {
  policies: { echo: { retry: "if-lost", attemptsMax: 3 } },
};

test("retry never: a request whose worker is lost is not repeated", () => {
  const { ready, ask, gone } = bench();
  ready("a");
  ready("b");
  ask("c", 1);
  assert.deepEqual(kinds(gone("a")), ["c:error"]);
});

test("retry if-lost: a request whose worker is lost goes to another, with another id", () => {
  const { ready, ask, gone, reply, state } = bench(ifLost);
  ready("a");
  ready("b");
  const first = ask("c", 1);
  const second = gone("a");
  assert.deepEqual(kinds(second), ["b:request"]);
  assert.deepEqual(bodies(second), ["c1"]);
  assert.notEqual(idOf(second), idOf(first));
  assert.deepEqual(kinds(reply("b", idOf(second))), ["c:final"]);
  assert.deepEqual([state.counters.retries, state.counters.requestsLost, state.bytes], [1, 0, 0]);
});

test("retry if-lost: attempts end, then the client hears WORKER_LOST", () => {
  const { ready, ask, gone, state } = bench(ifLost);
  ask("c", 1);
  for (const peer of ["a", "b"]) {
    assert.equal(idOf(ready(peer)) > 0, true);
    assert.deepEqual(gone(peer), []);
  }
  ready("d");
  assert.equal(codeOf(gone("d")), "WORKER_LOST");
  assert.deepEqual([state.queued, state.bytes, state.counters.retries], [0, 0, 2]);
});

test("retry if-lost: attempts are 3 where nothing else is said", () => {
  const policyOf = makePolicies({ ...smallSettings, policies: { "*": { retry: "if-lost" } } });
  assert.equal(policyOf("any.name").attemptsMax, 3);
});

test("retry if-lost: not once a part went out", () => {
  const { ready, ask, gone, reply } = bench(ifLost);
  ready("a");
  ready("b");
  const id = idOf(ask("c", 1, "echo", 5000, plant.flag.partials));
  reply("a", id, "partial");
  assert.equal(codeOf(gone("a")), "WORKER_LOST");
});

test("retry if-lost: a part nobody wanted does not count", () => {
  const { ready, ask, gone, reply } = bench(ifLost);
  ready("a");
  ready("b");
  reply("a", idOf(ask("c", 1)), "partial");
  assert.deepEqual(kinds(gone("a")), ["b:request"]);
});

test("retry if-lost: what comes back goes in front, in the order it came", () => {
  const { ready, ask, gone, reply } = bench({ ...ifLost, queueMax: 9, requestsPerPeerMax: 9 });
  ready("w", "echo", 3);
  for (const id of [1, 2, 3, 4]) ask("c", id);
  ask("d", 1);
  gone("w");
  const order: string[] = [];
  let said = ready("v");
  for (let id = idOf(said); id > 0; id = idOf(said)) {
    order.push(...bodies(said.filter(({ kind }) => kind === "request")));
    said = reply("v", id);
  }
  assert.deepEqual(order, ["c1", "d1", "c2", "c3", "c4"]);
});

test("retry if-lost: a request its client gave up is not repeated", () => {
  const { ready, ask, gone, cancel, state } = bench(ifLost);
  ready("a");
  ready("b");
  ask("c", 1);
  cancel("c", 1);
  assert.deepEqual(gone("a"), []);
  assert.equal(state.bytes, 0);
});

test("only requests that may be repeated keep their body once a worker has them", () => {
  for (const [retry, held] of [
    ["never", 0],
    ["if-lost", 2],
  ] as const) {
    const { ready, ask, state } = bench({ policies: { echo: { retry, attemptsMax: 2 } } });
    ready("w");
    ask("c", 1);
    assert.equal(state.bytes, held, retry);
  }
});

test("the last attempt keeps no body", () => {
  const { ready, ask, state } = bench({ policies: { echo: { retry: "if-lost", attemptsMax: 1 } } });
  ready("w");
  ask("c", 1);
  assert.equal(state.bytes, 0);
});

test("a late FINAL of the worker that was lost does not answer the repeated request", () => {
  const { ready, ask, tick, beat, reply } = bench(ifLost);
  ready("a");
  const first = ask("c", 1, "echo", 3_600_000);
  ready("b");
  tick(59_000);
  beat("b");
  tick(60_000);
  const second = tick(60_250);
  assert.deepEqual(kinds(second).includes("b:request"), true);
  assert.deepEqual(kinds(reply("a", idOf(first))), ["a:disconnect"]);
  assert.deepEqual(kinds(reply("b", idOf(second))), ["c:final"]);
});

test("busy timeout apart from liveness: silence at work is judged by the service's own", () => {
  const { ready, ask, tick } = bench({ policies: { echo: { busyTimeoutMs: 10_000 } } });
  ready("w");
  ask("c", 1, "echo", 3_600_000);
  tick(9_750);
  assert.equal(codeOf(tick(10_000)), undefined);
  assert.equal(codeOf(tick(10_250)), "WORKER_LOST");
});

test("busy timeout counts from the start of the work, not from the last sign of life", () => {
  const { ready, ask, tick } = bench({ policies: { echo: { busyTimeoutMs: 5000 } } });
  ready("w");
  tick(3900);
  ask("c", 1, "echo", 3_600_000);
  tick(8400);
  tick(8650);
  assert.equal(codeOf(tick(8900)), undefined);
  assert.equal(codeOf(tick(9150)), "WORKER_LOST");
});

test("a worker that works again and again must show life: new work is no sign of it", () => {
  const { ready, ask, tick } = bench({ policies: { echo: { busyTimeoutMs: 5000 } } });
  ready("w", "echo", 5);
  for (let second = 0; second < 5; second += 1) {
    ask("c", second, "echo", 3_600_000);
    tick(1000 * (second + 1));
  }
  assert.equal(codeOf(tick(5250)), "WORKER_LOST");
});

test("every silent worker is dropped, idle or busy, wherever it stands in the list", () => {
  const { ready, ask, tick, beat, state } = bench({
    peersMax: 20,
    policies: { echo: { busyTimeoutMs: 4000 } },
  });
  for (const peer of ["a", "b", "d", "e", "f"]) ready(peer);
  ask("c", 1, "echo", 3_600_000);
  ask("c", 2, "echo", 3_600_000);
  tick(3000);
  for (const peer of ["b", "e"]) beat(peer);
  tick(4000);
  tick(4250);
  assert.deepEqual(
    [...state.workers].map(({ peer }) => peer.name),
    ["b", "e"],
  );
});

test("the loss of very many requests is told in parts, and each is told once", () => {
  const { ready, ask, gone, tick, state } = bench({ requestsPerPeerMax: 3000 });
  ready("w", "echo", 65_535);
  for (let id = 0; id < 2500; id += 1) ask("c", id, "echo", 60_000);
  const told = gone("w");
  assert.equal(told.length, 1000);
  assert.ok(state.wakeMs <= state.nowMs, "a tick is wanted at once");
  ready("v");
  told.push(...tick(1), ...tick(2), ...tick(3));
  assert.deepEqual([told.length, state.open, state.lost.length], [2500, 0, 0]);
  const lost = told.filter((one) => codeOf([one]) === "WORKER_LOST");
  const ids = new Set(lost.map((one) => ("head" in one ? one.head.id : -1)));
  assert.equal(ids.size, 2500);
});

test("very many requests that are due at one moment end in parts", () => {
  const { ask, tick, state } = bench({
    requestsPerPeerMax: 3000,
    queueMax: 3000,
    messageBytesMax: 100_000,
  });
  for (let id = 0; id < 2500; id += 1) ask("c", id, "echo", 500);
  assert.equal(tick(525).length, 1000);
  assert.ok(state.wakeMs <= state.nowMs, "a tick is wanted at once");
  assert.deepEqual([tick(526).length, tick(527).length, state.open], [1000, 500, 0]);
});

test("queueMax of a service holds at the limit and refuses one beyond", () => {
  const { ask, state } = bench({ policies: { echo: { queueMax: 2 } } });
  assert.deepEqual([...ask("c", 1), ...ask("c", 2)], []);
  assert.equal(codeOf(ask("c", 3)), "QUEUE_FULL");
  assert.deepEqual([state.refused.queue, state.queued], [1, 2]);
});

test("queueTtlMs of a service ends a wait before the deadline", () => {
  const { ask, tick } = bench({ policies: { echo: { queueTtlMs: 2000 } } });
  ask("c", 1, "echo", 10_000);
  assert.equal(codeOf(tick(1999)), undefined);
  assert.equal(codeOf(tick(2000)), "NO_SERVICE");
});

test("a request that is due is not handed to a worker that comes just then", () => {
  const { ask, ready, pass } = bench();
  ask("c", 1, "echo", 500);
  pass(500);
  assert.deepEqual(kinds(ready("w")), ["w:heartbeat", "c:error"]);
});

test("a request that comes without time left is EXPIRED at once", () => {
  const { ask, ready, state } = bench();
  ready("w");
  assert.equal(codeOf(ask("c", 1, "echo", 0)), "EXPIRED");
  assert.equal(state.counters.expired, 1);
});

test("a whole name decides before a pattern, a longer pattern before a shorter one", () => {
  const policyOf = makePolicies({
    ...smallSettings,
    policies: {
      "*": { queueMax: 1, busyTimeoutMs: 9000 },
      "org.plantd.*": { queueMax: 2, retry: "if-lost" },
      "org.plantd.State": { queueMax: 3 },
      "org.*.State": { queueTtlMs: 77 },
    },
  });
  const { queueMax, retry, busyTimeoutMs, queueTtlMs } = policyOf("org.plantd.State");
  assert.deepEqual([queueMax, retry, busyTimeoutMs, queueTtlMs], [3, "if-lost", 9000, 77]);
  assert.equal(policyOf("org.plantd.driver.a").queueMax, 2);
  assert.equal(policyOf("org.plantd").queueMax, 1);
  assert.equal(policyOf("org.x.y.State").queueTtlMs, Number.POSITIVE_INFINITY);
});

test("the silence allowed at work is never less than the liveness", () => {
  const policyOf = makePolicies({ ...smallSettings, policies: { "*": { busyTimeoutMs: 100 } } });
  assert.equal(policyOf("a").busyTimeoutMs, 4000);
});

const earlier: Readonly<Record<string, (broker: ReturnType<typeof bench>) => void>> = {
  "was lost once": ({ ready, ask, gone, reply }) => {
    ready("x");
    ready("y");
    ask("c", 1);
    reply("y", idOf(gone("x")));
    gone("y");
  },
  "had parts": ({ ready, ask, gone, reply }) => {
    ready("x");
    const id = idOf(ask("c", 1, "echo", 5000, plant.flag.partials));
    reply("x", id, "partial");
    reply("x", id);
    gone("x");
  },
  "was cancelled": ({ ready, ask, gone, reply, cancel }) => {
    ready("x");
    const id = idOf(ask("c", 1));
    cancel("c", 1);
    reply("x", id);
    gone("x");
  },
};
for (const [name, pass] of Object.entries(earlier)) {
  test(`a request is new although its record was one's that ${name}`, () => {
    const broker = bench({ policies: { echo: { retry: "if-lost", attemptsMax: 2 } } });
    const { ready, ask, gone, reply, tick, state } = broker;
    pass(broker);
    assert.equal(state.spare.length, 1);
    ready("a");
    ready("b");
    const first = idOf(ask("c", 2));
    assert.equal(state.spare.length, 0);
    const again = gone("a");
    assert.deepEqual(kinds(again), ["b:request"]);
    assert.deepEqual(bodies(again), ["c2"]);
    assert.notEqual(idOf(again), first);
    assert.deepEqual(kinds(reply("b", idOf(again))), ["c:final"]);
    tick(broker.nowMs + 6000);
    assert.deepEqual([state.dispatched, state.queued, state.open, state.bytes], [0, 0, 0, 0]);
  });
}
