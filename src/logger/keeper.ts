// Brings the weighty lines into the stream `log`: one batch at a time, bounded; a store that takes
// none is tried again, and what had no room meanwhile is counted and told. It must not know levels.
import type { Clock } from "../util/clock.ts";
import { asPlantError } from "../util/errors.ts";

export interface KeeperDeps {
  readonly clock: Clock;
  /** Keeps lines in the stream; rejects when the store takes none. @returns the first's number. */
  readonly append: (lines: readonly string[]) => Promise<{ readonly first: number } | undefined>;
  /** Hears under which number a line is kept. */
  readonly mark: (position: number, sequence: number) => void;
  /** Hears, once the store takes lines again, how many it did not get. */
  readonly tellLost: (lines: number, code: string) => void;
}

/** Lines that may wait for the store, and their characters. */
export const waitingMax = 5000;
const waitingCharactersMax = 4_194_304;
const batchMax = 1000;
const pauseMs = 1000;
const pauseCeilingMs = 30_000;

interface Waiting {
  readonly text: string;
  readonly position: number;
}

export class Keeper {
  readonly #deps: KeeperDeps;
  #waiting: Waiting[] = [];
  #characters = 0;
  #saving: Promise<void> | undefined;
  #untold = 0;
  #lostBy = "STORE_BUSY";
  readonly #end = new AbortController();
  /** Lines the stream did not get, so far. */
  lost = 0;
  /** Why the store took no lines the last time; none when it did. */
  code: string | undefined;

  constructor(deps: KeeperDeps) {
    this.#deps = deps;
  }

  /** Lines that wait. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Takes a line to keep; one too many is lost to the stream. */
  push(text: string, position: number): void {
    const isFull =
      this.#waiting.length >= waitingMax || this.#characters + text.length > waitingCharactersMax;
    if (isFull) this.#lose(1);
    else {
      this.#waiting.push({ text, position });
      this.#characters += text.length;
    }
  }

  /** Starts what waits on its way, unless something is. */
  save(): void {
    if (this.#saving !== undefined || this.#waiting.length === 0) return;
    this.#saving = this.#run().finally(() => {
      this.#saving = undefined;
    });
  }

  /** Tries what waits once more; resolves when nothing is on its way any more. */
  async drain(): Promise<void> {
    this.#end.abort();
    this.save();
    await this.#saving;
  }

  async #run(): Promise<void> {
    const { clock } = this.#deps;
    let failures = 0;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.slice(0, batchMax);
      const isKept = await this.#try(batch);
      if (isKept === "yes") failures = 0;
      if (isKept === "later" && this.#end.signal.aborted) {
        this.#lose(this.#waiting.length);
        this.#waiting = [];
      } else if (isKept === "later") {
        const waitMs = Math.min(pauseCeilingMs, pauseMs * 2 ** Math.min(failures, 10));
        failures += 1;
        await clock.sleep(waitMs, this.#end.signal);
      }
      if (isKept === "yes" && this.#untold > 0) this.#tell();
    }
  }

  async #try(batch: readonly Waiting[]): Promise<"yes" | "no" | "later"> {
    try {
      const kept = await this.#deps.append(batch.map(({ text }) => text));
      this.code = undefined;
      this.#drop(batch);
      if (kept === undefined) return "yes";
      batch.forEach(({ position }, at) => {
        this.#deps.mark(position, kept.first + at);
      });
      return "yes";
    } catch (thrown) {
      const error = asPlantError(thrown);
      this.code = error.code;
      if (error.isRetryable) return "later";
      this.#drop(batch);
      this.#lose(batch.length);
      return "no";
    }
  }

  #drop(batch: readonly Waiting[]): void {
    this.#waiting.splice(0, batch.length);
    for (const { text } of batch) this.#characters -= text.length;
  }

  #lose(lines: number): void {
    this.lost += lines;
    this.#untold += lines;
    this.#lostBy = this.code ?? "STORE_BUSY";
  }

  #tell(): void {
    const lines = this.#untold;
    this.#untold = 0;
    this.#deps.tellLost(lines, this.#lostBy);
  }
}
