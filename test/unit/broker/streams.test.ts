// Replies in parts: credit end to end, slow readers, workers that are paused. It must not know
// sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { plant } from "../../../src/mdp/mdp.ts";
import {
  addressOf,
  type Bench,
  bench,
  codeOf,
  idOf,
  kinds,
  type Said,
} from "../../fakes/broker.ts";
import { rfc18 } from "../../fakes/foreign-peers.ts";

const { partials, credit } = plant.flag;
const paced = partials | credit;
const window = plant.creditAtStart;
const text = (value: string) => Buffer.from(value);
const large = { messageBytesMax: 16_777_216 };

/** A worker of RFC 18 at work for a client of ours; `part` sends one part. */
function foreignStream(broker: Bench, flags: number, bytes = 1) {
  broker.raw("w", rfc18.encodeFromWorker({ kind: "ready", service: "echo" }));
  const client = addressOf(broker.ask("c", 1, "echo", 3_600_000, flags));
  const body = [Buffer.alloc(bytes)];
  return {
    part: () => broker.raw("w", rfc18.encodeFromWorker({ kind: "partial", client, body })),
    final: () => broker.raw("w", rfc18.encodeFromWorker({ kind: "final", client, body })),
  };
}

/** A worker of ours at work for a client of RFC 18. */
function ownStream(broker: Bench, bytes = 1) {
  broker.ready("w");
  const asked = { kind: "request", service: "echo", body: [text("go")] } as const;
  const order = broker.raw("c", rfc18.encodeFromClient(asked));
  const id = idOf(order);
  const words = "x".repeat(bytes);
  return { order, part: () => broker.reply("w", id, "partial", words) };
}

function times(count: number, act: () => readonly Said[]): string[] {
  return Array.from({ length: count }, () => kinds(act())).flat();
}

const others = (said: readonly string[]) => said.filter((one) => one !== "c:partial");

test("between peers that know credit it passes through", () => {
  const { ready, ask, reply, credit: grant } = bench();
  ready("w");
  const order = ask("c", 1, "echo", 5000, paced);
  const id = idOf(order);
  assert.deepEqual(
    times(window, () => reply("w", id, "partial")),
    Array(window).fill("c:partial"),
  );
  const [told] = grant("c", 1, 100);
  assert.ok(told?.kind === "credit" && "head" in told);
  assert.deepEqual([told.to, told.credit, told.head.id], ["w", 100, id]);
});

test("for a client that knows no credit the broker grants it, in halves", () => {
  const broker = bench(large);
  const { order, part } = ownStream(broker);
  const [request] = order;
  assert.ok(request?.kind === "request" && "head" in request);
  assert.equal(request.head.flags & credit, credit, "the worker is paced");
  const half = window / 2;
  assert.deepEqual(others(times(half - 1, part)), []);
  assert.deepEqual(others(times(1, part)), ["w:credit"]);
  assert.deepEqual(others(times(half, part)), ["w:credit"]);
});

test("the broker grants by bytes where parts are large", () => {
  const { part } = ownStream(bench(large), plant.creditBytes / 4);
  assert.deepEqual(others(times(4, part)), ["w:credit", "w:credit"]);
});

test("a slow client gets no credit from the broker until it reads", () => {
  const broker = bench(large);
  const { part } = ownStream(broker);
  broker.happen("slow", "c");
  assert.deepEqual(others(times(window, part)), []);
  assert.deepEqual(kinds(broker.happen("drained", "c")), ["w:credit"]);
});

test("a slow reader slows its own stream and nobody else's", () => {
  const broker = bench(large);
  broker.ready("w", "echo", 2);
  const flags = partials;
  const slow = idOf(broker.ask("c", 1, "echo", 3_600_000, flags));
  const quick = idOf(broker.ask("d", 1, "echo", 3_600_000, flags));
  broker.happen("slow", "c");
  const half = window / 2;
  assert.deepEqual(others(times(half, () => broker.reply("w", slow, "partial"))), []);
  const said = times(half, () => broker.reply("w", quick, "partial"));
  assert.deepEqual(said.at(-1), "w:credit");
});

test("a foreign worker is paused when its client's credit is used up, and resumed by more", () => {
  const broker = bench();
  const { part } = foreignStream(broker, paced);
  assert.deepEqual(others(times(window, part)), ["w:pause"]);
  assert.deepEqual(kinds(part()), ["c:partial"], "what was read already is passed on");
  assert.deepEqual(kinds(broker.credit("c", 1, 1)), [], "that part is to be paid for first");
  assert.deepEqual(kinds(broker.credit("c", 1, 1)), ["w:resume"]);
});

test("a foreign worker is paused after so many bytes, too", () => {
  const broker = bench(large);
  const { part } = foreignStream(broker, paced, plant.creditBytes / 2);
  assert.deepEqual(times(2, part), ["c:partial", "c:partial", "w:pause"]);
  assert.deepEqual(kinds(broker.credit("c", 1, 1)), ["w:resume"]);
});

test("a foreign worker is paused while its client is slow", () => {
  const broker = bench();
  const { part } = foreignStream(broker, partials);
  broker.happen("slow", "c");
  assert.deepEqual(times(2, part), ["c:partial", "w:pause", "c:partial"]);
  assert.deepEqual(kinds(broker.happen("drained", "c")), ["w:resume"]);
});

test("a worker of ours that ignores credit is paused", () => {
  const { ready, ask, reply, credit: grant } = bench();
  ready("w");
  const id = idOf(ask("c", 1, "echo", 5000, paced));
  assert.deepEqual(others(times(window + 1, () => reply("w", id, "partial"))), ["w:pause"]);
  assert.deepEqual(kinds(grant("c", 1, 5)), ["w:credit", "w:resume"]);
});

test("the end of a stream resumes its worker", () => {
  const ends: ((broker: Bench, final: () => readonly Said[]) => readonly Said[])[] = [
    (_, final) => final(),
    (broker) => broker.cancel("c", 1),
    (broker) => broker.gone("c"),
    (broker) => broker.tick(3_600_000),
  ];
  for (const end of ends) {
    const broker = bench({ busyTimeoutMs: 7_200_000 });
    const { part, final } = foreignStream(broker, paced);
    times(window, part);
    assert.equal(kinds(end(broker, final)).includes("w:resume"), true);
  }
});

test("a paused worker is not judged silent; its stream is cut after the busy timeout", () => {
  const broker = bench({ policies: { echo: { busyTimeoutMs: 10_000 } } });
  const { part } = foreignStream(broker, paced);
  times(window, part);
  for (let ms = 250; ms < 10_000; ms += 250) assert.equal(codeOf(broker.tick(ms)), undefined);
  const said = broker.tick(10_000);
  assert.equal(codeOf(said), "LIMIT_REACHED");
  assert.equal(kinds(said).includes("w:resume"), true);
  assert.deepEqual([broker.state.workers.size, broker.state.counters.streamsCut], [1, 1]);
  assert.deepEqual(kinds(part()), [], "nobody waits for its parts any more");
  broker.tick(20_000);
  broker.tick(20_250);
  assert.equal(broker.state.workers.size, 0, "it is watched again");
});

test("where the transport cannot pause, a stream far beyond its credit is cut", () => {
  const broker = bench();
  const { part } = foreignStream(broker, paced);
  times(window, part);
  broker.happen("unpausable", "w");
  assert.deepEqual(others(times(4 * window, part)), []);
  assert.equal(codeOf(part()), "LIMIT_REACHED");
  assert.deepEqual(kinds(part()), []);
});

test("where the transport cannot pause, a client whose queue overflows loses the stream", () => {
  const broker = bench(large);
  const { part } = foreignStream(broker, partials, 1_048_576);
  broker.happen("slow", "c");
  assert.deepEqual(others(times(1, part)), ["w:pause"]);
  broker.happen("unpausable", "w");
  let parts = 1;
  let said = part();
  for (; codeOf(said) === undefined; said = part()) parts += 1;
  assert.equal(codeOf(said), "LIMIT_REACHED");
  assert.ok(parts >= 16 && parts <= 32, `${parts} MiB`);
  assert.equal(broker.state.counters.streamsCut, 1);
});

test("a client that grants and never reads holds nobody up: it gets what one window holds", () => {
  const broker = bench(large);
  const { ready, ask, reply, credit: grant } = broker;
  ready("w", "echo", 2);
  const id = idOf(ask("c", 1, "echo", 3_600_000, paced));
  assert.deepEqual(kinds(grant("c", 1, 65_535)), [], "nothing was sent yet");
  times(100, () => reply("w", id, "partial"));
  const [told] = grant("c", 1, 65_535);
  assert.ok(told?.kind === "credit" && told.credit === 100, "no more than was sent");
  broker.happen("slow", "c");
  assert.deepEqual(others(times(window, () => reply("w", id, "partial"))), [], "no pause");
  assert.deepEqual(kinds(grant("c", 1, 1000)), [], "no credit while it does not read");
  assert.deepEqual(kinds(ask("d", 1)), ["w:request"], "the worker is there for others");
  assert.deepEqual(kinds(broker.happen("drained", "c")), ["w:credit"]);
});

test("a worker of ours is told to stop when its stream is cut", () => {
  const broker = bench(large);
  const { part } = ownStream(broker, 1_048_576);
  broker.happen("slow", "c");
  const said: string[] = [];
  for (let at = 0; at < 40 && !said.includes("w:cancel"); at += 1) said.push(...kinds(part()));
  assert.equal(others(said).at(-1), "w:cancel");
  assert.equal(said.includes("w:pause"), false, "it is heard all the while");
});

test("credit for a request that is over, or that is not paced, reaches nobody", () => {
  const { ready, ask, reply, credit: grant } = bench();
  ready("w");
  const id = idOf(ask("c", 1, "echo", 5000, partials));
  assert.deepEqual(grant("c", 1, 5), []);
  reply("w", id);
  assert.deepEqual(grant("c", 1, 5), []);
});

test("a slow worker gets no more work until it reads", () => {
  const { ready, ask, happen } = bench();
  ready("w", "echo", 4);
  happen("slow", "w");
  assert.deepEqual(ask("c", 1), []);
  assert.deepEqual(kinds(happen("drained", "w")), ["w:request"]);
});

test("a slow worker that finishes one request gets no other", () => {
  const { ready, ask, happen, reply, state } = bench();
  ready("w", "echo", 2);
  const id = idOf(ask("c", 1));
  happen("slow", "w");
  ask("c", 2);
  assert.deepEqual(kinds(reply("w", id)), ["c:final"]);
  assert.equal(state.queued, 1);
});

test("a client that reads no replies is refused further requests, until it reads", () => {
  const { ready, send, happen, workerSays, headOf, mmi } = bench(large);
  ready("w");
  mmi("mmi.services", "", "c");
  happen("slow", "c");
  const body = [Buffer.alloc(1_048_576)];
  const serve = (id: number) => {
    const order = send("c", id, [text("go")]);
    const head = headOf(idOf(order), 0);
    if (head.id > 0) workerSays("w", { kind: "final", service: "echo", head, body });
    return codeOf(order);
  };
  let id = 0;
  while (id < 64 && serve(id) === undefined) id += 1;
  assert.ok(id >= 16 && id <= 32, `${id} MiB`);
  assert.deepEqual(kinds(send("d", 1, [text("go")])), ["w:request"], "others are served");
  happen("drained", "c");
  assert.equal(codeOf(send("c", 100, [text("go")])), undefined);
});

test("a client that leaves seven eighths of its queue unread, in small replies, is refused", () => {
  const { ready, ask, reply, happen, mmi } = bench();
  ready("w");
  mmi("mmi.services", "", "c");
  happen("slow", "c"); // half of 16,384
  let unread = 0;
  for (; unread < 16_384; unread += 1) {
    const order = ask("c", unread);
    if (codeOf(order) !== undefined) break;
    reply("w", idOf(order));
  }
  assert.equal(unread, 6145);
  assert.deepEqual(kinds(ask("d", 1)), ["w:request"], "others are served");
});
