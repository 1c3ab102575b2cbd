// What the values of points were: in buckets of time from the rollups, in narrow ones and one by
// one from the log. It must not know what requests look like.
import { readCover } from "../batch/batch.ts";
import type { Block, Journal } from "../journal/journal.ts";
import type { Clock } from "../util/clock.ts";
import { PlantError } from "../util/errors.ts";
import { inSlices } from "../util/slices.ts";
import { type Aggregate, fold, merge, minuteMs, quarterMs } from "./aggregate.ts";
import { type BlockValues, blockValues, otherRecords } from "./block-values.ts";
import type { Quality } from "./points.ts";
import type { Rollup } from "./rollup.ts";

export interface HistoryDeps {
  readonly clock: Clock;
  readonly journal: Pick<Journal, "blocks" | "head">;
  readonly rollup: Rollup;
}

/** Buckets asked for: [fromMs, toMs) in spans of `widthMs`. */
export interface Range {
  readonly fromMs: number;
  readonly toMs: number;
  readonly widthMs: number;
}

/** What was found, and in which buckets: they may be wider than was asked for. */
export interface Found {
  readonly range: Range;
  /** `log`: exact to the record; `minutes` and `quarter-hours`: widths are whole ones. */
  readonly source: "log" | "minutes" | "quarter-hours";
  /** Buckets with values, by the place of the point that was asked for, ordered by time. */
  readonly series: readonly (readonly Aggregate[])[];
}

/** One value as it was recorded. */
export interface RawValue {
  readonly sequence: number;
  /** Corrected, in milliseconds since 1970. */
  readonly time: number;
  readonly value: unknown;
  readonly quality: Quality;
}

const qualities = ["good", "uncertain", "bad"] as const;
/** Values of all points that one page of raw ones looks through. */
const lookedThroughMax = 4_000_000;

type Buckets = Map<number, Aggregate>;

/** Buckets of several points by index: definitions of one point after another share theirs. */
type Targets = ReadonlyMap<number, Buckets>;

export class History {
  readonly #deps: HistoryDeps;

  constructor(deps: HistoryDeps) {
    this.#deps = deps;
  }

  /** @param points indices of each point, in the log's lifetime. @throws PlantError STORE_DAMAGED. */
  async buckets(points: readonly (readonly number[])[], asked: Range): Promise<Found> {
    const { rollup } = this.#deps;
    await rollup.follow();
    if (asked.widthMs < minuteMs && this.#isKept(asked.fromMs)) {
      const { series, targets } = targetsOf(points);
      for (const { first, last } of this.#spans(asked)) {
        await this.#foldLog({ after: first - 1, last, targets, range: asked });
      }
      return { range: asked, source: "log", series: series.map(sorted) };
    }
    return await this.#fromRollups(points, asked);
  }

  /** Whether the log has all values from a moment on. */
  #isKept(fromMs: number): boolean {
    const { rollup } = this.#deps;
    const first = rollup.firstKept();
    const leastMs = rollup.spans.leastFrom(first);
    return first <= 1 || (leastMs !== undefined && leastMs <= fromMs);
  }

  /** Runs of records with values of a range, and all that is not gathered yet. */
  #spans({ fromMs, toMs }: Range): { first: number; last: number }[] {
    const { rollup, journal } = this.#deps;
    const head = journal.head("state");
    const spans: { first: number; last: number }[] = rollup.spans.within(fromMs, toMs);
    if (rollup.frontier < head) spans.push({ first: rollup.frontier + 1, last: head });
    return spans;
  }

  async #fromRollups(points: readonly (readonly number[])[], asked: Range): Promise<Found> {
    const { rollup, journal } = this.#deps;
    const wide = alignedTo(quarterMs, asked);
    const { aggregates, level, frontier } = await rollup.read(
      points.flat(),
      wide.fromMs,
      wide.toMs,
    );
    const range = alignedTo(level === "quarter" ? quarterMs : minuteMs, asked);
    const { series, targets } = targetsOf(points);
    for (const [index, parts] of aggregates) {
      for (const part of parts) mergeInto(targets.get(index), part, range);
    }
    const head = journal.head("state");
    if (frontier < head) await this.#foldLog({ after: frontier, last: head, targets, range });
    const source = level === "quarter" ? "quarter-hours" : "minutes";
    return { range, source, series: series.map(sorted) };
  }

  /** Takes values of a run of records into buckets; damaged blocks are passed over. */
  async #foldLog(run: {
    readonly after: number;
    readonly last: number;
    readonly targets: Targets;
    readonly range: Range;
  }): Promise<void> {
    const { targets, range } = run;
    await this.#walk(run, (values, block) => {
      const { count, sequences, index, wall, quality } = values;
      for (let at = 0; at < count; at += 1) {
        const buckets = targets.get(index[at] ?? 0);
        if (buckets === undefined) continue;
        const wallMs = wall[at] ?? 0;
        const sequence = sequences[at] ?? 0;
        if (wallMs < range.fromMs || wallMs >= range.toMs) continue;
        if (sequence <= run.after || sequence > run.last) continue;
        const startMs = bucketOf(wallMs, range);
        const sample = { wallMs, value: values.values[at], quality: qualityOf(quality[at]) };
        buckets.set(startMs, fold(buckets.get(startMs), sample, startMs));
      }
      foldCovers(block, count, targets, range);
      return true;
    });
  }

  /** Blocks of a run of records, in slices, until `visit` says false. */
  async #walk(
    run: { readonly after: number; readonly last: number },
    visit: (values: BlockValues, block: Block) => boolean,
  ): Promise<void> {
    const { journal, clock, rollup } = this.#deps;
    const pause = inSlices(clock);
    let after = run.after;
    while (after < run.last) {
      const before = after;
      let waiting: Promise<void> | undefined;
      for (const block of journal.blocks("state", after)) {
        if (block.head.first > run.last) return;
        after = block.head.last;
        const values = readable(() => blockValues(block, rollup.corrections));
        if (values !== undefined && !visit(values, block)) return;
        waiting = pause();
        if (waiting !== undefined || after >= run.last) break;
      }
      await waiting;
      if (after === before) return;
    }
  }

  /**
   * Values of one point one by one, in the order of the log.
   * @param page at most `limit` of them after a sequence.
   * @returns `next`, where there may be more: the sequence to go on after.
   */
  async raw(
    indices: readonly number[],
    range: Pick<Range, "fromMs" | "toMs">,
    page: { readonly after: number; readonly limit: number },
  ): Promise<{ values: RawValue[]; next?: number }> {
    await this.#deps.rollup.follow();
    const wanted = new Set(indices);
    const found: RawValue[] = [];
    let looked = 0;
    let next: number | undefined;
    for (const span of this.#spans({ ...range, widthMs: 1 })) {
      if (next !== undefined) break;
      const after = Math.max(span.first - 1, page.after);
      await this.#walk({ after, last: span.last }, (values, { head }) => {
        looked += values.count;
        for (const value of rawOf(values, wanted, range)) {
          if (value.sequence <= after || value.sequence > span.last) continue;
          if (found.length === page.limit) {
            next = found.at(-1)?.sequence ?? after;
            return false;
          }
          found.push(value);
        }
        if (looked < lookedThroughMax) return true;
        next = head.last;
        return false;
      });
    }
    return next === undefined ? { values: found } : { values: found, next };
  }
}

/** Values of points of a block with times in [fromMs, toMs). */
function* rawOf(
  { count, index, wall, sequences, quality, values }: BlockValues,
  wanted: ReadonlySet<number>,
  { fromMs, toMs }: Pick<Range, "fromMs" | "toMs">,
): Iterable<RawValue> {
  for (let at = 0; at < count; at += 1) {
    const time = wall[at] ?? 0;
    if (!wanted.has(index[at] ?? 0) || time < fromMs || time >= toMs) continue;
    const sequence = sequences[at] ?? 0;
    yield { sequence, time, value: values[at], quality: qualityOf(quality[at]) };
  }
}

/** Buckets for each point; one that is asked for twice has them once. */
function targetsOf(points: readonly (readonly number[])[]): {
  readonly series: readonly Buckets[];
  readonly targets: Targets;
} {
  const targets = new Map<number, Buckets>();
  const series = points.map((indices) => {
    const known = indices.map((index) => targets.get(index)).find((found) => found !== undefined);
    const buckets = known ?? new Map();
    for (const index of indices) targets.set(index, buckets);
    return buckets;
  });
  return { series, targets };
}

/** The range in whole spans of a unit: no narrower, and nowhere cut. */
function alignedTo(unitMs: number, { fromMs, toMs, widthMs }: Range): Range {
  return {
    fromMs: Math.floor(fromMs / unitMs) * unitMs,
    toMs: Math.ceil(toMs / unitMs) * unitMs,
    widthMs: Math.ceil(widthMs / unitMs) * unitMs,
  };
}

/** Buckets are counted from where the range begins. */
function bucketOf(wallMs: number, { fromMs, widthMs }: Range): number {
  return fromMs + Math.floor((wallMs - fromMs) / widthMs) * widthMs;
}

function mergeInto(buckets: Buckets | undefined, part: Aggregate, range: Range): void {
  if (buckets === undefined || part.startMs < range.fromMs || part.startMs >= range.toMs) return;
  const startMs = bucketOf(part.startMs, range);
  buckets.set(startMs, merge(buckets.get(startMs), part, startMs));
}

/** What covers of a block say that values came to; of a span that begins before, it is left out. */
function foldCovers(block: Block, points: number, targets: Targets, range: Range): void {
  for (const record of otherRecords(block, points)) {
    if (record.kind !== "cover") continue;
    const cover = readable(() => readCover(record.body));
    for (const part of cover?.aggregates?.rows ?? []) {
      mergeInto(targets.get(part.index), { ...part } as Aggregate, range);
    }
  }
}

/** What can be read; undefined for what is damaged. */
function readable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof PlantError)) throw error;
    if (error.code !== "STORE_DAMAGED" && error.code !== "BATCH_MALFORMED") throw error;
    return undefined;
  }
}

function qualityOf(place: number | undefined): Quality {
  return qualities[place ?? 2] ?? "bad";
}

function sorted(buckets: Buckets): Aggregate[] {
  return [...buckets.values()].sort((a, b) => a.startMs - b.startMs);
}
