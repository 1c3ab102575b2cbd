// The same line again within a while: counted, and told once with the count and the span.
// Pure; it must not know clocks.
import type { Line } from "./line.ts";

interface Repeated {
  readonly line: Line;
  readonly fromMs: number;
  count: number;
  lastMs: number;
}

/** A line that came again. */
export interface Repeat {
  /** As it came the first time. */
  readonly line: Line;
  /** How often it came after that. */
  readonly count: number;
  /** From the first time to the last. */
  readonly spanMs: number;
}

/** Lines remembered at one time; beyond it the oldest is told and forgotten. */
export const rememberedMax = 1024;

export class Repeats {
  readonly #windowMs: number;
  /** By body, in the order of their first time, and so of their end. */
  readonly #lines = new Map<string, Repeated>();
  #ended: Repeat[] = [];
  /** Lines counted instead of written, so far. */
  counted = 0;

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  /** Whether a line is only counted. */
  isAgain(line: Line, nowMs: number): boolean {
    if (this.#windowMs === 0) return false;
    const known = this.#lines.get(line.body);
    if (known !== undefined && nowMs - known.fromMs < this.#windowMs) {
      known.count += 1;
      known.lastMs = nowMs;
      this.counted += 1;
      return true;
    }
    if (known !== undefined) this.#end(line.body, known);
    this.#lines.set(line.body, { line, fromMs: nowMs, count: 0, lastMs: nowMs });
    if (this.#lines.size > rememberedMax) {
      for (const [body, oldest] of this.#lines) {
        this.#end(body, oldest);
        break;
      }
    }
    return false;
  }

  /** Forgets a line that was not written after all. */
  forget(line: Line): void {
    const known = this.#lines.get(line.body);
    if (known?.line === line) this.#end(line.body, known);
  }

  /** Repeats to tell, each once. @param isEnd whether those under way are told too. */
  take(nowMs: number, isEnd = false): readonly Repeat[] {
    for (const [body, known] of this.#lines) {
      if (!isEnd && nowMs - known.fromMs < this.#windowMs) break;
      this.#end(body, known);
    }
    const ended = this.#ended;
    if (ended.length > 0) this.#ended = [];
    return ended;
  }

  /** When the next while is over; Infinity when nothing is remembered. */
  get dueMs(): number {
    for (const { fromMs } of this.#lines.values()) return fromMs + this.#windowMs;
    return Number.POSITIVE_INFINITY;
  }

  #end(body: string, { line, count, fromMs, lastMs }: Repeated): void {
    this.#lines.delete(body);
    if (count > 0) this.#ended.push({ line, count, spanMs: lastMs - fromMs });
  }
}
