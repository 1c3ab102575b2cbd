// What the page of the wire answers where the RFCs leave a choice, shown on the broker's own rules
// with peers of every dialect. It must not know sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { abilities, type Dialect, plant } from "../../../src/mdp/mdp.ts";
import {
  addressOf,
  type Bench,
  bench,
  bodies,
  foreigners,
  idOf,
  kinds,
} from "../../fakes/broker.ts";
import { type ForeignPeer, rfc7, rfc18 } from "../../fakes/foreign-peers.ts";

const text = (value: string) => Buffer.from(value);
const empty = Buffer.alloc(0);

/** A test with the peers of each foreign dialect. */
function each(name: string, run: (peer: ForeignPeer, dialect: Dialect) => void): void {
  for (const [dialect, peer] of foreigners) test(`${name}: ${dialect}`, () => run(peer, dialect));
}

/** Makes a foreign worker of `echo`. */
const offer = ({ raw }: Bench, peer: ForeignPeer, name = "w", service = "echo") =>
  raw(name, peer.encodeFromWorker({ kind: "ready", service }));
const asks = ({ raw }: Bench, peer: ForeignPeer, name = "c", ...body: readonly string[]) =>
  raw(name, peer.encodeFromClient({ kind: "request", service: "echo", body: body.map(text) }));
const answers = ({ raw }: Bench, peer: ForeignPeer, client: Uint8Array, word = "ok", name = "w") =>
  raw(name, peer.encodeFromWorker({ kind: "final", client, body: [text(word)] }));

each("READY is followed by a sign of life at once", (peer) => {
  assert.deepEqual(kinds(offer(bench(), peer)), ["w:heartbeat"]);
});

each("after a second READY nothing the connection says is heard, not a READY either", (peer) => {
  const table = bench();
  offer(table, peer);
  assert.deepEqual(kinds(offer(table, peer)), ["w:disconnect"]);
  assert.deepEqual(kinds(offer(table, peer)), []);
  assert.deepEqual(kinds(table.raw("w", peer.encodeFromWorker({ kind: "heartbeat" }))), []);
  assert.deepEqual(kinds(asks(table, peer, "c", "hi")), []);
  table.gone("w");
  assert.deepEqual(kinds(offer(table, peer)), ["w:heartbeat", "w:request"]);
});

each("where nobody tells that a connection ended, silence lasts as long as liveness", (peer) => {
  const table = bench();
  offer(table, peer, "tcp/w");
  offer(table, peer, "tcp/w");
  table.pass(3999);
  assert.deepEqual(kinds(offer(table, peer, "tcp/w")), []);
  table.pass(1);
  assert.deepEqual(kinds(offer(table, peer, "tcp/w")), ["tcp/w:heartbeat"]);
});

each("HEARTBEAT and FINAL before READY, and FINAL without work, are out of place", (peer) => {
  const client = Buffer.alloc(8, 1);
  const table = bench();
  const beat = peer.encodeFromWorker({ kind: "heartbeat" });
  assert.deepEqual(kinds(table.raw("a", beat)), ["a:disconnect"]);
  assert.deepEqual(kinds(answers(table, peer, client, "ok", "b")), ["b:disconnect"]);
  offer(table, peer);
  assert.deepEqual(kinds(answers(table, peer, client)), ["w:disconnect"]);
});

each("a reply to an address of nobody's making is late while there is other work", (peer) => {
  const table = bench();
  offer(table, peer);
  const sent = asks(table, peer, "c", "hi");
  assert.deepEqual(kinds(answers(table, peer, text("me"))), []);
  assert.deepEqual(kinds(answers(table, peer, Buffer.alloc(8, 255))), []);
  assert.equal(table.state.counters.lateReplies, 2);
  assert.deepEqual(kinds(answers(table, peer, addressOf(sent))), ["c:final"]);
});

each("DISCONNECT before READY is taken, and the connection is over", (peer) => {
  const table = bench();
  const farewell = peer.encodeFromWorker({ kind: "disconnect" });
  assert.deepEqual(kinds(table.raw("w", farewell)), []);
  assert.deepEqual(kinds(offer(table, peer)), []);
});

each("a worker dropped for its silence may offer itself again where it is", (peer) => {
  const table = bench();
  offer(table, peer);
  table.tick(4000);
  table.tick(4500);
  assert.equal(table.state.workers.size, 0);
  assert.deepEqual(kinds(offer(table, peer)), ["w:heartbeat"]);
});

each("what was dropped for its silence and says anything else is sent away", (peer) => {
  const table = bench();
  offer(table, peer);
  table.tick(4000);
  table.tick(4500);
  const beat = peer.encodeFromWorker({ kind: "heartbeat" });
  assert.deepEqual(kinds(table.raw("w", beat)), ["w:disconnect"]);
});

each(
  "a client that becomes a worker on one connection is out, and its requests with it",
  (peer) => {
    const table = bench();
    asks(table, peer, "x", "hi");
    assert.deepEqual(kinds(offer(table, peer, "x")), ["x:disconnect"]);
    assert.equal(table.state.queued, 0);
    assert.deepEqual(kinds(asks(table, peer, "x", "again")), []);
  },
);

each(
  "a worker that changes its dialect is sent away in the words it came with",
  (peer, dialect) => {
    const table = bench();
    offer(table, peer);
    const other = dialect === "rfc7" ? rfc18 : rfc7;
    const said = table.raw("w", other.encodeFromWorker({ kind: "heartbeat" }));
    assert.deepEqual(kinds(said), ["w:disconnect"]);
    assert.equal(table.state.workers.size, 0);
  },
);

each("READY for mmi.* is sent away, whatever follows the dot", (peer) => {
  for (const service of ["mmi.service", "mmi.x", "mmi."]) {
    assert.deepEqual(kinds(offer(bench(), peer, "w", service)), ["w:disconnect"], service);
  }
});

each("what cannot be read is no sign of life, and costs the peer nothing else", (peer) => {
  const table = bench();
  offer(table, peer);
  const sent = asks(table, peer, "c", "hi");
  const [first = empty] = peer.encodeFromWorker({ kind: "heartbeat" });
  assert.deepEqual(kinds(table.raw("w", [first, text("nonsense")])), []);
  assert.deepEqual(kinds(answers(table, peer, addressOf(sent))), ["c:final"]);
  table.pass(3900);
  table.raw("w", [first, text("nonsense")]);
  table.tick(4000);
  table.tick(4500);
  assert.equal(table.state.workers.size, 0);
});

each("mmi is answered without a body, and 501 where it is not known", (peer) => {
  const { raw } = bench();
  const ask = (service: string, ...body: readonly string[]) =>
    bodies(
      raw("c", peer.encodeFromClient({ kind: "request", service, body: body.map(text) })),
    ).join();
  assert.equal(ask("mmi.services"), "");
  assert.equal(ask("mmi.service"), "404");
  assert.equal(ask("mmi.service", "mmi.service"), "404");
  assert.equal(ask("mmi.nothing"), "501");
  assert.equal(ask("mmi."), "501");
  assert.match(ask("mmi.broker"), /^\{/);
});

each("frames of a body keep number, order and emptiness on both ways", (peer) => {
  const table = bench();
  offer(table, peer);
  const sent = asks(table, peer, "c", "a", "", "b");
  const wanted = ["a", "", "b"];
  const framesOf = (said: ReturnType<Bench["raw"]>) =>
    said
      .flatMap((one) => ("body" in one ? one.body : []))
      .map((frame) => Buffer.from(frame).toString());
  assert.deepEqual(framesOf(sent), wanted);
  const client = addressOf(sent);
  const body = wanted.map(text);
  const back = table.raw("w", peer.encodeFromWorker({ kind: "final", client, body }));
  assert.deepEqual(framesOf(back), wanted);
});

each("several requests of one client are taken, and answered as they are done", (peer) => {
  const table = bench();
  offer(table, peer, "w");
  offer(table, peer, "v");
  const [one, two] = [asks(table, peer, "c", "1"), asks(table, peer, "c", "2")];
  assert.deepEqual([...kinds(one), ...kinds(two)], ["w:request", "v:request"]);
  assert.deepEqual(bodies(answers(table, peer, addressOf(two), "two", "v")), ["two"]);
  assert.deepEqual(bodies(answers(table, peer, addressOf(one), "one", "w")), ["one"]);
});

each("expiry, refusal and loss are silence for a client without words for them", (peer) => {
  const table = bench({ queueMax: 1 });
  assert.deepEqual(kinds(asks(table, peer, "c", "1")), []);
  assert.deepEqual(kinds(asks(table, peer, "c", "2")), []);
  assert.deepEqual(kinds(table.tick(31_000)), []);
  offer(table, peer);
  asks(table, peer, "c", "3");
  assert.deepEqual(kinds(table.gone("w")), []);
  const { expired, noService, requestsLost } = table.state.counters;
  assert.deepEqual([expired + noService, requestsLost], [1, 1]);
});

each("a request that waits for a busy worker expires too", (peer) => {
  const table = bench();
  offer(table, peer);
  asks(table, peer, "c", "1");
  asks(table, peer, "c", "2");
  for (let ms = 1000; ms <= 31_000; ms += 1000) table.tick(ms);
  assert.equal(table.state.queued, 0);
  assert.equal(table.state.dispatched, 1);
});

each("a worker's refusal is the service's answer for a client without errors", (peer) => {
  const table = bench();
  table.ready("w");
  const sent = asks(table, peer, "c", "1");
  const error = text('{"code":"BUSY"}');
  const head = table.headOf(idOf(sent), 0);
  const said = table.workerSays("w", { kind: "error", service: "echo", head, error });
  assert.deepEqual(bodies(said), ['{"success":false,"error":{"code":"BUSY"}}']);
  assert.deepEqual(kinds(said), ["c:final"]);
});

each(
  "parts reach a client that knows them, and are joined for one that does not",
  (peer, dialect) => {
    const table = bench({ messageBytesMax: 4000 });
    table.ready("w");
    const id = idOf(asks(table, peer, "c", "1"));
    const parts = [table.reply("w", id, "partial", "a"), table.reply("w", id, "partial", "b")];
    const last = table.reply("w", id, "final", "z");
    const framesOf = (said: ReturnType<Bench["raw"]>) =>
      said
        .flatMap((one) => ("body" in one && one.to === "c" ? one.body : []))
        .map((frame) => Buffer.from(frame).toString());
    const { partials } = abilities[dialect];
    assert.deepEqual(parts.flatMap(framesOf), partials ? ["a", "b"] : []);
    assert.deepEqual(framesOf(last), partials ? ["z"] : ["a", "b", "z"]);
  },
);

each(
  "the address a worker sees is eight bytes of the broker's, another for each dispatch",
  (peer) => {
    const table = bench({}, {});
    offer(table, peer);
    const seen = new Set<string>();
    for (let round = 0; round < 20; round += 1) {
      const client = addressOf(asks(table, peer, "c", "1"));
      assert.equal(client.length, 8);
      seen.add(Buffer.from(client).toString("hex"));
      answers(table, peer, client);
    }
    assert.equal(seen.size, 20);
  },
);

each("an answer that comes twice is heard once", (peer) => {
  const table = bench();
  offer(table, peer);
  const client = addressOf(asks(table, peer, "c", "1"));
  asks(table, peer, "c", "2");
  assert.deepEqual(kinds(answers(table, peer, client)), ["c:final", "w:request"]);
  assert.deepEqual(kinds(answers(table, peer, client)), []);
});

each("the broker beats to a worker idle and busy, where it has said nothing else", (peer) => {
  const table = bench();
  offer(table, peer);
  assert.deepEqual(kinds(table.tick(1000)), ["w:heartbeat"]);
  asks(table, peer, "c", "1");
  assert.deepEqual(kinds(table.tick(1250)), []);
  assert.deepEqual(kinds(table.tick(2250)), ["w:heartbeat"]);
});

each("a request is repeated where the policy says so, unless a part went out", (peer, dialect) => {
  const policies = { echo: { retry: "if-lost", attemptsMax: 2 } } as const;
  const table = bench({ policies });
  offer(table, peer, "w");
  const first = addressOf(asks(table, peer, "c", "1"));
  offer(table, peer, "v");
  const again = table.gone("w");
  assert.deepEqual(kinds(again), ["v:request"]);
  assert.notDeepEqual(addressOf(again), first);
  if (!abilities[dialect].partials) return;
  const client = addressOf(again);
  table.raw("v", peer.encodeFromWorker({ kind: "partial", client, body: [text("a")] }));
  offer(table, peer, "u");
  assert.deepEqual(kinds(table.gone("v")), []);
});

test("a deadline of no time at all is over on arrival", () => {
  const table = bench();
  table.ready("w");
  assert.deepEqual(kinds(table.ask("c", 1, "echo", 0)), ["c:error"]);
});

test("parts are paced towards a worker of ours though the client asked for parts alone", () => {
  const table = bench();
  table.ready("w");
  const [order] = table.ask("c", 1, "echo", 5000, plant.flag.partials);
  assert.ok(order !== undefined && "head" in order);
  assert.equal(order.head.flags, plant.flag.partials | plant.flag.credit);
});
