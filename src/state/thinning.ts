// Makes covers of records of points: definitions and last values that survive, and what the values
// came to. Pure; it must not know the log, or when thinning is due.
import {
  type Aggregates,
  type BatchRecord,
  type CoverReason,
  coverBody,
  type LastRecord,
  readCover,
  type SurvivingDefinition,
} from "../batch/batch.ts";
import { type Aggregate, fold, merge, startOf } from "./aggregate.ts";

export type CoverRecord = Extract<BatchRecord, { kind: "cover" }>;

export interface ThinningOptions {
  readonly reason: Extract<CoverReason, "thinned" | "quota" | "operator">;
  /** Width of the aggregates; without it values come to nothing but their last. */
  readonly spanMs?: number;
  /** Whether a later record of the log has replaced a point's record at `sequence`. */
  readonly isReplaced?: (last: LastRecord, name: SurvivingDefinition | undefined) => boolean;
  /** About the bytes a body may have as JSON: a cover ends where it would become larger. */
  readonly bytesMax?: number;
}

/** Putting a cover together is one turn of the loop: larger ones would keep others waiting. */
export const coverBytesMax = 65_536;
/** About the bytes of an entry of a cover as JSON, without its texts. */
const weights = { definition: 60, last: 32, row: 62, correction: 40 } as const;

/**
 * Covers for records that follow each other without a gap; covers among them are taken in. All of
 * one epoch.
 */
export function coversOf(
  records: Iterable<BatchRecord>,
  options: ThinningOptions,
): readonly CoverRecord[] {
  const thinner = new Thinner(options);
  for (const record of records) thinner.add(record);
  return thinner.finish();
}

/** Takes records in order, as many as there are, and ends in covers. */
export class Thinner {
  readonly #options: ThinningOptions;
  readonly #done: CoverRecord[] = [];
  #draft: Draft | undefined;

  constructor(options: ThinningOptions) {
    this.#options = options;
  }

  /** Covers so far, the one that is begun with them. */
  get count(): number {
    return this.#done.length + (this.#draft === undefined ? 0 : 1);
  }

  add(record: BatchRecord): void {
    const { bytesMax = coverBytesMax } = this.#options;
    // A cover is taken in whole: what it weighs counts before it is.
    const added = record.kind === "cover" ? JSON.stringify(record.body).length : 0;
    if (this.#draft !== undefined && this.#draft.bytes + added > bytesMax) this.#end();
    this.#draft ??= new Draft(record.sequence, this.#options);
    this.#draft.add(record);
  }

  #end(): void {
    const cover = this.#draft?.cover();
    if (cover !== undefined) this.#done.push(cover);
    this.#draft = undefined;
  }

  finish(): readonly CoverRecord[] {
    this.#end();
    return this.#done;
  }
}

/** The spans of one point; the one that values fall into is at hand. */
interface Spans {
  readonly all: Map<number, Aggregate>;
  at: Aggregate | undefined;
}

/** One cover in the making. */
class Draft {
  readonly #from: number;
  readonly #options: ThinningOptions;
  readonly #definitions = new Map<number, SurvivingDefinition>();
  readonly #last = new Map<number, LastRecord>();
  readonly #spans = new Map<number, Spans>();
  /** Of what it stands for, covered before for another reason: counts by reason. */
  readonly #among = new Map<string, number>();
  readonly #corrections: { readonly sequence: number; readonly body: unknown }[] = [];
  #to: number;
  /** About the bytes of its body as JSON. */
  bytes = 0;

  constructor(from: number, options: ThinningOptions) {
    this.#from = from;
    this.#to = from - 1;
    this.#options = options;
  }

  add(record: BatchRecord): void {
    this.#to = record.sequence;
    switch (record.kind) {
      case "point":
        this.#keepLast(record);
        this.#fold(record);
        break;
      case "delete":
        this.#keepLast(record);
        break;
      case "define": {
        const { kind: _, ...definition } = record;
        this.#define(definition);
        break;
      }
      case "correction":
        this.#correct(record);
        break;
      case "cover":
        this.#to = record.to;
        this.#takeIn(record);
        break;
      default:
    }
  }

  #keepLast(record: LastRecord): void {
    const before = this.#last.get(record.index);
    this.bytes += weightOf(record) - weightOf(before) + (before === undefined ? weights.last : 0);
    this.#last.set(record.index, record);
  }

  #define(definition: SurvivingDefinition): void {
    this.#definitions.set(definition.index, definition);
    this.bytes += weights.definition + definition.scope.length + definition.key.length;
  }

  #correct(correction: { readonly sequence: number; readonly body: unknown }): void {
    const { sequence, body } = correction;
    this.#corrections.push({ sequence, body });
    this.bytes += weights.correction + JSON.stringify(body).length;
  }

  #spansOf(index: number): Spans {
    const known = this.#spans.get(index);
    if (known !== undefined) return known;
    const fresh = { all: new Map<number, Aggregate>(), at: undefined };
    this.#spans.set(index, fresh);
    return fresh;
  }

  #fold({ index, time, value, quality }: Extract<BatchRecord, { kind: "point" }>): void {
    const { spanMs } = this.#options;
    if (spanMs === undefined) return;
    const wallMs = time.wall;
    const startMs = startOf(wallMs, spanMs);
    const spans = this.#spansOf(index);
    let into = spans.at;
    if (into?.startMs !== startMs) into = spans.all.get(startMs);
    if (into === undefined) this.bytes += weights.row + weightOfValue(value);
    const made = fold(into, { wallMs, value, quality }, startMs);
    if (into === undefined) spans.all.set(startMs, made);
    spans.at = made;
  }

  #takeIn({ body }: CoverRecord): void {
    const { reason, count, definitions, last, aggregates, corrections, among } = readCover(body);
    const others = Object.entries(among ?? {});
    if (reason !== "thinned" && reason !== "quota") others.push([reason, count]);
    for (const [other, part] of others) {
      this.#among.set(other, (this.#among.get(other) ?? 0) + part);
    }
    for (const definition of definitions) this.#define(definition);
    for (const record of last) this.#keepLast(record);
    for (const correction of corrections ?? []) this.#correct(correction);
    const { spanMs } = this.#options;
    if (spanMs === undefined) return;
    for (const { index, ...part } of aggregates?.rows ?? []) {
      const startMs = startOf(part.startMs, spanMs);
      const { all } = this.#spansOf(index);
      const into = all.get(startMs);
      if (into === undefined) this.bytes += weights.row + weightOfValue(part.last);
      all.set(startMs, merge(into, part as Aggregate, startMs));
    }
  }

  cover(): CoverRecord {
    const { reason } = this.#options;
    const count = this.#to - this.#from + 1;
    const aggregates = this.#aggregates();
    const last = this.#lastLeft();
    const kept = { reason, count, definitions: this.#definitionsLeft(last), last };
    const corrections = this.#corrections;
    const body = coverBody({
      ...kept,
      ...(aggregates === undefined ? {} : { aggregates }),
      ...(corrections.length === 0 ? {} : { corrections }),
      ...(this.#among.size === 0 ? {} : { among: Object.fromEntries(this.#among) }),
    });
    return { kind: "cover", sequence: this.#from, to: this.#to, body };
  }

  #aggregates(): Aggregates | undefined {
    const { spanMs } = this.#options;
    if (spanMs === undefined) return undefined;
    const rows = [...this.#spans]
      .sort(([a], [b]) => a - b)
      .flatMap(([index, { all }]) =>
        [...all.values()]
          .sort((a, b) => a.startMs - b.startMs)
          .map((aggregate) => ({ index, ...aggregate })),
      );
    return { spanMs, rows };
  }

  #lastLeft(): LastRecord[] {
    const { isReplaced } = this.#options;
    const all = [...this.#last.values()].sort((a, b) => a.sequence - b.sequence);
    if (isReplaced === undefined) return all;
    return all.filter((last) => !isReplaced(last, this.#definitions.get(last.index)));
  }

  /** Without aggregates, a definition that another of the same name followed says nothing. */
  #definitionsLeft(last: readonly LastRecord[]): SurvivingDefinition[] {
    const all = [...this.#definitions.values()].sort((a, b) => a.sequence - b.sequence);
    if (this.#options.spanMs !== undefined) return all;
    const newest = new Map(all.map(({ scope, key, index }) => [`${scope}\0${key}`, index]));
    const used = new Set(last.map(({ index }) => index));
    return all.filter(
      ({ scope, key, index }) => used.has(index) || newest.get(`${scope}\0${key}`) === index,
    );
  }
}

function weightOf(record: LastRecord | undefined): number {
  return record?.kind === "point" ? weightOfValue(record.value) : 0;
}

/** About the bytes of a value as JSON. */
function weightOfValue(value: unknown): number {
  if (typeof value === "string") return value.length + 2;
  if (typeof value !== "object" || value === null) return 8;
  return JSON.stringify(value).length;
}
