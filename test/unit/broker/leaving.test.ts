// How a worker of ours leaves: it gets nothing more, what it has is taken, what it never began
// goes to another. It must not know sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { plant } from "../../../src/mdp/mdp.ts";
import {
  type Bench,
  bench,
  bodies,
  codeOf,
  errorOf,
  foreigners,
  idOf,
  kinds,
} from "../../fakes/broker.ts";

const leave = ({ workerSays }: Bench, peer: string) => workerSays(peer, { kind: "leave" });

function giveBack({ workerSays, headOf }: Bench, peer: string, id: number, words: string) {
  const body = [Buffer.from(words)];
  return workerSays(peer, { kind: "returned", service: "echo", head: headOf(id, 0), body });
}

test("a worker that leaves and has nothing is let go at once, and heard no more", () => {
  const it = bench();
  it.ready("w");
  assert.deepEqual(kinds(leave(it, "w")), ["w:disconnect"]);
  assert.deepEqual([it.state.workers.size, it.mmi("mmi.service", "echo")], [0, "404"]);
  assert.deepEqual(it.ready("w"), []);
  assert.equal(it.state.refused.banned, 1);
});

test("a worker that leaves gets nothing more, and its replies are still taken", () => {
  const it = bench();
  it.ready("w", "echo", 3);
  const first = idOf(it.ask("c", 1, "echo", 5000, plant.flag.partials));
  const second = idOf(it.ask("c", 2));
  assert.deepEqual(leave(it, "w"), []);
  assert.deepEqual(it.ask("c", 3), []);
  assert.equal(it.mmi("mmi.service", "echo"), "404");
  assert.deepEqual(kinds(it.reply("w", first, "partial")), ["c:partial"]);
  assert.deepEqual(kinds(it.reply("w", first)), ["c:final"]);
  it.happen("slow", "w");
  assert.deepEqual(it.happen("drained", "w"), []);
  assert.deepEqual(kinds(it.reply("w", second)), ["c:final", "w:disconnect"]);
  assert.deepEqual(bodies(it.ready("v").filter(({ kind }) => kind === "request")), ["c3"]);
  assert.deepEqual([it.state.counters.requestsLost, it.state.counters.workersLost], [0, 0]);
});

test("what a leaving worker never began goes to another, in the old order and in front", () => {
  const it = bench({ queueMax: 9, requestsPerPeerMax: 9 });
  it.ready("w", "echo", 3);
  const ids = [1, 2, 3].map((id) => idOf(it.ask("c", id)));
  it.ask("c", 4);
  leave(it, "w");
  for (const at of [2, 1]) giveBack(it, "w", ids[at] ?? 0, `c${at + 1}`);
  assert.deepEqual(kinds(it.reply("w", ids[0] ?? 0)), ["c:final", "w:disconnect"]);
  const order: string[] = [];
  let said = it.ready("v");
  for (let id = idOf(said); id > 0; id = idOf(said)) {
    order.push(...bodies(said.filter(({ kind }) => kind === "request")));
    said = it.reply("v", id);
  }
  assert.deepEqual(order, ["c2", "c3", "c4"]);
  const { counters, bytes, queued, dispatched } = it.state;
  assert.deepEqual(
    [counters.returned, counters.retries, bytes, queued, dispatched],
    [2, 0, 0, 0, 0],
  );
});

test("a request given back goes to an idle worker at once, by another id, and no attempt is lost", () => {
  for (const retry of ["never", "if-lost"] as const) {
    const it = bench({ policies: { echo: { retry, attemptsMax: 1 } } });
    it.ready("w");
    const first = it.ask("c", 1);
    it.ready("v");
    leave(it, "w");
    const again = giveBack(it, "w", idOf(first), "c1");
    assert.deepEqual(kinds(again), ["v:request", "w:disconnect"], retry);
    assert.deepEqual([bodies(again)[0], it.state.counters.requestsLost], ["c1", 0]);
    assert.notEqual(idOf(again), idOf(first));
    assert.deepEqual(kinds(it.reply("v", idOf(again))), ["c:final"]);
    assert.equal(it.state.bytes, 0);
  }
});

test("what was begun, or is another body, does not come back: its client hears WORKER_LOST", () => {
  const it = bench();
  it.ready("w", "echo", 2);
  const begun = idOf(it.ask("c", 1, "echo", 5000, plant.flag.partials));
  const other = idOf(it.ask("c", 2));
  it.reply("w", begun, "partial");
  leave(it, "w");
  assert.equal(codeOf(giveBack(it, "w", begun, "c1")), "WORKER_LOST");
  assert.equal(codeOf(giveBack(it, "w", other, "longer")), "WORKER_LOST");
  assert.deepEqual([it.state.queued, it.state.counters.returned], [0, 0]);
});

test("a request given back that nobody waits for is over; one whose time is over expires", () => {
  const it = bench();
  it.ready("w", "echo", 2);
  const given = idOf(it.ask("c", 1));
  const late = idOf(it.ask("c", 2, "echo", 500));
  leave(it, "w");
  it.cancel("c", 1);
  assert.deepEqual(giveBack(it, "w", given, "c1"), []);
  it.ready("v");
  it.pass(600);
  assert.deepEqual(kinds(giveBack(it, "w", late, "c2")), ["c:error", "w:disconnect"]);
  assert.deepEqual([it.state.queued, it.state.bytes], [0, 0]);
});

test("what finds no room when it comes back is refused, not lost", () => {
  const it = bench({ requestsPerPeerMax: 9 });
  it.ready("w", "echo", 2);
  const large = Buffer.alloc(600);
  const ids = [1, 2].map((id) => idOf(it.send("c", id, [large])));
  leave(it, "w");
  const said = ids.flatMap((id) => giveBack(it, "w", id, large.toString()));
  assert.equal(codeOf(said), "LIMIT_REACHED");
  assert.equal(errorOf(said)?.detail.limit, "bytes of the open requests of a client");
  assert.deepEqual([it.state.queued, it.state.bytes, it.state.refused.bytes], [1, 600, 1]);
});

test("LEAVE before READY, LEAVE twice, and giving back without leaving are out of place", () => {
  const early = bench();
  assert.deepEqual(kinds(leave(early, "w")), ["w:disconnect"]);
  const twice = bench();
  twice.ready("w");
  twice.ask("c", 1);
  leave(twice, "w");
  assert.deepEqual(kinds(leave(twice, "w")), ["c:error", "w:disconnect"]);
  const staying = bench();
  staying.ready("w");
  const id = idOf(staying.ask("c", 1));
  assert.deepEqual(kinds(giveBack(staying, "w", id, "c1")), ["c:error", "w:disconnect"]);
  assert.equal(staying.state.refused.place, 1);
});

test("a leaving worker that breaks off, or is silent at work, loses what it still has", () => {
  const it = bench({ policies: { echo: { busyTimeoutMs: 5000 } } });
  it.ready("w");
  it.ask("c", 1);
  leave(it, "w");
  assert.equal(codeOf(it.gone("w")), "WORKER_LOST");
  it.ready("v");
  it.ask("c", 2, "echo", 60_000);
  leave(it, "v");
  it.tick(5000);
  assert.equal(codeOf(it.tick(5250)), "WORKER_LOST");
});

test("the DISCONNECT of any worker means what RFC 18 says: what it has is lost at once", () => {
  const it = bench();
  it.ready("w");
  it.ask("c", 1);
  assert.equal(codeOf(it.workerSays("w", { kind: "disconnect" })), "WORKER_LOST");
  for (const [dialect, peer] of foreigners) {
    const other = bench();
    other.raw("w", peer.encodeFromWorker({ kind: "ready", service: "echo" }));
    other.ask("c", 1);
    const said = other.raw("w", peer.encodeFromWorker({ kind: "disconnect" }));
    assert.equal(codeOf(said), "WORKER_LOST", dialect);
  }
});

test("a request given back has all its attempts left, and lies in memory of its own", () => {
  const it = bench({ policies: { echo: { retry: "if-lost", attemptsMax: 2 } } });
  it.ready("w");
  const given = idOf(it.ask("c", 1));
  leave(it, "w");
  giveBack(it, "w", given, "c1");
  it.ready("v");
  it.gone("v");
  assert.deepEqual(kinds(it.ready("u")), ["u:heartbeat", "u:request"]);
  const once = bench();
  once.ready("w");
  const id = idOf(once.ask("c", 1));
  leave(once, "w");
  giveBack(once, "w", id, "c1");
  const [body] = once.state.services.get("echo")?.turns.first?.waiting.first?.body ?? [];
  assert.equal(body?.buffer.byteLength, 2);
});
