// What is known of each boot's clock, and which times are thereby other than they were written.
// Pure; it must not know where corrections are kept or who asks.
import type { ClockSync } from "../util/clock.ts";

/** A wall clock further than this from where it was has jumped. */
const jumpMs = 2000;
const ranks: Readonly<Record<ClockSync, number>> = { none: 0, rtc: 1, ntp: 2, central: 3 };

/** What a record of kind `correction` says of the records `from` to `to` of its stream. */
export interface Correction {
  /** The boot whose records are meant, 32 hexadecimal digits. */
  readonly boot: string;
  /** Wall clock less monotonic clock of that boot, in milliseconds. */
  readonly offsetMs: number;
  readonly from: number;
  readonly to: number;
  /** How far that is to be trusted. */
  readonly sync: ClockSync;
}

/** A clock as it is seen: wall less monotonic, and how far it is trusted. */
export interface ClockSight {
  readonly offsetMs: number;
  readonly sync: ClockSync;
}

/** What is believed of this boot's clock. */
export interface ClockBelief extends ClockSight {
  /** It was elsewhere while it was trusted less than this. */
  readonly strayed?: boolean;
}

/**
 * What to believe after one more look, and whether the records so far need a correction: the clock
 * became trusted, or jumped, or came back. Wall less monotonic is one number for a whole boot: the
 * newest that is trusted no less than those before holds for all its records.
 */
export function stepClock(
  belief: ClockBelief | undefined,
  sight: ClockSight,
): { readonly belief: ClockBelief; readonly corrects: boolean } {
  const { offsetMs, sync } = sight;
  if (belief === undefined) return { belief: { offsetMs, sync }, corrects: false };
  const isElsewhere = Math.abs(offsetMs - belief.offsetMs) > jumpMs;
  if (ranks[sync] < ranks[belief.sync]) {
    return { belief: isElsewhere ? { ...belief, strayed: true } : belief, corrects: false };
  }
  const isTrusted = belief.sync === "none" && sync !== "none";
  if (isElsewhere || isTrusted || belief.strayed === true) {
    return { belief: { offsetMs, sync }, corrects: true };
  }
  return { belief: belief.sync === sync ? belief : { ...belief, sync }, corrects: false };
}

/** The correction in the body of a record; undefined when it is none of this version's. */
export function correctionOf(body: unknown): Correction | undefined {
  if (typeof body !== "object" || body === null) return undefined;
  const { boot, offsetMs, from, to, sync } = body as Record<string, unknown>;
  if (typeof boot !== "string" || typeof sync !== "string" || !(sync in ranks)) return undefined;
  if (!Number.isFinite(offsetMs) || !Number.isSafeInteger(from) || !Number.isSafeInteger(to)) {
    return undefined;
  }
  return { boot, offsetMs, from, to, sync } as Correction;
}

/** What one clock of a block comes to: where its times are, or that they wait to be known. */
export interface ClockFate {
  /** Wall less monotonic, when a correction says so. */
  readonly offsetMs: number | undefined;
  /** This boot's, made before its clock was set: a correction may come. */
  readonly waits: boolean;
}

/** All corrections of one stream. */
export class Corrections {
  readonly #boot: string;
  readonly #byBoot = new Map<string, Correction[]>();

  /** @param boot the boot that runs. */
  constructor(boot: string) {
    this.#boot = boot;
  }

  /** Takes one more; whether it says anything new. */
  learn(correction: Correction): boolean {
    const known = this.#byBoot.get(correction.boot);
    if (known === undefined) {
      this.#byBoot.set(correction.boot, [correction]);
      return true;
    }
    const isKnown = known.some(
      ({ from, to, offsetMs, sync }) =>
        from === correction.from &&
        to === correction.to &&
        offsetMs === correction.offsetMs &&
        sync === correction.sync,
    );
    if (!isKnown) known.push(correction);
    return !isKnown;
  }

  all(): Correction[] {
    return [...this.#byBoot.values()].flat();
  }

  /** The fate of records of a boot and trust at a sequence; the newest correction counts. */
  fate(boot: string, sync: ClockSync, sequence: number): ClockFate {
    const covering = this.#byBoot
      .get(boot)
      ?.findLast(({ from, to }) => from <= sequence && sequence <= to);
    const isKnown = covering !== undefined && covering.sync !== "none";
    return {
      offsetMs: covering?.offsetMs,
      waits: boot === this.#boot && sync === "none" && !isKnown,
    };
  }

  /** Whether a correction may part a block: it speaks of some of its records only. */
  parts(boot: string, first: number, last: number): boolean {
    const known = this.#byBoot.get(boot) ?? [];
    return known.some(({ from, to }) => from <= last && to >= first && (from > first || to < last));
  }
}

/** The wall clock of a record; one that was written by the clock as it is known stays. */
export function correctedWall(wall: number, mono: number, offsetMs: number | undefined): number {
  if (offsetMs === undefined || Math.abs(wall - mono - offsetMs) <= jumpMs) return wall;
  return mono + offsetMs;
}
