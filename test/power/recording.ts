// A recording: the lives of a store under one load, with all it did to its files. It must not know
// what is made of it.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Mark, Order } from "./ledger.ts";
import { type Entry, type Place, parseRecord, placeIn, startRecorded } from "./record.ts";
import type { Mix, Turn } from "./workload.ts";

/** What a recorded life ended with; the words it said when it went wrong. */
interface LifeEnd {
  readonly code: number | null;
  readonly signal: string | null;
  readonly errors: string;
}

const lifeMs = 60_000;

/** Runs one life to its end. */
export async function runLife(
  place: Place,
  order: Order,
  options: Parameters<typeof startRecorded>[2] = {},
): Promise<LifeEnd> {
  const child = startRecorded(place, order, options);
  let errors = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    errors += chunk.toString();
  });
  const late = AbortSignal.timeout(lifeMs);
  const end = () => child.kill("SIGKILL");
  late.addEventListener("abort", end);
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) => {
    child.once("close", (status, name) => resolve([status, name]));
  });
  late.removeEventListener("abort", end);
  return { code, signal, errors: late.aborted ? `it hangs: ${errors}` : errors };
}

/** Turns up to and with each kill: one process each. */
export function livesOf(turns: readonly Turn[]): Turn[][] {
  const lives: Turn[][] = [[]];
  for (const turn of turns) {
    lives.at(-1)?.push(turn);
    if (turn === "kill") lives.push([]);
  }
  return lives.filter((life) => life.length > 0);
}

/** The marks in a file of marks; one that was not written whole is left out. */
export function readMarks(place: Place): Mark[] {
  const lines = readFileSync(place.marks, "utf8").split("\n");
  return lines.slice(0, -1).map((line) => JSON.parse(line) as Mark);
}

/** The number of the last request in the marks. */
export function lastIdOf(marks: readonly Mark[]): number {
  return marks.reduce(
    (id, mark) => (mark.what === "asked" ? Math.max(id, mark.request.id) : id),
    0,
  );
}

/** Records all lives of a load below a folder. @throws Error when one ends otherwise than told. */
export async function record(
  root: string,
  library: string,
  { mix, seed }: { readonly mix: Mix; readonly seed: number },
): Promise<Place> {
  const place = placeIn(join(root, mix.name), library);
  let firstId = 0;
  for (const [life, turns] of livesOf(mix.turns).entries()) {
    const end = await runLife(place, { mix, seed, life, turns, firstId });
    const wanted = turns.at(-1) === "kill" ? "SIGKILL" : 0;
    if ((end.signal ?? end.code) !== wanted || end.errors !== "") {
      throw new Error(`${mix.name}: it ended with ${end.signal ?? end.code}: ${end.errors}`);
    }
    firstId = lastIdOf(readMarks(place));
  }
  return place;
}

/** All that a place's processes did, in order. */
export function readRecord(place: Place): Entry[] {
  return parseRecord(readFileSync(place.record));
}
