// Generated and damaged input against every door: it may be refused with a code, and nothing else
// may happen. It must not know what stands behind a door.
import { systemClock } from "../../src/util/clock.ts";
import { PlantError } from "../../src/util/errors.ts";
import { seededRandom } from "../../src/util/random.ts";
import { openDoors } from "./doors.ts";
import { type Input, openMutator, type Shape } from "./mutation.ts";
import type { Torture } from "./torture.ts";

/** A way in for data from outside. */
export interface Door {
  readonly name: string;
  /** How often it is tried, beside the others; 1 unless said. */
  readonly weight?: number;
  readonly shape: Shape;
  /** Good inputs, from which bad ones are made. */
  readonly samples: readonly Input[];
  /** Takes an input or throws a PlantError. */
  readonly enter: (input: Input) => unknown;
}

/** What a run of inputs through doors showed. */
export interface FuzzOutcome {
  readonly runs: number;
  readonly violations: readonly string[];
  /** Inputs taken and refused, and the longest time, by door. */
  readonly doors: Readonly<Record<string, { taken: number; refused: number; longestMs: number }>>;
}

/** One input may not hold a process up for longer, on a machine that does other things too. */
const inputMsMax = 3000;
/** After this many findings of a door the rest says the same. */
const violationsPerDoorMax = 5;
const hexMax = 4000;

function hexOf(input: Input): string {
  const text = input.map((bytes) => Buffer.from(bytes).toString("hex")).join(" ");
  return text.length > hexMax ? `${text.slice(0, hexMax)}… (${text.length / 2} bytes)` : text;
}

/** Whether the input was taken. */
async function isTaken(door: Door, input: Input): Promise<boolean> {
  try {
    const result = door.enter(input);
    if (result instanceof Promise) await result;
    return true;
  } catch (error) {
    if (error instanceof PlantError && error.code !== "INTERNAL") return false;
    throw error;
  }
}

/** Feeds `count` inputs to doors, by their weights. */
export async function fuzz(
  doors: readonly Door[],
  order: { readonly count: number; readonly seed: number; readonly inputMsMax: number },
  progress: (words: string) => void,
): Promise<FuzzOutcome> {
  const total = doors.reduce((sum, { weight = 1 }) => sum + weight, 0);
  const violations: string[] = [];
  const found: Record<string, { taken: number; refused: number; longestMs: number }> = {};
  let runs = 0;
  for (const door of doors) {
    const share = Math.ceil((order.count * (door.weight ?? 1)) / total);
    const mutator = openMutator(seededRandom(order.seed));
    const figures = { taken: 0, refused: 0, longestMs: 0 };
    found[door.name] = figures;
    let findings = 0;
    for (let at = 0; at < share && findings < violationsPerDoorMax; at += 1) {
      const input = at < door.samples.length ? door.samples[at] : undefined;
      const fed = input ?? mutator.mutate(door.shape, door.samples);
      const from = systemClock.monotonicMs();
      runs += 1;
      const wrong = (words: string) => {
        findings += 1;
        violations.push(`${door.name}, seed ${order.seed}, input ${at}: ${words}: ${hexOf(fed)}`);
      };
      try {
        const taken = await isTaken(door, fed);
        figures[taken ? "taken" : "refused"] += 1;
        if (input !== undefined && !taken) wrong("a good input was refused");
      } catch (error) {
        wrong(String(error).split("\n")[0] ?? "");
      }
      const took = systemClock.monotonicMs() - from;
      figures.longestMs = Math.max(figures.longestMs, Math.round(took));
      if (took > order.inputMsMax) wrong(`it took ${Math.round(took)} ms`);
    }
    progress(`${door.name}: ${figures.taken} taken, ${figures.refused} refused`);
  }
  return { runs, violations, doors: found };
}

export const torture: Torture = {
  name: "fuzz",
  what: "generated and damaged input at every door (default 100000 inputs)",
  async run({ count = 100_000, seed, progress }) {
    await using doors = await openDoors();
    const {
      runs,
      violations,
      doors: figures,
    } = await fuzz(doors.all, { count, seed, inputMsMax }, progress);
    return { runs, violations, detail: { doors: figures } };
  },
};
