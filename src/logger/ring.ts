// The newest lines in memory, each with a position that never comes again.
// It must not know where lines come from.

/** One log line; further fields are the writer's. */
export interface LogLine {
  /** ISO 8601, UTC. */
  readonly timestamp: string;
  readonly level: string;
  readonly service: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

const levels = ["debug", "info", "warn", "error"];

/** How weighty a level is; one that is not known counts as the highest. */
export function weightOf(level: string): number {
  const at = levels.indexOf(level);
  return at < 0 ? levels.length - 1 : at;
}

export class LineRing {
  readonly #max: number;
  #lines: LogLine[] = [];
  /** Lines at the front that have left the ring already. */
  #gone = 0;
  #waiting = new Set<() => void>();
  /** Position of the last line; 0 before the first. */
  position = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Position of the oldest line kept. */
  get first(): number {
    return this.position - (this.#lines.length - this.#gone) + 1;
  }

  push(line: LogLine): void {
    this.#lines.push(line);
    this.position += 1;
    if (this.#lines.length - this.#gone <= this.#max) return;
    this.#gone += 1;
    if (this.#gone < this.#max) return;
    this.#lines = this.#lines.slice(this.#gone);
    this.#gone = 0;
  }

  /** Wakes those who wait for lines. */
  wake(): void {
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

  /** At most `limit` lines after a position, oldest first. */
  after(position: number, limit: number): LogLine[] {
    const from = this.#gone + Math.max(0, position - this.first + 1);
    return this.#lines.slice(from, from + limit);
  }

  /** The newest `limit` lines that are wanted, newest last. */
  newest(limit: number, wanted: (line: LogLine) => boolean): LogLine[] {
    const found: LogLine[] = [];
    for (let at = this.#lines.length - 1; at >= this.#gone && found.length < limit; at -= 1) {
      const line = this.#lines[at];
      if (line !== undefined && wanted(line)) found.push(line);
    }
    return found.reverse();
  }
}
