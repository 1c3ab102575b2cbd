// What stands in small files beside the database, so that an opening goes on where the last one
// ended: how it was closed, openings that failed, the replacement under way, those that were made.
// It must not know how a database is looked at or replaced.
import { join } from "node:path";
import { readJsonFile, removeFile, replaceFile } from "../util/durable-file.ts";
import { isOfMedium } from "./medium.ts";
import type { Heads, Recovery } from "./recovery-plan.ts";

/** Openings since one that went well. */
export interface Openings {
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
  readonly toldMs?: number;
  /** When somebody said they have seen it. */
  readonly seenMs?: number;
};

const names = {
  clean: "clean.json",
  opening: "opening.json",
  recovery: "recovery.json",
  replaced: "replaced.json",
} as const;
const replacedMax = 20;

export class RecoveryNotes {
  readonly #folder: string;
  #openings: Openings = { attempts: 0, isRewritten: false };
  #recovery: Recovery | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  #at(name: keyof typeof names): string {
    return join(this.#folder, names[name]);
  }

  /** Reads what stands there, and counts this opening. */
  begin(): void {
    this.#recovery = readJsonFile(this.#at("recovery")) as Recovery | undefined;
    const found = readJsonFile(this.#at("opening")) as Partial<Openings> | undefined;
    const { attempts = 0, isRewritten = false, knows } = found ?? {};
    this.#openings = { attempts, isRewritten, knows };
    this.countOpening(1);
  }

  get openings(): Openings {
    return this.#openings;
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
    return readJsonFile(this.#at("clean")) as Closed | undefined;
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
    return (readJsonFile(this.#at("replaced")) as Replaced[] | undefined) ?? [];
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
