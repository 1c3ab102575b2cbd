// kill -9 of the real store process under load, again and again, with the ledger outside it: what it
// was asked and what it answered lies in a file that a killed process leaves whole.
import type { ChildProcess } from "node:child_process";
import { cpSync, existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { systemClock as clock } from "../../src/util/clock.ts";
import { type Random, seededRandom } from "../../src/util/random.ts";
import { endChild } from "../fakes/patience.ts";
import { Ledger } from "./ledger.ts";
import { type Place, placeIn, startRecorded } from "./record.ts";
import { lastIdOf, readMarks } from "./recording.ts";
import { verify } from "./verify.ts";
import type { Mix } from "./workload.ts";

export interface KillResult {
  /** Processes that were seen to end by the signal. */
  readonly kills: number;
  readonly acknowledged: number;
  readonly violations: readonly string[];
}

const mix: Mix = {
  name: "kill",
  // More than a life lasts.
  steps: 100_000,
  lanes: ["set", "many", "many", "event", "line", "ack", "ack"],
  turns: ["end"],
  settings: { keepMs: 0, checkpointMs: 8 },
};
/** Lives between two looks at what is kept: each look opens a copy. */
const livesPerLook = 5;
const openMs = 30_000;

/** Kills a store `kills` times. @param root folder of its own, left as it is. */
export async function killStore(
  root: string,
  { kills: wanted, seed }: { readonly kills: number; readonly seed: number },
): Promise<KillResult> {
  const random = seededRandom(seed);
  const place = placeIn(root, "");
  let kills = 0;
  let acknowledged = 0;
  for (let life = 0; kills < wanted; life += 1) {
    const marks = existsSync(place.marks) ? readMarks(place) : [];
    const order = { mix, seed, life, turns: mix.turns, firstId: lastIdOf(marks) };
    const child = startRecorded(place, order, { isRecorded: false });
    await killSoon(child, place, random);
    if (child.signalCode !== "SIGKILL") {
      const end = child.signalCode ?? child.exitCode;
      return { kills, acknowledged, violations: [`life ${life} ended with ${end}`] };
    }
    kills += 1;
    if (kills % livesPerLook !== 0 && kills < wanted) continue;
    const ledger = new Ledger();
    acknowledged = 0;
    for (const mark of readMarks(place)) {
      ledger.take(mark);
      if (mark.what === "answered") acknowledged += 1;
    }
    const copy = join(root, "copy");
    rmSync(copy, { recursive: true, force: true });
    cpSync(place.folder, copy, { recursive: true });
    const violations = await verify(copy, ledger, seed);
    if (violations.length > 0) {
      const told = violations.slice(0, 5).map((words) => `seed ${seed}, kill ${kills}: ${words}`);
      return { kills, acknowledged, violations: told };
    }
  }
  return { kills, acknowledged, violations: [] };
}

/** Kills a process while it opens its store or, mostly, some time after. */
async function killSoon(child: ChildProcess, place: Place, random: Random): Promise<void> {
  const isEarly = random.unit() < 0.1;
  const word = isEarly ? "opening" : "opened";
  const before = countOf(place, word);
  const untilMs = clock.monotonicMs() + openMs;
  const isWaiting = () => child.exitCode === null && clock.monotonicMs() < untilMs;
  while (countOf(place, word) === before && isWaiting()) await clock.sleep(2);
  await clock.sleep(random.unit() * (isEarly ? 8 : 100));
  await endChild(child, "SIGKILL");
}

/** How often a word stands in the marks. */
function countOf({ marks }: Place, word: string): number {
  if (!existsSync(marks)) return 0;
  return readFileSync(marks, "latin1").split(`"what":"${word}"`).length - 1;
}
