// What a broker must do with workers, rule by rule, frame by frame: their place, signs of life.
// It must not know our codec, nor how the broker does it.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { until } from "../fakes/patience.ts";
import { endAll } from "../fakes/process.ts";
import {
  dialects,
  openClient,
  openRaw,
  openWorker,
  type RawPeer,
  type RawWorker,
} from "../fakes/raw-peer.ts";
import {
  closeAll,
  isSilentTo,
  limit,
  names,
  openRulesStage,
  withPartials,
} from "../fakes/rules-stage.ts";

const stage = await openRulesStage();
const { endpoint, growth, openWorkers, serves, servedBy } = stage;

after(async () => {
  await stage[Symbol.asyncDispose]();
  endAll();
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
