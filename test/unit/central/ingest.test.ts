// The rules of ingest: verify, gate, order, apply once, acknowledge, want, refuse, orphan.
// It must not know MQTT or disks.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { BatchRecord } from "../../../src/batch/batch.ts";
import { listGaps, listValues, readHistory } from "../../../src/central/fleet.ts";
import { seededRandom } from "../../../src/util/random.ts";
import {
  defineRecord,
  epochId,
  fakeGateway,
  hear,
  pointRecord,
  stampAt,
} from "../../fakes/gateway.ts";
import { type Bench, greet, openBench } from "./bench.ts";

const a = epochId("a");
const b = epochId("b");
const c = epochId("c");
const alone = (epoch: string) => [{ epoch, parent: null, cuts: {} }];

function openWithGateway() {
  const bench = openBench();
  const gateway = fakeGateway("gw-1");
  bench.enrol(gateway);
  return { bench, gateway };
}

function latest(bench: Bench, device = "gw-1"): Record<string, unknown> {
  return Object.fromEntries(listValues(bench.state, device).map(({ key, value }) => [key, value]));
}

function history(bench: Bench, query: { key?: string; isReverse?: boolean } = {}) {
  return readHistory(bench.state, "gw-1", { stream: "state", limit: 1000, ...query }).records;
}

const sequences = (bench: Bench) => history(bench).map(({ sequence }) => sequence);

test("a greeting is answered under its nonce with a generation per epoch, ancestors first", () => {
  const { bench, gateway } = openWithGateway();
  const lineage = [...alone(a), { epoch: b, parent: a, cuts: { state: 7 } }];
  const [answer] = bench.feed(gateway.hello(lineage, { generation: 2_000_000 }));
  assert.equal(answer?.type, "welcome");
  assert.equal(bench.heard[0]!.nonce, gateway.nonce);
  assert.deepEqual(answer.generations, { [a]: 2_000_001, [b]: 2_000_002 });
  assert.deepEqual(answer.positions[b], { state: 7 });
});

test("no greeting uses up the numbers there are", () => {
  const { bench, gateway } = openWithGateway();
  for (const [at, id] of [a, b, c].entries()) {
    const claim = Number.MAX_SAFE_INTEGER - at;
    const [answer] = bench.feed(gateway.hello(alone(id), { generation: claim }));
    assert.ok(answer?.type === "welcome");
    assert.deepEqual(answer.generations, { [id]: bench.now + 1 + at });
  }
});

test("a known epoch keeps its generation, after a restart of the centre too", () => {
  const { bench, gateway } = openWithGateway();
  const first = greet(bench, gateway, alone(a));
  bench.restart();
  bench.now += 5000;
  assert.deepEqual(greet(bench, gateway, alone(a)).generations, first.generations);
});

test("a batch is applied, kept in history, shown as latest, and acknowledged", () => {
  const { bench, gateway } = openWithGateway();
  greet(bench, gateway, alone(a));
  const records = [defineRecord(1, 0, "level"), pointRecord(2, 0, 5), pointRecord(3, 0, 6)];
  const [ack] = bench.feed(gateway.batch({ epoch: a }, records));
  assert.partialDeepStrictEqual(ack, { type: "ack", epoch: a, stream: "state", sequence: 3 });
  assert.deepEqual(latest(bench), { level: 6 });
  assert.deepEqual(sequences(bench), [1, 2, 3]);
  assert.equal(bench.state.counters.records_applied, 3);
});

test("a correction of times is applied like any record: acknowledged, and no value of its own", () => {
  const { bench, gateway } = openWithGateway();
  greet(bench, gateway, alone(a));
  const body = { boot: "b".repeat(32), offsetMs: 1_700_000_000_000, from: 1, to: 2, sync: "ntp" };
  const correction: BatchRecord = { sequence: 3, kind: "correction", body };
  const records = [defineRecord(1, 0, "level"), pointRecord(2, 0, 5), correction];
  const [ack] = bench.feed(gateway.batch({ epoch: a }, records));
  assert.partialDeepStrictEqual(ack, { type: "ack", sequence: 3 });
  const [next] = bench.feed(gateway.batch({ epoch: a }, [pointRecord(4, 0, 6)]));
  assert.partialDeepStrictEqual(next, { type: "ack", sequence: 4 });
  assert.deepEqual(latest(bench), { level: 6 });
});

test("a batch applied before is acknowledged again and changes nothing", () => {
  const { bench, gateway } = openWithGateway();
  greet(bench, gateway, alone(a));
  const batch = gateway.batch({ epoch: a }, [defineRecord(1, 0, "level"), pointRecord(2, 0, 5)]);
  bench.feed(batch);
  const rows = new Map(bench.shelf.rows);
  bench.restart();
  const [ack] = bench.feed(batch);
  assert.partialDeepStrictEqual(ack, { type: "ack", sequence: 2 });
  assert.deepEqual(bench.shelf.rows, rows);
});

test("of a batch that overlaps what is applied only the rest is applied", () => {
  const { bench, gateway } = openWithGateway();
  greet(bench, gateway, alone(a));
  const records = [defineRecord(1, 0, "level"), ...[2, 3, 4].map((n) => pointRecord(n, 0, n))];
  bench.feed(gateway.batch({ epoch: a }, records.slice(0, 3)));
  bench.feed(gateway.batch({ epoch: a }, records.slice(1)));
  assert.deepEqual(sequences(bench), [1, 2, 3, 4]);
  assert.equal(bench.state.counters.records_applied, 4);
});

test("an early batch waits; the missing one releases it and both are acknowledged", () => {
  const { bench, gateway } = openWithGateway();
  greet(bench, gateway, alone(a));
  assert.deepEqual(bench.feed(gateway.batch({ epoch: a }, [pointRecord(3, 0, 3)])), []);
  const answers = bench.feed(
    gateway.batch({ epoch: a }, [defineRecord(1, 0, "level"), pointRecord(2, 0, 2)]),
  );
  assert.deepEqual(
    answers.map((answer) => answer.type === "ack" && answer.sequence),
    [2, 3],
  );
  assert.deepEqual(latest(bench), { level: 3 });
});

test("what is late is wanted after two seconds, at most every five", () => {
  const { bench, gateway } = openWithGateway();
  greet(bench, gateway, alone(a));
  bench.feed(gateway.batch({ epoch: a }, [pointRecord(3, 0, 3)]));
  bench.now += 1999;
  assert.deepEqual(bench.tick(), []);
  bench.now += 1;
  const [want] = bench.tick();
  assert.partialDeepStrictEqual(want, { type: "want", epoch: a, stream: "state", sequence: 0 });
  bench.now += 4999;
  assert.deepEqual(bench.tick(), []);
  bench.now += 1;
  assert.equal(bench.tick().length, 1);
});

test("early batches beyond their room are dropped and counted", () => {
  const { bench, gateway } = openWithGateway();
  greet(bench, gateway, alone(a));
  const noise = seededRandom(1);
  const text = () => Buffer.from(noise.bytes(9000)).toString("base64");
  for (let at = 10; at < 20; at += 1) {
    bench.feed(gateway.batch({ epoch: a }, [pointRecord(at, 0, text())]));
  }
  assert.ok(bench.state.counters.held_overflow > 0);
  assert.ok(bench.state.counters.batches_held > 0);
});

test("no batch is applied before its ancestor stands at its cut; the ancestor is wanted", () => {
  const { bench, gateway } = openWithGateway();
  greet(bench, gateway, [...alone(a), { epoch: b, parent: a, cuts: { state: 2 } }]);
  assert.deepEqual(bench.feed(gateway.batch({ epoch: b }, [pointRecord(3, 0, 30)])), []);
  bench.now += 2000;
  assert.partialDeepStrictEqual(bench.tick()[0], { type: "want", epoch: a, sequence: 0 });
  bench.feed(
    gateway.batch({ epoch: a, head: b }, [defineRecord(1, 0, "level"), pointRecord(2, 0, 2)]),
  );
  assert.deepEqual(latest(bench), { level: 30 });
  assert.deepEqual(sequences(bench), [1, 2, 3]);
});

test("numbers go on from the parent: an epoch's stream stands at its cut to begin with", () => {
  const { bench, gateway } = openWithGateway();
  greet(bench, gateway, alone(a));
  bench.feed(gateway.batch({ epoch: a }, [defineRecord(1, 0, "level"), pointRecord(2, 0, 2)]));
  greet(bench, gateway, [...alone(a), { epoch: b, parent: a, cuts: { state: 2 } }]);
  bench.feed(gateway.batch({ epoch: b }, [pointRecord(3, 0, 3)]));
  assert.deepEqual(latest(bench), { level: 3 });
});

test("a restored snapshot forks: what it does not know becomes orphan and leaves the latest", () => {
  const { bench, gateway } = openWithGateway();
  greet(bench, gateway, alone(a));
  bench.feed(
    gateway.batch({ epoch: a }, [
      defineRecord(1, 0, "level"),
      pointRecord(2, 0, 2),
      pointRecord(3, 0, 333),
      defineRecord(4, 1, "lost"),
      pointRecord(5, 1, 555),
    ]),
  );
  assert.deepEqual(latest(bench), { level: 333, lost: 555 });
  greet(bench, gateway, [...alone(a), { epoch: b, parent: a, cuts: { state: 2 } }]);
  assert.deepEqual(latest(bench), { level: 333, lost: 555 }, "a greeting makes no head");
  bench.feed(gateway.batch({ epoch: b, first: 3 }, []));
  assert.deepEqual(latest(bench), { level: 2 });
  assert.equal(bench.state.counters.forks, 1);
  bench.restart();
  assert.deepEqual(latest(bench), { level: 2 }, "the fork is written with the head it made");
  bench.feed(gateway.batch({ epoch: b }, [defineRecord(3, 1, "flow"), pointRecord(4, 1, 4)]));
  assert.deepEqual(latest(bench), { level: 2, flow: 4 });
  assert.deepEqual(
    history(bench).map(({ sequence, isOrphan }) => `${sequence}${isOrphan ? " orphan" : ""}`),
    ["1", "2", "3 orphan", "4 orphan", "5 orphan", "3", "4"],
  );
  bench.restart();
  assert.deepEqual(latest(bench), { level: 2, flow: 4 });
});

test("late records above a cut enter history as orphans and never the latest", () => {
  const { bench, gateway } = openWithGateway();
  greet(bench, gateway, alone(a));
  bench.feed(gateway.batch({ epoch: a }, [defineRecord(1, 0, "level"), pointRecord(2, 0, 2)]));
  greet(bench, gateway, [...alone(a), { epoch: b, parent: a, cuts: { state: 2 } }]);
  bench.feed(gateway.batch({ epoch: b }, [pointRecord(3, 0, 30)]));
  const [ack] = bench.feed(gateway.batch({ epoch: a }, [pointRecord(3, 0, 999)]));
  assert.partialDeepStrictEqual(ack, { type: "ack", epoch: a, sequence: 3 });
  assert.deepEqual(latest(bench), { level: 30 });
  assert.equal(bench.state.counters.records_orphaned, 1);
});

test("a late record above a cut shows nowhere, not even where the newer line says nothing", () => {
  const { bench, gateway } = openWithGateway();
  greet(bench, gateway, alone(a));
  const early = [defineRecord(1, 0, "level"), pointRecord(2, 0, 2), defineRecord(3, 1, "flow")];
  bench.feed(gateway.batch({ epoch: a }, early));
  greet(bench, gateway, [...alone(a), { epoch: b, parent: a, cuts: { state: 3 } }]);
  bench.feed(gateway.batch({ epoch: b }, [pointRecord(4, 0, 40)]));
  bench.feed(gateway.batch({ epoch: a }, [pointRecord(4, 1, 999)]));
  assert.deepEqual(latest(bench), { level: 40 });
});

test("a gateway restored twice from one snapshot: the newest line alone counts", () => {
  const { bench, gateway } = openWithGateway();
  greet(bench, gateway, alone(a));
  bench.feed(gateway.batch({ epoch: a }, [defineRecord(1, 0, "level"), pointRecord(2, 0, 1)]));
  for (const [epoch, value] of [
    [b, 100],
    [c, 200],
  ] as const) {
    greet(bench, gateway, [...alone(a), { epoch, parent: a, cuts: { state: 2 } }]);
    bench.feed(gateway.batch({ epoch }, [pointRecord(3, 0, value)]));
  }
  assert.deepEqual(latest(bench), { level: 200 });
  bench.feed(gateway.batch({ epoch: b }, [pointRecord(4, 0, 101)]));
  assert.deepEqual(latest(bench), { level: 200 }, "the older sibling no longer counts");
});

test("a deletion leaves a tombstone that an older value does not raise", () => {
  const { bench, gateway } = openWithGateway();
  greet(bench, gateway, alone(a));
  bench.feed(gateway.batch({ epoch: a }, [defineRecord(1, 0, "level"), pointRecord(2, 0, 2)]));
  const gone: BatchRecord = { sequence: 3, kind: "delete", index: 0, time: stampAt(3) };
  bench.feed(gateway.batch({ epoch: a }, [gone]));
  assert.deepEqual(latest(bench), {});
  bench.feed(gateway.batch({ epoch: a }, [pointRecord(4, 0, 4)]));
  assert.deepEqual(latest(bench), { level: 4 });
});

test("what a gateway no longer keeps is given up, and exactly that is a row", () => {
  const { bench, gateway } = openWithGateway();
  const lineage = [...alone(a), { epoch: b, parent: a, cuts: { state: 10 } }];
  const welcome = greet(bench, gateway, lineage, {
    streams: { state: { first: 15, last: 20, watermark: 14 } },
  });
  assert.deepEqual(welcome.positions, { [a]: { state: 10 }, [b]: { state: 14 } });
  assert.deepEqual(
    listGaps(bench.state, "gw-1").map(({ epoch, from, to }) => ({ epoch, from, to })),
    [
      { epoch: a, from: 1, to: 10 },
      { epoch: b, from: 11, to: 14 },
    ],
  );
  bench.feed(gateway.batch({ epoch: b }, [defineRecord(15, 0, "level"), pointRecord(16, 0, 1)]));
  assert.deepEqual(latest(bench), { level: 1 });
});

test("a batch that cannot be applied is refused under its numbers and blocks nothing else", () => {
  const { bench, gateway } = openWithGateway();
  greet(bench, gateway, alone(a));
  const [refusal] = bench.feed(gateway.batch({ epoch: a }, [pointRecord(1, 99, 1)]));
  assert.partialDeepStrictEqual(refusal, {
    type: "refuse",
    first: 1,
    last: 1,
    code: "BATCH_MALFORMED",
  });
  const line: BatchRecord = { sequence: 1, kind: "line", text: "hello" };
  const [ack] = bench.feed(gateway.batch({ epoch: a, stream: "log" }, [line]));
  assert.partialDeepStrictEqual(ack, { type: "ack", stream: "log", sequence: 1 });
  bench.feed(gateway.batch({ epoch: a }, [defineRecord(1, 99, "level"), pointRecord(2, 99, 1)]));
  assert.deepEqual(latest(bench), { level: 1 });
});

test("an index defined above the cut means nothing to the line that was cut off there", () => {
  const { bench, gateway } = openWithGateway();
  greet(bench, gateway, alone(a));
  bench.feed(
    gateway.batch({ epoch: a }, [defineRecord(1, 0, "level"), defineRecord(2, 1, "lost")]),
  );
  greet(bench, gateway, [...alone(a), { epoch: b, parent: a, cuts: { state: 1 } }]);
  const answers = bench.feed(gateway.batch({ epoch: b }, [pointRecord(2, 1, 7)]));
  assert.deepEqual(
    answers.map(({ type }) => type),
    ["refuse"],
  );
});

test("streams stand each for itself", () => {
  const { bench, gateway } = openWithGateway();
  greet(bench, gateway, alone(a));
  const event: BatchRecord = {
    sequence: 1,
    kind: "event",
    event: { kind: "alarm", message: "high" },
    time: stampAt(1),
  };
  bench.feed(gateway.batch({ epoch: a, stream: "event" }, [event]));
  const { records } = readHistory(bench.state, "gw-1", { stream: "event", limit: 10 });
  assert.partialDeepStrictEqual(records[0], { sequence: 1, event: { message: "high" } });
  assert.deepEqual(sequences(bench), []);
});

test("measurements are taken and kept as events of the stream metric", () => {
  const { bench, gateway } = openWithGateway();
  greet(bench, gateway, alone(a));
  const event = { kind: "metric", values: [{ name: "cpu", value: 12.5, labels: { core: "0" } }] };
  const record: BatchRecord = { sequence: 1, kind: "event", event, time: stampAt(1) };
  const [ack] = bench.feed(gateway.batch({ epoch: a, stream: "metric" }, [record]));
  assert.partialDeepStrictEqual(ack, { type: "ack", stream: "metric", sequence: 1 });
  const { records } = readHistory(bench.state, "gw-1", { stream: "metric", limit: 10 });
  assert.partialDeepStrictEqual(records[0], { sequence: 1, event });
});

test("history is read in pages, in both directions, without a gap or a double", () => {
  const { bench, gateway } = openWithGateway();
  greet(bench, gateway, alone(a));
  bench.feed(gateway.batch({ epoch: a }, [defineRecord(1, 0, "x"), defineRecord(2, 1, "y")]));
  for (let at = 3; at <= 20; at += 3) {
    const records = [0, 1, 2].map((n) => pointRecord(at + n, (at + n) % 2, at + n));
    bench.feed(gateway.batch({ epoch: a }, records));
  }
  for (const isReverse of [false, true]) {
    const seen: number[] = [];
    let after: string | undefined;
    do {
      const page = readHistory(bench.state, "gw-1", {
        stream: "state",
        key: "x",
        limit: 2,
        isReverse,
        ...(after === undefined ? {} : { after }),
      });
      for (const { sequence } of page.records) seen.push(sequence);
      after = page.next;
    } while (after !== undefined);
    const even = [4, 6, 8, 10, 12, 14, 16, 18, 20];
    assert.deepEqual(seen, isReverse ? even.reverse() : even);
  }
});

const foreign = {
  "another device's topic": (bench: Bench) => {
    const other = fakeGateway("gw-2");
    bench.enrol(other);
    return {
      ...other.batch({ epoch: a }, [pointRecord(1, 0, 1)]),
      topic: "plantd/v1/gw-1/up/s/state",
    };
  },
  "a key that is not enrolled": () =>
    fakeGateway("gw-1").batch({ epoch: a }, [pointRecord(1, 0, 1)]),
  "a device nobody created": () => fakeGateway("gw-9").hello(alone(a)),
  "a topic that is not ours": () => ({
    topic: "plantd/v1/gw-1/up/else",
    payload: new Uint8Array(9),
  }),
};
for (const [name, message] of Object.entries(foreign)) {
  test(`nothing is done for ${name}, and it is counted`, () => {
    const { bench, gateway } = openWithGateway();
    greet(bench, gateway, alone(a));
    const rows = new Map(bench.shelf.rows);
    const forged = message(bench);
    assert.deepEqual(bench.feed(forged), []);
    assert.equal(bench.state.counters.messages_forged, 1);
    assert.equal(
      [...rows].every(([key, value]) => bench.shelf.rows.get(key) === value),
      true,
    );
    assert.deepEqual(sequences(bench), []);
  });
}

test("no flipped bit of a batch is accepted", () => {
  const { bench, gateway } = openWithGateway();
  greet(bench, gateway, alone(a));
  const { topic, payload } = gateway.batch({ epoch: a }, [defineRecord(1, 0, "level")]);
  for (let at = 0; at < payload.length; at += 1) {
    const flipped = Uint8Array.from(payload);
    flipped[at]! ^= 1 << (at % 8);
    assert.deepEqual(bench.feed({ topic, payload: flipped }), [], `byte ${at}`);
  }
  const { messages_forged: forged, messages_malformed: malformed } = bench.state.counters;
  assert.equal(forged + malformed, payload.length);
  assert.equal(bench.state.counters.batches_applied, 0);
});

test("a batch of an epoch that was never greeted changes nothing", () => {
  const { bench, gateway } = openWithGateway();
  greet(bench, gateway, alone(a));
  gateway.generations[c] = 5;
  assert.deepEqual(bench.feed(gateway.batch({ epoch: c }, [pointRecord(1, 0, 1)])), []);
  assert.equal(bench.state.counters.messages_unplaced, 1);
});

test("the last will shows the gateway as down and moves nothing", () => {
  const { bench } = openWithGateway();
  const payload = Buffer.from(JSON.stringify({ v: 1, status: "down", boot: "b".repeat(32) }));
  bench.feed({ topic: "plantd/v1/gw-1/up/on", payload });
  assert.equal(bench.state.presence.get("gw-1")?.link, "down");
});

/** One random schedule: openings, restores, loss, doubling, disorder, deaths of the centre. */
function runSchedule(seed: number): void {
  const random = seededRandom(seed);
  const draw = (count: number) => Math.floor(random.unit() * count);
  const { bench, gateway } = openWithGateway();
  interface Line {
    lineage: { epoch: string; parent: string | null; cuts: { state?: number } }[];
    records: Written[];
  }
  let line: Line = { lineage: [{ epoch: epochId(0), parent: null, cuts: {} }], records: [] };
  let snapshot: Line = structuredClone(line);
  let epochs = 1;
  const head = () => line.lineage.at(-1)!.epoch;
  const written: Written[] = [];
  const append = () => {
    const sequence = line.records.length + 1;
    const record =
      sequence <= 3
        ? defineRecord(sequence, sequence - 1, `k${sequence - 1}`)
        : pointRecord(sequence, draw(3), draw(1000));
    line.records.push({ epoch: head(), record });
    written.push({ epoch: head(), record });
  };
  const reopen = (from: Line) => {
    const epoch = epochId(epochs);
    epochs += 1;
    const cuts = { state: from.records.length };
    line = {
      lineage: [...from.lineage, { epoch, parent: from.lineage.at(-1)!.epoch, cuts }],
      records: [...from.records],
    };
    greet(bench, gateway, line.lineage);
  };
  const send = (from: number, to: number) => {
    for (let at = from; at < to; ) {
      const { epoch } = line.records[at]!;
      let end = at + 1;
      while (end < to && line.records[end]!.epoch === epoch) end += 1;
      const records = line.records.slice(at, end).map(({ record }) => record);
      const message = gateway.batch({ epoch, head: head() }, records);
      mail.push(message);
      at = end;
    }
  };
  const mail: ReturnType<typeof gateway.batch>[] = [];
  /** Some of what is under way arrives, in any order, once or more often. */
  const deliver = () => {
    while (mail.length > 0 && draw(3) > 0) {
      const at = draw(mail.length);
      bench.feed(mail[at]!);
      if (draw(4) > 0) mail.splice(at, 1);
    }
  };
  greet(bench, gateway, line.lineage);
  for (let step = 0; step < 60; step += 1) {
    bench.now += draw(3000);
    const choice = draw(20);
    if (choice < 8) for (let more = draw(5); more >= 0; more -= 1) append();
    else if (choice < 13 && line.records.length > 0) {
      const from = draw(line.records.length);
      send(from, Math.min(line.records.length, from + 1 + draw(6)));
    } else if (choice === 13) snapshot = structuredClone(line);
    else if (choice === 14) reopen(line);
    else if (choice === 15) reopen(snapshot);
    else if (choice === 16) bench.restart();
    else if (choice === 17) bench.tick();
    deliver();
  }
  // The link gets well: everything the gateway has is sent once more, in its order.
  send(0, line.records.length);
  mail.push(gateway.batch({ epoch: head(), first: line.records.length + 1 }, []));
  for (const message of mail) bench.feed(message);
  send(0, line.records.length);
  for (const message of mail) bench.feed(message);

  verifyOutcome({ bench, records: line.records, written, seed });
}

interface Written {
  readonly epoch: string;
  readonly record: BatchRecord;
}

/** The centre's latest values and history against what the gateway has and ever wrote. */
function verifyOutcome(outcome: {
  bench: Bench;
  records: readonly Written[];
  written: readonly Written[];
  seed: number;
}): void {
  const { bench, records, written, seed } = outcome;
  const model: Record<string, unknown> = {};
  for (const { record } of records) {
    if (record.kind === "point") model[`k${record.index}`] = record.value;
  }
  assert.deepEqual(latest(bench), model, `latest, seed ${seed}`);
  const told = history(bench);
  const counted = told.filter(({ isOrphan }) => !isOrphan);
  assert.deepEqual(
    counted.map(({ sequence, epoch }) => `${epoch} ${sequence}`),
    records.map(({ record, epoch }) => `${epoch} ${record.sequence}`),
    `history exactly once and in order, seed ${seed}`,
  );
  const all = told.map(({ epoch, sequence, value }) => `${epoch} ${sequence} ${value}`);
  assert.equal(new Set(all).size, all.length, `nothing twice, seed ${seed}`);
  const known = new Set(
    written.map(({ epoch, record }) => {
      const value = record.kind === "point" ? record.value : undefined;
      return `${epoch} ${record.sequence} ${value}`;
    }),
  );
  assert.ok(
    all.every((each) => known.has(each)),
    `nothing invented, seed ${seed}`,
  );
}

test("random loss, doubling, disorder, restores and restarts: exactly once and in order", (t) => {
  const seed = Number(process.env.PLANTD_TEST_SEED ?? (process.pid * 7919) % 1_000_000);
  t.diagnostic(`seed ${seed}`);
  for (let at = 0; at < 40; at += 1) runSchedule(seed + at);
});

test("an acknowledgement is signed by the centre and by no other", () => {
  const { bench, gateway } = openWithGateway();
  greet(bench, gateway, alone(a));
  assert.throws(() => hear(gateway.hello(alone(a)).payload, fakeGateway("x").key.publicKey), {
    code: "ENVELOPE_FORGED",
  });
  assert.equal(bench.heard.length, 1);
});
