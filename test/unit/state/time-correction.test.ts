// What a look at the clock comes to, which times are corrected, and what is appended after a crash.
// It must not know the log's bytes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ClockWatch, type ClockWatchDeps } from "../../../src/state/clock-watch.ts";
import {
  type ClockBelief,
  Corrections,
  correctedWall,
  correctionOf,
  stepClock,
} from "../../../src/state/time-correction.ts";
import type { ClockSync } from "../../../src/util/clock.ts";
import { PlantError } from "../../../src/util/errors.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { bootId, openTestJournal, temporaryFolder } from "../../fakes/store.ts";

type Look = readonly [sync: ClockSync, offsetMs: number, corrects: boolean];

const walks: Readonly<Record<string, readonly Look[]>> = {
  "the first look only tells": [["ntp", 100, false]],
  "a clock that stays needs nothing": [
    ["ntp", 100, false],
    ["ntp", 100, false],
    ["ntp", 1900, false],
  ],
  "a battery clock is trusted after none": [
    ["none", 0, false],
    ["rtc", 5000, true],
  ],
  "trust without a jump corrects, too": [
    ["none", 0, false],
    ["ntp", 0, true],
    ["ntp", 0, false],
  ],
  "a jump of a trusted clock corrects": [
    ["ntp", 0, false],
    ["ntp", 2001, true],
    ["ntp", 2001, false],
  ],
  "two seconds are no jump": [
    ["ntp", 0, false],
    ["ntp", 2000, false],
    ["ntp", -2000, false],
  ],
  "small steps add up to a jump": [
    ["ntp", 0, false],
    ["ntp", 1500, false],
    ["ntp", 3000, true],
  ],
  "a jump back corrects again": [
    ["rtc", 0, false],
    ["rtc", 9e9, true],
    ["rtc", 0, true],
  ],
  "more trust without a jump needs nothing": [
    ["rtc", 0, false],
    ["ntp", 100, false],
    ["central", 0, false],
  ],
  "more trust with a jump corrects": [
    ["rtc", 0, false],
    ["ntp", 60_000, true],
  ],
  "less trust corrects nothing": [
    ["ntp", 0, false],
    ["none", 9e9, false],
    ["none", 0, false],
  ],
  "what strayed is corrected when trust is back": [
    ["ntp", 0, false],
    ["none", 9e9, false],
    ["ntp", 0, true],
  ],
  "a jump of an unset clock corrects as far as it is known": [
    ["none", 0, false],
    ["none", 9e9, true],
  ],
};

for (const [name, looks] of Object.entries(walks)) {
  test(name, () => {
    let belief: ClockBelief | undefined;
    for (const [sync, offsetMs, expected] of looks) {
      const { belief: next, corrects } = stepClock(belief, { sync, offsetMs });
      assert.equal(corrects, expected, `${sync} ${offsetMs}`);
      belief = next;
    }
  });
}

const correction = { boot: bootId, offsetMs: 5000, from: 10, to: 20, sync: "ntp" as const };

test("a correction is for the records of its boot that it names", () => {
  const corrections = new Corrections(bootId);
  assert.equal(corrections.learn(correction), true);
  assert.equal(corrections.learn({ ...correction }), false);
  assert.deepEqual(corrections.fate(bootId, "none", 10), { offsetMs: 5000, waits: false });
  assert.deepEqual(corrections.fate(bootId, "none", 20), { offsetMs: 5000, waits: false });
  assert.deepEqual(corrections.fate(bootId, "none", 21), { offsetMs: undefined, waits: true });
  assert.deepEqual(corrections.fate(bootId, "rtc", 21), { offsetMs: undefined, waits: false });
  assert.deepEqual(corrections.fate("a".repeat(32), "none", 15), {
    offsetMs: undefined,
    waits: false,
  });
  corrections.learn({ ...correction, offsetMs: 7000, from: 1, to: 15 });
  assert.equal(corrections.fate(bootId, "none", 15).offsetMs, 7000, "the newest counts");
  assert.equal(corrections.fate(bootId, "none", 16).offsetMs, 5000);
});

test("what an unset clock corrects waits for one that is set", () => {
  const corrections = new Corrections(bootId);
  corrections.learn({ ...correction, sync: "none" });
  assert.deepEqual(corrections.fate(bootId, "none", 15), { offsetMs: 5000, waits: true });
});

test("a correction parts a block only where it ends within it", () => {
  const corrections = new Corrections(bootId);
  corrections.learn(correction);
  const rows = [
    [1, 9, false],
    [1, 10, true],
    [10, 20, false],
    [12, 18, false],
    [20, 21, true],
    [21, 30, false],
    [5, 30, true],
  ] as const;
  for (const [first, last, expected] of rows) {
    assert.equal(corrections.parts(bootId, first, last), expected, `${first}–${last}`);
  }
});

test("a time that fits what is known of the clock stays as it was written", () => {
  assert.equal(correctedWall(1000, 10, undefined), 1000);
  assert.equal(correctedWall(1000, 10, 990), 1000);
  assert.equal(correctedWall(1000, 10, 2990), 1000);
  assert.equal(correctedWall(1000, 10, 2991), 3001);
  assert.equal(correctedWall(1000, 10, -9000), -8990);
});

test("a body that is no correction of this version's is none", () => {
  assert.deepEqual(correctionOf(correction), correction);
  const wrong = [
    null,
    5,
    "x",
    {},
    { ...correction, boot: 1 },
    { ...correction, sync: "gps" },
    { ...correction, offsetMs: "1" },
    { ...correction, from: 1.5 },
    { ...correction, to: undefined },
  ];
  for (const body of wrong) assert.equal(correctionOf(body), undefined, JSON.stringify(body));
});

test("after a crash between the correction and its note it is not made a second time", async () => {
  using folder = temporaryFolder();
  const clock = fakeClock();
  await using journal = await openTestJournal(folder.path, {}, { clock });
  let sync: ClockSync = "none";
  let isCut = false;
  const cut: ClockWatchDeps["journal"] = {
    append: (request) => journal.append(request),
    head: (stream) => journal.head(stream),
    read: (query) => journal.read(query),
    runMs: () => journal.runMs(),
    side: (name) => {
      const table = journal.side(name);
      const write: typeof table.write = async (rows, room) => {
        if (isCut) throw new PlantError("STORE_FAILED", { folder: "", reason: "cut" });
        await table.write(rows, room);
      };
      return { get: (key) => table.get(key), range: (options) => table.range(options), write };
    },
  };
  const watchOf = () => new ClockWatch({ clock, boot: bootId, sync: () => sync, journal: cut });
  const watch = watchOf();
  await watch.look();
  const lines = { stream: "log", flush: "now", recordsMax: 1 } as const;
  await journal.append({ ...lines, build: () => [{ kind: "line", text: "a" }] });
  sync = "ntp";
  clock.setWall(1_800_000_000_000);
  isCut = true;
  await assert.rejects(watch.look());
  isCut = false;
  await clock.advance(3);
  await watchOf().look();
  await watchOf().look();
  assert.equal(journal.head("log"), 2, "one line, one correction");
  assert.equal(journal.head("state"), 0);
  clock.setWall(1_900_000_000_000);
  await watchOf().look();
  assert.equal(journal.head("log"), 3, "another jump is another correction");
});
