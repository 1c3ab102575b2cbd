// The body of a cover: why records are missing, how many, and what survives of them, in columns.
// It must not know who makes covers or who reads them.
import type { ClockSync, Stamp } from "../util/clock.ts";
import { inspect, v } from "../util/shape.ts";
import { malformed } from "./bytes.ts";
import { hexId } from "./envelope.ts";
import type { DefineRecord, DeleteRecord, PointRecord, Quality } from "./records.ts";

/** Why records are not there as they were written. */
export type CoverReason = "thinned" | "quota" | "ttl" | "corrupt" | "operator" | "gone" | "refused";

/** A definition that survives, with the sequence of its record. */
export type SurvivingDefinition = Omit<DefineRecord, "kind">;
/** The last value, or the deletion, of one point. */
export type LastRecord = PointRecord | DeleteRecord;

/** One point over one span of time. */
export interface SpanAggregate {
  readonly index: number;
  /** Wall clock, a multiple of the span, in milliseconds since 1970. */
  readonly startMs: number;
  /** Values in the span, bad ones too. */
  readonly count: number;
  /** Values of quality `bad`; they are in none of the figures. */
  readonly bad: number;
  /** Values that least, most and mean speak of; these are absent without one. */
  readonly numbers?: number | undefined;
  readonly min?: number | undefined;
  readonly max?: number | undefined;
  readonly mean?: number | undefined;
  readonly last: unknown;
  readonly lastMs: number;
  readonly lastQuality: Quality;
}

/** Aggregates of one span, ordered by index and start. */
export interface Aggregates {
  readonly spanMs: number;
  readonly rows: readonly SpanAggregate[];
}

/** What stands in the place of records. */
export interface Cover {
  readonly reason: CoverReason;
  /** Sequences the cover stands for. */
  readonly count: number;
  readonly definitions: readonly SurvivingDefinition[];
  /** Ordered by sequence; what a later record of the log has replaced may be left out. */
  readonly last: readonly LastRecord[];
  readonly aggregates?: Aggregates | undefined;
  /** Of `count`, what was covered before for other reasons: counts by reason. */
  readonly among?: Readonly<Record<string, number>> | undefined;
  /** Corrections of times among the records. */
  readonly corrections?: readonly { readonly sequence: number; readonly body: unknown }[];
}

const qualities = ["good", "uncertain", "bad"] as const;
/** Number of a deletion in the column of qualities. */
const deleted = qualities.length;

const whole = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER));
const step = v.pipe(v.number(), v.safeInteger());
const places = v.array(whole);
const steps = v.array(step);
const text = v.string();
const ms = v.pipe(v.number(), v.finite());
const figure = v.nullable(v.pipe(v.number(), v.finite()));

/** Each column holds a row per entry; `Steps` are differences to the entry before. */
const shape = v.object({
  reason: v.picklist(["thinned", "quota", "ttl", "corrupt", "operator", "gone", "refused"]),
  count: whole,
  definitions: v.optional(
    v.array(
      v.object({
        sequence: whole,
        index: whole,
        scope: text,
        key: text,
        type: v.optional(text),
        unit: v.optional(text),
        profile: v.optional(text),
      }),
    ),
  ),
  among: v.optional(v.record(text, whole)),
  corrections: v.optional(v.array(v.object({ sequence: whole, body: v.unknown() }))),
  last: v.optional(
    v.object({
      sequenceSteps: steps,
      index: places,
      value: v.array(v.unknown()),
      quality: places,
      reason: v.optional(v.array(v.nullable(text))),
      wallSteps: v.array(ms),
      /** Which of `clocks` and of `sources`. */
      clock: places,
      clocks: v.array(
        v.object({
          boot: hexId,
          sync: v.picklist(["none", "rtc", "ntp", "central"]),
          /** Wall clock less monotonic time. */
          ahead: ms,
        }),
      ),
      source: places,
      sources: v.array(v.nullable(text)),
    }),
  ),
  aggregates: v.optional(
    v.object({
      spanMs: v.pipe(whole, v.minValue(1)),
      indexSteps: steps,
      /** In spans since 1970. */
      startSteps: steps,
      count: places,
      bad: places,
      numbers: places,
      min: v.array(figure),
      max: v.array(figure),
      mean: v.array(figure),
      last: v.array(v.unknown()),
      /** After the start of its span. */
      lastAfterMs: v.array(ms),
      lastQuality: places,
    }),
  ),
});
type Body = v.InferOutput<typeof shape>;
type LastColumns = NonNullable<Body["last"]>;
type AggregateColumns = NonNullable<Body["aggregates"]>;

/** The body of a cover, as JSON takes it. */
export function coverBody(cover: Cover): unknown {
  const { reason, count, definitions, last, aggregates, corrections, among } = cover;
  return {
    reason,
    count,
    ...(among === undefined ? {} : { among }),
    ...(definitions.length === 0 ? {} : { definitions }),
    ...(last.length === 0 ? {} : { last: lastColumns(last) }),
    ...(corrections === undefined ? {} : { corrections }),
    ...(aggregates === undefined ? {} : { aggregates: aggregateColumns(aggregates) }),
  };
}

function differences(numbers: readonly number[]): number[] {
  return numbers.map((number, at) => number - (numbers[at - 1] ?? 0));
}

function sums(steps: readonly number[]): number[] {
  let sum = 0;
  return steps.map((step) => {
    sum += step;
    return sum;
  });
}

/** Numbers texts in the order they come. */
class Table {
  readonly names = new Map<string, number>();

  refer(name: string): number {
    const known = this.names.get(name);
    if (known !== undefined) return known;
    this.names.set(name, this.names.size);
    return this.names.size - 1;
  }
}

function lastColumns(last: readonly LastRecord[]): LastColumns {
  const clocks = new Table();
  const sources = new Table();
  const clockOf = ({ wall, mono, boot, sync }: Stamp) => {
    // Kept to the microsecond: what a clock measures drifts by less from one value to the next.
    const ahead = Math.round((wall - mono) * 1000) / 1000;
    return clocks.refer(JSON.stringify({ boot, sync, ahead }));
  };
  const reasons = last.map((record) => (record.kind === "point" ? (record.reason ?? null) : null));
  return {
    sequenceSteps: differences(last.map(({ sequence }) => sequence)),
    index: last.map(({ index }) => index),
    value: last.map((record) => (record.kind === "point" ? record.value : null)),
    quality: last.map((record) =>
      record.kind === "point" ? qualities.indexOf(record.quality) : deleted,
    ),
    ...(reasons.some((reason) => reason !== null) ? { reason: reasons } : {}),
    wallSteps: differences(last.map(({ time }) => time.wall)),
    clock: last.map(({ time }) => clockOf(time)),
    source: last.map(({ source }) => sources.refer(JSON.stringify(source ?? null))),
    clocks: [...clocks.names.keys()].map((clock) => JSON.parse(clock)),
    sources: [...sources.names.keys()].map((source) => JSON.parse(source)),
  };
}

function aggregateColumns({ spanMs, rows }: Aggregates): AggregateColumns {
  return {
    spanMs,
    indexSteps: differences(rows.map(({ index }) => index)),
    startSteps: differences(rows.map(({ startMs }) => startMs / spanMs)),
    count: rows.map(({ count }) => count),
    bad: rows.map(({ bad }) => bad),
    numbers: rows.map(({ numbers }) => numbers ?? 0),
    min: rows.map(({ min }) => min ?? null),
    max: rows.map(({ max }) => max ?? null),
    mean: rows.map(({ mean }) => (mean === undefined ? null : Number(mean.toPrecision(9)))),
    last: rows.map(({ last }) => last ?? null),
    lastAfterMs: rows.map(({ lastMs, startMs }) => lastMs - startMs),
    lastQuality: rows.map(({ lastQuality }) => qualities.indexOf(lastQuality)),
  };
}

/**
 * The cover of a body that may come from anywhere.
 * @throws PlantError BATCH_MALFORMED.
 */
export function readCover(body: unknown): Cover {
  const checked = inspect(shape, body);
  if (!checked.ok) {
    const [flaw] = checked.flaws;
    throw malformed(`a cover: ${flaw?.path.join(".") || "it"}: ${flaw?.message}`);
  }
  const { reason, count, definitions, last, aggregates, corrections, among } = checked.value;
  return {
    reason,
    count,
    ...(among === undefined ? {} : { among }),
    definitions: (definitions ?? []) as readonly SurvivingDefinition[],
    last: last === undefined ? [] : lastRows(last),
    ...(aggregates === undefined ? {} : { aggregates: aggregateRows(aggregates) }),
    ...(corrections === undefined
      ? {}
      : { corrections: corrections as readonly { sequence: number; body: unknown }[] }),
  };
}

/** @throws PlantError BATCH_MALFORMED when the columns are not of one length. */
function sameLength(columns: Readonly<Record<string, unknown>>, names: readonly string[]): number {
  const lengths = names.map((name) => (columns[name] as readonly unknown[]).length);
  const [length = 0] = lengths;
  if (lengths.some((other) => other !== length)) throw malformed("a cover: columns differ");
  return length;
}

function lastRows(columns: LastColumns): LastRecord[] {
  const { reason, clocks, sources } = columns;
  const names = ["sequenceSteps", "index", "value", "quality", "wallSteps", "clock", "source"];
  const length = sameLength(columns, reason === undefined ? names : [...names, "reason"]);
  const sequences = sums(columns.sequenceSteps);
  const walls = sums(columns.wallSteps);
  return Array.from({ length }, (_, at): LastRecord => {
    const quality = columns.quality[at] ?? 0;
    const clock = clocks[columns.clock[at] ?? 0];
    const source = sources[columns.source[at] ?? 0];
    const wall = walls[at] ?? 0;
    if (clock === undefined || source === undefined || quality > deleted) {
      throw malformed("a cover: a value names what is not there");
    }
    const { boot, sync, ahead } = clock as { boot: string; sync: ClockSync; ahead: number };
    const rest = {
      sequence: sequences[at] ?? 0,
      index: columns.index[at] ?? 0,
      time: { wall, boot, mono: Math.round((wall - ahead) * 1000) / 1000, sync },
      ...(source === null ? {} : { source }),
    };
    if (quality === deleted) return { kind: "delete", ...rest };
    const why = reason?.[at] ?? null;
    return {
      kind: "point",
      value: columns.value[at],
      quality: qualities[quality] ?? "bad",
      ...(why === null ? {} : { reason: why }),
      ...rest,
    };
  });
}

function aggregateRows(columns: AggregateColumns): Aggregates {
  const { spanMs, min, max, mean, last, lastAfterMs, lastQuality, count, bad, numbers } = columns;
  const length = sameLength(
    columns,
    Object.keys(columns).filter((name) => name !== "spanMs"),
  );
  const indices = sums(columns.indexSteps);
  const starts = sums(columns.startSteps);
  const rows = Array.from({ length }, (_, at): SpanAggregate => {
    const startMs = (starts[at] ?? 0) * spanMs;
    const quality = qualities[lastQuality[at] ?? 0];
    if (quality === undefined) throw malformed("a cover: an aggregate has no quality");
    return {
      index: indices[at] ?? 0,
      startMs,
      count: count[at] ?? 0,
      bad: bad[at] ?? 0,
      ...figureOf("numbers", numbers[at] === 0 ? undefined : numbers[at]),
      ...figureOf("min", min[at]),
      ...figureOf("max", max[at]),
      ...figureOf("mean", mean[at]),
      last: last[at],
      lastMs: startMs + (lastAfterMs[at] ?? 0),
      lastQuality: quality,
    };
  });
  return { spanMs, rows };
}

function figureOf(name: string, value: number | null | undefined): Record<string, number> {
  return value === null || value === undefined ? {} : { [name]: value };
}
