// What survives of records in a cover's body is told exactly, and nothing else is believed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Cover, coverBody, readCover } from "../../../src/batch/batch.ts";

const boot = "b".repeat(32);
const time = (wall: number, mono: number) => ({ wall, boot, mono, sync: "ntp" as const });
const throughJson = (body: unknown): unknown => JSON.parse(JSON.stringify(body));

const whole: Cover = {
  reason: "thinned",
  count: 5000,
  definitions: [
    { sequence: 3, index: 1, scope: "device/pump", key: "flow", type: "f64", unit: "l/s" },
    { sequence: 9, index: 2, scope: "device/pump", key: "state" },
  ],
  last: [
    { kind: "delete", sequence: 800, index: 9, time: time(1_700_000_000_000, 500) },
    {
      kind: "point",
      sequence: 4998,
      index: 1,
      value: 1.25,
      quality: "uncertain",
      reason: "stale",
      time: time(1_700_000_060_500, 61_000.125),
      source: "driver.line1",
    },
    {
      kind: "point",
      sequence: 5000,
      index: 2,
      value: { on: true },
      quality: "good",
      time: time(1_700_000_061_000, 61_500.125),
    },
  ],
  aggregates: {
    spanMs: 60_000,
    rows: [
      {
        index: 1,
        startMs: 1_700_000_040_000,
        count: 60,
        bad: 2,
        numbers: 58,
        min: -1,
        max: 4.5,
        mean: 1.125,
        last: 1.25,
        lastMs: 1_700_000_060_500,
        lastQuality: "uncertain",
      },
      {
        index: 2,
        startMs: 1_700_000_040_000,
        count: 1,
        bad: 0,
        last: { on: true },
        lastMs: 1_700_000_061_000,
        lastQuality: "good",
      },
    ],
  },
  corrections: [{ sequence: 77, body: { boot, aheadMs: 12 } }],
};

test("a cover is read as it was written", () => {
  assert.deepEqual(readCover(throughJson(coverBody(whole))), whole);
});

test("a cover without survivors says why and how many", () => {
  const body = coverBody({ reason: "quota", count: 7, definitions: [], last: [] });
  assert.deepEqual(throughJson(body), { reason: "quota", count: 7 });
  assert.deepEqual(readCover(body), { reason: "quota", count: 7, definitions: [], last: [] });
});

const body = throughJson(coverBody(whole)) as Record<string, Record<string, unknown[]>>;
const changed = (part: string, column: string, value: unknown) => ({
  ...body,
  [part]: { ...body[part], [column]: value },
});

const refused: Readonly<Record<string, unknown>> = {
  "no group": 7,
  nothing: null,
  "a reason nobody knows": { reason: "boredom", count: 1 },
  "a count that is none": { reason: "quota", count: -1 },
  "columns of different lengths": changed("last", "value", [1]),
  "a clock that is not there": changed("last", "clock", [0, 9, 0]),
  "a source that is not there": changed("last", "source", [0, 9, 0]),
  "a quality that does not exist": changed("last", "quality", [0, 4, 0]),
  "aggregates of different lengths": changed("aggregates", "mean", []),
  "an aggregate without a quality": changed("aggregates", "lastQuality", [0, 3]),
  "a span of nothing": changed("aggregates", "spanMs", 0),
  "a figure that is a text": changed("aggregates", "min", ["low", null]),
  "a boot that is none": changed("last", "clocks", [{ boot: "x", sync: "ntp", ahead: 0 }]),
};

for (const [name, wrong] of Object.entries(refused)) {
  test(`a cover is refused: ${name}`, () => {
    assert.throws(() => readCover(wrong), { code: "BATCH_MALFORMED" });
  });
}
