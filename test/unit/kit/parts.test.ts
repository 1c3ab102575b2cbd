// The pure parts of the kit: schedule, health, changes, outbox, figures, lanes.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  Changes,
  healthAtStart,
  LateWindow,
  LineFigures,
  Outbox,
  Rolling,
  Schedule,
  stepHealth,
  type TimedSample,
} from "../../../drivers/kit/kit.ts";

const time = { wall: 0, boot: "b", mono: 0, sync: "none" } as const;

function sample(point: string, value: number | null, more: Partial<TimedSample> = {}) {
  return { device: "d", point, value, quality: "good", time, ...more } as TimedSample;
}

test("a schedule is absolute: a late poll does not move the later ones", () => {
  const schedule = new Schedule([{ key: "a", intervalMs: 100 }], 0);
  const taken: number[] = [];
  for (let nowMs = 0; nowMs <= 1000; nowMs += 7) {
    for (const key of schedule.take(nowMs)) {
      taken.push(nowMs);
      schedule.finish(key);
    }
  }
  assert.equal(taken.length, 10);
  assert.ok(
    taken.every((ms, at) => ms - at * 100 < 7),
    taken.join(" "),
  );
  assert.equal(schedule.overruns, 0);
});

test("a poll that is due while the last one runs is counted as overrun and left out", () => {
  const schedule = new Schedule([{ key: "a", intervalMs: 100 }], 0);
  assert.deepEqual(schedule.take(0), ["a"]);
  assert.deepEqual(schedule.take(100), []);
  assert.deepEqual(schedule.take(350), []);
  assert.equal(schedule.overruns, 3);
  schedule.finish("a");
  assert.equal(schedule.nextMs(), 400);
  assert.deepEqual(schedule.take(400), ["a"]);
});

test("hastened groups are due at once and keep their later times", () => {
  const schedule = new Schedule([{ key: "a", intervalMs: 100 }], 0);
  schedule.finish(schedule.take(0)[0] ?? "");
  schedule.hasten(30, () => true);
  assert.deepEqual(schedule.take(30), ["a"]);
  assert.equal(schedule.nextMs(), 100);
});

test("groups of one interval are spread over it", () => {
  const keys = ["a", "b", "c", "d"];
  const schedule = new Schedule(
    keys.map((key) => ({ key, intervalMs: 1000 })),
    0,
  );
  assert.deepEqual(
    [schedule.take(0), schedule.take(250), schedule.take(600)],
    [["a"], ["b"], ["c"]],
  );
});

test("a device falls silent at the second unanswered request and is probed ever more rarely", () => {
  let health = stepHealth(healthAtStart, { is: "answered" }, 0);
  assert.equal(health.state, "ok");
  const unanswered = { is: "unanswered", code: "BUS_NO_ANSWER" } as const;
  health = stepHealth(health, unanswered, 0);
  assert.equal(health.state, "ok");
  const waits: number[] = [];
  for (let count = 0; count < 8; count += 1) {
    health = stepHealth(health, unanswered, 1000);
    waits.push(health.probeAtMs - 1000);
  }
  assert.equal(health.state, "silent");
  assert.deepEqual(waits, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
  assert.deepEqual(stepHealth(health, { is: "answered" }, 0).state, "ok");
  assert.deepEqual(stepHealth(health, { is: "refused" }, 0).state, "faulty");
});

test("only changes are recorded, and a good value again after the longest silence", () => {
  const changes = new Changes(60_000);
  assert.ok(changes.offer(sample("p", 1), 0));
  assert.equal(changes.offer(sample("p", 1), 59_999), undefined);
  assert.ok(changes.offer(sample("p", 1), 60_000));
  assert.ok(changes.offer(sample("p", 2), 60_001));
});

test("a bad quality is recorded once, with the last known value, and its end too", () => {
  const changes = new Changes(60_000);
  changes.offer(sample("p", 7), 0);
  const bad = sample("p", null, { quality: "bad", reason: "no-answer" });
  assert.equal(changes.offer(bad, 1)?.value, 7);
  assert.equal(changes.offer(bad, 2), undefined);
  assert.equal(changes.offer(bad, 1_000_000), undefined);
  const other = { ...bad, reason: "exception-2" };
  assert.equal(changes.offer(other, 3)?.reason, "exception-2");
  assert.equal(changes.offer(sample("p", 7), 4)?.quality, "good");
});

const limits = { samplesMax: 6, eventsMax: 2, batchMax: 4 };

test("an outbox that overflows keeps the newest of each point and marks where others were lost", () => {
  const outbox = new Outbox(limits);
  for (let value = 0; value < 3; value += 1) {
    assert.deepEqual(outbox.add([sample("a", value), sample("b", value)], "group"), []);
  }
  assert.deepEqual(outbox.add([sample("a", 3), sample("c", 0)], "group"), ["d/a", "d/b"]);
  const batch = outbox.take();
  const seen = batch?.samples.map(({ point, value, quality, reason }) =>
    [point, value, quality, reason].join(" ").trim(),
  );
  assert.deepEqual(seen?.sort(), ["a 3 uncertain overrun", "b 2 uncertain overrun", "c 0 good"]);
  assert.equal(outbox.lost.samples, 5);
  outbox.add([sample("a", 4)], "group");
  assert.equal(outbox.take()?.samples[0]?.quality, "good");
});

test("batches keep order and bound, urgency holds until all is out, events are bounded", () => {
  const outbox = new Outbox(limits);
  outbox.add(
    [1, 2, 3].map((value) => sample("a", value)),
    "group",
  );
  outbox.add(
    [4, 5].map((value) => sample("a", value)),
    "now",
  );
  const first = outbox.take();
  assert.deepEqual(
    first?.samples.map(({ value }) => value),
    [1, 2, 3, 4],
  );
  assert.equal(first?.flush, "now");
  assert.equal(outbox.take()?.flush, "now");
  assert.equal(outbox.take(), undefined);
  for (const message of ["a", "b", "c"]) {
    outbox.addEvent({ kind: "device", severity: "info", message, time });
  }
  assert.deepEqual(
    outbox.takeEvents().map(({ message }) => message),
    ["b", "c"],
  );
  assert.equal(outbox.lost.events, 1);
});

test("sums roll on with time, and forget what is past", () => {
  const rolling = new Rolling(3, 100);
  rolling.add(0, 1);
  rolling.add(150, 2);
  assert.deepEqual(rolling.series(250), [1, 2, 0]);
  assert.equal(rolling.sum(320), 2);
  assert.equal(rolling.sum(10_000), 0);
});

test("figures tell load, rate and turnaround of the last minute", () => {
  const figures = new LineFigures(0);
  for (let at = 0; at < 60; at += 1) {
    figures.busy(at * 1000, at * 1000 + 250);
    figures.answered(at * 1000 + 250, at === 59 ? 200 : 20);
  }
  const report = figures.report(60_000 - 1);
  assert.equal(report.loadPercent, 25);
  assert.equal(report.okPerMinute, 60);
  assert.deepEqual(report.turnaroundMs, { p50: 20, p99: 200 });
  assert.equal(report.lastHour.length, 10);
});

test("a late exception frees no request, since it may belong to any of its unit and function", () => {
  const window = new LateWindow(3);
  const unanswered = (answerBytes: number) => ({
    lane: "poll" as const,
    signature: { unit: 1, function: 3, answerBytes },
    frame: new Uint8Array(8),
    judge: (bytes: Uint8Array) =>
      bytes.length === 5
        ? ({ is: "exception", exception: 4 } as const)
        : ({ is: "wrong", fault: "long" } as const),
  });
  window.open(unanswered(25), 1000, 100);
  window.open(unanswered(7), 1100, 100);
  assert.equal(window.claim(new Uint8Array(5), 1250).is, "late");
  assert.equal(window.clearAtMs({ unit: 1, function: 3, answerBytes: 25 }), 1300);
  assert.equal(window.clearAtMs({ unit: 1, function: 3, answerBytes: 7 }), 1700);
});

test("the late window grows with the slowest answer seen", () => {
  const window = new LateWindow(3);
  const signature = { unit: 1, function: 3, answerBytes: 7 };
  const exchange = {
    lane: "poll" as const,
    signature,
    frame: new Uint8Array(8),
    judge: (bytes: Uint8Array) =>
      bytes.length === 7
        ? ({ is: "answer", value: 0 } as const)
        : ({ is: "wrong", fault: "long" } as const),
  };
  window.open(exchange, 1000, 100);
  assert.equal(window.clearAtMs(signature), 1300);
  assert.equal(window.clearAtMs({ ...signature, answerBytes: 9 }), 0);
  assert.deepEqual(window.claim(new Uint8Array(7), 3000), { is: "late", usedBytes: 7 });
  assert.equal(window.clearAtMs(signature), 0, "an answer that came is not waited for");
  window.open(exchange, 5000, 100);
  assert.equal(window.clearAtMs(signature), 9000);
});
