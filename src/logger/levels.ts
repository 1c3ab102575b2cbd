// The levels that somebody set for parts: for a while, or until somebody sets them otherwise, and
// the processes that were heard of. It must not know how a part takes them.
import type { Clock } from "../util/clock.ts";
import { PlantError } from "../util/errors.ts";
import { type LogLevel, logLevels, type SetLevels } from "../util/log-levels.ts";
import { check, v } from "../util/shape.ts";

/** Keeps levels over a restart. */
export interface LevelMemory {
  /** What was kept, by part; unchecked. */
  load(): Promise<Readonly<Record<string, unknown>>>;
  /** Keeps the level of a part, or forgets it; rejects when it cannot. */
  keep(part: string, level: LogLevel | undefined): Promise<void>;
}

/** Parts whose level is set at one time, for a while or not. */
export const setMax = 64;
/** Parts known at one time; the one longest silent is forgotten. */
export const partsMax = 256;
/** A part that was silent for so long counts as away. */
const silentMs = 30_000;

const partName = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z0-9][A-Za-z0-9:_-]{0,79}$/, "a name of letters, digits, :, - and _, at most 80"),
);
const level = v.picklist(logLevels);
const setShape = v.object({
  part: partName,
  level: v.picklist([...logLevels, "configured"]),
  forMs: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1000), v.maxValue(86_400_000))),
});
/** What a process says of itself whenever it brings lines. */
const processShape = v.object({
  parts: v.pipe(v.array(partName), v.maxLength(64)),
  level,
  /** The revision of the levels it goes by. */
  revision: v.pipe(v.string(), v.maxLength(100)),
});

interface KnownPart {
  readonly configured: LogLevel;
  readonly revision: string;
  readonly heardMs: number;
}

/** One part in the answer of `levels`. */
export interface PartLevel {
  readonly part: string;
  /** What it should write. */
  readonly level: LogLevel | "configured";
  readonly configured?: LogLevel;
  /** Until when, where it is for a while: milliseconds left. */
  readonly forMs?: number;
  /** Whether the part goes by it; absent for one that is away. */
  readonly isApplied?: boolean;
}

export class LiveLevels {
  readonly #clock: Clock;
  readonly #memory: LevelMemory | undefined;
  readonly #lasting = new Map<string, LogLevel>();
  readonly #passing = new Map<string, { level: LogLevel; untilMs: number }>();
  readonly #known = new Map<string, KnownPart>();
  readonly #run: string;
  #changes = 0;

  constructor(clock: Clock, memory: LevelMemory | undefined) {
    this.#clock = clock;
    this.#memory = memory;
    this.#run = Math.floor(clock.wallMs()).toString(36);
  }

  /** Takes up what was kept; what is no level of a part any more is passed over. */
  async load(): Promise<void> {
    for (const [part, kept] of Object.entries((await this.#memory?.load()) ?? {})) {
      const found = logLevels.find((one) => one === kept);
      if (found !== undefined && this.#lasting.size < setMax) this.#lasting.set(part, found);
    }
  }

  /** Sets the level of a part. @throws PlantError LIMIT_REACHED, and why it could not be kept. */
  async set(args: unknown): Promise<PartLevel> {
    const asked = check(setShape, args);
    const { part, forMs } = asked;
    const isNew = !this.#lasting.has(part) && !this.#passing.has(part);
    if (asked.level === "configured") {
      if (this.#lasting.has(part)) await this.#memory?.keep(part, undefined);
      this.#lasting.delete(part);
      this.#passing.delete(part);
    } else if (isNew && this.#setCount() >= setMax) {
      throw new PlantError("LIMIT_REACHED", {
        limit: "parts with a level of their own",
        max: setMax,
      });
    } else if (forMs === undefined) {
      await this.#memory?.keep(part, asked.level);
      this.#lasting.set(part, asked.level);
      this.#passing.delete(part);
    } else {
      const untilMs = this.#clock.monotonicMs() + forMs;
      this.#passing.set(part, { level: asked.level, untilMs });
    }
    this.#changes += 1;
    return this.#describe(part);
  }

  /** Notes what a process says of itself. @returns the levels, when it goes by others. */
  hear(given: unknown): SetLevels | undefined {
    const { parts, level: configured, revision } = check(processShape, given);
    this.#expire();
    const heardMs = this.#clock.monotonicMs();
    for (const part of parts) {
      this.#known.delete(part);
      this.#known.set(part, { configured, revision, heardMs });
    }
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= partsMax) break;
      this.#known.delete(oldest);
    }
    return revision === this.#revision ? undefined : this.#current();
  }

  /** What every part writes that is known or set, by name. */
  list(): { readonly levels: readonly PartLevel[] } {
    this.#expire();
    const names = new Set([
      ...this.#lasting.keys(),
      ...this.#passing.keys(),
      ...this.#known.keys(),
    ]);
    return { levels: [...names].sort().map((part) => this.#describe(part)) };
  }

  #describe(part: string): PartLevel {
    const nowMs = this.#clock.monotonicMs();
    const passing = this.#passing.get(part);
    const known = this.#known.get(part);
    const isHere = known !== undefined && nowMs - known.heardMs < silentMs;
    return {
      part,
      level: passing?.level ?? this.#lasting.get(part) ?? "configured",
      ...(known === undefined ? {} : { configured: known.configured }),
      ...(passing === undefined ? {} : { forMs: Math.max(0, passing.untilMs - nowMs) }),
      ...(isHere ? { isApplied: known.revision === this.#revision } : {}),
    };
  }

  get #revision(): string {
    // A process that goes by nothing and one that was told of nothing go by the same.
    return this.#changes === 0 && this.#lasting.size === 0 ? "" : `${this.#run}.${this.#changes}`;
  }

  #current(): SetLevels {
    const nowMs = this.#clock.monotonicMs();
    const parts: Record<string, { level: LogLevel; forMs?: number }> = {};
    for (const [part, lasting] of this.#lasting) parts[part] = { level: lasting };
    for (const [part, passing] of this.#passing) {
      parts[part] = { level: passing.level, forMs: passing.untilMs - nowMs };
    }
    return { revision: this.#revision, parts };
  }

  /** What was for a while and is over: what lasts holds again. */
  #expire(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [part, { untilMs }] of this.#passing) {
      if (untilMs > nowMs) continue;
      this.#passing.delete(part);
      this.#changes += 1;
    }
  }

  #setCount(): number {
    return new Set([...this.#lasting.keys(), ...this.#passing.keys()]).size;
  }
}
