// What a broker must do, rule by rule, frame by frame, against `plantd run broker` as a process.
// It must not know our codec, nor how the broker does it.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Described, startBrokerProcess } from "../fakes/mdp-broker.ts";
import { until } from "../fakes/patience.ts";
import { endAll } from "../fakes/process.ts";
import {
  dialects,
  type ForeignDialect,
  four,
  head,
  one,
  openClient,
  openRaw,
  openWorker,
  type RawPeer,
  type RawWorker,
  six,
  three,
  two,
} from "../fakes/raw-peer.ts";

const limit = { timeout: 60_000 };
const livenessMs = 500;

/** One broker serves all rules; each has services of its own. */
const broker = await startBrokerProcess(`
broker:
  heartbeatMs: 50
  livenessMs: ${livenessMs}
  busyTimeoutMs: 700
  requestTtlMs: 60000
  requestsPerPeerMax: 200
  framesMax: 8
  messageBytesMax: 100000
  services:
    "patient.*": {busyTimeoutMs: 60000}
    "busy.*": {busyTimeoutMs: 1500}
    "repeated.*": {retry: if-lost, attemptsMax: 2}
    "short.*": {queueMax: 2}
    "brief.*": {queueTtlMs: 200}
`);
const { endpoint } = broker;
const disconnect = ["MDPW02", six];
const names = Object.keys(dialects) as ForeignDialect[];
const withPartials = names.filter((name) => dialects[name].partial !== undefined);

after(async () => {
  await broker[Symbol.asyncDispose]();
  endAll();
});

const serves = async (service: string) => (await broker.ask("mmi.service", service))[0] === "200";

async function servedBy(service: string): Promise<number> {
  const [text = ""] = await broker.ask("mmi.workers", "");
  const { workers } = JSON.parse(text) as { workers: readonly { service: string }[] };
  return workers.filter((worker) => worker.service === service).length;
}

async function queuedFor(name: string): Promise<number> {
  const [text = ""] = await broker.ask("mmi.queue", "");
  const { services } = JSON.parse(text) as { services: { service: string; queued: number }[] };
  return services.find(({ service }) => service === name)?.queued ?? 0;
}

/** Waits until the broker has read so many requests that wait. */
async function waiting(service: string, count: number): Promise<void> {
  await until(`${count} wait`, async () => (await queuedFor(service)) === count);
}

/** Workers of a service, each registered before the next comes: the first is the first of a list. */
async function openWorkers(service: string, count: number): Promise<RawWorker[]> {
  const opened: RawWorker[] = [];
  while (opened.length < count) {
    opened.push(await openWorker(endpoint, service));
    await until("it is registered", async () => (await servedBy(service)) === opened.length);
  }
  return opened;
}

function closeAll(peers: readonly Disposable[]): void {
  for (const peer of peers) peer[Symbol.dispose]();
}

/** How a count grew by what was done. */
async function growth(
  look: (counts: Described) => number | undefined,
  deed: () => Promise<void>,
): Promise<number> {
  const before = look(await broker.describe()) ?? 0;
  await deed();
  return (look(await broker.describe()) ?? 0) - before;
}

/** Holds when the broker had the occasion to speak to them, and spoke to `witness` only. */
async function isSilentTo(peers: readonly RawPeer[], witness: RawPeer): Promise<void> {
  const before = peers.map((peer) => peer.beatsHeard);
  await witness.beats(4);
  assert.deepEqual(
    peers.map((peer) => peer.beatsHeard),
    before,
  );
  for (const peer of peers) assert.deepEqual(peer.untaken, []);
}

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

test("queueMax of a service bounds its queue and nobody else's", limit, async () => {
  using client = openClient(endpoint);
  for (const id of [1, 2, 3]) await client.ask("short.queue", id, `${id}`);
  assert.deepEqual(await client.hear(), { id: 3, kind: "error", text: "QUEUE_FULL" });
  for (const id of [4, 5, 6, 7]) await client.ask("patient.long", id, `${id}`);
  await waiting("patient.long", 4);
  for (const service of ["short.queue", "patient.long"]) {
    using worker = await openWorker(endpoint, service);
    for (const id of service === "short.queue" ? [1, 2] : [4, 5, 6, 7]) {
      const { client: address, body } = await worker.request();
      await worker.final(address, ...body);
      assert.deepEqual(await client.hear(), { id, kind: "final", text: `${id}` });
    }
  }
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

test("one READY per connection: a second gets DISCONNECT and silence", limit, async (t) => {
  using witness = await openWorker(endpoint, "ready.witness");
  for (const dialect of names) {
    await t.test(dialect, async () => {
      const words = dialects[dialect];
      const service = `ready.${dialect}`;
      using worker = await openWorker(endpoint, service, dialect);
      await until("it is registered", () => serves(service));
      const grown = await growth(
        ({ refused }) => refused.place,
        async () => {
          worker.answering = false;
          await worker.send(...words.ready(service));
          assert.deepEqual(await worker.next(), words.heardDisconnect);
        },
      );
      assert.equal(grown, 1);
      assert.equal(await serves(service), false);
      await isSilentTo([worker], witness);
      await worker.send(...words.ready(service));
      await isSilentTo([worker], witness);
      assert.equal(await serves(service), false);
    });
  }
});

test("a valid command out of its place gets DISCONNECT and silence", limit, async (t) => {
  using witness = await openWorker(endpoint, "place.witness");
  const address = "\0\0\0\0\0\0\0\x07";
  for (const dialect of names) {
    const { ready, heartbeat, final, partial, heardDisconnect } = dialects[dialect];
    const rows: Readonly<Record<string, readonly (readonly string[])[]>> = {
      "HEARTBEAT before READY": [heartbeat],
      "FINAL before READY": [final(address, "x")],
      "FINAL from an idle worker": [ready(`place.${dialect}`), final(address, "x")],
      ...(partial === undefined
        ? {}
        : {
            "PARTIAL before READY": [partial(address, "x")],
            "PARTIAL from an idle worker": [ready(`place.${dialect}`), partial(address, "x")],
          }),
      "READY for mmi.x": [ready("mmi.x")],
    };
    const offenders: RawPeer[] = [];
    for (const [name, messages] of Object.entries(rows)) {
      await t.test(`${dialect}, ${name}`, async () => {
        const peer = openRaw(endpoint, dialects[dialect]);
        offenders.push(peer);
        for (const message of messages) await peer.send(...message);
        assert.deepEqual(await peer.next(), heardDisconnect);
        assert.equal(await serves(`place.${dialect}`), false);
      });
    }
    await isSilentTo(offenders, witness);
    closeAll(offenders);
  }
});

test("DISCONNECT is in its place at any time, also before READY", limit, async (t) => {
  using witness = await openWorker(endpoint, "leave.witness");
  for (const dialect of names) {
    await t.test(dialect, async () => {
      const { disconnect: word } = dialects[dialect];
      const grown = await growth(
        ({ refused }) => refused.place,
        async () => {
          using stranger = openRaw(endpoint, dialects[dialect]);
          await stranger.send(...word);
          await isSilentTo([stranger], witness);
          using worker = await openWorker(endpoint, `leave.${dialect}`, dialect);
          await until("it is registered", () => serves(`leave.${dialect}`));
          worker.answering = false;
          await worker.send(...word);
          await until("it is gone", async () => !(await serves(`leave.${dialect}`)));
          await isSilentTo([worker], witness);
        },
      );
      assert.equal(grown, 0);
    });
  }
});

test("anything invalid is dropped and counted, and disturbs nobody", limit, async () => {
  const long = "x".repeat(256);
  const bad: readonly (readonly string[])[] = [
    [""],
    ["", ""],
    ["x"],
    ["MDPC02"],
    ["MDPW02"],
    ["", "MDPC01"],
    ["", "MDPW01"],
    ["MDPC03", one, "invalid", "x"],
    ["MDPC02", "", "invalid", "x"],
    ["MDPC02", two, "invalid", "x"],
    ["MDPC02", `${one}${one}`, "invalid", "x"],
    ["MDPC02", one],
    ["MDPC02", one, "", "x"],
    ["MDPC02", one, "invalid"],
    ["MDPC02", one, "in valid", "x"],
    ["MDPC02", one, "in\nvalid", "x"],
    ["MDPC02", one, "inv\xe4lid", "x"],
    ["MDPC02", one, "\x7f", "x"],
    ["MDPC02", one, long, "x"],
    ["", "MDPC01", "invalid"],
    ["", "MDPC01", "", "x"],
    ["", "MDPC01", long, "x"],
    ["", "", "MDPC01", "invalid", "x"],
    ["", "MDPC02", "WORK", "invalid", "x"],
    ["", "MDPC02", "REQUEST", "invalid"],
    ["MDPW02", one],
    ["MDPW02", one, ""],
    ["MDPW02", one, long],
    ["MDPW02", one, "invalid", "more"],
    ["MDPW02", two, "invalid", "", "x"],
    ["MDPW02", three, "12345678", "no delimiter", "x"],
    ["MDPW02", four, "12345678", ""],
    ["MDPW02", four, "12345678"],
    ["MDPW02", four],
    ["MDPW02", "\x07"],
    ["MDPW02", "\0"],
    ["MDPW02", "\x05", "more"],
    ["MDPW02", six, "more"],
    ["", "MDPW01", one, ""],
    ["", "MDPW01", two, "12345678", "", "x"],
    ["", "MDPW01", three, "12345678", "x"],
    ["", "MDPW01", "\x06"],
    ["", "MDPW02", "READY"],
    ["", "MDPW02", "READY", long],
    ["", "MDPW02", "BEAT"],
    ["PLNC01", one, "invalid", "short head", "x"],
    ["PLNW01", one, "invalid", "\0\0\0\0"],
  ];
  using peer = openRaw(endpoint);
  const grown = await growth(
    ({ refused }) => refused.malformed,
    async () => {
      for (const message of bad) await peer.send(...message);
      // Answered on the same connection: everything before it has been read.
      await peer.send("MDPC02", one, "mmi.service", "invalid");
      assert.deepEqual(await peer.next(), ["MDPC02", three, "mmi.service", "404"]);
    },
  );
  assert.equal(grown, bad.length);
  assert.deepEqual(peer.untaken, []);
});

test("heartbeats go both ways: who answers them stays, who is silent goes", limit, async (t) => {
  for (const dialect of names) {
    await t.test(dialect, async () => {
      using alive = await openWorker(endpoint, `beat.${dialect}`, dialect);
      using silent = await openWorker(endpoint, `mute.${dialect}`, dialect);
      await until("it is registered", () => serves(`mute.${dialect}`));
      silent.answering = false;
      await until("the silent one is gone", async () => !(await serves(`mute.${dialect}`)));
      await alive.beats(3);
      assert.equal(await serves(`beat.${dialect}`), true);
      assert.deepEqual(alive.untaken, []);
    });
  }
});

test("any command is a sign of life: partial replies keep a worker at work", limit, async (t) => {
  for (const dialect of withPartials) {
    await t.test(dialect, async () => {
      using client = openClient(endpoint);
      using talker = await openWorker(endpoint, `talk.${dialect}`, dialect);
      using mute = await openWorker(endpoint, `hush.${dialect}`, dialect);
      await client.ask(`talk.${dialect}`, 1, "x");
      await client.ask(`hush.${dialect}`, 2, "x");
      const { client: address } = await talker.request();
      await mute.request();
      for (const worker of [talker, mute]) worker.answering = false;
      // For longer than busyTimeoutMs: until the other one, as busy and silent, was given up.
      let isOver = false;
      const lost = until("the silent one is given up", async () => {
        isOver = !(await serves(`hush.${dialect}`));
        return isOver;
      });
      while (!isOver) {
        await talker.beats(1);
        await talker.partial(address, "still here");
      }
      await lost;
      await talker.final(address, "done");
      const heard: string[] = [];
      while (!heard.includes("done")) {
        const { id, kind, text } = await client.hear();
        if (id === 2) assert.deepEqual([kind, text], ["error", "WORKER_LOST"]);
        else heard.push(text);
      }
      assert.ok(heard.length > 3, `${heard.length} replies`);
    });
  }
});

test("every worker is watched: idle, busy, and not only the first of a list", limit, async () => {
  const service = "watched";
  const workers = await openWorkers(service, 4);
  using client = openClient(endpoint);
  const [first, second, third, fourth] = workers as [RawWorker, RawWorker, RawWorker, RawWorker];
  third.answering = false;
  await until("the third is gone", async () => (await servedBy(service)) === 3);
  fourth.answering = false;
  await until("the last is gone", async () => (await servedBy(service)) === 2);
  await client.ask(service, 1, "x");
  await first.request();
  first.answering = false;
  await until("the busy one is gone", async () => (await servedBy(service)) === 1);
  assert.deepEqual(await client.hear(), { id: 1, kind: "error", text: "WORKER_LOST" });
  await client.ask(service, 2, "x");
  const { client: address } = await second.request();
  await second.final(address, "done");
  assert.deepEqual(await client.hear(), { id: 2, kind: "final", text: "done" });
  closeAll(workers);
});

test("a busy worker has busyTimeoutMs, apart from the liveness of idle ones", limit, async () => {
  using client = openClient(endpoint);
  using short = await openWorker(endpoint, "busy.short");
  using long = await openWorker(endpoint, "patient.busy");
  using idle = await openWorker(endpoint, "busy.idle");
  await until("it is registered", () => serves("busy.idle"));
  await client.ask("busy.short", 1, "x");
  await client.ask("patient.busy", 2, "x");
  await short.request();
  const { client: address } = await long.request();
  for (const worker of [short, long, idle]) worker.answering = false;
  await until("the idle one is gone", async () => !(await serves("busy.idle")));
  assert.deepEqual([await serves("busy.short"), await serves("patient.busy")], [true, true]);
  assert.deepEqual(await client.hear(), { id: 1, kind: "error", text: "WORKER_LOST" });
  assert.equal(await serves("patient.busy"), true);
  await long.final(address, "at last");
  assert.deepEqual(await client.hear(), { id: 2, kind: "final", text: "at last" });
});

test("a busy worker gets no second request, however long it works", limit, async () => {
  using client = openClient(endpoint);
  using worker = await openWorker(endpoint, "patient.single");
  using witness = await openWorker(endpoint, "busy.witness");
  for (const id of [1, 2]) await client.ask("patient.single", id, `${id}`);
  const { client: address } = await worker.request();
  worker.answering = false;
  await witness.beats(10);
  assert.deepEqual(worker.untaken, []);
  await worker.final(address, "one");
  assert.deepEqual((await worker.request()).body, ["2"]);
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

test("mmi.service tells of registered workers, busy ones too", limit, async () => {
  using client = openClient(endpoint);
  assert.deepEqual(await broker.ask("mmi.service", "mmi.test"), ["404"]);
  using worker = await openWorker(endpoint, "test.mmi");
  await until("it is registered", () => serves("test.mmi"));
  await client.ask("test.mmi", 1, "x");
  await worker.request();
  assert.deepEqual(await broker.ask("mmi.service", "test.mmi"), ["200"]);
  await worker.send("MDPW02", six);
  await until("it is gone", async () => !(await serves("test.mmi")));
  for (const name of ["test", "", "x".repeat(300), "mmi.service"]) {
    assert.deepEqual(await broker.ask("mmi.service", name), ["404"], name);
  }
});

test(
  "mmi.services, mmi.workers, mmi.broker and mmi.brokers answer, other names get 501",
  limit,
  async () => {
    using _ = await openWorker(endpoint, "test.seen");
    await until("it is registered", () => serves("test.seen"));
    assert.ok((await broker.ask("mmi.services", "")).includes("test.seen"));
    const [workers = ""] = await broker.ask("mmi.workers", "");
    const seen = JSON.parse(workers).workers.find(
      ({ service }: { service: string }) => service === "test.seen",
    );
    assert.deepEqual(
      { ...seen, silentMs: undefined, paused: undefined },
      {
        service: "test.seen",
        principal: "admin",
        dialect: "rfc18",
        busy: 0,
        concurrency: 1,
        silentMs: undefined,
        paused: undefined,
      },
    );
    const counts = await broker.describe();
    assert.ok((counts.counters.messages ?? 0) > 0);
    const [brokers = ""] = await broker.ask("mmi.brokers", "");
    assert.equal(JSON.parse(brokers).brokers.length, 1);
    for (const name of ["mmi.", "mmi.x", "mmi.service2"]) {
      assert.deepEqual(await broker.ask(name, "x"), ["501"], name);
    }
  },
);

test("a request to mmi without a body is tolerated, in each dialect", limit, async () => {
  const rows: readonly (readonly [readonly string[], readonly string[]])[] = [
    [
      ["MDPC02", one, "mmi.x"],
      ["MDPC02", three, "mmi.x", "501"],
    ],
    [
      ["", "MDPC02", one, "mmi.x"],
      ["", "MDPC02", three, "mmi.x", "501"],
    ],
    [
      ["", "MDPC01", "mmi.x"],
      ["", "MDPC01", "mmi.x", "501"],
    ],
    [
      ["", "MDPC02", "REQUEST", "mmi.x"],
      ["MDPC02", "FINAL", "mmi.x", "501"],
    ],
  ];
  for (const [asked, answered] of rows) {
    using peer = openRaw(endpoint);
    await peer.send(...asked);
    assert.deepEqual(await peer.next(), answered);
  }
  using peer = openRaw(endpoint);
  await peer.send("MDPC02", one, "mmi.service");
  assert.deepEqual(await peer.next(), ["MDPC02", three, "mmi.service", "404"]);
});

test("a service name has 1 to 255 bytes of printable ASCII", limit, async () => {
  using client = openClient(endpoint);
  for (const service of ["!", "~", "a/b:c", "y".repeat(255)]) {
    using worker = await openWorker(endpoint, service);
    await client.ask(service, 1, "x");
    const { client: address } = await worker.request();
    await worker.final(address, "named");
    assert.deepEqual(await client.hear(), { id: 1, kind: "final", text: "named" });
  }
});

test("frames and bytes of a message have limits", limit, async () => {
  using client = openClient(endpoint);
  using worker = await openWorker(endpoint, "sized");
  const request = (id: number, ...body: string[]) =>
    client.send("PLNC01", one, "sized", head(id), ...body);
  const fits = [Array.from({ length: 8 }, () => "x"), ["x".repeat(100_000)]];
  for (const [id, body] of fits.entries()) {
    await request(id, ...body);
    const { client: address, body: arrived } = await worker.request();
    assert.deepEqual(arrived, body);
    await worker.final(address, "taken");
    assert.deepEqual(await client.hear(), { id, kind: "final", text: "taken" });
  }
  await request(2, ...Array.from({ length: 9 }, () => "x"));
  assert.deepEqual(await client.hear(), { id: 2, kind: "error", text: "LIMIT_REACHED" });
  await request(3, "x".repeat(100_001));
  assert.deepEqual(await client.hear(), { id: 3, kind: "error", text: "MESSAGE_TOO_LARGE" });
  assert.deepEqual(worker.untaken, []);
});

test("open requests of one peer have a limit, which is that peer's alone", limit, async () => {
  using client = openClient(endpoint);
  using other = openClient(endpoint);
  using worker = await openWorker(endpoint, "patient.many");
  for (let id = 0; id < 201; id += 1) await client.ask("patient.many", id, "x");
  assert.deepEqual(await client.hear(), { id: 200, kind: "error", text: "LIMIT_REACHED" });
  await other.ask("patient.many", 1, "other");
  await waiting("patient.many", 200);
  const { client: address } = await worker.request();
  await worker.final(address, "done");
  assert.deepEqual(await client.hear(), { id: 0, kind: "final", text: "done" });
  // It has its turn among the first, however many the other one has waiting.
  const next = await worker.request();
  await worker.final(next.client, "done");
  const turns = [next.body[0], (await worker.request()).body[0]];
  assert.deepEqual(turns.sort(), ["other", "x"]);
});

test("peers have a limit: beyond it clients are refused and workers sent away", limit, async () => {
  await using small = await startBrokerProcess("broker: {peersMax: 20, requestTtlMs: 60000}");
  const clients = Array.from({ length: 30 }, () => openClient(small.endpoint));
  for (const client of clients) await client.ask("nobody", 1, "x");
  await until("some are refused", () => clients.some(({ untaken }) => untaken.length > 0));
  const refused = clients.find(({ untaken }) => untaken.length > 0)!;
  assert.deepEqual(await refused.hear(), { id: 1, kind: "error", text: "LIMIT_REACHED" });
  using late = await openWorker(small.endpoint, "late");
  assert.deepEqual(await late.next(), disconnect);
  closeAll(clients);
  // Who went makes room.
  await until("there is room", async () => {
    using worker = await openWorker(small.endpoint, "later");
    await until("an answer", () => worker.beatsHeard > 0 || worker.untaken.length > 0);
    return worker.beatsHeard > 0;
  });
});

test(
  "connections have a limit, and who waits for one comes in when another goes",
  limit,
  async () => {
    await using small = await startBrokerProcess("broker: {connectionsMax: 8}");
    const peers = Array.from({ length: 12 }, () => openRaw(small.endpoint));
    for (const peer of peers) void peer.send("MDPC02", one, "mmi.service", "x").catch(() => {});
    const answered = () => peers.filter(({ untaken }) => untaken.length > 0).length;
    await until("as many as fit are answered", () => answered() >= 8);
    assert.equal(answered(), 8);
    closeAll(peers.filter(({ untaken }) => untaken.length > 0));
    await until("the others are answered", () => answered() === 12);
    closeAll(peers);
  },
);
