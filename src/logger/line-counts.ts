// How many lines were taken: by level, and how many of them had a secret left out. Pure; it must not
// know where lines go.
import { logLevels } from "../util/log-levels.ts";
import { redacted } from "../util/redact.ts";

/** Counts since the start. */
export interface CountedLines {
  readonly lines: number;
  /** A level that is none of ours counts as `other`. */
  readonly byLevel: Readonly<Record<string, number>>;
  /** Lines in which a secret was left out, by their writer or here. */
  readonly redacted: number;
}

export class LineCounts {
  #redacted = 0;
  readonly #byLevel = new Map<string, number>([...logLevels, "other"].map((level) => [level, 0]));

  /** @param text the whole line. */
  take(level: string, text: string): void {
    const name = this.#byLevel.has(level) ? level : "other";
    this.#byLevel.set(name, (this.#byLevel.get(name) ?? 0) + 1);
    if (text.includes(redacted)) this.#redacted += 1;
  }

  tell(): CountedLines {
    const byLevel = Object.fromEntries(this.#byLevel);
    const lines = Object.values(byLevel).reduce((sum, count) => sum + count, 0);
    return { lines, byLevel, redacted: this.#redacted };
  }
}
