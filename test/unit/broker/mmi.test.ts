// What the broker answers about itself, and what it counts. It must not know sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import type {
  BrokerAnswer,
  BrokersAnswer,
  QueueAnswer,
  WorkersAnswer,
} from "../../../src/broker/broker.ts";
import { Latency } from "../../../src/broker/latency.ts";
import { plant } from "../../../src/mdp/mdp.ts";
import { bench, bodies, codeOf, foreigners, idOf, kinds } from "../../fakes/broker.ts";
import { rfc7, rfc18 } from "../../fakes/foreign-peers.ts";

test("mmi.service is 200 for a registered worker, idle or busy, and 404 else", () => {
  const { ready, ask, mmi, gone } = bench();
  assert.equal(mmi("mmi.service", "echo"), "404");
  ready("w");
  assert.equal(mmi("mmi.service", "echo"), "200");
  ask("c", 1);
  assert.equal(mmi("mmi.service", "echo"), "200");
  gone("w");
  ask("c", 2);
  assert.equal(mmi("mmi.service", "echo"), "404", "a service somebody waits for is not served");
  assert.equal(mmi("mmi.service", ""), "404");
});

test("mmi.services names what is served, in order", () => {
  const { ready, ask, mmi } = bench();
  assert.equal(mmi("mmi.services"), "");
  ready("b", "two");
  ready("a", "one");
  ask("c", 1, "waited-for");
  assert.equal(mmi("mmi.services"), "one");
});

test("other names of mmi are 501, and a question without a body is tolerated", () => {
  const { mmi, raw, headOf } = bench();
  assert.equal(mmi("mmi.unheard"), "501");
  const head = headOf(3, 100);
  const ours = { kind: "request", service: "mmi.services", head, body: [] } as const;
  assert.deepEqual(kinds(raw("c", plant.encodeFromClient(ours))), ["c:final"]);
  const asked = { kind: "request", service: "mmi.service", body: [] } as const;
  assert.deepEqual(bodies(raw("d", rfc18.encodeFromClient(asked))), ["404"]);
  assert.deepEqual(bodies(raw("e", rfc7.encodeFromClient(asked))), ["404"]);
});

test("mmi answers whoever asks, in every dialect, though no peer finds room", () => {
  const { ready, ask, mmi, raw, state } = bench({ peersMax: 2 });
  ready("w");
  ask("c", 1);
  assert.equal(mmi("mmi.service", "echo", "late"), "200");
  for (const [dialect, peer] of foreigners) {
    const body = [Buffer.from("echo")];
    const asked = peer.encodeFromClient({ kind: "request", service: "mmi.service", body });
    assert.deepEqual(bodies(raw(dialect, asked)), ["200"], dialect);
  }
  assert.deepEqual([state.peers.size, state.refused.peers], [2, 0]);
  assert.equal(codeOf(ask("later", 1)), "LIMIT_REACHED");
});

test("mmi.workers tells of each worker", () => {
  const { ready, ask, mmi, pass } = bench();
  ready("driver/w", "echo", 3);
  ask("c", 1);
  pass(1500);
  const { workers, more } = JSON.parse(mmi("mmi.workers")) as WorkersAnswer;
  assert.equal(more, 0);
  assert.deepEqual(workers, [
    {
      service: "echo",
      principal: "driver",
      dialect: "plant",
      busy: 1,
      concurrency: 3,
      silentMs: 1500,
      paused: false,
      leaving: false,
    },
  ]);
});

test("mmi.queue tells of each service what waits, since when, and by which policy", () => {
  const { ready, ask, mmi, pass, reply } = bench({ policies: { echo: { retry: "if-lost" } } });
  ready("w");
  const id = idOf(ask("c", 1));
  ask("c", 2);
  pass(40);
  ask("d", 1);
  pass(60);
  reply("w", id);
  const { services } = JSON.parse(mmi("mmi.queue")) as QueueAnswer;
  const [echo] = services;
  assert.ok(echo !== undefined);
  const { latency, ...rest } = echo;
  assert.deepEqual(rest, {
    service: "echo",
    workers: 1,
    busy: 1,
    concurrency: 1,
    queued: 1,
    oldestMs: 60,
    policy: {
      retry: "if-lost",
      attemptsMax: 3,
      busyTimeoutMs: 60_000,
      queueMax: 4,
      queueTtlMs: 30_000,
    },
    totals: {
      requests: 3,
      replies: 1,
      partials: 0,
      retries: 0,
      expired: 0,
      lost: 0,
      cancelled: 0,
      queueFull: 0,
    },
  });
  assert.deepEqual([latency.count, latency.sumMs, latency.maxMs], [1, 100, 100]);
});

test("how long somebody watches is no answer time", () => {
  const { ready, ask, mmi, reply, pass } = bench();
  ready("w");
  const id = idOf(ask("c", 1, "echo", 60_000, plant.flag.partials));
  pass(30_000);
  reply("w", id);
  const [echo] = (JSON.parse(mmi("mmi.queue")) as QueueAnswer).services;
  assert.deepEqual([echo?.totals.replies, echo?.latency.count], [1, 0]);
});

test("mmi.broker and mmi.brokers tell who this is and what it did", () => {
  const doors = [{ principal: "admin", endpoint: "ipc:///b" }];
  const { ready, ask, mmi, reply } = bench({}, { doors });
  ready("w");
  reply("w", idOf(ask("c", 1)));
  const about = JSON.parse(mmi("mmi.broker")) as BrokerAnswer;
  assert.deepEqual([about.id, about.version], ["0011", "1.2.3"]);
  assert.deepEqual([about.services, about.workers, about.clients, about.peers], [1, 1, 2, 3]);
  const { requests, replies, bytesIn, bytesOut } = about.counters;
  assert.deepEqual([requests, replies, bytesIn, bytesOut], [2, 1, 2, 2]);
  assert.deepEqual(JSON.parse(mmi("mmi.brokers")) as BrokersAnswer, {
    brokers: [{ id: "0011", version: "1.2.3", self: true, listeners: doors }],
  });
});

test("lists are limited in length and say how much is left out", () => {
  const { ready, mmi } = bench({ peersMax: 2000, servicesMax: 2000 });
  for (let at = 0; at < 1003; at += 1) ready(`w${at}`, `s${at}`);
  const workers = JSON.parse(mmi("mmi.workers")) as WorkersAnswer;
  assert.deepEqual([workers.workers.length, workers.more], [1000, 3]);
  const queue = JSON.parse(mmi("mmi.queue")) as QueueAnswer;
  assert.deepEqual([queue.services.length, queue.more], [1000, 3]);
});

test("an answer is made anew eight times in a quarter of a second, then told again", () => {
  const { ready, mmi, pass } = bench({ peersMax: 2000 });
  const count = () => (JSON.parse(mmi("mmi.workers")) as WorkersAnswer).workers.length;
  for (let workers = 1; workers <= 8; workers += 1) {
    ready(`w${workers}`);
    assert.equal(count(), workers);
  }
  ready("late");
  assert.equal(count(), 8);
  pass(250);
  assert.equal(count(), 9);
});

test("a long answer is made anew less often", () => {
  const { ready, gone, mmi, pass } = bench({ peersMax: 2000, servicesMax: 2000 });
  for (let at = 0; at < 600; at += 1) ready(`w${at}`, `s${at}`);
  const count = () => (JSON.parse(mmi("mmi.workers")) as WorkersAnswer).workers.length;
  assert.equal(count(), 600);
  gone("w0");
  assert.equal(count(), 600);
  pass(250);
  assert.equal(count(), 599);
});

test("times fall into buckets no wider than a quarter of a doubling", () => {
  for (const ms of [0, 0.001, 0.0035, 0.07, 1, 3.3, 250, 60_000, 4_000_000]) {
    const latency = new Latency();
    latency.note(ms);
    latency.note(ms);
    latency.note(2 * ms + 0.01);
    const { p50Ms, maxMs, count } = latency.answer();
    assert.equal(count, 3);
    assert.ok(p50Ms >= ms && p50Ms <= ms * 1.26 + 0.0011, `${ms}: ${p50Ms}`);
    assert.equal(maxMs, 2 * ms + 0.01);
  }
});

test("the buckets that are told are cumulative, and bounds belong to what is below them", () => {
  const latency = new Latency();
  for (const ms of [0.063, 0.065, 1, 100_000]) latency.note(ms);
  const { buckets } = latency.answer();
  assert.equal(buckets.length, 21);
  assert.deepEqual(buckets[0], [0.064, 1]);
  assert.deepEqual(buckets[1], [0.128, 2]);
  assert.deepEqual(buckets.at(-1), [67108.864, 3]);
});
