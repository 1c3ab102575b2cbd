// The wall clock of the real store process jumps ten years on and back while it writes, from 1970
// on: no order changes, nothing is lost, nothing grows old by it. It must not know the store.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { hasTool, installTools, mayInstall, tools } from "../../src/main/tools.ts";
import { systemClock as clock } from "../../src/util/clock.ts";
import { openTestStore } from "../fakes/store.ts";
import { Ledger } from "../power/ledger.ts";
import { type Place, placeIn } from "../power/record.ts";
import { lastIdOf, livesOf, readMarks, runLife } from "../power/recording.ts";
import { verify } from "../power/verify.ts";
import type { Mix } from "../power/workload.ts";

const seed = Number(process.env.PLANTD_SEED ?? process.hrtime()[1]);
const root = mkdtempSync(join(tmpdir(), "pj-"));
const year = 365 * 86_400;
const multiarch: Readonly<Record<string, string>> = { x64: "x86_64", arm64: "aarch64" };
const library = `/usr/lib/${multiarch[process.arch]}-linux-gnu/faketime/libfaketimeMT.so.1`;
/** Requests answered between two jumps. */
const answersPerJump = 20;

const mix: Mix = {
  name: "jumps",
  steps: 30,
  lanes: ["set", "many", "event", "line", "ack", "ack"],
  turns: ["reopen", "kill", "reopen", "end"],
  // Records that are acknowledged stay a day: ten years by the wall clock are no day.
  settings: { keepMs: 86_400_000, checkpointMs: 5 },
};

after(() => rmSync(root, { recursive: true, force: true }));

/** Seconds by which the clock is wrong, one after the other. */
function jumps(): number[] {
  const since1970 = Math.floor(clock.wallMs() / 1000) - 86_400;
  return [-since1970, -since1970 + 10 * year, -since1970, 0, 10 * year, 0, -10 * year];
}

/** Sets the wall clock of the process, at once: the file appears whole. */
function setClock(file: string, offset: number): void {
  writeFileSync(`${file}.new`, `${offset < 0 ? "" : "+"}${offset}\n`);
  renameSync(`${file}.new`, file);
}

/** One life, its clock set anew after every so many answers. */
async function live(place: Place, file: string, life: number, firstId: number): Promise<number> {
  const turns = livesOf(mix.turns)[life] ?? [];
  const over = new AbortController();
  const steps = jumps();
  const jump = async () => {
    for (let before = -1; !over.signal.aborted; await clock.sleep(2, over.signal)) {
      const marks = existsSync(place.marks) ? readMarks(place) : [];
      const answers = marks.filter(({ what }) => what === "answered").length;
      const step = Math.floor(answers / answersPerJump);
      if (step !== before) setClock(file, steps[step % steps.length] ?? 0);
      before = step;
    }
  };
  const jumping = jump();
  const env = {
    LD_PRELOAD: library,
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: "1",
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
    DONT_FAKE_MONOTONIC: "1",
  };
  const order = { mix, seed, life, turns, firstId };
  const end = await runLife(place, order, { isRecorded: false, env });
  over.abort();
  await jumping;
  assert.equal(end.signal ?? end.code, turns.at(-1) === "kill" ? "SIGKILL" : 0, end.errors);
  return lastIdOf(readMarks(place));
}

test("ten years on, ten years back: no order changes, nothing is lost or grows old", async (t) => {
  t.diagnostic(`seed ${seed}`);
  if (!hasTool(tools.faketime) && mayInstall()) installTools([tools.faketime]);
  assert.ok(existsSync(library), `${library} is missing: apt-get install faketime`);
  const place = placeIn(root, "");
  const file = join(root, "offset");
  setClock(file, jumps()[0] ?? 0);
  let id = 0;
  for (const life of livesOf(mix.turns).keys()) id = await live(place, file, life, id);

  const ledger = new Ledger();
  for (const mark of readMarks(place)) ledger.take(mark);
  {
    await using store = await openTestStore(place.folder);
    const { streams } = await store.call("position", { consumer: "sync" });
    const walls: number[] = [];
    for (const stream of ["state", "event", "log"]) {
      const { first, head } = streams[stream];
      assert.ok(head > 50, `${stream} has ${head} records`);
      assert.equal(first, 1, `${stream}: nothing is a day old`);
      const { records } = await store.call("changes", { stream, after: 0 });
      for (const { time } of records) if (time !== undefined) walls.push(time.wall);
    }
    const years = (ms: number) => new Set(walls.filter((wall) => Math.abs(wall - ms) < 86_400e3));
    const now = clock.wallMs();
    for (const ms of [86_400e3, 86_400e3 + 10 * year * 1000, now, now + 10 * year * 1000]) {
      assert.ok(years(ms).size > 0, `no record is of ${ms}`);
    }
    const back = walls.filter((wall, at) => wall < (walls[at - 1] ?? 0) - year * 1000).length;
    assert.ok(back > 1, "the clock never went back");
  }
  assert.deepEqual(await verify(place.folder, ledger, seed), []);
});
