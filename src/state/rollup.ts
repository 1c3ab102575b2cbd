// Minute aggregates of all points, made behind the log: gathered in memory, written once an hour,
// so that after a crash each record is in exactly one of the two. It must not know who asks.
import type { Block, Journal, SideTable } from "../journal/journal.ts";
import type { Clock } from "../util/clock.ts";
import { PlantError } from "../util/errors.ts";
import type { Log } from "../util/log.ts";
import { inSlices } from "../util/slices.ts";
import type { Aggregate } from "./aggregate.ts";
import { blockValues, otherRecords } from "./block-values.ts";
import { Gathering, hourMs } from "./gathering.ts";
import { LogSpans } from "./log-spans.ts";
import { PointNames } from "./point-names.ts";
import { nextStep, type RollupLimits } from "./rollup-retention.ts";
import { type HourRows, SegmentShelf } from "./segment-shelf.ts";
import { type Level, type RollupRow, readAggregates } from "./segments.ts";
import { Corrections, correctionOf } from "./time-correction.ts";

export interface RollupDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** The boot that runs. */
  readonly boot: string;
  readonly journal: Pick<Journal, "blocks" | "head" | "side" | "runMs" | "stats">;
}

/** What was gathered of some points, and where it comes from. */
export interface Gathered {
  /** Aggregates by index, ordered by time; of one span there may be several. */
  readonly aggregates: ReadonlyMap<number, readonly Aggregate[]>;
  /** The coarsest that was found. */
  readonly level: Level;
  /** Records of `state` above this one are in none of them. */
  readonly frontier: number;
}

/** Above this share of the room, records of untrusted time are rolled up as they are. */
const shortRoomShare = 0.7;
/** What is gathered is written this long after an hour of the clock began. */
const graceMs = 90_000;
/** Segments are written no oftener and no rarer than this, unless memory is full. */
const flushLeastMs = 1_800_000;
const flushMostMs = 4_200_000;
/** The same while room is short: what is rolled up may go. */
const flushShortMs = 300_000;
/** Times a reading is begun anew when segments were replaced under it. */
const readingsMax = 5;

/** What came of one block: it was gathered, memory is full, or all is gathered anew. */
type Outcome = "none" | "gathered" | "full" | "anew";

export class Rollup {
  readonly names = new PointNames();
  readonly spans = new LogSpans();
  readonly corrections: Corrections;
  readonly #deps: RollupDeps;
  readonly #limits: RollupLimits;
  readonly #max: number | undefined;
  readonly #table: SideTable;
  readonly #shelf: SegmentShelf;
  #gathering: Gathering;
  /** The last record that was gathered. */
  #frontier = 0;
  /** Some of what is gathered may yet be corrected. */
  #waits = false;
  /** Rows could not be written: what is gathered is kept in memory alone. */
  #gaveWay = false;
  #damaged = 0;
  #flushedAtMs: number;
  #flushedHour: number;
  #working: Promise<unknown> = Promise.resolve();
  #isOpen = false;
  #isEnded = false;
  /** Room is needed now. */
  #isPressed = false;

  constructor(deps: RollupDeps, limits: RollupLimits, slotsMax?: number) {
    this.#deps = deps;
    this.#limits = limits;
    this.#max = slotsMax;
    this.#table = deps.journal.side("rollup");
    this.#shelf = new SegmentShelf({
      table: this.#table,
      runMs: () => deps.journal.runMs(),
      inSlices: () => inSlices(deps.clock),
    });
    this.corrections = new Corrections(deps.boot);
    this.#gathering = new Gathering(slotsMax);
    this.#flushedAtMs = deps.clock.monotonicMs();
    this.#flushedHour = this.#hour;
  }

  get #hour(): number {
    return Math.floor((this.#deps.clock.wallMs() - graceMs) / hourMs);
  }

  /** Records of `state` up to here are rolled up: no others may be trimmed or thinned. */
  rolledUpTo(): number {
    return this.#gaveWay ? this.#frontier : this.#shelf.position;
  }

  /** One thing at a time, in the order in which it was asked for. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#working.then(work);
    this.#working = mine.catch(() => {});
    return mine;
  }

  /** The last record that is gathered: later ones are in the log alone. */
  get frontier(): number {
    return this.#frontier;
  }

  /** Gathers what was appended since. @throws PlantError STORE_CLOSED. */
  follow(): Promise<void> {
    return this.#inTurn(() => this.#follow());
  }

  /** Gathers, writes what is due, and removes what is old. */
  tend(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#follow();
      const { clock } = this.#deps;
      const sinceMs = clock.monotonicMs() - this.#flushedAtMs;
      const isHour = this.#hour !== this.#flushedHour && sinceMs >= flushLeastMs;
      const isLate = sinceMs >= flushShortMs && this.#isShort;
      const mostMs = Math.min(flushMostMs, this.#limits.keepMs ?? flushMostMs);
      if (isHour || isLate || sinceMs >= mostMs) await this.#flush();
      await this.#retire();
    });
  }

  /**
   * Writes what is gathered whatever the hour.
   * @param isPressed whether times that may yet be corrected are taken as they are: room is needed.
   */
  flush(isPressed = false): Promise<void> {
    return this.#inTurn(async () => {
      this.#isPressed = isPressed;
      try {
        await this.#follow();
        await this.#flush();
      } finally {
        this.#isPressed = false;
      }
    });
  }

  /** Stops work between two steps; resolves when it stands. */
  async end(): Promise<void> {
    this.#isEnded = true;
    await this.#working;
  }

  /** Reads what is kept; removes what a crash left half-written. */
  async #open(): Promise<void> {
    if (this.#isOpen) return;
    const table = this.#table;
    await this.#shelf.open();
    this.names.load(table);
    this.spans.load(table);
    for (const { value } of this.#deps.journal.side("boot").range(correctionBounds)) {
      const correction = correctionOf(JSON.parse(Buffer.from(value).toString()));
      if (correction !== undefined) this.corrections.learn(correction);
    }
    this.#frontier = this.#shelf.position;
    this.spans.cut(this.#frontier);
    this.#isOpen = true;
  }

  get #isShort(): boolean {
    const { liveBytes = 0, roomBytes = 0 } = this.#deps.journal.stats();
    return liveBytes > roomBytes * shortRoomShare;
  }

  async #follow(): Promise<void> {
    await this.#open();
    const { journal, clock } = this.#deps;
    const pause = inSlices(clock);
    while (this.#frontier < journal.head("state") && !this.#isEnded) {
      let outcome: Outcome = "none";
      let waiting: Promise<void> | undefined;
      // A reading of the log ends where others run: what it would go on with may be gone.
      for (const block of journal.blocks("state", this.#frontier)) {
        outcome = this.#gatherOf(block);
        waiting = pause();
        if (outcome !== "gathered" || waiting !== undefined || this.#isEnded) break;
      }
      if (outcome === "none") return;
      if (outcome === "full") {
        await this.#flush();
        if (this.#gathering.size > 0) return;
      }
      await waiting;
    }
  }

  #gatherOf(block: Block): Outcome {
    const { head } = block;
    let values: ReturnType<typeof blockValues>;
    try {
      values = blockValues(block, this.corrections);
      if (this.#learn(block, values.count)) return "anew";
    } catch (error) {
      if (!(error instanceof PlantError) || error.code !== "STORE_DAMAGED") throw error;
      this.#damaged += 1;
      this.#frontier = head.last;
      return "gathered";
    }
    if (this.#gathering.isFull(values.count)) return "full";
    const { count, sequences, index, wall, quality } = values;
    let leastMs = Number.POSITIVE_INFINITY;
    let newestMs = Number.NEGATIVE_INFINITY;
    for (let at = 0; at < count; at += 1) {
      if ((sequences[at] ?? 0) <= this.#frontier) continue;
      const wallMs = wall[at] ?? 0;
      this.#gathering.add(index[at] ?? 0, wallMs, values.values[at], quality[at] ?? 2);
      if (wallMs < leastMs) leastMs = wallMs;
      if (wallMs > newestMs) newestMs = wallMs;
    }
    this.#waits ||= values.waits;
    if (leastMs <= newestMs) {
      const first = Math.max(head.first, this.#frontier + 1);
      this.spans.add({ first, last: head.last, leastMs, newestMs }, count);
    }
    this.#frontier = head.last;
    return "gathered";
  }

  /** Names and corrections of a block. @returns true when what is gathered has other times now. */
  #learn(block: Block, points: number): boolean {
    let isOver = false;
    for (const record of otherRecords(block, points)) {
      if (record.kind === "define") {
        this.names.define(Number(record.index), String(record.scope), String(record.key));
      }
      if (record.kind !== "correction") continue;
      const correction = correctionOf(record.body);
      if (correction === undefined || !this.corrections.learn(correction)) continue;
      if (correction.to > this.#shelf.position) isOver = true;
    }
    if (!isOver) return false;
    this.#gathering = new Gathering(this.#max);
    this.#frontier = this.#shelf.position;
    this.spans.cut(this.#frontier);
    this.#waits = false;
    return true;
  }

  /** Writes what is gathered, unless some of it may yet be corrected and there is room to wait. */
  async #flush(): Promise<void> {
    if (this.#frontier === this.#shelf.position && this.#gathering.size === 0) return;
    if (this.#waits && !this.#isPressed && !this.#isShort) return;
    const { clock, log } = this.#deps;
    this.spans.close();
    try {
      const beside = () => this.#writeBeside();
      const hours = hoursOf(this.#gathering);
      await this.#shelf.add({ hours, position: this.#frontier, beside });
      this.#gathering = new Gathering(this.#max);
      this.#waits = false;
      this.#gaveWay = false;
    } catch (error) {
      if (!(error instanceof PlantError)) throw error;
      if (error.code === "STORE_CLOSED") throw error;
      this.#gaveWay = true;
      log.warn("the rollups were not written", { code: error.code, error });
    }
    this.#flushedAtMs = clock.monotonicMs();
    this.#flushedHour = this.#hour;
  }

  /** Names, spans and corrections met on the way. */
  async #writeBeside(): Promise<void> {
    const kept = this.firstKept();
    await this.#table.write([...this.names.rows(), ...this.spans.rows(kept)]);
    this.names.written();
    this.spans.written(kept);
    await this.#writeCorrections(kept);
  }

  /** Keeps corrections as long as the log has records they speak of. */
  async #writeCorrections(kept: number): Promise<void> {
    const boot = this.#deps.journal.side("boot");
    const rows = this.corrections.all().flatMap((correction) => {
      const key = Buffer.from(`c/${correction.boot}/${correction.to}`);
      const isKept = correction.to >= kept;
      if (isKept === (boot.get(key) !== undefined)) return [];
      return [{ key, value: isKept ? Buffer.from(JSON.stringify(correction)) : undefined }];
    });
    if (rows.length > 0) await boot.write(rows);
  }

  /** Makes minutes quarter-hours and removes what is old or too much, a step at a time. */
  async #retire(): Promise<void> {
    const { journal, log } = this.#deps;
    try {
      while (!this.#isEnded) {
        const { roomBytes = 0 } = journal.stats();
        const step = nextStep(
          this.#shelf.segments,
          { runMs: journal.runMs(), roomBytes },
          this.#limits,
        );
        if (step === undefined) return;
        if (step.kind === "remove") await this.#shelf.remove(step.segments);
        else await this.#shelf.widen(step.day, step.segments);
      }
    } catch (error) {
      if (!(error instanceof PlantError) || error.code === "STORE_CLOSED") throw error;
      log.warn("old rollups were not put away", { code: error.code, error });
    }
  }

  /**
   * Aggregates of points whose spans begin in [fromMs, toMs), from the segments and from memory.
   * @throws PlantError STORE_DAMAGED.
   */
  async read(indices: readonly number[], fromMs: number, toMs: number): Promise<Gathered> {
    await this.follow();
    for (let round = 1; ; round += 1) {
      const { generation } = this.#shelf;
      const found = await this.#read(indices, fromMs, toMs);
      if (generation === this.#shelf.generation || round === readingsMax) return found;
    }
  }

  async #read(indices: readonly number[], fromMs: number, toMs: number): Promise<Gathered> {
    const frontier = this.#frontier;
    const segments = this.#shelf.within(fromMs, toMs);
    const isWanted = ({ startMs }: Aggregate) => startMs >= fromMs && startMs < toMs;
    const fresh = new Map(
      indices.map((index) => [index, this.#gathering.of(index, fromMs, toMs)] as const),
    );
    const level = segments.some((segment) => segment.level === "quarter") ? "quarter" : "minute";
    const pause = inSlices(this.#deps.clock);
    const aggregates = new Map<number, Aggregate[]>();
    for (const index of indices) {
      const all: Aggregate[] = [];
      for (const segment of segments) {
        await pause();
        for (const part of readAggregates(this.#table, segment, index)) {
          if (isWanted(part)) all.push(part);
        }
      }
      aggregates.set(index, [...all, ...(fresh.get(index) ?? [])]);
    }
    return { aggregates, level, frontier };
  }

  /** Sequence of the first record of `state` that the log has. */
  firstKept(): number {
    const { journal } = this.#deps;
    for (const { head } of journal.blocks("state", 0)) return head.first;
    return journal.head("state") + 1;
  }

  stats(): Readonly<Record<string, number>> {
    return {
      rollupBytes: this.#shelf.segments.reduce((sum, { bytes }) => sum + bytes, 0),
      rollupSegments: this.#shelf.segments.length,
      rollupWaiting: Math.max(0, this.#deps.journal.head("state") - this.#shelf.position),
      rollupDamaged: this.#damaged,
    };
  }
}

const correctionBounds = { from: Buffer.from("c/"), to: Buffer.from("c0") };

function* hoursOf(gathering: Gathering): Iterable<HourRows> {
  for (const hour of gathering.hours()) yield { hour, rows: rowsOf(gathering, hour) };
}

function* rowsOf(gathering: Gathering, hour: number): Iterable<RollupRow> {
  for (const row of gathering.rows(hour)) yield { row, points: gathering.row(hour, row) };
}
