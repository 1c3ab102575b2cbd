// The order in which room is made: what is acknowledged, then values that become aggregates, then
// wider ones, and only then what is oldest.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Stream } from "../../../src/journal/journal.ts";
import { plan, type Situation, type StreamPressure } from "../../../src/state/retention.ts";

/** A stream above its quota, of which nothing is acknowledged and all is raw and old. */
const full: StreamPressure = {
  bytes: 1200,
  coverBytes: 0,
  quotaBytes: 1000,
  first: 1,
  limit: 100,
  acked: 0,
  droppedTo: 0,
  widenedTo: 0,
  thinnedTo: 0,
  rawAgeMs: 9000,
};
const quiet: StreamPressure = { ...full, bytes: 10 };

function situation(
  streams: Partial<Record<Stream, Partial<StreamPressure>>>,
  rest: Partial<Situation> = {},
): Situation {
  const of = (stream: Stream) =>
    streams[stream] === undefined ? quiet : { ...full, ...streams[stream] };
  return {
    streams: { state: of("state"), event: of("event"), log: of("log"), metric: of("metric") },
    excessBytes: 0,
    thinAfterMs: 5000,
    mayCover: true,
    ...rest,
  };
}

const covers = { coverBytes: 900, thinnedTo: 100 };
const rows: Readonly<Record<string, [Situation, string | undefined]>> = {
  "enough room": [situation({}), undefined],
  "a stream at its quota": [situation({ state: { bytes: 1000 } }), undefined],
  "acknowledged records before old values": [
    situation({ state: { acked: 50, thinnedTo: 0 } }),
    "release state",
  ],
  "acknowledged records that may not go yet": [
    situation({ log: { first: 40, acked: 50, limit: 39, droppedTo: 39 } }),
    undefined,
  ],
  "old values first become aggregates": [situation({ state: {} }), "thin state"],
  "young values stay while they fit half of the quota": [
    situation({ state: { rawAgeMs: 10, bytes: 1200, coverBytes: 800, thinnedTo: 60 } }),
    "widen state",
  ],
  "young values above half of the quota become aggregates": [
    situation({ state: { rawAgeMs: 10, coverBytes: 600, thinnedTo: 60 } }),
    "thin state",
  ],
  "aggregates become wider when no value is due": [situation({ state: covers }), "widen state"],
  "the oldest aggregates go when all are wide": [
    situation({ state: { ...covers, widenedTo: 100 } }),
    "drop state",
  ],
  "young values become aggregates before the last of them goes": [
    situation({
      state: { rawAgeMs: 10, coverBytes: 800, thinnedTo: 60, widenedTo: 60, droppedTo: 60 },
    }),
    "thin state",
  ],
  "nothing left to drop": [
    situation({ state: { ...covers, widenedTo: 100, droppedTo: 100 } }),
    undefined,
  ],
  "lines have no aggregates": [situation({ log: {} }), "drop log"],
  "measurements go by their quota": [situation({ metric: {} }), "drop metric"],
  "events go by their own quota": [situation({ event: {} }), "drop event"],
  "acknowledged events before others": [situation({ event: { acked: 3 } }), "release event"],
  "values before other streams that are full, too": [
    situation({ state: {}, log: {} }),
    "thin state",
  ],
  "a store that is short takes what is acknowledged, of any stream": [
    situation({ metric: { bytes: 5, acked: 7 } }, { excessBytes: 10 }),
    "release metric",
  ],
  "a store that is short thins values": [
    situation({ state: { bytes: 500 }, log: { bytes: 500 } }, { excessBytes: 10 }),
    "thin state",
  ],
  "a store that is short drops lines before aggregates": [
    situation(
      { state: { ...covers, bytes: 950, widenedTo: 100 }, log: { bytes: 50 } },
      { excessBytes: 10 },
    ),
    "drop log",
  ],
  "a store that is short drops measurements before aggregates": [
    situation(
      {
        state: { ...covers, bytes: 950, widenedTo: 100 },
        log: { bytes: 1, droppedTo: 100 },
        metric: { bytes: 5 },
      },
      { excessBytes: 10 },
    ),
    "drop metric",
  ],
  "a store that is short never takes events": [
    situation(
      {
        state: { ...covers, bytes: 1, widenedTo: 100, droppedTo: 100 },
        event: { bytes: 900 },
        log: { bytes: 1, droppedTo: 100 },
        metric: { bytes: 1, droppedTo: 100 },
      },
      { excessBytes: 10 },
    ),
    undefined,
  ],
  "the older format knows no covers": [situation({ state: {} }, { mayCover: false }), undefined],
  "the older format releases what is acknowledged": [
    situation({ state: { acked: 9 } }, { mayCover: false }),
    "release state",
  ],
};

for (const [name, [input, expected]] of Object.entries(rows)) {
  test(`room is made in order: ${name}`, () => {
    const step = plan(input);
    assert.equal(step === undefined ? undefined : `${step.kind} ${step.stream}`, expected);
  });
}

test("a step frees a little more than what is too much", () => {
  assert.equal(plan(situation({ log: {} }))?.bytes, 250);
});
