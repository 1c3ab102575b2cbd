// Commands out of their place: DISCONNECT, and silence. It must not know sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Bench, bench, idOf, kinds } from "../../fakes/broker.ts";
import { rfc18 } from "../../fakes/foreign-peers.ts";

const heartbeat = rfc18.encodeFromWorker({ kind: "heartbeat" });

/** Whether whatever a peer says now is dropped and counted. */
function checkSilence({ ready, beat, reply, ask, state }: Bench, peer: string): void {
  const before = state.refused.banned;
  const said = [...ready(peer), ...beat(peer), ...reply(peer, 5), ...ask(peer, 1)];
  assert.deepEqual(kinds(said), []);
  assert.equal(state.refused.banned, before + 4);
}

test("READY twice: DISCONNECT, its request is lost, and silence", () => {
  const broker = bench();
  broker.ready("w");
  broker.ask("c", 1);
  assert.deepEqual(kinds(broker.ready("w")), ["c:error", "w:disconnect"]);
  checkSilence(broker, "w");
  assert.equal(broker.state.workers.size, 0);
});

test("HEARTBEAT before READY: DISCONNECT, and silence", () => {
  const broker = bench();
  assert.deepEqual(kinds(broker.beat("w")), ["w:disconnect"]);
  checkSilence(broker, "w");
});

test("FINAL from an idle worker: DISCONNECT, and silence", () => {
  const broker = bench();
  broker.ready("w");
  assert.deepEqual(kinds(broker.reply("w", 77)), ["w:disconnect"]);
  checkSilence(broker, "w");
});

test("PARTIAL before READY: DISCONNECT, and silence", () => {
  const broker = bench();
  assert.deepEqual(kinds(broker.reply("w", 77, "partial")), ["w:disconnect"]);
  checkSilence(broker, "w");
});

test("READY for mmi.*: DISCONNECT, and silence", () => {
  for (const name of ["mmi.service", "mmi.x"]) {
    const broker = bench();
    assert.deepEqual(kinds(broker.ready("w", name)), ["w:refused", "w:disconnect"]);
    checkSilence(broker, "w");
    assert.equal(broker.state.services.size, 0);
  }
});

test("a worker that said DISCONNECT is not heard again on its connection", () => {
  const broker = bench();
  broker.ready("w");
  assert.deepEqual(broker.workerSays("w", { kind: "disconnect" }), []);
  checkSilence(broker, "w");
});

test("FINAL twice: the second is dropped and counted while other work is under way", () => {
  const { ready, ask, reply, state } = bench();
  ready("w", "echo", 2);
  const id = idOf(ask("c", 1));
  ask("c", 2);
  assert.deepEqual(kinds(reply("w", id)), ["c:final"]);
  assert.deepEqual(reply("w", id), []);
  assert.equal(state.counters.lateReplies, 1);
});

test("a FINAL with an address nobody gave out is dropped and counted", () => {
  const { raw, ask, state } = bench();
  raw("w", rfc18.encodeFromWorker({ kind: "ready", service: "echo" }));
  ask("c", 1);
  for (const client of [
    Buffer.alloc(8),
    Buffer.alloc(8, 255),
    Buffer.from("client-1"),
    Buffer.alloc(5, 1),
  ]) {
    assert.deepEqual(
      raw("w", rfc18.encodeFromWorker({ kind: "final", client, body: [client] })),
      [],
    );
  }
  assert.equal(state.counters.lateReplies, 4);
});

test("ids of requests differ between runs of the broker, and none comes twice in one", () => {
  const first = (seed: number) => {
    const { ready, ask } = bench({}, { seed });
    ready("w");
    return idOf(ask("c", 1));
  };
  assert.notEqual(first(0.25), first(0.2500001));
  for (const seed of [0, 0.999_999_999_999]) {
    const { ready, ask, reply } = bench({}, { seed });
    ready("w");
    const ids = new Set<number>();
    for (let round = 0; round < 2000; round += 1) {
      const id = idOf(ask("c", round));
      assert.ok(id > 0 && id < 2 ** 53);
      ids.add(id);
      reply("w", id);
    }
    assert.equal(ids.size, 2000);
  }
});

test("a ban ends with the connection", () => {
  const { beat, gone, ready } = bench();
  beat("w");
  gone("w");
  assert.deepEqual(kinds(ready("w")), ["w:heartbeat"]);
});

test("a ban over TCP, whose end nobody tells, ends after the liveness of a worker", () => {
  const { beat, ready, pass } = bench();
  beat("tcp/w");
  pass(3999);
  assert.deepEqual(ready("tcp/w"), []);
  pass(1);
  assert.deepEqual(kinds(ready("tcp/w")), ["tcp/w:heartbeat"]);
});

test("bans are limited with the peers: the oldest is forgotten for a new peer", () => {
  const { raw, state } = bench({ peersMax: 3 });
  for (const peer of ["a", "b", "d", "e"]) raw(peer, heartbeat);
  assert.deepEqual([...state.peers.keys()], ["b", "d", "e"]);
  assert.deepEqual(kinds(raw("a", heartbeat)), ["a:disconnect"]);
});

test("what is said after a ban is noted in the log once per peer and minute", () => {
  const { beat, notes, pass, state } = bench();
  for (let round = 0; round < 5; round += 1) beat("driver/w");
  assert.deepEqual(notes, ["driver:place", "driver:banned"]);
  pass(60_000);
  beat("driver/w");
  assert.equal(notes.length, 3);
  assert.equal(state.refused.banned, 5);
});

test("notes in the log are limited in number for each principal, whatever they are about", () => {
  const { ask, raw, notes } = bench({ servicesMax: 1 });
  ask("p/a", 1);
  for (let name = 0; name < 3000; name += 1) ask("p/a", 2, `name${name}`);
  assert.equal(notes.length, 64);
  raw("other/a", []);
  assert.equal(notes.at(-1), "other:malformed");
});
