// The broker's rules, one test each, on its pure step. It must not know sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Frames, plant } from "../../../src/mdp/mdp.ts";
import { seededRandom } from "../../../src/util/random.ts";
import { bench, bodies, codeOf, everybody, idOf, kinds, type Said } from "../../fakes/broker.ts";
import { rfc18 } from "../../fakes/foreign-peers.ts";

const text = (value: string) => Buffer.from(value);

test("a request goes to the worker with the broker's id and comes back with the client's", () => {
  const { ready, ask, reply } = bench();
  assert.deepEqual(kinds(ready("w")), ["w:heartbeat"]);
  const sent = ask("c", 7);
  assert.deepEqual(kinds(sent), ["w:request"]);
  assert.notEqual(idOf(sent), 7);
  const [back] = reply("w", idOf(sent));
  assert.ok(back?.kind === "final" && "head" in back && back.to === "c" && back.head.id === 7);
});

test("the worker hears how much of the deadline is left", () => {
  const { ready, ask, tick } = bench();
  ask("c", 1, "echo", 5000);
  tick(1200);
  const order = ready("w").find(({ kind }) => kind === "request");
  assert.ok(order !== undefined && "head" in order);
  assert.equal(order.head.remainingMs, 3800);
});

test("the worker that was used longest ago is next", () => {
  const { ready, ask, reply } = bench();
  ready("a");
  ready("b");
  const first = ask("c", 1);
  assert.equal(first[0]?.to, "a");
  reply("a", idOf(first));
  assert.equal(ask("c", 2)[0]?.to, "b");
  assert.equal(ask("c", 3)[0]?.to, "a");
});

test("a worker has up to its concurrency at once, and no more", () => {
  const { ready, ask, state } = bench();
  ready("w", "echo", 2);
  ask("c", 1);
  ask("c", 2);
  assert.deepEqual(ask("c", 3), []);
  assert.equal(state.queued, 1);
});

test("clients of one service take turns", () => {
  const { ready, ask, reply } = bench();
  for (const id of [1, 2, 3]) ask("greedy", id);
  ask("modest", 1);
  const order: string[] = [];
  let said = ready("w");
  for (;;) {
    const id = idOf(said);
    if (id < 0) break;
    order.push(...bodies(said.filter(({ kind }) => kind === "request")));
    said = reply("w", id);
  }
  assert.deepEqual(order, ["greedy1", "modest1", "greedy2", "greedy3"]);
});

test("a request nobody ever served ends as NO_SERVICE at its deadline", () => {
  const { ask, tick, state } = bench();
  ask("c", 1, "nowhere", 500);
  assert.deepEqual(tick(499), []);
  assert.equal(codeOf(tick(500)), "NO_SERVICE");
  assert.deepEqual([state.queued, state.wheel.size], [0, 0]);
});

test("a request whose service has had a worker ends as EXPIRED", () => {
  const { ready, ask, tick } = bench();
  ready("w");
  ask("c", 1);
  ask("c", 2, "echo", 300);
  assert.equal(codeOf(tick(300)), "EXPIRED");
});

test("a request without a deadline leaves the queue after the time to live", () => {
  const { ask, tick } = bench();
  ask("c", 1, "echo", plant.noDeadline);
  assert.deepEqual(tick(29_999), []);
  assert.equal(codeOf(tick(30_000)), "NO_SERVICE");
});

test("an idle worker that is silent is dropped wherever it stands in the list", () => {
  const { ready, tick, workerSays, state } = bench();
  for (const peer of ["a", "b", "c"]) ready(peer);
  tick(3000);
  workerSays("a", { kind: "heartbeat" });
  workerSays("c", { kind: "heartbeat" });
  tick(4000);
  tick(4250);
  assert.deepEqual(
    [...state.workers].map(({ peer }) => peer.name),
    ["a", "c"],
  );
  assert.equal(state.counters.workersLost, 1);
});

test("after a standstill of the broker, workers whose beats wait to be read are kept", () => {
  const { ready, tick, workerSays, state } = bench();
  ready("a");
  ready("b");
  tick(20_000);
  workerSays("a", { kind: "heartbeat" });
  tick(20_250);
  assert.deepEqual(
    [...state.workers].map(({ peer }) => peer.name),
    ["a"],
  );
});

test("a worker at work may be silent for the busy timeout; then its client hears of it", () => {
  const { ready, ask, tick } = bench();
  ready("w");
  ask("c", 1, "echo", 3_600_000);
  assert.equal(codeOf(tick(59_999)), undefined);
  assert.equal(codeOf(tick(60_300)), undefined);
  assert.equal(codeOf(tick(60_600)), "WORKER_LOST");
});

test("idle and busy workers hear a heartbeat when nothing else was said", () => {
  const { ready, ask, tick } = bench();
  ready("a");
  ready("b");
  ask("c", 1, "echo", 60_000);
  assert.deepEqual(kinds(tick(500)), []);
  assert.deepEqual(kinds(tick(1000)), ["a:heartbeat", "b:heartbeat"]);
});

test("a worker that is gone loses its requests to WORKER_LOST at once", () => {
  const { ready, ask, gone } = bench();
  ready("w");
  ask("c", 1);
  assert.equal(codeOf(gone("w")), "WORKER_LOST");
});

test("a worker that says DISCONNECT is out; the next one takes what waits", () => {
  const { ready, ask, workerSays } = bench();
  ready("a");
  assert.deepEqual(workerSays("a", { kind: "disconnect" }), []);
  assert.deepEqual(ask("c", 1), []);
  assert.deepEqual(kinds(ready("b")), ["b:heartbeat", "b:request"]);
});

test("a second READY is answered by DISCONNECT, and the worker's request is lost", () => {
  const { ready, ask, state } = bench();
  ready("w");
  ask("c", 1);
  const said = ready("w");
  assert.equal(codeOf(said), "WORKER_LOST");
  assert.deepEqual(kinds(said).at(-1), "w:disconnect");
  assert.equal(state.workers.size, 0);
});

test("READY for mmi.* is answered by DISCONNECT", () => {
  const { ready, state } = bench();
  assert.deepEqual(kinds(ready("w", "mmi.service")), ["w:refused", "w:disconnect"]);
  assert.equal(state.services.size, 0);
});

test("HEARTBEAT before READY is answered by DISCONNECT, in the dialect it came in", () => {
  const { workerSays, raw } = bench();
  const [ours] = workerSays("w", { kind: "heartbeat" });
  assert.equal(ours?.kind, "disconnect");
  assert.deepEqual(kinds(raw("r", rfc18.encodeFromWorker({ kind: "heartbeat" }))), [
    "r:disconnect",
  ]);
});

test("a FINAL from an idle worker is answered by DISCONNECT", () => {
  const { ready, reply } = bench();
  ready("w");
  assert.deepEqual(kinds(reply("w", 100)), ["w:disconnect"]);
});

test("a reply for another worker's request is dropped and counted", () => {
  const { ready, ask, reply, state } = bench();
  ready("a");
  ready("b");
  const first = ask("c", 1);
  ask("c", 2);
  assert.deepEqual(reply("b", idOf(first)), []);
  assert.equal(state.counters.lateReplies, 1);
  assert.deepEqual(kinds(reply("a", idOf(first))), ["c:final"]);
});

test("a late FINAL, after the client gave up, reaches nobody and frees the worker", () => {
  const { ready, ask, cancel, reply } = bench();
  ready("w");
  const sent = ask("c", 1);
  assert.deepEqual(kinds(cancel("c", 1)), ["w:cancel"]);
  assert.deepEqual(reply("w", idOf(sent)), []);
  assert.deepEqual(kinds(ask("c", 2)), ["w:request"]);
});

test("a cancelled request that still waits is never dispatched", () => {
  const { ready, ask, cancel } = bench();
  ask("c", 1);
  cancel("c", 1);
  assert.deepEqual(kinds(ready("w")), ["w:heartbeat"]);
});

test("one client cannot cancel another's request", () => {
  const { ready, ask, cancel } = bench();
  ready("w");
  ask("c", 1);
  assert.deepEqual(cancel("d", 1), []);
});

test("credit travels to the worker, parts travel to a client that wants them", () => {
  const { ready, ask, reply, raw, headOf } = bench();
  ready("w");
  const sent = ask("c", 1, "echo", 5000, plant.flag.partials | plant.flag.credit);
  for (let part = 0; part < 8; part += 1) {
    assert.deepEqual(kinds(reply("w", idOf(sent), "partial")), ["c:partial"]);
  }
  const credit = { kind: "credit", service: "echo", head: headOf(1, 0), credit: 8 } as const;
  const [told] = raw("c", plant.encodeFromClient(credit));
  assert.ok(told?.kind === "credit" && told.credit === 8 && told.to === "w");
});

test("parts nobody wants end at the broker", () => {
  const { ready, ask, reply } = bench();
  ready("w");
  assert.deepEqual(reply("w", idOf(ask("c", 1)), "partial"), []);
});

test("a deadline that passes at a worker frees the client and tells the worker to stop", () => {
  const { ready, ask, tick, reply } = bench();
  ready("w");
  const sent = ask("c", 1, "echo", 900);
  assert.deepEqual(kinds(tick(950)), ["c:error", "w:cancel"]);
  assert.deepEqual(reply("w", idOf(sent)), []);
});

test("the same request id twice at one time is dropped", () => {
  const { ask, state } = bench();
  ask("c", 1);
  assert.deepEqual(ask("c", 1), []);
  assert.deepEqual([state.queued, state.refused.place], [1, 1]);
});

test("a full queue refuses with QUEUE_FULL", () => {
  const { ask } = bench();
  for (const id of [1, 2]) for (const peer of ["c", "d"]) assert.deepEqual(ask(peer, id), []);
  assert.deepEqual(kinds(ask("e", 1)), ["e:error"]);
  assert.equal(codeOf(ask("c", 3)), "QUEUE_FULL");
});

test("one client has a limited number of open requests, waiting and running", () => {
  const { ready, ask } = bench();
  ready("w");
  for (const id of [1, 2, 3, 4, 5]) assert.equal(codeOf(ask("c", id)), undefined);
  assert.equal(codeOf(ask("c", 6)), "LIMIT_REACHED");
});

test("peers are limited; a worker beyond is sent away, a client is told", () => {
  const { ready, ask } = bench({ peersMax: 2 });
  ready("a");
  ready("b");
  assert.deepEqual(kinds(ready("c")), ["c:refused", "c:disconnect"]);
  assert.equal(codeOf(ask("d", 1)), "LIMIT_REACHED");
});

test("services are limited, but one that nobody uses makes room", () => {
  const { ready, ask, workerSays } = bench();
  ready("a", "one");
  ready("b", "two");
  ready("c", "three");
  assert.equal(codeOf(ask("d", 1, "four")), "LIMIT_REACHED");
  assert.deepEqual(kinds(ready("e", "four")), ["e:refused", "e:disconnect"]);
  workerSays("b", { kind: "disconnect" });
  assert.deepEqual(ask("d", 1, "four"), []);
});

test("requests for services nobody offers do not keep a worker out", () => {
  const { ready, ask, state } = bench();
  for (const [at, name] of ["junk1", "junk2", "junk3"].entries()) ask("c", at, name);
  const said = ready("w", "real");
  assert.equal(codeOf(said), "NO_SERVICE");
  assert.deepEqual(kinds(said), ["c:error", "w:heartbeat"]);
  assert.deepEqual([state.queued, state.services.size], [2, 3]);
});

test("a message too large or of too many frames is refused with its size", () => {
  const { raw, headOf } = bench();
  const send = (body: Frames) =>
    codeOf(
      raw(
        "c",
        plant.encodeFromClient({ kind: "request", service: "echo", head: headOf(1, 9), body }),
      ),
    );
  assert.equal(send([Buffer.alloc(1001)]), "MESSAGE_TOO_LARGE");
  assert.equal(send([text("1"), text("2"), text("3"), text("4"), text("5")]), "LIMIT_REACHED");
  assert.equal(send([Buffer.alloc(1000)]), undefined);
});

test("who may not call is DENIED, who may not serve is sent away", () => {
  const mayServe = (principal: string) => principal === "good";
  const { ready } = bench({}, { admits: { ...everybody, mayServe } });
  assert.deepEqual(kinds(ready("bad")), ["bad:refused", "bad:disconnect"]);
  assert.deepEqual(kinds(ready("good")), ["good:heartbeat"]);
  const closed = bench({}, { admits: { ...everybody, mayCall: () => "none" } });
  assert.equal(codeOf(closed.ask("c", 1)), "DENIED");
  assert.deepEqual(bodies(closed.ask("c", 2, "mmi.services")), [""]);
});

test("mmi.service knows busy workers, mmi.services names them, other names are 501", () => {
  const { ready, ask, raw, headOf } = bench();
  ready("w");
  ask("c", 1);
  const about = (service: string, body: string) =>
    bodies(
      raw(
        "c",
        plant.encodeFromClient({
          kind: "request",
          service,
          head: headOf(9, 100),
          body: [text(body)],
        }),
      ),
    )[0];
  assert.equal(about("mmi.service", "echo"), "200");
  assert.equal(about("mmi.service", "nobody"), "404");
  assert.equal(about("mmi.service", ""), "404");
  assert.equal(about("mmi.services", ""), "echo");
  assert.equal(about("mmi.unheard", ""), "501");
  assert.equal(JSON.parse(about("mmi.workers", "")!).workers[0].busy, 1);
  assert.equal(JSON.parse(about("mmi.broker", "")!).dispatched, 1);
});

test("an RFC 18 client and a worker of ours talk to each other", () => {
  const { ready, raw, reply } = bench();
  ready("w");
  const asked = { kind: "request", service: "echo", body: [text("hi")] } as const;
  const order = raw("r", rfc18.encodeFromClient(asked));
  assert.deepEqual(bodies(order), ["hi"]);
  const back = reply("w", idOf(order));
  assert.deepEqual(kinds(back), ["r:final"]);
  assert.deepEqual(bodies(back), ["ok"]);
});

test("a client of ours and an RFC 18 worker talk to each other, one request at a time", () => {
  const { raw, ask, state } = bench();
  raw("r", rfc18.encodeFromWorker({ kind: "ready", service: "echo" }));
  const [order] = ask("c", 1);
  assert.ok(order?.kind === "request" && "client" in order);
  ask("c", 2);
  assert.equal(state.queued, 1);
  const { client } = order;
  const foreign = Buffer.from(client);
  foreign[7]! ^= 0xff;
  assert.deepEqual(
    raw("r", rfc18.encodeFromWorker({ kind: "final", client: foreign, body: [text("no")] })),
    [],
  );
  const said = raw("r", rfc18.encodeFromWorker({ kind: "final", client, body: [text("yes")] }));
  assert.deepEqual(kinds(said), ["c:final", "r:request"]);
});

test("RFC 18 clients hear nothing of expiry and loss, but a worker's refusal is a reply", () => {
  const { raw, ready, gone, tick, workerSays, headOf } = bench();
  const ask = () =>
    raw("r", rfc18.encodeFromClient({ kind: "request", service: "echo", body: [text("hi")] }));
  ask();
  assert.deepEqual(tick(30_000), []);
  ready("w");
  ask();
  assert.deepEqual(gone("w"), []);
  ready("v");
  const id = idOf(ask());
  const error = text('{"code":"NO_SERVICE"}');
  const said = workerSays("v", { kind: "error", service: "echo", head: headOf(id, 0), error });
  assert.deepEqual(bodies(said), ['{"success":false,"error":{"code":"NO_SERVICE"}}']);
});

test("a client that is gone leaves nothing behind", () => {
  const { ask, ready, gone, state } = bench();
  ready("w");
  ask("c", 1);
  ask("c", 2);
  assert.deepEqual(kinds(gone("c")), ["w:cancel"]);
  assert.deepEqual([state.queued, state.wheel.size], [0, 0]);
});

test("what is not MDP is dropped and counted", () => {
  const { raw, state } = bench();
  assert.deepEqual(raw("x", []), []);
  assert.deepEqual(raw("x", [text("GET / HTTP/1.1")]), []);
  assert.equal(state.refused.malformed, 2);
});

test("whatever frames come from whomever, the broker goes on and forgets nobody else", () => {
  const seed = 4711;
  const random = seededRandom(seed);
  const { raw, ready, ask, headOf } = bench();
  ready("w");
  const head = headOf(1, 50, 3);
  const body = [text("x")];
  const good: Frames[] = [
    plant.encodeFromClient({ kind: "request", service: "echo", head, body }),
    plant.encodeFromClient({ kind: "cancel", service: "echo", head }),
    plant.encodeFromWorker({ kind: "ready", service: "other", concurrency: 9 }),
    plant.encodeFromWorker({ kind: "final", service: "echo", head: headOf(101, 0), body }),
    plant.encodeFromWorker({ kind: "error", service: "echo", head, error: text("no JSON") }),
    rfc18.encodeFromClient({ kind: "request", service: "mmi.service", body }),
    rfc18.encodeFromWorker({ kind: "final", client: Buffer.alloc(8, 1), body }),
    rfc18.encodeFromWorker({ kind: "disconnect" }),
  ];
  for (let round = 0; round < 20_000; round += 1) {
    const frames = good[Math.floor(random.unit() * good.length)]!.map((one) => Buffer.from(one));
    const at = Math.floor(random.unit() * frames.length);
    const choice = random.unit();
    if (choice < 0.2) frames.splice(at, 1);
    else if (choice < 0.4) frames.splice(at, 0, Buffer.from(random.bytes(random.unit() * 40)));
    else if (choice < 0.6 && frames[at]!.length > 0) frames[at]![0]! ^= 1 << (round % 8);
    const from = `bad${Math.floor(random.unit() * 3)}`;
    assert.doesNotThrow(() => raw(from, frames), `seed ${seed}, round ${round}`);
  }
  for (const peer of ["bad0", "bad1", "bad2"]) {
    raw(peer, rfc18.encodeFromWorker({ kind: "disconnect" }));
  }
  ready("v", "sound");
  const sent = ask("c", 1, "sound");
  assert.deepEqual(kinds(sent), ["v:request"]);
});

test("what open requests hold is bounded in bytes, for one client and for all", () => {
  const { raw, headOf, state, ready, gone, tick } = bench({ queueMax: 100, peersMax: 100 });
  const send = (peer: string, id: number, bytes: number) => {
    const body = [Buffer.alloc(bytes)];
    const head = headOf(id, 5000);
    const said = raw(
      peer,
      plant.encodeFromClient({ kind: "request", service: "nobody", head, body }),
    );
    const answer = said.find((one) => one.to === peer);
    return answer?.kind === "error" ? JSON.parse(Buffer.from(answer.error).toString()) : undefined;
  };
  assert.equal(send("a", 1, 600), undefined);
  assert.equal(send("a", 2, 400), undefined);
  assert.equal(send("a", 3, 1).detail.limit, "bytes of the open requests of a client");
  for (const peer of ["b", "c", "d"]) assert.equal(send(peer, 1, 1000), undefined);
  assert.equal(send("e", 1, 1).detail.limit, "bytes of all open requests");
  gone("a");
  assert.equal(send("e", 1, 1000), undefined);
  ready("w", "nobody", 2);
  gone("w");
  assert.equal(state.bytes, 2000);
  tick(10_000);
  assert.deepEqual([state.bytes, state.wheel.size], [0, 0]);
});

test("the broker looks soon where something is due, and seldom otherwise", () => {
  const { state, ask, tick, ready } = bench();
  tick(1000);
  assert.equal(state.wakeMs, 2000);
  ask("c", 1, "echo", 60);
  assert.equal(state.wakeMs, 1075);
  tick(1075);
  assert.equal(state.wakeMs, 2000);
  ready("w", "another");
  assert.equal(state.wakeMs, 1325);
  tick(1325);
  assert.equal(state.wakeMs, 1575);
});

test("a broker with long heartbeats and no worker still looks four times in each", () => {
  const { state, tick } = bench({ heartbeatMs: 6000, livenessMs: 12_000 });
  tick(0);
  assert.equal(state.wakeMs, 1500);
});

test("under random traffic nothing is lost: every request ends once, and nothing stays open", () => {
  const seed = 77;
  const random = seededRandom(seed);
  const broker = bench({ queueMax: 50, peersMax: 50, requestsPerPeerMax: 50, servicesMax: 4 });
  const open = new Map<string, number>();
  const work: { peer: string; id: number }[] = [];
  let nowMs = 0;
  let nextId = 1;
  const note = (said: readonly Said[]) => {
    for (const one of said) {
      if (one.kind === "request" && "head" in one) work.push({ peer: one.to, id: one.head.id });
      if (one.kind !== "final" && one.kind !== "error") continue;
      assert.ok("head" in one);
      const key = `${one.to}/${one.head.id}`;
      assert.equal(open.delete(key), true, `seed ${seed}: ${key} ended twice`);
    }
  };
  const pick = (count: number) => Math.floor(random.unit() * count);
  for (let round = 0; round < 5000; round += 1) {
    const choice = pick(10);
    const worker = `w${pick(5)}`;
    if (choice < 4) {
      const client = `c${pick(4)}`;
      open.set(`${client}/${nextId}`, nowMs);
      note(broker.ask(client, nextId, `s${pick(3)}`, 100 + pick(2000)));
      nextId += 1;
    } else if (choice < 7 && work.length > 0) {
      const [job] = work.splice(pick(work.length), 1);
      note(broker.reply(job!.peer, job!.id));
    } else if (choice === 7) note(broker.ready(worker, `s${pick(3)}`, 1 + pick(3)));
    else if (choice === 8) note(broker.gone(worker));
    else {
      nowMs += pick(300);
      note(broker.tick(nowMs));
    }
  }
  for (let more = 0; more < 20; more += 1) {
    nowMs += 4000;
    note(broker.tick(nowMs));
  }
  assert.deepEqual([...open.keys()], [], `seed ${seed}`);
  assert.deepEqual([broker.state.queued, broker.state.wheel.size], [0, 0]);
  for (const { peer, id } of work) note(broker.reply(peer, id));
  assert.deepEqual([broker.state.dispatched, broker.state.bytes], [0, 0], `seed ${seed}`);
});
