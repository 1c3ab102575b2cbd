// The broker between peers of every dialect, mixed freely. It must not know sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Dialect, plant } from "../../../src/mdp/mdp.ts";
import {
  addressOf,
  type Bench,
  bench,
  bodies,
  foreigners,
  idOf,
  kinds,
  type Said,
} from "../../fakes/broker.ts";
import { enveloped, plantd, rfc7, rfc18 } from "../../fakes/foreign-peers.ts";

const text = (value: string) => Buffer.from(value);
const dialects: readonly Dialect[] = ["plant", ...foreigners.map(([dialect]) => dialect)];
const peerOf = new Map(foreigners);

function register(broker: Bench, dialect: Dialect): readonly Said[] {
  const peer = peerOf.get(dialect);
  if (peer === undefined) return broker.ready("w");
  return broker.raw("w", peer.encodeFromWorker({ kind: "ready", service: "echo" }));
}

function ask(broker: Bench, dialect: Dialect): readonly Said[] {
  const peer = peerOf.get(dialect);
  const body = [text("one"), text("two")];
  if (peer === undefined) return broker.send("c", 7, body, "echo", plant.flag.partials);
  return broker.raw("c", peer.encodeFromClient({ kind: "request", service: "echo", body }));
}

function answer(
  broker: Bench,
  dialect: Dialect,
  to: { readonly order: readonly Said[]; readonly kind: "partial" | "final"; words: string },
): readonly Said[] {
  const peer = peerOf.get(dialect);
  const { order, kind, words } = to;
  if (peer === undefined) return broker.reply("w", idOf(order), kind, words);
  const client = addressOf(order);
  return broker.raw("w", peer.encodeFromWorker({ kind, client, body: [text(words)] }));
}

for (const asks of dialects) {
  for (const serves of dialects) {
    test(`a client of ${asks} and a worker of ${serves} talk to each other`, () => {
      const broker = bench({ messageBytesMax: 2000 });
      assert.deepEqual(kinds(register(broker, serves)), ["w:heartbeat"]);
      const order = ask(broker, asks);
      assert.deepEqual(kinds(order), ["w:request"]);
      const [request] = order;
      assert.ok(request !== undefined && "body" in request);
      assert.deepEqual(request.body.map(String), ["one", "two"]);
      const heard: Said[] = [];
      const hasParts = serves !== "rfc7";
      if (hasParts) {
        heard.push(...answer(broker, serves, { order, kind: "partial", words: "part" }));
      }
      heard.push(...answer(broker, serves, { order, kind: "final", words: "end" }));
      const parts = hasParts && asks !== "rfc7" ? ["c:partial"] : [];
      assert.deepEqual(kinds(heard), [...parts, "c:final"]);
      const last = heard.at(-1);
      assert.ok(last !== undefined && "body" in last);
      const joined = hasParts && asks === "rfc7" ? ["part", "end"] : ["end"];
      assert.deepEqual(
        last.body.map((frame) => Buffer.from(frame).toString()),
        joined,
      );
      assert.deepEqual([broker.state.dispatched, broker.state.bytes], [0, 0]);
    });
  }
}

test("a foreign worker has one request at a time, and may beat in its own words", () => {
  for (const [dialect, peer] of foreigners) {
    const broker = bench();
    register(broker, dialect);
    broker.ask("c", 1);
    assert.deepEqual(broker.ask("c", 2), [], dialect);
    assert.deepEqual(broker.raw("w", peer.encodeFromWorker({ kind: "heartbeat" })), [], dialect);
    assert.deepEqual(kinds(broker.tick(1000)), ["w:heartbeat"], dialect);
  }
});

test("clients without errors hear nothing of refusal, expiry and loss", () => {
  for (const [dialect, peer] of foreigners) {
    const broker = bench({ queueMax: 1 });
    const request = (service: string, body = "hi") =>
      broker.raw("c", peer.encodeFromClient({ kind: "request", service, body: [text(body)] }));
    assert.deepEqual(request("echo"), [], dialect);
    assert.deepEqual(request("echo"), [], `${dialect}: the queue is full`);
    assert.deepEqual(request("echo", "x".repeat(1001)), [], `${dialect}: too large`);
    assert.deepEqual(broker.tick(30_000), [], `${dialect}: expired`);
    broker.ready("w");
    request("echo");
    assert.deepEqual(broker.gone("w"), [], `${dialect}: lost`);
    const { state } = broker;
    assert.deepEqual([state.refused.queue, state.refused.size], [1, 1], dialect);
    assert.deepEqual([state.counters.noService, state.counters.requestsLost], [1, 1], dialect);
  }
});

test("a worker's refusal is an error to a client of ours and a last reply to any other", () => {
  const error = text('{"code":"NO_SERVICE"}');
  for (const asks of dialects) {
    const broker = bench();
    broker.ready("w");
    const id = idOf(ask(broker, asks));
    const head = broker.headOf(id, 0);
    const said = broker.workerSays("w", { kind: "error", service: "echo", head, error });
    if (asks === "plant") assert.deepEqual(kinds(said), ["c:error"]);
    else assert.deepEqual(bodies(said), ['{"success":false,"error":{"code":"NO_SERVICE"}}'], asks);
  }
});

test("a client that changes its dialect is out of place: what it asked is over, and silence", () => {
  const { raw, ask: askOurs, ready, state } = bench();
  ready("w");
  askOurs("c", 1);
  const body = [text("x")];
  const said = raw("c", rfc18.encodeFromClient({ kind: "request", service: "echo", body }));
  assert.deepEqual(kinds(said), ["w:cancel"]);
  assert.deepEqual(askOurs("c", 2), []);
  assert.deepEqual([state.refused.place, state.refused.banned], [1, 1]);
});

test("a worker that changes its dialect hears DISCONNECT in the one it registered with", () => {
  const { raw } = bench();
  raw("w", rfc18.encodeFromWorker({ kind: "ready", service: "echo" }));
  const said = raw("w", rfc7.encodeFromWorker({ kind: "heartbeat" }));
  assert.deepEqual(kinds(said), ["w:disconnect"]);
});

test("a client that speaks as a worker, and a worker that asks, are out of place", () => {
  const { raw, ask: askOurs, ready, state } = bench();
  askOurs("c", 1);
  assert.deepEqual(kinds(ready("c")), ["c:disconnect"]);
  raw("w", plantd.encodeFromWorker({ kind: "ready", service: "echo" }));
  const body = [text("x")];
  const said = raw("w", plantd.encodeFromClient({ kind: "request", service: "echo", body }));
  assert.deepEqual(kinds(said), ["w:disconnect"]);
  assert.deepEqual([state.workers.size, state.queued, state.refused.place], [0, 0, 2]);
});

test("parts for RFC 7 are joined up to the size of a message, and not one byte beyond", () => {
  const parts = (size: number, last: number) => {
    const broker = bench({ messageBytesMax: 2000 });
    broker.ready("w");
    const id = idOf(
      broker.raw(
        "c",
        rfc7.encodeFromClient({ kind: "request", service: "echo", body: [text("go")] }),
      ),
    );
    const said = [
      ...broker.reply("w", id, "partial", "p".repeat(size)),
      ...broker.reply("w", id, "final", "f".repeat(last)),
    ];
    return { broker, said };
  };
  const frame = 1024; // what a kept frame counts beside its bytes
  const fits = parts(1900 - frame, 100);
  assert.deepEqual(kinds(fits.said), ["c:final"]);
  const tooLong = parts(1900 - frame, 101);
  assert.deepEqual(kinds(tooLong.said), []);
  assert.equal(tooLong.broker.state.counters.streamsCut, 1);
  const tooLarge = parts(2001 - frame, 1);
  assert.deepEqual(kinds(tooLarge.said), ["w:cancel"]);
  for (const { broker } of [fits, tooLong, tooLarge]) assert.equal(broker.state.bytes, 0);
});

test("peers of RFC 18 behind an empty frame are answered behind one", () => {
  const { raw, ready, reply } = bench();
  ready("w");
  const body = [text("x")];
  const order = raw("c", enveloped.encodeFromClient({ kind: "request", service: "echo", body }));
  const [back] = reply("w", idOf(order));
  assert.deepEqual(kinds([back as Said]), ["c:final"]);
});
