// The segments of rollups that count: added, replaced and removed whole, whenever the power goes.
// It must not know what is gathered, or when.
import type { SideTable } from "../journal/journal.ts";
import { type Aggregate, widen } from "./aggregate.ts";
import {
  type RollupMark,
  type RollupRow,
  readMark,
  readRow,
  readSegments,
  removeSegment,
  type Segment,
  segmentStartMs,
  widths,
  writeMark,
  writeSegment,
} from "./segments.ts";

/** The minutes of one hour, counted since 1970. */
export interface HourRows {
  readonly hour: number;
  readonly rows: Iterable<RollupRow>;
}

export interface Addition {
  readonly hours: Iterable<HourRows>;
  /** Records of `state` up to here are in them, or in segments before. */
  readonly position: number;
  /** What must be on disk beside them before they count. */
  readonly beside: () => Promise<void>;
}

export interface SegmentShelfDeps {
  readonly table: SideTable;
  readonly runMs: () => number;
  /** Lets others run between rows. */
  readonly inSlices: () => () => Promise<void> | undefined;
}

export class SegmentShelf {
  readonly #deps: SegmentShelfDeps;
  #mark: RollupMark = { position: 0, serial: 0 };
  #segments: readonly Segment[] = [];
  /** Rises when segments are removed. */
  #generation = 0;

  constructor(deps: SegmentShelfDeps) {
    this.#deps = deps;
  }

  /** Reads what is kept; removes what a crash left half-written. */
  async open(): Promise<void> {
    this.#mark = readMark(this.#deps.table);
    await this.#clean();
    this.#segments = [...readSegments(this.#deps.table)].sort(byStart);
  }

  /** Records of `state` up to here are in the segments. */
  get position(): number {
    return this.#mark.position;
  }

  /** Ordered by time. */
  get segments(): readonly Segment[] {
    return this.#segments;
  }

  /** Another number whenever segments were removed: who read meanwhile reads again. */
  get generation(): number {
    return this.#generation;
  }

  /** Segments that have aggregates which begin in [fromMs, toMs). */
  within(fromMs: number, toMs: number): readonly Segment[] {
    return this.#segments.filter((segment) => {
      const startMs = segmentStartMs(segment);
      return startMs < toMs && startMs + widths[segment.level].segmentMs > fromMs;
    });
  }

  /** Removes segments that were begun and not ended, and those that were replaced. */
  async #clean(): Promise<void> {
    const { begun, replaced, position, serial } = this.#mark;
    if (begun === undefined && replaced === undefined) return;
    const { table } = this.#deps;
    for (const segment of [...readSegments(table)]) {
      const isReplaced = replaced !== undefined && isWithin(segment, replaced);
      if (segment.serial === begun || isReplaced) await removeSegment(table, segment);
    }
    await this.#note({ position, serial });
  }

  /** Writes the mark; what is believed of it changes after the flush. */
  async #note(mark: RollupMark): Promise<void> {
    await writeMark(this.#deps.table, mark);
    this.#mark = mark;
  }

  /**
   * Adds hours of minutes: first that they are begun, then the rows, then that they count. Without
   * the last of it a restart removes the rows.
   */
  async add({ hours, position, beside }: Addition): Promise<void> {
    const { table, runMs, inSlices } = this.#deps;
    const before = this.#mark;
    const serial = before.serial + 1;
    const pause = inSlices();
    await this.#clean();
    await this.#note({ position: before.position, serial: before.serial, begun: serial });
    const written: Segment[] = [];
    for (const { hour, rows } of hours) {
      const segment = { level: "minute", span: hour, serial, runMs: runMs() } as const;
      written.push(await writeSegment(table, segment, rows, { pause, room: "common" }));
    }
    await beside();
    await this.#note({ position, serial });
    this.#segments = [...this.#segments, ...written].sort(byStart);
  }

  async remove(segments: readonly Segment[]): Promise<void> {
    this.#segments = this.#segments.filter((segment) => !segments.includes(segment));
    this.#generation += 1;
    for (const segment of segments) await removeSegment(this.#deps.table, segment);
  }

  /** Puts one day of quarter-hours in the place of its minutes. */
  async widen(day: number, parts: readonly Segment[]): Promise<void> {
    await this.#clean();
    const { table, inSlices } = this.#deps;
    const { position } = this.#mark;
    const serial = this.#mark.serial + 1;
    await this.#note({ ...this.#mark, begun: serial });
    const runMs = Math.max(...parts.map((part) => part.runMs));
    const segment = { level: "quarter", span: day, serial, runMs } as const;
    const rows = quarterRows(table, parts);
    const how = { pause: inSlices(), room: "urgent" } as const;
    const written = await writeSegment(table, segment, rows, how);
    await this.#note({ position, serial, replaced: { day, below: serial } });
    const others = this.#segments.filter((known) => !parts.includes(known));
    this.#segments = [...others, written].sort(byStart);
    this.#generation += 1;
    await this.#clean();
  }
}

function byStart(a: Segment, b: Segment): number {
  return segmentStartMs(a) - segmentStartMs(b) || a.serial - b.serial;
}

function isWithin(segment: Segment, { day, below }: { day: number; below: number }): boolean {
  return segment.level === "minute" && dayOf(segment) === day && segment.serial < below;
}

function dayOf(segment: Segment): number {
  return Math.floor(segmentStartMs(segment) / widths.quarter.segmentMs);
}

/** The rows of a day of minutes, as quarter-hours. */
function* quarterRows(table: SideTable, parts: readonly Segment[]): Iterable<RollupRow> {
  const most = Math.max(...parts.map((part) => part.most));
  for (let row = 0; row <= most; row += 1) {
    const minutes = new Map<number, Aggregate[]>();
    for (const part of parts) {
      for (const [place, aggregates] of readRow(table, part, row)) {
        minutes.set(place, [...(minutes.get(place) ?? []), ...aggregates]);
      }
    }
    if (minutes.size === 0) continue;
    const points = new Map(
      [...minutes].map(([place, all]) => [place, widen(all, widths.quarter.aggregateMs)] as const),
    );
    yield { row, points };
  }
}
