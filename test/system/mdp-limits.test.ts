// What a broker must refuse and what it answers itself, rule by rule, frame by frame.
// It must not know our codec, nor how the broker does it.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { startBrokerProcess } from "../fakes/mdp-broker.ts";
import { until } from "../fakes/patience.ts";
import { endAll } from "../fakes/process.ts";
import {
  four,
  head,
  one,
  openClient,
  openRaw,
  openWorker,
  six,
  three,
  two,
} from "../fakes/raw-peer.ts";
import { closeAll, disconnect, limit, openRulesStage } from "../fakes/rules-stage.ts";

const stage = await openRulesStage();
const { broker, endpoint, growth, serves, waiting } = stage;

after(async () => {
  await stage[Symbol.asyncDispose]();
  endAll();
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
        leaving: false,
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
