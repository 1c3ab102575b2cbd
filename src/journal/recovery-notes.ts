// What stands in small files beside the database, so that an opening goes on where the last one
// ended: how it was closed, openings that failed, the replacement under way, those that were made.
// It must not know how a database is looked at or replaced.
import { join } from "node:path";
import { readJsonFile, removeFile, replaceFile } from "../util/durable-file.ts";
import { inspect, v } from "../util/shape.ts";
import { streams } from "./head.ts";
import { isOfMedium } from "./medium.ts";
import { isQuarantine } from "./quarantine.ts";
import type { Heads, Recovery } from "./recovery-plan.ts";

/** Openings since one that went well. */
export interface Openings {
  /** The one that runs is among them: it is not known yet how it ends. */
  readonly attempts: number;
  /** Whether the database was written anew since then because of them. */
  readonly isRewritten: boolean;
  /** The newest format that the last release knew which opened it. */
  readonly knows?: number | undefined;
}

/** What the database held when its owner closed it. */
export interface Closed {
  readonly epoch: string;
  readonly heads: Heads;
}

/** A replacement that was made, as it is told. */
export type Replaced = Recovery & {
  readonly toldMs?: number | undefined;
  /** When somebody said they have seen it. */
  readonly seenMs?: number | undefined;
};

const names = {
  clean: "clean.json",
  opening: "opening.json",
  recovery: "recovery.json",
  replaced: "replaced.json",
} as const;
const replacedMax = 20;

// What stands there steers what is moved and removed: what is not of these shapes is as if it were
// not there, else one garbled note would end every opening.
const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const heads = v.partial(v.object({ state: whole, event: whole, log: whole, metric: whole }));
const lost = v.object({ stream: v.picklist(streams), from: whole, to: v.nullable(whole) });
const recoveryShape = v.object({
  phase: v.picklist(["quarantine", "restore", "tell"]),
  name: v.pipe(v.string(), v.check(isQuarantine)),
  reason: v.string(),
  atMs: v.number(),
  known: heads,
  isClosed: v.boolean(),
  tried: v.array(v.string()),
  remains: v.optional(v.picklist(["whole", "holes", "parts", "none"])),
  holes: v.optional(v.array(lost)),
  source: v.optional(v.picklist(["whole", "snapshot", "remains", "nothing"])),
  snapshot: v.optional(v.string()),
  restored: v.optional(heads),
});
const moment = v.optional(v.number());
const shapes = {
  clean: v.object({ epoch: v.string(), heads }),
  opening: v.object({ attempts: whole, isRewritten: v.boolean(), knows: v.optional(whole) }),
  recovery: recoveryShape,
  replaced: v.array(v.object({ ...recoveryShape.entries, toldMs: moment, seenMs: moment })),
} as const;

export class RecoveryNotes {
  readonly #folder: string;
  #openings: Openings = { attempts: 0, isRewritten: false };
  #recovery: Recovery | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  #read<N extends keyof typeof shapes>(name: N): v.InferOutput<(typeof shapes)[N]> | undefined {
    const found = inspect(shapes[name], readJsonFile(this.#at(name)));
    return found.ok ? found.value : undefined;
  }

  #at(name: keyof typeof names): string {
    return join(this.#folder, names[name]);
  }

  /** Reads what stands there, and counts this opening. */
  begin(): void {
    this.#recovery = this.#read("recovery") as Recovery | undefined;
    this.#openings = this.#read("opening") ?? { attempts: 0, isRewritten: false };
    this.countOpening(1);
  }

  get openings(): Openings {
    return this.#openings;
  }

  /** Openings since one that went well that are over: they failed. */
  get failures(): number {
    return Math.max(0, this.#openings.attempts - 1);
  }

  /** Counts an opening, or takes it back. */
  countOpening(by: 1 | -1): void {
    this.#keepOpenings({ attempts: Math.max(0, this.#openings.attempts + by) });
  }

  /** A release that knows this format opens the database. */
  openedBy(format: number): void {
    if (this.#openings.knows !== format) this.#keepOpenings({ knows: format });
  }

  #keepOpenings(more: Partial<Openings>): void {
    this.#openings = { ...this.#openings, ...more };
    try {
      replaceFile(this.#at("opening"), JSON.stringify(this.#openings));
    } catch (error) {
      // The database itself will say more of a medium that takes nothing.
      if (!isOfMedium(error)) throw error;
    }
  }

  /** The opening went well: what counts them begins anew. */
  succeeded(): void {
    if (this.#openings.attempts === 0 && !this.#openings.isRewritten) return;
    this.#openings = { ...this.#openings, attempts: 0, isRewritten: false };
    replaceFile(this.#at("opening"), JSON.stringify(this.#openings));
  }

  /** What the database held when it was closed; undefined when nobody closed it. */
  get closed(): Closed | undefined {
    return this.#read("clean") as Closed | undefined;
  }

  noteClosed(last: Closed): void {
    replaceFile(this.#at("clean"), JSON.stringify(last));
  }

  /** From now on nobody has closed it. */
  forgetClosed(): void {
    removeFile(this.#at("clean"));
  }

  /** The replacement under way, or done and not told. */
  get recovery(): Recovery | undefined {
    return this.#recovery;
  }

  /** A replacement begins. */
  start(recovery: Recovery): void {
    this.#keepOpenings({ isRewritten: true });
    this.#recovery = recovery;
    this.note({});
  }

  /** Keeps what is known of the replacement, durably. */
  note(more: Partial<Recovery>): void {
    if (this.#recovery === undefined) return;
    this.#recovery = { ...this.#recovery, ...more };
    replaceFile(this.#at("recovery"), JSON.stringify(this.#recovery));
  }

  /** There is no replacement any more. */
  end(): void {
    removeFile(this.#at("recovery"));
    this.#recovery = undefined;
  }

  /** Replacements that were told, oldest first, the newest few. */
  get replaced(): readonly Replaced[] {
    return (this.#read("replaced") ?? []) as readonly Replaced[];
  }

  /** The replacement was told. */
  told(toldMs: number): void {
    if (this.#recovery === undefined) return;
    const told: Replaced = { ...this.#recovery, toldMs };
    const before = this.replaced.filter(({ name }) => name !== told.name);
    this.#keepReplaced([...before, told].slice(-replacedMax));
    this.end();
  }

  /** Somebody has seen what was told. */
  seen(seenMs: number): void {
    this.#keepReplaced(this.replaced.map((one) => ({ seenMs, ...one })));
  }

  #keepReplaced(replaced: readonly Replaced[]): void {
    replaceFile(this.#at("replaced"), JSON.stringify(replaced));
  }
}
