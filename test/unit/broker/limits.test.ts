// Limits of the broker, each at the limit and one beyond, and shares of its room by principal.
// It must not know sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { bench, codeOf, errorOf, idOf, kinds } from "../../fakes/broker.ts";
import { rfc18 } from "../../fakes/foreign-peers.ts";

const text = (value: string) => Buffer.from(value);
const doors = (...principals: readonly string[]) =>
  principals.map((principal) => ({ principal, endpoint: "ipc:///b" }));

test("messageBytesMax: the body of a request", () => {
  const { send, state } = bench();
  assert.deepEqual(send("c", 1, [Buffer.alloc(600), Buffer.alloc(400)]), []);
  const error = errorOf(send("d", 1, [Buffer.alloc(600), Buffer.alloc(401)]));
  assert.deepEqual([error?.code, error?.detail], ["MESSAGE_TOO_LARGE", { size: 1001, max: 1000 }]);
  assert.equal(state.refused.size, 1);
});

test("framesMax: frames of a body", () => {
  const { send, state } = bench();
  const body = ["1", "2", "3", "4"].map(text);
  assert.deepEqual(send("c", 1, body), []);
  assert.equal(codeOf(send("c", 2, [...body, text("5")])), "LIMIT_REACHED");
  assert.equal(state.refused.frames, 1);
});

test("requestsPerPeerMax: open requests of one client, waiting and at workers", () => {
  const { ask, ready, state, cancel } = bench();
  ready("w");
  for (const id of [1, 2, 3, 4, 5]) assert.equal(codeOf(ask("c", id)), undefined);
  assert.equal(codeOf(ask("c", 6)), "LIMIT_REACHED");
  cancel("c", 5);
  assert.equal(codeOf(ask("c", 7)), undefined);
  assert.equal(state.refused.requests, 1);
});

test("peersMax: clients and workers that are busy", () => {
  const { ask, ready, state } = bench({ peersMax: 3 });
  ready("w");
  ask("c", 1);
  ask("d", 1);
  assert.equal(errorOf(ask("e", 1))?.detail.limit, "peers");
  assert.deepEqual(kinds(ready("v")), ["v:refused", "v:disconnect"]);
  assert.deepEqual([state.refused.peers, state.peers.size], [2, 3]);
});

test("peersMax: a client that wants nothing makes room", () => {
  const { ask, ready, state, mmi } = bench({ peersMax: 3 });
  ready("w");
  ask("c", 1);
  mmi("mmi.services");
  assert.equal(codeOf(ask("e", 1)), undefined);
  assert.deepEqual([...state.peers.keys()].sort(), ["c", "e", "w"]);
});

test("peersMax: a foreign client without room hears nothing", () => {
  const { raw, ready, state } = bench({ peersMax: 1 });
  ready("w");
  const body = [text("x")];
  assert.deepEqual(raw("c", rfc18.encodeFromClient({ kind: "request", service: "s", body })), []);
  assert.equal(state.refused.peers, 1);
});

test("servicesMax: a request for one more is refused, a worker gives up what nobody serves", () => {
  const { ask, ready, state } = bench();
  for (const [at, name] of ["one", "two", "three"].entries()) ask("c", at, name);
  assert.equal(errorOf(ask("d", 1, "four"))?.detail.limit, "services");
  assert.deepEqual(kinds(ready("w", "four")), ["c:error", "w:heartbeat"]);
  assert.deepEqual([...state.services.keys()], ["two", "three", "four"]);
});

test("servicesMax: services that are served stay", () => {
  const { ready, state } = bench();
  for (const name of ["one", "two", "three"]) ready(name, name);
  assert.deepEqual(kinds(ready("w", "four")), ["w:refused", "w:disconnect"]);
  assert.deepEqual([state.services.size, state.refused.services], [3, 1]);
});

test("a service that was forgotten is found again by a client that knew it", () => {
  const { ask, cancel, ready, gone } = bench();
  ask("c", 1, "one");
  cancel("c", 1);
  for (const name of ["two", "three", "four"]) ready(name, name);
  gone("two");
  assert.deepEqual(ask("c", 2, "one"), []);
  gone("three");
  assert.deepEqual(kinds(ready("w", "one")), ["w:heartbeat", "w:request"]);
});

test("names come and go without end, and the broker holds no more than its limit", () => {
  const { ask, cancel, state } = bench();
  for (let at = 0; at < 500; at += 1) {
    ask("c", at, `name${at}`);
    cancel("c", at);
  }
  assert.deepEqual([state.services.size, state.unused.size, state.unserved.size], [3, 3, 3]);
  const client = state.peers.get("c")?.client;
  assert.ok((client?.rights?.size ?? 0) <= 64);
});

test("bytes that are held: one client may hold one message of the largest size", () => {
  const { send, state } = bench();
  assert.deepEqual(send("c", 1, [Buffer.alloc(999)]), []);
  assert.deepEqual(send("c", 2, [Buffer.alloc(1)]), []);
  assert.equal(codeOf(send("c", 3, [Buffer.alloc(1)])), "LIMIT_REACHED");
  assert.equal(state.refused.bytes, 1);
});

test("bytes that are held: all clients together may hold four", () => {
  const { send, state } = bench({ queueMax: 10 });
  for (const peer of ["a", "b", "c", "d"])
    assert.deepEqual(send(peer, 1, [Buffer.alloc(1000)]), []);
  assert.equal(codeOf(send("e", 1, [Buffer.alloc(1)])), "LIMIT_REACHED");
  assert.equal(state.bytes, 4000);
});

test("what is handed over at once is not held, whatever others hold", () => {
  const { send, ready, state } = bench({ queueMax: 10 });
  for (const peer of ["a", "b", "c", "d"]) send(peer, 1, [Buffer.alloc(1000)]);
  ready("w", "other");
  assert.deepEqual(kinds(send("e", 1, [Buffer.alloc(1000)], "other")), ["w:request"]);
  assert.equal(state.bytes, 4000);
});

/** A broker for two principals, each with a quarter of all room set aside. */
const shared = () =>
  bench(
    { peersMax: 8, servicesMax: 8, queueMax: 20, requestsPerPeerMax: 20 },
    { doors: doors("net", "store") },
  );

test("shares: no principal takes peers that are set aside for others", () => {
  const { ask, ready, state } = shared();
  for (let at = 0; at < 6; at += 1) assert.equal(codeOf(ask(`net/${at}`, 1)), undefined);
  assert.equal(codeOf(ask("net/6", 1)), "LIMIT_REACHED");
  assert.deepEqual(kinds(ready("net/w")), ["net/w:refused", "net/w:disconnect"]);
  assert.deepEqual(kinds(ready("store/w")), ["store/w:heartbeat", "store/w:request"]);
  assert.equal(codeOf(ask("store/c", 1)), undefined);
  assert.equal(codeOf(ask("store/d", 1)), "LIMIT_REACHED");
  assert.equal(state.shares.get("store")?.peers, 2);
});

test("shares: idle peers of a principal make no room for one that took more than its share", () => {
  const { mmi, ask, state } = shared();
  for (const peer of ["store/a", "store/b"]) mmi("mmi.services", "", peer);
  for (let at = 0; at < 6; at += 1) ask(`net/${at}`, 1);
  assert.equal(codeOf(ask("net/6", 1)), "LIMIT_REACHED");
  assert.equal(state.shares.get("store")?.peers, 2);
});

test("shares: no principal takes services that are set aside for others", () => {
  const { ask, ready, state } = shared();
  for (let at = 0; at < 6; at += 1) assert.equal(codeOf(ask("net/c", at, `s${at}`)), undefined);
  assert.equal(codeOf(ask("net/c", 6, "s6")), "LIMIT_REACHED");
  assert.equal(codeOf(ask("store/c", 1, "mine")), undefined);
  ready("store/w", "s0");
  assert.equal(state.shares.get("store")?.services, 2, "whoever serves answers for the place");
  assert.equal(state.shares.get("net")?.services, 5);
});

test("shares: no principal takes bytes that are set aside for others", () => {
  const { send } = shared();
  const kilobyte = [Buffer.alloc(1000)];
  for (const peer of ["net/a", "net/b", "net/c"]) assert.deepEqual(send(peer, 1, kilobyte), []);
  assert.equal(codeOf(send("net/d", 1, [Buffer.alloc(1)])), "LIMIT_REACHED");
  assert.deepEqual(send("store/a", 1, kilobyte), []);
});

test("queueMax: one client that has more than half of a queue gives way to one with nothing", () => {
  const { ask, state } = bench({ requestsPerPeerMax: 9 });
  for (const id of [1, 2, 3, 4]) ask("c", id);
  const said = ask("d", 1);
  assert.deepEqual([kinds(said), codeOf(said)], [["c:error"], "QUEUE_FULL"]);
  assert.deepEqual(kinds(ask("d", 2)), ["d:error"], "one with something waits for its turn");
  assert.deepEqual(kinds(ask("e", 1)), ["c:error"]);
  assert.deepEqual(kinds(ask("f", 1)), ["f:error"], "a client with half of it keeps it");
  assert.deepEqual(kinds(ask("c", 5)), ["c:error"]);
  const { totals } = state.services.get("echo") ?? {};
  assert.deepEqual([state.queued, state.refused.queue, totals?.queueFull], [4, 5, 5]);
});

test("shares: no principal fills a queue against another, with however many clients", () => {
  const { ask, ready, state } = bench(
    { queueMax: 4, peersMax: 40 },
    { doors: doors("net", "store") },
  );
  for (let at = 0; at < 4; at += 1) assert.equal(codeOf(ask(`net/${at}`, 1)), undefined);
  assert.deepEqual(kinds(ask("store/c", 1)), ["net/3:error"]);
  assert.deepEqual(kinds(ask("store/d", 1)), ["store/d:error"], "it has what is set aside for it");
  assert.deepEqual(kinds(ask("net/4", 1)), ["net/4:error"]);
  ready("store/w", "echo", 9);
  const counts = state.services.get("echo")?.queuedByShare.values() ?? [];
  assert.deepEqual([state.queued, ...counts], [0, 0, 0]);
});

test("a request that was at a worker gives way to nobody", () => {
  const policies = { echo: { retry: "if-lost", queueMax: 2 } } as const;
  const { ask, ready, gone } = bench({ policies });
  ready("w", "echo", 2);
  for (const id of [1, 2]) ask("c", id);
  gone("w");
  assert.deepEqual(kinds(ask("d", 1)), ["d:error"]);
});

test("shares: no principal takes open requests that are set aside for others", () => {
  const { ask, ready, gone, state } = bench(
    { queueMax: 1, requestsPerPeerMax: 32_768 },
    { doors: doors("net", "store") },
  );
  ready("net/w", "echo", 65_535);
  let asked = 0;
  for (const peer of ["net/a", "net/b"]) {
    for (let id = 0; codeOf(ask(peer, id)) === undefined; id += 1) asked += 1;
  }
  assert.equal(asked, 49_152);
  assert.deepEqual(kinds(ask("store/c", 1)), ["net/w:request"]);
  for (const peer of ["net/a", "net/b"]) gone(peer);
  assert.deepEqual([state.open, state.shares.get("net")?.requests], [1, 0]);
});

test("a worker that leaves very many cancelled requests unanswered gets no more", () => {
  const { ask, cancel, ready, reply, state } = bench();
  ready("w", "echo", 65_535);
  const ids: number[] = [];
  for (let id = 0; id < 1024; id += 1) {
    ids.push(idOf(ask("c", id)));
    cancel("c", id);
  }
  assert.deepEqual(ask("c", 5000), []);
  assert.deepEqual(kinds(reply("w", ids[0] ?? -1)), ["w:request"]);
  assert.deepEqual([state.workers.values().next().value?.abandoned, state.queued], [1023, 0]);
});

test("shares: where one principal listens, all room is its own", () => {
  const { ask } = bench({ queueMax: 20 }, { doors: doors("admin", "admin") });
  for (let at = 0; at < 8; at += 1) assert.equal(codeOf(ask(`admin/${at}`, 1)), undefined);
});
