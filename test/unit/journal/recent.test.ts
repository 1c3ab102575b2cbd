// What is told of the last hour and the last minutes. It must not know what happened.
import assert from "node:assert/strict";
import { test } from "node:test";
import { FlushTimes } from "../../../src/journal/flush-times.ts";
import { Recent } from "../../../src/journal/recent.ts";

const minuteMs = 60_000;

test("what happened is counted for ever, and for an hour as of the last hour", () => {
  const recent = new Recent();
  assert.deepEqual(recent.tell(5), { count: 0, lastHour: 0 });
  recent.note(1000);
  recent.note(2000);
  recent.note(30 * minuteMs);
  const lastHour = (nowMs: number) => recent.tell(nowMs).lastHour;
  assert.equal(lastHour(30 * minuteMs), 3);
  assert.equal(lastHour(59 * minuteMs), 3);
  assert.equal(lastHour(60 * minuteMs), 1);
  assert.equal(lastHour(89 * minuteMs), 1);
  assert.equal(lastHour(90 * minuteMs), 0);
  const { count, firstAgeMs, lastAgeMs } = recent.tell(90 * minuteMs);
  assert.deepEqual([count, firstAgeMs, lastAgeMs], [3, 90 * minuteMs - 1000, 60 * minuteMs]);
});

test("minutes of hours before do not come back", () => {
  const recent = new Recent();
  for (let hour = 0; hour < 50; hour += 1) recent.note(hour * 60 * minuteMs + hour * minuteMs);
  const { count, lastHour } = recent.tell(49 * 61 * minuteMs);
  assert.deepEqual([count, lastHour], [50, 1]);
});

test("flushes are told of the last five minutes only, and none of a quiet time", () => {
  const times = new FlushTimes();
  assert.deepEqual(times.tell(0), {});
  times.note(900, 0);
  for (let at = 1; at <= 100; at += 1) times.note(at, 250_000);
  assert.deepEqual(times.tell(250_000), { flushP50Ms: 51, flushP99Ms: 100 });
  assert.deepEqual(times.tell(300_001), { flushP50Ms: 50, flushP99Ms: 99 });
  assert.deepEqual(times.tell(550_001), {});
});

test("of very many flushes the newest are told", () => {
  const times = new FlushTimes();
  for (let at = 0; at < 5000; at += 1) times.note(at < 4000 ? 500 : 1, at);
  assert.equal(times.tell(5000).flushP50Ms, 500);
  for (let at = 0; at < 2048; at += 1) times.note(1, 5000);
  assert.equal(times.tell(5000).flushP99Ms, 1);
});
