// What the centre makes of covers: what survives in them counts once and in its place, and nothing
// that is not theirs. It must not know MQTT or disks.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type BatchRecord, coverBody, type LastRecord } from "../../../src/batch/batch.ts";
import { clipCover, survivorsOf } from "../../../src/central/cover-records.ts";
import { listValues, readHistory } from "../../../src/central/fleet.ts";
import { defineRecord, epochId, fakeGateway, pointRecord, stampAt } from "../../fakes/gateway.ts";
import { type Bench, greet, openBench } from "./bench.ts";

type CoverRecord = Extract<BatchRecord, { kind: "cover" }>;
type Survivors = Parameters<typeof coverBody>[0];

const a = epochId("a");
const alone = [{ epoch: a, parent: null, cuts: {} }];
const definition = (sequence: number, index: number, key: string) => {
  const { kind: _, ...rest } = defineRecord(sequence, index, key) as BatchRecord & {
    kind: "define";
  };
  return rest;
};
const last = (sequence: number, index: number, value: unknown) =>
  pointRecord(sequence, index, value) as LastRecord;

function coverOf(sequence: number, to: number, more: Partial<Survivors> = {}): CoverRecord {
  const told = { reason: "quota", count: to - sequence + 1, definitions: [], last: [] } as const;
  return { kind: "cover", sequence, to, body: coverBody({ ...told, ...more }) };
}

function open() {
  const bench = openBench();
  const gateway = fakeGateway("gw-1");
  bench.enrol(gateway);
  greet(bench, gateway, alone);
  const feed = (...records: readonly BatchRecord[]) =>
    bench.feed(gateway.batch({ epoch: a }, records));
  return { bench, feed };
}

const values = ({ state }: Bench) =>
  Object.fromEntries(listValues(state, "gw-1").map(({ key, value }) => [key, value]));
const history = ({ state }: Bench) =>
  readHistory(state, "gw-1", { stream: "state", limit: 100 }).records;

test("of a cover survive its definitions and last values, oldest first, and no others", () => {
  const cover = coverOf(10, 20, {
    definitions: [definition(10, 1, "a"), definition(21, 2, "b"), definition(9, 3, "c")],
    last: [last(20, 1, "newest"), last(12, 4, "older"), last(21, 1, "late"), last(9, 1, "early")],
  });
  const { definitions, last: left } = survivorsOf(cover);
  assert.deepEqual(
    definitions.map(({ key }) => key),
    ["a"],
  );
  assert.deepEqual(
    left.map(({ sequence }) => sequence),
    [12, 20],
  );
});

test("in a cover of what was refused nothing survives, whatever it holds", () => {
  const body = { reason: "refused", count: 1, record: { definitions: 5 }, code: "X", last: "none" };
  const refused: CoverRecord = { kind: "cover", sequence: 1, to: 1, body };
  assert.deepEqual(survivorsOf(refused), { definitions: [], last: [] });
});

test("a cover that begins before a place is told from there on, and says what it overlaps", () => {
  const cover = coverOf(10, 20);
  assert.equal(clipCover(cover, 10), cover);
  assert.equal(clipCover(cover, 9), cover);
  const line: BatchRecord = { kind: "line", sequence: 5, text: "x" };
  assert.equal(clipCover(line, 9), line);
  const { sequence, to, body } = clipCover(cover, 13) as CoverRecord;
  const { count, overlap } = body as { count: number; overlap: number };
  assert.deepEqual([sequence, to, count, overlap], [13, 20, 8, 3]);
  const bare = clipCover({ ...cover, body: null }, 20) as CoverRecord;
  assert.deepEqual(bare.body, { count: 1, overlap: 10 });
});

test("a cover in the place of records brings their values, and counts what it stands for", () => {
  const { bench, feed } = open();
  const survivors = { definitions: [definition(1, 0, "level")], last: [last(9, 0, 42)] };
  feed(coverOf(1, 9, survivors), pointRecord(10, 0, 43));
  assert.deepEqual(values(bench), { level: 43 });
  const { records_applied: applied, records_covered: covered } = bench.state.counters;
  assert.deepEqual([applied, covered], [1, 9]);
});

test("a cover over what came before takes the place of the rest alone", () => {
  const { bench, feed } = open();
  feed(defineRecord(1, 0, "level"), pointRecord(2, 0, 2), pointRecord(3, 0, 3));
  const [ack] = feed(coverOf(2, 6, { last: [last(6, 0, 6)] }));
  assert.partialDeepStrictEqual(ack, { type: "ack", sequence: 6 });
  assert.deepEqual(values(bench), { level: 6 });
  assert.deepEqual(
    history(bench).map(({ sequence }) => sequence),
    [1, 2, 3, 4],
  );
  const { records_applied: applied, records_covered: covered } = bench.state.counters;
  assert.deepEqual([applied, covered], [3, 3]);
  assert.partialDeepStrictEqual(history(bench)[3], { body: { count: 3, overlap: 2 } });
});

test("a deletion that survives in a cover takes the value away", () => {
  const { bench, feed } = open();
  feed(defineRecord(1, 0, "level"), pointRecord(2, 0, 2));
  const gone: LastRecord = { kind: "delete", sequence: 4, index: 0, time: stampAt(4) };
  feed(coverOf(3, 5, { last: [gone] }));
  assert.deepEqual(values(bench), {});
});

test("a definition in a cover leaves one that is known as it was, and a value without any is none", () => {
  const { bench, feed } = open();
  feed(defineRecord(1, 0, "level"), pointRecord(2, 0, 2));
  const other = { definitions: [definition(3, 0, "other")], last: [last(4, 0, 4), last(5, 9, 5)] };
  const [ack] = feed(coverOf(3, 5, other));
  assert.partialDeepStrictEqual(ack, { type: "ack", sequence: 5 });
  assert.deepEqual(values(bench), { level: 4 });
});
