// The newest lines in memory, bounded in number and in bytes, each with a position that never comes
// again in this run. It must not know where lines come from.
import { weightOf } from "../util/log-levels.ts";
import type { Line } from "./line.ts";

/** A line in the ring. */
export interface RingLine extends Omit<Line, "body" | "level"> {
  readonly text: string;
  readonly weight: number;
  /** Its number in the stream `log`, once it has one. */
  sequence?: number;
}

/** What a line costs beside its text. */
const overheadBytes = 200;

export class LineRing {
  readonly #linesMax: number;
  readonly #bytesMax: number;
  #lines: (RingLine | undefined)[] = [];
  /** Lines at the front that have left the ring already. */
  #gone = 0;
  #waiting = new Set<() => void>();
  /** Position of the last line; 0 before the first. */
  position = 0;
  /** Bytes of the lines kept. */
  bytes = 0;
  /** Highest number in the stream of a line that left. */
  goneSequence = 0;

  constructor({ linesMax, bytesMax }: { linesMax: number; bytesMax: number }) {
    this.#linesMax = linesMax;
    this.#bytesMax = bytesMax;
  }

  /** Lines kept. */
  get count(): number {
    return this.#lines.length - this.#gone;
  }

  /** Position of the oldest line kept. */
  get first(): number {
    return this.position - this.count + 1;
  }

  /** Takes a line; the oldest go. @returns its position. */
  push(line: Line, text: string): number {
    const { timestamp, service, context } = line;
    const weight = weightOf(line.level);
    this.#lines.push({ timestamp, service, context, text, weight });
    this.bytes += costOf(text);
    this.position += 1;
    while (this.count > this.#linesMax || (this.bytes > this.#bytesMax && this.count > 1)) {
      this.#dropOldest();
    }
    return this.position;
  }

  #dropOldest(): void {
    const oldest = this.#lines[this.#gone];
    this.#lines[this.#gone] = undefined;
    this.#gone += 1;
    if (oldest !== undefined) {
      this.bytes -= costOf(oldest.text);
      this.goneSequence = Math.max(this.goneSequence, oldest.sequence ?? 0);
    }
    if (this.#gone < 1000 || this.#gone < this.count) return;
    this.#lines = this.#lines.slice(this.#gone);
    this.#gone = 0;
  }

  /** The line at a position, while it is kept. */
  at(position: number): RingLine | undefined {
    if (position < this.first) return undefined;
    return this.#lines[this.#gone + position - this.first];
  }

  /** Notes under which number a line is in the stream. */
  mark(position: number, sequence: number): void {
    const line = this.at(position);
    if (line === undefined) this.goneSequence = Math.max(this.goneSequence, sequence);
    else line.sequence = sequence;
  }

  /** Number of the last record of the stream that is older than all lines here; none: `none`. */
  streamBefore(none: number): number {
    for (let at = this.#gone; at < this.#lines.length; at += 1) {
      const sequence = this.#lines[at]?.sequence;
      if (sequence !== undefined) return sequence - 1;
    }
    return Math.max(none, this.goneSequence);
  }

  /** Wakes those who wait for lines. */
  wake(): void {
    if (this.#waiting.size === 0) return;
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const resolve of waiting) resolve();
  }

  /** Resolves at the next `wake`, and when `stop` aborts. */
  grown(stop: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#waiting.delete(done);
        stop.removeEventListener("abort", done);
        resolve();
      };
      this.#waiting.add(done);
      stop.addEventListener("abort", done, { once: true });
    });
  }
}

function costOf(text: string): number {
  return text.length + overheadBytes;
}
