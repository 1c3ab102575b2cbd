// Which requests go into a commit: urgent ones first, each writer's own in order, never too many.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Candidate, pick } from "../../../src/journal/pick.ts";

const options = { recordsMax: 1000, requestsMax: 10, isFull: false };

function request(flush: "now" | "group", recordsMax: number, source?: string): Candidate {
  const shape = { stream: "state", flush, recordsMax } as const;
  return source === undefined ? shape : { ...shape, source: { source } };
}

test("a group takes as many as fit, oldest first, and no later one before an earlier one", () => {
  const waiting = [600, 300, 200, 50].map((count) => request("group", count));
  assert.deepEqual(pick(waiting, options), [0, 1]);
  const many = Array.from({ length: 20 }, () => request("group", 1));
  assert.equal(pick(many, options).length, 10);
});

test("what is urgent goes before groups that came first, with a few of them", () => {
  const groups = [300, 150, 100, 20].map((count, at) => request("group", count, `s${at}`));
  assert.deepEqual(pick([...groups, request("now", 1, "one")], options), [0, 1, 4]);
  const large = request("group", 900, "large");
  assert.deepEqual(pick([large, ...groups, request("now", 1, "one")], options), [5]);
});

test("what a writer asked for before goes along with what it wants flushed now", () => {
  const waiting = [
    request("group", 700, "other"),
    request("group", 600, "one"),
    request("now", 1, "one"),
    request("group", 10, "one"),
  ];
  assert.deepEqual(pick(waiting, options), [1, 2]);
});

test("requests without a source keep the order of their stream, not that of others", () => {
  const line: Candidate = { stream: "log", flush: "group", recordsMax: 600 };
  const waiting = [line, request("group", 600), request("now", 1)];
  assert.deepEqual(pick(waiting, options), [1, 2]);
});

test("a writer's earlier request that does not fit keeps its urgent one waiting", () => {
  const waiting = [
    request("group", 800, "one"),
    request("group", 800, "one"),
    request("now", 1, "one"),
  ];
  assert.deepEqual(pick(waiting, options), [0]);
});

test("while room is short, what may use more goes alone", () => {
  const alarm: Candidate = { stream: "event", flush: "now", room: "urgent", recordsMax: 1 };
  const short = { ...options, isFull: true };
  assert.deepEqual(pick([request("now", 1, "one"), alarm], short), [0]);
  assert.deepEqual(pick([alarm, request("now", 1, "one")], short), [0]);
  assert.deepEqual(pick([request("now", 1, "one"), alarm], options), [0, 1]);
});

test("every picked row is whole: random requests of a writer never overtake each other", () => {
  let seed = 7;
  const random = (below: number) => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % below;
  };
  for (let round = 0; round < 500; round += 1) {
    let waiting = Array.from({ length: 1 + random(30) }, () =>
      request(random(5) === 0 ? "now" : "group", 1 + random(400), `s${random(4)}`),
    );
    const went: Candidate[] = [];
    const all = waiting;
    while (waiting.length > 0) {
      const places = pick(waiting, options);
      assert.ok(places.length > 0, `round ${round}: something always goes`);
      assert.ok(places.reduce((sum, at) => sum + waiting[at]!.recordsMax, 0) <= 1000);
      went.push(...places.map((at) => waiting[at]!));
      waiting = waiting.filter((_, at) => !places.includes(at));
    }
    for (const source of ["s0", "s1", "s2", "s3"]) {
      const own = (one: Candidate) => one.source?.source === source;
      assert.deepEqual(went.filter(own), all.filter(own), `round ${round}`);
    }
  }
});
