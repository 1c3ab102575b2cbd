// Peers that are not ours, written on another library from the texts of the protocols, run unchanged
// against a broker process: every dialect with every other. It must not know our codec.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, type TestContext, test } from "node:test";
import { start as startEcho } from "../../drivers/echo/echo.ts";
import { startClient } from "../../src/client/client.ts";
import { systemClock as clock } from "../../src/util/clock.ts";
import { hasCode } from "../../src/util/errors.ts";
import { openLog } from "../../src/util/log.ts";
import { systemRandom as random } from "../../src/util/random.ts";
import { type BrokerProcess, startBrokerProcess } from "../fakes/mdp-broker.ts";
import { until } from "../fakes/patience.ts";
import { endAll } from "../fakes/process.ts";
import { type PythonPeer, startPython, type Told } from "../fakes/python-peer.ts";
import { startSite } from "./site.ts";

after(endAll);

const log = openLog({ service: "test", level: "error", write: () => {} });
const deps = { clock, log, random };
const limit = { timeout: 100_000 };
const heartbeatMs = 200;

/** Section of the configuration; a worker may be silent this long while it works. */
const withBusy = (busyTimeoutMs: number) =>
  `broker: {heartbeatMs: ${heartbeatMs}, livenessMs: 1000, busyTimeoutMs: ${busyTimeoutMs}}`;
const config = withBusy(4000);

interface Script {
  readonly script: string;
  readonly shape?: string;
}

const workers: Readonly<Record<string, Script>> = {
  "rfc18 worker": { script: "mdp02_worker" },
  "rfc18 worker behind an empty frame": { script: "mdp02_worker", shape: "enveloped" },
  "rfc7 worker": { script: "mdp01_worker" },
  "plantd worker": { script: "plantd_worker" },
};

const clients: Readonly<Record<string, Script & { readonly isSingle?: boolean }>> = {
  "rfc18 client": { script: "mdp02_client" },
  "rfc18 client behind an empty frame": { script: "mdp02_client", shape: "enveloped" },
  // REQ hears one reply per request, so it is no client for streams.
  "rfc18 client on REQ": { script: "mdp02_client", shape: "req", isSingle: true },
  "rfc7 client": { script: "mdp01_client" },
  "rfc7 client on DEALER": { script: "mdp01_client", shape: "dealer" },
  "plantd client": { script: "plantd_client" },
};

const oursService = "echo.ours";
const serviceOf = (prefix: string, name: string) => `${prefix}.${name.replaceAll(" ", "-")}`;

const hasOneReply = (name: string) => name.startsWith("rfc7");

function startPeer({ script, shape }: Script, task: Told): PythonPeer {
  const words = [JSON.stringify({ shape, heartbeatMs, liveness: 5, ...task })];
  return startPython(`test/fakes/${script}.py`, words);
}

async function isServed(broker: BrokerProcess, service: string): Promise<boolean> {
  return (await broker.ask("mmi.service", service))[0] === "200";
}

/** One worker of each foreign dialect, registered. */
async function startWorkers(
  broker: BrokerProcess,
  prefix: string,
  work: Told,
): Promise<AsyncDisposableStack & { readonly all: ReadonlyMap<string, PythonPeer> }> {
  await using stack = new AsyncDisposableStack();
  const all = new Map<string, PythonPeer>();
  for (const [name, script] of Object.entries(workers)) {
    const service = serviceOf(prefix, name);
    all.set(name, stack.use(startPeer(script, { ...work, endpoint: broker.endpoint, service })));
  }
  for (const name of all.keys()) {
    await until(`${name} is registered`, () => isServed(broker, serviceOf(prefix, name)));
  }
  return Object.assign(stack.move(), { all });
}

/** Requests of each client to each worker; what libzmq carries is slower. */
const rounds = [
  { transport: "zmtp", count: 1000, streams: 100 },
  { transport: "zeromq", count: 200, streams: 50 },
];

for (const { transport, ...counts } of rounds) {
  test(`every client dialect with every worker dialect, by ${transport}`, limit, (t) =>
    tryAll(t, { transport, ...counts }),
  );
}

/** Every client asks every worker, all at once, and not one reply is wrong or missing. */
async function tryAll(
  t: TestContext,
  { transport, count, streams }: (typeof rounds)[number],
): Promise<void> {
  await using broker = await startBrokerProcess(config.replace("}", `, transport: ${transport}}`));
  const { endpoint } = broker;
  await using echoes = await startWorkers(broker, "echo", { kind: "echo" });
  await using streamers = await startWorkers(broker, "stream", { kind: "stream" });
  await using _ = await startEcho(deps, { endpoint, service: oursService });
  await using running = new AsyncDisposableStack();
  const names = [...echoes.all.keys()];
  const peers = Object.entries(clients).map(([name, script]) => {
    const asks = [
      ...names.map((worker) => ({ service: serviceOf("echo", worker), count })),
      { service: oursService, count, kind: "operation" },
      ...(script.isSingle ? [] : [...streamers.all.keys()]).map((worker) => ({
        service: serviceOf("stream", worker),
        count: streams,
        // MDP/0.1 has one reply: who speaks it joins the parts, or has them joined by the broker.
        kind: hasOneReply(worker) || hasOneReply(name) ? "joined" : "stream",
      })),
    ];
    const peer = running.use(startPeer(script, { endpoint, timeoutMs: 30_000, retries: 0, asks }));
    return { name, peer, asks };
  });
  for (const { name, peer, asks } of peers) {
    for (const { service, count: asked } of asks) {
      await t.test(`${name}, ${service}`, async () => {
        assert.equal((await peer.next({ service })).right, asked);
      });
    }
    await peer.next({ event: "done" });
  }
  await t.test("our client, every worker", async () => {
    await using client = await startClient(deps, { endpoint });
    for (const worker of names) {
      const bodies = Array.from({ length: count }, (_, at) => [Buffer.from(`${worker} ${at}`)]);
      const service = serviceOf("echo", worker);
      const asked = bodies.map((body) => client.request(service, body));
      const replies = (await Promise.all(asked)).map((reply) => reply.map(String));
      assert.deepEqual(
        replies,
        bodies.map((body) => body.map(String)),
        worker,
      );
    }
    assert.deepEqual(await client.call(oursService, "echo", { a: 1 }), { a: 1 });
  });
  const { counters, refused } = await broker.describe();
  const { lateReplies, requestsLost } = counters;
  assert.deepEqual({ lateReplies, requestsLost }, { lateReplies: 0, requestsLost: 0 });
  assert.deepEqual([...new Set(Object.values(refused))], [0], JSON.stringify(refused));
}

test("a worker of one thread that cannot beat while it works is not given up", limit, async (t) => {
  await using broker = await startBrokerProcess(config);
  const { endpoint } = broker;
  const work = { kind: "sleep", sleepMs: 1500 };
  await using sleepers = await startWorkers(broker, "busy", work);
  await using running = new AsyncDisposableStack();
  const script = { script: "mdp02_client" };
  const asking = [...sleepers.all.keys()].map((worker) => {
    const asks = [{ service: serviceOf("busy", worker) }];
    const ask = () => running.use(startPeer(script, { endpoint, asks, timeoutMs: 30_000 }));
    return { worker, peers: [ask(), ask()] };
  });
  for (const { worker, peers } of asking) {
    await t.test(worker, async () => {
      for (const peer of peers) {
        assert.equal((await peer.next({ service: serviceOf("busy", worker) })).right, 1);
        assert.equal((await peer.next({ event: "done" })).resent, 0);
      }
      const told = sleepers.all.get(worker)?.told.map(({ event }) => event);
      assert.deepEqual(told, ["ready", "request", "answered", "request", "answered"]);
    });
  }
  assert.equal((await broker.describe()).counters.workersLost, 0);
});

test("a killed worker is noticed, and its request is not lost in silence", limit, async (t) => {
  await using broker = await startBrokerProcess(config);
  await using mortals = await startWorkers(broker, "die", { kind: "die" });
  await using client = await startClient(deps, { endpoint: broker.endpoint });
  for (const [name, worker] of mortals.all) {
    await t.test(name, async () => {
      const service = serviceOf("die", name);
      const asked = client.request(service, [Buffer.from("last words")]);
      await assert.rejects(asked, (error) => hasCode(error, "WORKER_LOST"));
      assert.equal(await worker.ended, 9);
      assert.equal(await isServed(broker, service), false);
    });
  }
});

test(
  "a worker that hangs is given up; when it goes on, it is told and comes back",
  limit,
  async (t) => {
    await using broker = await startBrokerProcess(config);
    await using echoes = await startWorkers(broker, "hang", { kind: "echo" });
    for (const worker of echoes.all.values()) worker.signal("SIGSTOP");
    for (const [name, worker] of echoes.all) {
      await t.test(name, async () => {
        const service = serviceOf("hang", name);
        await until(`${name} is given up`, async () => !(await isServed(broker, service)));
        worker.signal("SIGCONT");
        await until(`${name} is back`, () => isServed(broker, service));
      });
    }
  },
);

test(
  "after kill -9 of the broker workers register again and clients get through",
  limit,
  async (t) => {
    await using broker = await startBrokerProcess(config);
    const { endpoint } = broker;
    await using echoes = await startWorkers(broker, "echo", { kind: "echo" });
    await using running = new AsyncDisposableStack();
    const count = 1000;
    const asks = [...echoes.all.keys()].map((name) => ({
      service: serviceOf("echo", name),
      count,
    }));
    const synchronous = Object.entries(clients).filter(([, { shape }]) => shape === undefined);
    const peers = synchronous.map(([name, script]) => {
      const task = { endpoint, timeoutMs: 500, retries: 40, asks };
      return { name, peer: running.use(startPeer(script, task)) };
    });
    for (const share of [0.1, 0.4]) {
      await until("requests are under way", async () => {
        const { counters } = await broker.describe();
        return (counters.requests ?? 0) > share * count;
      });
      await broker.kill();
      await broker.restart();
      for (const name of echoes.all.keys()) {
        const service = serviceOf("echo", name);
        await until(`${name} is back`, () => isServed(broker, service));
      }
    }
    for (const { name, peer } of peers) {
      await t.test(name, async () => {
        for (const { service } of asks) assert.equal((await peer.next({ service })).right, count);
      });
    }
  },
);

test("a worker that breaks the rules harms itself alone", limit, async (t) => {
  await using broker = await startBrokerProcess(withBusy(1000));
  const { endpoint } = broker;
  const honest = workers["rfc18 worker"]!;
  const beside = serviceOf("beside", "rfc18 worker");
  await using worker = startPeer(honest, { endpoint, service: beside, kind: "echo" });
  const asks = [{ service: beside, count: 3000 }];
  await using asker = startPeer({ script: "mdp02_client" }, { endpoint, asks, retries: 0 });
  await using rogue = startPython("test/fakes/mdp02_rogue.py", [JSON.stringify({ endpoint })]);
  await using client = await startClient(deps, { endpoint });
  const disconnect = ["MDPW02", "\u0006"];
  const service = "rogue";
  for (const deed of [
    "heartbeat-before-ready",
    "final-before-ready",
    "ready-twice",
    "final-when-idle",
    "ready-for-mmi",
    "garbage",
  ]) {
    await t.test(deed, async () => {
      rogue.tell({ deed, service });
      assert.deepEqual((await rogue.next({ deed })).heard, disconnect);
      await until("the service is gone", async () => !(await isServed(broker, service)));
    });
  }
  await t.test("a reply to a request of somebody else", async () => {
    const asked = client.request(service, [Buffer.from("mine")]);
    rogue.tell({ deed: "reply-foreign", service });
    assert.deepEqual((await asked).map(String), ["honest"]);
    assert.equal((await broker.describe()).counters.lateReplies, 3);
  });
  await t.test("a last reply after it was given up", async () => {
    // A second worker takes over from the one that went silent with the request.
    const lost = client.request("late", [Buffer.from("first")], { deadlineMs: 20_000 });
    lost.catch(() => {});
    rogue.tell({ deed: "take", service: "late" });
    await rogue.next({ deed: "take" });
    await assert.rejects(lost, (error) => hasCode(error, "WORKER_LOST"));
    await using next = startPeer(honest, {
      endpoint,
      service: "late",
      kind: "sleep",
      sleepMs: 300,
    });
    const again = client.request("late", [Buffer.from("second")]);
    await next.next({ event: "request" });
    rogue.tell({ deed: "reply-late", service: "late" });
    assert.deepEqual((await rogue.next({ deed: "reply-late" })).heard, disconnect);
    rogue.tell({ deed: "reply-after-all", service: "late" });
    assert.deepEqual((await rogue.next({ deed: "reply-after-all" })).heard, disconnect);
    assert.deepEqual((await again).map(String), ["second"]);
  });
  await t.test("the honest ones beside it noticed nothing", async () => {
    assert.equal((await asker.next({ service: beside })).right, 3000);
    assert.deepEqual(
      worker.told.map(({ event }) => event),
      ["ready"],
    );
  });
});

test("foreign clients use the services of a whole gateway", limit, async (t) => {
  await using site = await startSite();
  const endpoint = `ipc://${join(site.folder, "g", "run", "admin", "broker.sock")}`;
  const scope = { service: "org.example.foreign" };
  const calls = [
    ["create-scope", scope],
    ["state-set", { ...scope, key: "answer", value: "42" }],
    ["state-get", { ...scope, key: "answer" }],
    ["list-keys", scope],
    ["get", { scope: scope.service, key: "answer" }],
    ["delete", { ...scope, key: "answer" }],
    ["delete-scope", scope],
  ];
  const asks = [{ service: "org.plantd.State", kind: "call", calls }];
  for (const script of ["mdp02_client", "plantd_client"]) {
    await t.test(script, async () => {
      await using peer = startPeer({ script }, { endpoint, asks });
      await peer.next({ event: "done" });
      const answers = peer.told.filter(({ operation }) => operation !== undefined);
      assert.equal(answers.length, calls.length);
      for (const { operation, answer } of answers) {
        assert.equal((answer as Told).success, true, `${operation}: ${JSON.stringify(answer)}`);
      }
      const read = (operation: string) =>
        answers.find((one) => one.operation === operation)?.answer as { data: Told };
      assert.match(JSON.stringify(read("state-get").data), /42/);
      assert.match(JSON.stringify(read("list-keys").data), /answer/);
      assert.equal(read("get").data.value, "42");
    });
  }
});
