// Which records sections may hold: each row is a record they would not give back as it was.
// It must not know bytes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { areExact } from "../../../src/batch/exact.ts";

const time = { wall: 5, boot: "b".repeat(32), mono: 1, sync: "ntp" };
const point = { kind: "point", index: 7, value: 1, quality: "good", time, source: "s" };
const define = { kind: "define", index: 7, scope: "a", key: "b" };
const event = { kind: "event", event: {}, time };
const cover = { kind: "cover", to: 9, body: {} };
const lone = "\ud800";

const exact: Record<string, object> = {
  "a point": point,
  "a point with a reason": { ...point, reason: "why" },
  "a point whose value is null": { ...point, value: null },
  "a definition of the highest index": { ...define, index: 2 ** 32 - 1 },
  "a definition with all words": { ...define, type: "f64", unit: "°C", profile: "ttl=1" },
  "a field that is undefined": { ...define, colour: undefined },
  "a deletion": { kind: "delete", index: 0, time },
  "an event": event,
  "a line": { kind: "line", text: "ü" },
  "a cover": cover,
  "a correction": { kind: "correction", body: null },
  "a time just within all times": { ...point, time: { ...time, wall: 2 ** 50 - 1 } },
};

const inexact: Record<string, object> = {
  "a kind nobody knows": { ...point, kind: "dot" },
  "a kind all objects have": { ...point, kind: "constructor" },
  "no kind": { ...point, kind: 1 },
  "a field nobody knows": { ...point, colour: "red" },
  "an index too high": { ...define, index: 2 ** 32 },
  "an index below 0": { ...point, index: -1 },
  "an index with a fraction": { kind: "delete", index: 0.5, time },
  "no value": { ...point, value: undefined },
  "a quality nobody knows": { ...point, quality: "fair" },
  "a reason that is no text": { ...point, reason: 1 },
  "a source that is ill-formed": { ...point, source: lone },
  "a key that is ill-formed": { ...define, key: lone },
  "a unit that is no text": { ...define, unit: null },
  "a line that is ill-formed": { kind: "line", text: lone },
  "no event": { ...event, event: undefined },
  "no body": { ...cover, body: undefined },
  "a correction without a body": { kind: "correction" },
  "a cover to nowhere": { ...cover, to: 0.5 },
  "no time": { ...event, time: null },
  "a time with more in it": { ...point, time: { ...time, zone: "UTC" } },
  "a wall time with a fraction": { ...point, time: { ...time, wall: 0.5 } },
  "a wall time beyond all times": { ...point, time: { ...time, wall: 2 ** 50 } },
  "a monotonic time beyond all times": { ...point, time: { ...time, mono: -(2 ** 50) } },
  "a boot that is ill-formed": { ...point, time: { ...time, boot: lone } },
  "a clock trusted as nobody knows": { ...point, time: { ...time, sync: "gps" } },
};

test("records are exact that sections give back as they were, and no others", () => {
  const as = (record: object) => [record as Record<string, unknown>];
  for (const [name, record] of Object.entries(exact)) assert.ok(areExact(as(record)), name);
  for (const [name, record] of Object.entries(inexact)) assert.ok(!areExact(as(record)), name);
});

test("one record that is not exact makes all of them so, wherever it stands", () => {
  const odd = { ...point, time: { ...time, zone: "UTC" } };
  assert.ok(areExact([point, point, event]));
  assert.ok(!areExact([point, odd]));
  assert.ok(!areExact([odd, point]));
  assert.ok(!areExact([point, odd, odd]));
  assert.ok(!areExact([{ kind: "line", text: "a" }, odd, { ...odd }]));
});
