// How far a machine's clock is trusted, by the signs it gives.
// It must not know the machine it runs on.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { clockSyncReader, readClockSync } from "../../../src/util/clock-sync.ts";
import { inSlices } from "../../../src/util/slices.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { temporaryFolder } from "../../fakes/store.ts";

const wall = 1_750_000_000_000;

interface Signs {
  readonly word?: string;
  readonly isSynchronized?: boolean;
  readonly rtcS?: number | string;
  readonly wallMs?: number;
}

const machines: readonly (readonly [name: string, signs: Signs, expected: string])[] = [
  ["nothing is known", {}, "none"],
  ["it is synchronised", { isSynchronized: true }, "ntp"],
  ["a battery clock agrees", { rtcS: wall / 1000 + 3000 }, "rtc"],
  ["a battery clock is years off", { rtcS: 5 }, "none"],
  ["a battery clock says nothing", { rtcS: "" }, "none"],
  ["a battery clock says nonsense", { rtcS: "soon" }, "none"],
  ["battery clock and wall clock stand at 1970", { rtcS: 100, wallMs: 100_000 }, "none"],
  ["it says synchronised, in 1970", { isSynchronized: true, wallMs: 100_000 }, "none"],
  ["the appliance knows better", { word: "central\n", isSynchronized: true }, "central"],
  ["the appliance knows worse", { word: "none", isSynchronized: true }, "none"],
  ["the appliance's word is unknown", { word: "gps", isSynchronized: true }, "ntp"],
];

function machine(path: string, { word, isSynchronized, rtcS }: Signs) {
  mkdirSync(join(path, "rtc"));
  if (word !== undefined) writeFileSync(join(path, "word"), word);
  if (isSynchronized === true) writeFileSync(join(path, "sync"), "");
  if (rtcS !== undefined) writeFileSync(join(path, "rtc", "since_epoch"), `${rtcS}\n`);
  return { word: join(path, "word"), synchronized: [join(path, "sync")], rtc: join(path, "rtc") };
}

for (const [name, signs, expected] of machines) {
  test(`the clock of a machine where ${name} is ${expected}`, () => {
    using folder = temporaryFolder();
    const clock = fakeClock(signs.wallMs ?? wall);
    assert.equal(readClockSync(clock, machine(folder.path, signs)), expected);
  });
}

test("a reader looks again after a few seconds, not at every stamp", async () => {
  using folder = temporaryFolder();
  const clock = fakeClock(wall);
  const read = clockSyncReader(clock, machine(folder.path, {}));
  assert.equal(read(), "none");
  writeFileSync(join(folder.path, "sync"), "");
  assert.equal(read(), "none");
  await clock.advance(5000);
  assert.equal(read(), "ntp");
});

test("long work lets others run after enough steps even where the clock stands", async () => {
  const pause = inSlices(fakeClock());
  let waits = 0;
  for (let step = 0; step < 1000; step += 1) {
    const waiting = pause();
    if (waiting !== undefined) waits += 1;
    await waiting;
  }
  assert.equal(waits, 3);
});
