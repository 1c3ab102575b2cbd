// Looks at the machine's clock now and then, and records what the times of this boot's records
// really were once that is known. It must not know how corrections are applied.
import { type Journal, type SideTable, type Stream, streams } from "../journal/journal.ts";
import type { Clock, ClockSync } from "../util/clock.ts";
import { type ClockBelief, type Correction, correctionOf, stepClock } from "./time-correction.ts";

export interface ClockWatchDeps {
  readonly clock: Clock;
  /** The boot that runs. */
  readonly boot: string;
  readonly sync: () => ClockSync;
  readonly journal: Pick<Journal, "append" | "head" | "read" | "runMs" | "side">;
}

/** What is kept of a boot. */
interface BootRow {
  readonly belief: ClockBelief;
  /** The first sequence of each stream that a record of this boot can have. */
  readonly firsts: Readonly<Record<Stream, number>>;
  /** Corrections so far. */
  readonly corrections: number;
  /** Running time of the store when the boot was first seen. */
  readonly runMs: number;
}

/** Boots whose rows are kept; the oldest go. */
const bootsMax = 32;

export class ClockWatch {
  readonly #deps: ClockWatchDeps;
  readonly #table: SideTable;
  #row: BootRow | undefined;

  constructor(deps: ClockWatchDeps) {
    this.#deps = deps;
    this.#table = deps.journal.side("boot");
  }

  /**
   * Looks once; appends corrections where the clock says so. What failed is done at the next look.
   * @throws PlantError as `append`.
   */
  async look(): Promise<void> {
    const { clock, sync } = this.#deps;
    const sight = { offsetMs: Math.round(clock.wallMs() - clock.monotonicMs()), sync: sync() };
    const row = this.#row ?? this.#read() ?? (await this.#begin(sight));
    this.#row = row;
    const { belief, corrects } = stepClock(row.belief, sight);
    if (belief === row.belief) return;
    if (!corrects) {
      await this.#save({ ...row, belief });
      return;
    }
    const number = row.corrections + 1;
    let said: Correction | undefined;
    for (const stream of streams) said = (await this.#correct(stream, belief, number)) ?? said;
    const offsetMs = said?.offsetMs ?? belief.offsetMs;
    await this.#save({ ...row, belief: { ...belief, offsetMs }, corrections: number });
  }

  get #key(): Uint8Array {
    return Buffer.from(`b/${this.#deps.boot}`);
  }

  #read(): BootRow | undefined {
    const bytes = this.#table.get(this.#key);
    return bytes === undefined ? undefined : parse(bytes);
  }

  async #begin(belief: ClockBelief): Promise<BootRow> {
    const { journal } = this.#deps;
    const firstOf = (stream: Stream) => journal.head(stream) + 1;
    const firsts = {
      state: firstOf("state"),
      event: firstOf("event"),
      log: firstOf("log"),
      metric: firstOf("metric"),
    };
    const bounds = { from: Buffer.from("b/"), to: Buffer.from("b0") };
    const known = [...this.#table.range(bounds)]
      .map(({ key, value }) => ({ key, runMs: parse(value).runMs }))
      .sort((a, b) => b.runMs - a.runMs);
    const old = known.slice(bootsMax - 1).map(({ key }) => ({ key, value: undefined }));
    if (old.length > 0) await this.#table.write(old, "reserve");
    const row = { belief, firsts, corrections: 0, runMs: journal.runMs() };
    await this.#save(row);
    return row;
  }

  async #save(row: BootRow): Promise<void> {
    const value = Buffer.from(JSON.stringify(row));
    await this.#table.write([{ key: this.#key, value }], "reserve");
    this.#row = row;
  }

  /** Appends a correction where the stream has records of this boot. @returns what it says. */
  async #correct(
    stream: Stream,
    { offsetMs, sync }: ClockBelief,
    number: number,
  ): Promise<Correction | undefined> {
    const { journal, boot } = this.#deps;
    const from = this.#row?.firsts[stream] ?? 1;
    if (journal.head(stream) < from) return undefined;
    const { first, repeated } = await journal.append({
      stream,
      flush: "now",
      recordsMax: 1,
      // After a crash between here and the row the same number finds the record that was made.
      source: { source: `org.plantd.State.clock.${stream}`, run: boot, number },
      build: (sequence) => [
        { kind: "correction", body: { boot, offsetMs, from, to: sequence - 1, sync } },
      ],
    });
    if (!repeated) return undefined;
    const page = { stream, after: first - 1, limit: 1, bytesMax: 65_536 };
    return correctionOf(journal.read(page).records[0]?.body);
  }
}

function parse(bytes: Uint8Array): BootRow {
  return JSON.parse(Buffer.from(bytes).toString()) as BootRow;
}
