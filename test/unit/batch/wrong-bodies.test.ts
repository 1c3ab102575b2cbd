// Bodies that are made by hand to be wrong in one place, and neighbours that differ in one column.
// It must not know who sends them.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type BatchRecord,
  ByteWriter,
  decodeBatch,
  decodePoints,
  encodeBatch,
} from "../../../src/batch/batch.ts";
import { hasCode } from "../../../src/util/errors.ts";

const boot = "b".repeat(32);
const timeMax = 2 ** 50;
const isMalformed = (error: unknown) => hasCode(error, "BATCH_MALFORMED");

/** A body of one section, with the boot as its one text. */
function bodyOf(kind: number, sequences: number, write: (columns: ByteWriter) => void): Uint8Array {
  const columns = new ByteWriter();
  columns.whole(1);
  columns.text(boot);
  write(columns);
  const content = columns.taken();
  const body = new ByteWriter();
  body.byte(kind);
  body.whole(sequences);
  body.whole(content.length);
  body.bytes(content);
  return body.taken();
}

interface Columns {
  readonly index?: number;
  readonly clock?: number;
  readonly wall?: number;
  readonly ahead?: number;
  readonly source?: number;
  readonly quality?: number;
}

/** A deletion, whose columns are those that points have, too. */
function deletionOf({
  index = 7,
  clock = 6,
  wall = 5,
  ahead = 4,
  source = 1,
}: Columns): Uint8Array {
  return bodyOf(3, 1, (columns) => {
    columns.signed(index);
    columns.whole(clock);
    columns.signed(wall);
    columns.signed(ahead);
    columns.whole(source);
  });
}

const span = { first: 1, last: 1 };

test("a deletion made by hand is read", () => {
  const time = { wall: 5, boot, mono: 1, sync: "ntp" };
  const [read] = decodeBatch(deletionOf({}), span, 9);
  assert.deepEqual(read, { sequence: 1, kind: "delete", index: 7, time, source: boot });
  const [last] = decodeBatch(deletionOf({ wall: timeMax, ahead: timeMax }), span, 9);
  assert.ok(last?.kind === "delete" && last.time.wall === timeMax && last.time.mono === 0);
});

const wrong: Record<string, Columns> = {
  "a source that is no text of it": { source: 2 },
  "a boot that is no text of it": { clock: 8 },
  "a stamp without a boot": { clock: 2 },
  "an index below 0": { index: -1 },
  "a wall time beyond all times": { wall: timeMax + 1, ahead: timeMax },
  "a wall time before all times": { wall: -timeMax - 1, ahead: -timeMax },
  "a monotonic time beyond all times": { wall: 5, ahead: -timeMax },
  "a monotonic time before all times": { wall: -5, ahead: timeMax },
};
for (const [name, columns] of Object.entries(wrong)) {
  test(`a record is refused: ${name}`, () => {
    assert.throws(() => decodeBatch(deletionOf(columns), span, 9), isMalformed);
  });
}

test("a section of no sequences is refused, also where none are wanted", () => {
  const none = { first: 1, last: 0 };
  assert.deepEqual(decodeBatch(new Uint8Array(), none, 9), []);
  for (const empty of [
    [5, 0, 1, 0],
    [7, 0, 6, 1, 4, ...Buffer.from("null"), 1],
  ]) {
    assert.throws(() => decodeBatch(Uint8Array.from(empty), none, 9), isMalformed);
  }
});

test("more sequences than the span has are refused, in whichever section", () => {
  const line = (sequence: number): BatchRecord => ({ sequence, kind: "line", text: "x" });
  const time = { wall: 1, boot, mono: 1, sync: "ntp" } as const;
  const event: BatchRecord = { sequence: 3, kind: "event", event: {}, time };
  const body = encodeBatch([line(1), line(2), event, line(4)]);
  for (let last = 0; last < 8; last += 1) {
    const decode = () => decodeBatch(body, { first: 1, last }, 9);
    if (last === 4) assert.equal(decode().length, 4);
    else assert.throws(decode, isMalformed);
  }
});

test("neighbours that differ in one column alone come back as they went in", () => {
  const time = { wall: 1_000_000, boot, mono: 50, sync: "ntp" } as const;
  const stamps = [
    time,
    { ...time, mono: 51 },
    { ...time, mono: 51, sync: "rtc" as const },
    { ...time, mono: 51, boot: "c".repeat(32) },
    { ...time, mono: 51 },
    { ...time, wall: 1_000_001, mono: 51 },
    { ...time, wall: 1_000_001, mono: 51 },
  ];
  const points = stamps.map((stamp, at): BatchRecord => {
    const point = { sequence: at + 1, kind: "point", index: 1, value: 1, time: stamp } as const;
    return { ...point, quality: at % 2 === 0 ? "good" : "bad" };
  });
  const all = { first: 1, last: points.length };
  assert.deepEqual(decodeBatch(encodeBatch(points), all, 99), points);
});

test("the columns of points that others stand between name each its own clock and place", () => {
  const point = (sequence: number, clock: string, sync: "ntp" | "rtc"): BatchRecord => ({
    sequence,
    kind: "point",
    index: sequence,
    value: sequence,
    quality: sequence % 2 === 0 ? "uncertain" : "good",
    time: { wall: sequence, boot: clock.repeat(32), mono: 1, sync },
  });
  const line = (sequence: number): BatchRecord => ({ sequence, kind: "line", text: "x" });
  const records = [
    point(10, "a", "ntp"),
    line(11),
    point(12, "b", "ntp"),
    point(13, "a", "ntp"),
    line(14),
    point(15, "a", "rtc"),
    point(16, "b", "ntp"),
  ];
  const found = decodePoints(encodeBatch(records), { first: 10, last: 16 }, 99);
  assert.ok(found !== undefined);
  const told = Array.from({ length: found.count }, (_, at) => {
    const { boot: clock = "", sync = "" } = found.clocks[found.clock[at] ?? -1] ?? {};
    return `${found.offsets[at]} ${found.index[at]} ${clock[0]} ${sync} ${found.quality[at]}`;
  });
  assert.deepEqual(told, [
    "0 10 a ntp 1",
    "2 12 b ntp 1",
    "3 13 a ntp 0",
    "5 15 a rtc 0",
    "6 16 b ntp 1",
  ]);
});

test("a source or a reason that is no text of its section is refused for columns, too", () => {
  const time = { wall: 5, boot, mono: 1, sync: "ntp" } as const;
  const rest = { kind: "point", index: 7, value: 1, quality: "good", time } as const;
  const plain = encodeBatch([{ sequence: 1, ...rest }]);
  const sourced = encodeBatch([{ sequence: 1, ...rest, source: boot }]);
  const reasoned = encodeBatch([{ sequence: 1, ...rest, reason: boot }]);
  for (const other of [sourced, reasoned]) {
    assert.equal(other.length, plain.length);
    const at = other.findIndex((byte, place) => byte !== plain[place]);
    const beyond = Uint8Array.from(other);
    // A reference more than there are texts; of reasons, three qualities lie between two.
    beyond[at]! += other === reasoned ? 3 : 1;
    assert.throws(() => decodeBatch(beyond, span, 9), isMalformed);
    assert.throws(() => decodePoints(beyond, span, 9), isMalformed);
    assert.equal(decodePoints(other, span, 9)?.count, 1);
  }
});
