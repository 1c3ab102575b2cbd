// What a broker must do with requests, rule by rule, frame by frame: queues, turns, repeats, replies.
// It must not know our codec, nor how the broker does it.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { startBrokerProcess } from "../fakes/mdp-broker.ts";
import { until } from "../fakes/patience.ts";
import { endAll } from "../fakes/process.ts";
import {
  four,
  one,
  openClient,
  openRaw,
  openWorker,
  type RawWorker,
  six,
  three,
} from "../fakes/raw-peer.ts";
import { closeAll, disconnect, limit, names, openRulesStage } from "../fakes/rules-stage.ts";

const stage = await openRulesStage();
const { endpoint, growth, openWorkers, queuedFor, servedBy, waiting } = stage;

after(async () => {
  await stage[Symbol.asyncDispose]();
  endAll();
});

test("a request for a service nobody offers yet waits until somebody does", limit, async () => {
  using client = openClient(endpoint);
  await client.ask("patient.queue", 1, "first");
  await client.ask("patient.queue", 2, "second");
  await waiting("patient.queue", 2);
  using worker = await openWorker(endpoint, "patient.queue");
  for (const body of ["first", "second"]) {
    const request = await worker.request();
    assert.deepEqual(request.body, [body]);
    await worker.final(request.client, body);
  }
  assert.deepEqual(
    [await client.hear(), await client.hear()],
    [
      { id: 1, kind: "final", text: "first" },
      { id: 2, kind: "final", text: "second" },
    ],
  );
});

test("a request nobody takes expires, and no worker gets it afterwards", limit, async () => {
  using client = openClient(endpoint);
  using foreign = openRaw(endpoint);
  await foreign.send("MDPC02", one, "brief.expiry", "foreign");
  await client.ask("brief.expiry", 1, "ours");
  assert.deepEqual(await client.hear(), { id: 1, kind: "error", text: "NO_SERVICE" });
  using worker = await openWorker(endpoint, "brief.expiry");
  await foreign.send("MDPC02", one, "brief.expiry", "later");
  const { client: address, body } = await worker.request();
  assert.deepEqual(body, ["later"]);
  await worker.final(address, "done");
  assert.deepEqual(await foreign.next(), ["MDPC02", three, "brief.expiry", "done"]);
});

test("queueTtlMs of a service ends the wait in its queue and in nobody else's", limit, async () => {
  using client = openClient(endpoint);
  using worker = await openWorker(endpoint, "brief.queue");
  await client.ask("brief.queue", 1, "taken");
  const { client: address } = await worker.request();
  await client.ask("patient.brief", 2, "waits longer");
  await client.ask("brief.queue", 3, "waits");
  assert.deepEqual(await client.hear(), { id: 3, kind: "error", text: "EXPIRED" });
  assert.equal(await queuedFor("patient.brief"), 1);
  await worker.final(address, "done");
  assert.deepEqual(await client.hear(), { id: 1, kind: "final", text: "done" });
});

test("queueTtlMs of a service may also be longer than that of all services", limit, async () => {
  await using other = await startBrokerProcess(
    'broker: {requestTtlMs: 200, services: {"slow.*": {queueTtlMs: 60000}}}',
  );
  using client = openClient(other.endpoint);
  await client.ask("slow.one", 1, "x");
  await client.ask("other", 2, "x");
  assert.deepEqual(await client.hear(), { id: 2, kind: "error", text: "NO_SERVICE" });
  using worker = await openWorker(other.endpoint, "slow.one");
  const { client: address } = await worker.request();
  await worker.final(address, "done");
  assert.deepEqual(await client.hear(), { id: 1, kind: "final", text: "done" });
});

test("clients are served fairly: who asks much waits for who asks little", limit, async () => {
  using greedy = openClient(endpoint);
  using modest = openClient(endpoint);
  using other = openClient(endpoint);
  for (let id = 0; id < 100; id += 1) await greedy.ask("patient.fair", id, "greedy");
  await waiting("patient.fair", 100);
  await modest.ask("patient.fair", 1, "modest");
  await modest.ask("patient.fair", 2, "modest");
  await other.ask("patient.fair", 1, "other");
  await waiting("patient.fair", 103);
  using worker = await openWorker(endpoint, "patient.fair");
  const order: string[] = [];
  while (order.length < 103) {
    const { client, body } = await worker.request();
    order.push(body[0] ?? "");
    await worker.final(client, "done");
  }
  assert.deepEqual(order.slice(0, 5).sort(), ["greedy", "greedy", "modest", "modest", "other"]);
  assert.equal(order.filter((name) => name === "greedy").length, 100);
});

test("the least recently used idle worker is first", limit, async () => {
  const workers = await openWorkers("patient.lru", 3);
  using client = openClient(endpoint);
  const taken: number[] = [];
  let held: { worker: RawWorker; address: string } | undefined;
  for (let id = 0; id < 13; id += 1) {
    await client.ask("patient.lru", id, "x");
    await until("one has it", () => workers.some(({ untaken }) => untaken.length > 0));
    const at = workers.findIndex(({ untaken }) => untaken.length > 0);
    const request = await workers[at]!.request();
    taken.push(at);
    if (id === 5) {
      held = { worker: workers[at]!, address: request.client };
      continue; // one stays at work: the others take turns, and it is last when it comes back
    }
    await workers[at]!.final(request.client, "done");
    await client.hear();
    if (id === 9 && held !== undefined) {
      await held.worker.final(held.address, "done");
      await client.hear();
    }
  }
  assert.deepEqual(taken, [0, 1, 2, 0, 1, 2, 0, 1, 0, 1, 0, 1, 2]);
  closeAll(workers);
});

test(
  "retry never: a dead worker's request is an error, and no other worker gets it",
  limit,
  async (t) => {
    const ends: Readonly<Record<string, (worker: RawWorker) => Promise<void>>> = {
      "its connection ends": async (worker) => worker[Symbol.dispose](),
      "it says DISCONNECT": (worker) => worker.send("MDPW02", six),
      "it says READY again": (worker) => worker.send("MDPW02", one, "never"),
      "it falls silent": async (worker) => {
        worker.answering = false;
      },
    };
    for (const [name, end] of Object.entries(ends)) {
      await t.test(name, async () => {
        using client = openClient(endpoint);
        using first = await openWorker(endpoint, "never");
        await until("it is registered", async () => (await servedBy("never")) === 1);
        await client.ask("never", 1, "once");
        await first.request();
        using second = await openWorker(endpoint, "never");
        await end(first);
        assert.deepEqual(await client.hear(), { id: 1, kind: "error", text: "WORKER_LOST" });
        await client.ask("never", 2, "another");
        const { client: address, body } = await second.request();
        assert.deepEqual(body, ["another"]);
        await second.final(address, "done");
        assert.deepEqual(await client.hear(), { id: 2, kind: "final", text: "done" });
      });
      await until("all are gone", async () => (await servedBy("never")) === 0);
    }
  },
);

test("retry if-lost: another worker gets it, attemptsMax times in all", limit, async () => {
  using client = openClient(endpoint);
  using first = await openWorker(endpoint, "repeated.x");
  await client.ask("repeated.x", 1, "again");
  assert.deepEqual((await first.request()).body, ["again"]);
  first[Symbol.dispose]();
  using second = await openWorker(endpoint, "repeated.x");
  const { client: address, body } = await second.request();
  assert.deepEqual(body, ["again"]);
  await second.final(address, "done");
  assert.deepEqual(await client.hear(), { id: 1, kind: "final", text: "done" });
  await client.ask("repeated.x", 2, "fatal");
  assert.deepEqual((await second.request()).body, ["fatal"]);
  second[Symbol.dispose]();
  using third = await openWorker(endpoint, "repeated.x");
  assert.deepEqual((await third.request()).body, ["fatal"]);
  third[Symbol.dispose]();
  assert.deepEqual(await client.hear(), { id: 2, kind: "error", text: "WORKER_LOST" });
});

test("retry if-lost: what has begun to answer is not begun again", limit, async () => {
  using client = openClient(endpoint);
  using first = await openWorker(endpoint, "repeated.stream");
  await client.ask("repeated.stream", 1, "stream");
  const { client: address } = await first.request();
  await first.partial(address, "begun");
  assert.deepEqual(await client.hear(), { id: 1, kind: "partial", text: "begun" });
  first[Symbol.dispose]();
  assert.deepEqual(await client.hear(), { id: 1, kind: "error", text: "WORKER_LOST" });
});

test(
  "a late FINAL is dropped: of a worker given up, even when the request was repeated",
  limit,
  async () => {
    using client = openClient(endpoint);
    using first = await openWorker(endpoint, "repeated.late");
    await client.ask("repeated.late", 1, "x");
    const { client: old } = await first.request();
    first.answering = false;
    using second = await openWorker(endpoint, "repeated.late");
    const { client: address } = await second.request();
    assert.notEqual(address, old);
    await first.final(old, "too late");
    assert.deepEqual(await first.next(), disconnect);
    using forger = openRaw(endpoint);
    await forger.send("MDPW02", four, old, "", "forged");
    assert.deepEqual(await forger.next(), disconnect);
    await second.final(address, "in time");
    assert.deepEqual(await client.hear(), { id: 1, kind: "final", text: "in time" });
    assert.deepEqual(client.untaken, []);
  },
);

test(
  "a foreign FINAL is dropped: a reply belongs to one dispatch to one worker",
  limit,
  async (t) => {
    for (const dialect of names) {
      await t.test(dialect, async () => {
        using client = openClient(endpoint);
        using honest = await openWorker(endpoint, `mine.${dialect}`, dialect);
        using thief = await openWorker(endpoint, `yours.${dialect}`, dialect);
        await client.ask(`mine.${dialect}`, 1, "x");
        await client.ask(`yours.${dialect}`, 2, "x");
        const { client: mine } = await honest.request();
        const { client: yours } = await thief.request();
        const grown = await growth(
          ({ counters }) => counters.lateReplies,
          async () => {
            await thief.final(mine, "stolen");
            await thief.final("somebody", "forged");
            await thief.final(yours, "right");
            assert.deepEqual(await client.hear(), { id: 2, kind: "final", text: "right" });
          },
        );
        assert.equal(grown, 2);
        await honest.final(mine, "right too");
        assert.deepEqual(await client.hear(), { id: 1, kind: "final", text: "right too" });
      });
    }
  },
);
