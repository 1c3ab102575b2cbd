// The gateway's side of the protocol, rule by rule.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { BatchRecord, Body } from "../../../src/batch/batch.ts";
import { onLine, type StorePosition, standing } from "../../../src/sync/lineage.ts";
import { dueMs, step } from "../../../src/sync/protocol.ts";
import {
  type DownMessage,
  initialState,
  type SyncEffect,
  type SyncInput,
} from "../../../src/sync/sync-state.ts";

const e1 = "1".repeat(32);
const e2 = "2".repeat(32);
const settings = {
  batchRecordsMax: 10,
  batchAgeMs: 250,
  windowMax: 2,
  resendMs: 2000,
  helloMs: 300_000,
  readWaitMs: 10_000,
  version: "1",
};
const lineage = [
  { epoch: e1, parent: null, cuts: {} },
  { epoch: e2, parent: e1, cuts: { state: 20 } },
];
const position: StorePosition = {
  lineage,
  streams: { state: { first: 1, head: 50, watermark: 30 } },
};

/** A gateway under test: its state, its clock and what it did. */
function gateway(known: { centre?: string } = {}) {
  const state = initialState(settings, { ...known, generation: 7, keySet: 1 });
  let nowMs = 1000;
  let count = 0;
  const take = (input: SyncInput): SyncEffect[] =>
    step(state, input, {
      nowMs,
      nonce: () => {
        count += 1;
        return `nonce-${count}`;
      },
    });
  const down = (message: object) => take({ kind: "message", message: message as DownMessage });
  const welcome: Body<"welcome"> = {
    centre: "c",
    generations: { [e1]: 8, [e2]: 9 },
    positions: { [e1]: { state: 20 }, [e2]: { state: 30 } },
    serverTime: 0,
  };
  return {
    state,
    take,
    down,
    welcome,
    later(ms: number) {
      nowMs += ms;
      return take({ kind: "tick" });
    },
    /** Connects and greets; returns the nonce. */
    greet(at: StorePosition = position): string {
      take({ kind: "connected", window: 10 });
      const effects = take({ kind: "position", position: at });
      const hello = effects.find((effect) => effect.kind === "hello");
      assert.ok(hello?.kind === "hello");
      return hello.nonce;
    },
    /** Opens the gate; returns the effects. */
    open(change: Partial<Body<"welcome">> = {}): SyncEffect[] {
      const nonce = this.greet();
      return down({ type: "welcome", nonce, body: { ...welcome, ...change } });
    },
    /** The store answers the read of a stream with lines. */
    answer(effects: SyncEffect[], count: number, more: { epoch?: string } = {}): SyncEffect[] {
      const found = effects.find((effect) => effect.kind === "read" && effect.stream === "state");
      assert.ok(found?.kind === "read", "no read of the stream state");
      const records = Array.from({ length: count }, (_, at): BatchRecord => {
        return { sequence: found.after + 1 + at, kind: "line", text: "x" };
      });
      const { id, stream } = found;
      return take({
        kind: "records",
        answer: { id, stream, epoch: more.epoch ?? e2, records, head: 90 },
      });
    },
    ack: (sequence: number, nonce = "nonce-1") =>
      down({
        type: "ack",
        nonce,
        body: { centre: "c", epoch: e2, stream: "state", sequence, serverTime: 0 },
      }),
  };
}

const kindsOf = (effects: readonly SyncEffect[]) => effects.map(({ kind }) => kind);
const batchOf = (effects: readonly SyncEffect[]) => {
  const found = effects.find((effect) => effect.kind === "batch");
  return found?.kind === "batch" ? found.batch : undefined;
};

test("each connection asks the store where it stands, then greets with what it said", () => {
  const { take } = gateway({ centre: "c" });
  assert.deepEqual(kindsOf(take({ kind: "connected", window: 10 })), [
    "cancel-reads",
    "ask-position",
  ]);
  const effects = take({ kind: "position", position });
  const hello = effects.find((effect) => effect.kind === "hello");
  assert.deepEqual(hello?.kind === "hello" && hello.body, {
    centre: "c",
    version: "1",
    lineage,
    streams: {
      event: { first: 1, last: 0, watermark: 0 },
      state: { first: 1, last: 50, watermark: 30 },
      log: { first: 1, last: 0, watermark: 0 },
      metric: { first: 1, last: 0, watermark: 0 },
    },
    generation: 7,
    keySet: 1,
  });
});

test("nothing is read before the welcome of this greeting, and nothing from below counts", () => {
  const g = gateway();
  const nonce = g.greet();
  assert.deepEqual(kindsOf(g.ack(40, nonce)), ["ignored"]);
  assert.deepEqual(kindsOf(g.down({ type: "welcome", nonce: "other", body: g.welcome })), [
    "ignored",
  ]);
  assert.equal(g.state.isWelcome, false);
  const effects = g.down({ type: "welcome", nonce, body: g.welcome });
  assert.ok(kindsOf(effects).includes("read"));
});

test("a greeting is repeated, more and more slowly, until a welcome comes", () => {
  const g = gateway();
  g.greet();
  assert.deepEqual(kindsOf(g.later(1999)), []);
  assert.deepEqual(kindsOf(g.later(1)), ["ask-position"]);
  assert.deepEqual(kindsOf(g.take({ kind: "position", position })), ["hello"]);
  assert.deepEqual(kindsOf(g.later(3999)), []);
  assert.deepEqual(kindsOf(g.later(1)), ["ask-position"]);
});

test("an open gate is greeted again every few minutes and stays open", () => {
  const g = gateway();
  g.open();
  g.ack(30);
  assert.ok(kindsOf(g.later(settings.helloMs)).includes("ask-position"));
  g.take({ kind: "position", position });
  assert.equal(g.state.isWelcome, true);
});

test("another centre is greeted again before anything goes up", () => {
  const g = gateway({ centre: "former" });
  const effects = g.open();
  assert.ok(!kindsOf(effects).includes("read"));
  assert.equal(g.state.isWelcome, false);
  assert.deepEqual(kindsOf(g.later(1000)), ["ask-position"]);
});

test("a welcome that lacks a generation does not open the gate", () => {
  const g = gateway();
  g.open({ generations: { [e2]: 9 } });
  assert.equal(g.state.isWelcome, false);
});

test("batches name their epoch's generation and that of the head, and the highest is kept", () => {
  const g = gateway();
  const effects = g.open();
  assert.ok(effects.some((e) => e.kind === "generation" && e.generation === 9));
  const batch = batchOf(g.answer(effects, 10));
  assert.equal(batch?.generation, 9);
  assert.equal(batch?.head, 9);
  assert.deepEqual([batch?.first, batch?.last], [31, 40]);
});

test("an epoch nobody knows yet is announced by an empty batch when nothing waits", () => {
  const idle: StorePosition = {
    lineage,
    streams: { state: { first: 1, head: 30, watermark: 30 } },
  };
  const g = gateway();
  const nonce = g.greet(idle);
  const batch = batchOf(g.down({ type: "welcome", nonce, body: g.welcome }));
  assert.deepEqual([batch?.first, batch?.last, batch?.records.length], [31, 30, 0]);
  g.ack(30, nonce);
  assert.equal(g.state.isHeadKnown, true);
});

test("a position in the welcome below the watermark lowers it and rewinds", () => {
  const g = gateway();
  const effects = g.open({ positions: { [e1]: { state: 12 } } });
  assert.ok(effects.some((e) => e.kind === "watermark" && e.sequence === 12));
  assert.ok(effects.some((e) => e.kind === "read" && e.after === 12));
});

test("where the centre stands counts up to the cut of each epoch alone", () => {
  assert.equal(standing(lineage, { [e1]: { state: 25 }, [e2]: {} }, "state"), 20);
  assert.equal(standing(lineage, { [e1]: { state: 15 }, [e2]: { state: 40 } }, "state"), 15);
  assert.equal(standing(lineage, { [e1]: { state: 20 }, [e2]: { state: 40 } }, "state"), 40);
  assert.equal(standing(lineage, {}, "event"), 0);
  const at = { stream: "state", sequence: 25 } as const;
  assert.equal(onLine(lineage, { ...at, epoch: e1 }), 20);
  assert.equal(onLine(lineage, { ...at, epoch: "3".repeat(32) }), undefined);
});

test("an acknowledgement moves the watermark, never past what is stored and never back", () => {
  const g = gateway();
  g.answer(g.open(), 10);
  assert.deepEqual(
    kindsOf(g.ack(91)).filter((kind) => kind === "watermark"),
    [],
  );
  assert.ok(g.ack(40).some((e) => e.kind === "watermark" && e.sequence === 40));
  assert.ok(!kindsOf(g.ack(35)).includes("watermark"));
  assert.equal(g.state.streams.state.watermark, 40);
});

test("no more batches go up than the window allows", () => {
  const g = gateway();
  const second = g.answer(g.answer(g.open(), 10), 10);
  assert.equal(g.state.streams.state.flights.length, 2);
  assert.deepEqual(kindsOf(second), ["batch"]);
  assert.equal(dueMs(g.state), g.state.streams.state.resendAtMs, "waiting for room needs no tick");
  assert.ok(kindsOf(g.ack(40)).includes("read"));
});

test("without an acknowledgement everything is sent again from the watermark, backing off", () => {
  const g = gateway();
  g.answer(g.open(), 10);
  assert.ok(!g.later(1999).some((e) => e.kind === "read" && e.after === 30));
  const again = g.later(1);
  assert.ok(again.some((e) => e.kind === "read" && e.after === 30));
  g.answer(again, 10);
  assert.ok(!kindsOf(g.later(3999)).includes("read"));
  assert.ok(g.later(1).some((e) => e.kind === "read" && e.after === 30));
});

test("a want rewinds and lowers the watermark, at most every five seconds", () => {
  const g = gateway();
  g.answer(g.open(), 10);
  const want = (sequence: number, nonce = "nonce-1") => {
    const body = { centre: "c", epoch: e2, stream: "state", sequence, serverTime: 0 };
    return g.down({ type: "want", nonce, body });
  };
  assert.deepEqual(kindsOf(want(25, "old")), ["ignored"]);
  const effects = want(25);
  assert.ok(effects.some((e) => e.kind === "watermark" && e.sequence === 25));
  assert.ok(effects.some((e) => e.kind === "read" && e.after === 25));
  assert.ok(kindsOf(want(22)).includes("ignored"));
  g.later(1000);
  assert.ok(kindsOf(want(60)).includes("ignored"));
});

test("what an earlier opening sent counts when it arrives after the welcome", () => {
  const g = gateway();
  g.answer(g.open(), 1);
  const effects = g.ack(45);
  assert.ok(effects.some((e) => e.kind === "watermark" && e.sequence === 45));
  assert.ok(effects.some((e) => e.kind === "read" && e.stream === "state" && e.after === 45));
  g.later(settings.helloMs);
  const again = g.take({ kind: "position", position });
  const hello = again.find((effect) => effect.kind === "hello");
  const body = { ...g.welcome, positions: { [e1]: { state: 20 }, [e2]: { state: 49 } } };
  g.down({ type: "welcome", nonce: hello?.kind === "hello" ? hello.nonce : "", body });
  assert.equal(g.state.streams.state.watermark, 49);
});

test("a welcome tells the store anew what the centre holds", () => {
  const marks = gateway()
    .open()
    .filter((effect) => effect.kind === "watermark");
  assert.ok(marks.some((e) => e.stream === "state" && e.sequence === 30 && e.isWelcome));
});

test("a refused batch is split; a record refused alone three times becomes a cover", () => {
  const g = gateway();
  const refuse = (first: number, last: number) => {
    const body = { centre: "c", epoch: e2, stream: "state", first, last, code: "X", serverTime: 0 };
    return g.down({ type: "refuse", nonce: "nonce-1", body });
  };
  g.answer(g.open(), 10);
  assert.ok(kindsOf(refuse(31, 39)).includes("ignored"));
  let effects = refuse(31, 40);
  assert.ok(effects.some((e) => e.kind === "read" && e.after === 30 && e.limit === 5));
  g.answer(effects, 5);
  effects = refuse(31, 35);
  g.answer(effects, 2);
  effects = refuse(31, 32);
  for (let round = 1; round <= 3; round += 1) {
    g.answer(effects, 1);
    assert.equal(kindsOf(refuse(31, 31)).includes("alarm"), round === 3);
    effects = g.later(1000);
  }
  const [cover] = batchOf(g.answer(effects, 1))?.records ?? [];
  assert.equal(cover?.kind, "cover");
  const e3 = "3".repeat(32);
  g.later(settings.helloMs);
  const restored = [lineage[0]!, { epoch: e3, parent: e1, cuts: { state: 20 } }];
  g.take({ kind: "position", position: { ...position, lineage: restored } });
  const { coveredAt } = g.state.streams.state;
  assert.equal(coveredAt.size, 0, "a restored store gave the number to another record");
});

for (const code of ["X", "BATCH_TOO_LARGE"]) {
  test(`a cover counts all that was refused as ${code}, and holds it unless it is too large`, () => {
    const g = gateway();
    const read = g.open().find((effect) => effect.kind === "read" && effect.stream === "state");
    assert.ok(read?.kind === "read");
    g.state.streams.state.coveredAt.set(31, code);
    const record: BatchRecord = { sequence: 31, kind: "cover", to: 35, body: {} };
    const records: BatchRecord[] = [record, { sequence: 36, kind: "line", text: "x" }];
    const answer = { id: read.id, stream: read.stream, epoch: e2, records, head: 90 };
    const sent = batchOf(g.take({ kind: "records", answer }));
    const body = { reason: "refused", count: 5, code, ...(code === "X" ? { record } : {}) };
    assert.deepEqual(sent?.records, [{ ...record, body }, records[1]]);
  });
}

test("a restored store gives numbers out again: a record refused before covers none now", () => {
  for (const isRestored of [false, true]) {
    const g = gateway();
    const e3 = "3".repeat(32);
    const restored = [...lineage.slice(0, 1), { epoch: e3, parent: e1, cuts: { state: 20 } }];
    g.greet();
    g.state.streams.state.coveredAt.set(31, "X");
    g.take({ kind: "disconnected" });
    const now = isRestored ? { ...position, lineage: restored } : position;
    const nonce = g.greet(now);
    const generations = { [e1]: 8, [e2]: 9, [e3]: 10 };
    const positions = { [e1]: { state: 20 }, [e2]: { state: 30 }, [e3]: { state: 30 } };
    const opened = g.down({
      type: "welcome",
      nonce,
      body: { ...g.welcome, generations, positions },
    });
    const sent = batchOf(g.answer(opened, 1, { epoch: isRestored ? e3 : e2 }));
    assert.equal(sent?.records[0]?.kind, isRestored ? "line" : "cover");
  }
});

test("records of an epoch the greeting did not name close the gate", () => {
  const g = gateway();
  const effects = g.answer(g.open(), 10, { epoch: "3".repeat(32) });
  assert.equal(batchOf(effects), undefined);
  assert.equal(g.state.isWelcome, false);
  assert.deepEqual(kindsOf(g.later(1000)), ["ask-position"]);
});

test("a pause stops reading and an end of the pause goes on", () => {
  const g = gateway();
  g.take({ kind: "pause", isPaused: true });
  assert.ok(!kindsOf(g.open()).includes("read"));
  assert.ok(kindsOf(g.take({ kind: "pause", isPaused: false })).includes("read"));
});

test("a loss of the connection closes the gate until the next welcome", () => {
  const g = gateway();
  g.answer(g.open(), 10);
  g.take({ kind: "disconnected" });
  assert.equal(dueMs(g.state), Number.POSITIVE_INFINITY);
  assert.deepEqual(kindsOf(g.ack(40)), ["ignored"]);
  const nonce = g.greet();
  assert.ok(kindsOf(g.down({ type: "welcome", nonce, body: g.welcome })).includes("read"));
});

test("urgent streams are read first", () => {
  const streams = {
    state: { first: 1, head: 50, watermark: 30 },
    event: { first: 1, head: 5, watermark: 0 },
  };
  const g = gateway();
  const nonce = g.greet({ lineage, streams });
  const effects = g.down({ type: "welcome", nonce, body: g.welcome });
  const reads = effects.flatMap((effect) => (effect.kind === "read" ? [effect.stream] : []));
  assert.deepEqual(reads, ["event", "state"]);
});
