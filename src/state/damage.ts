// What is still known of records that are damaged or gone: the current values of the points among
// them, and the definitions that may have been. Covers carry it on. It must not know who reads.
import {
  type BatchRecord,
  coverBody,
  type LastRecord,
  lastOf,
  readCover,
  type SurvivingDefinition,
} from "../batch/batch.ts";
import { type Block, blockPoints, decodeBlock, type Journal } from "../journal/journal.ts";
import { hasCode } from "../util/errors.ts";
import type { PointTable } from "./points.ts";
import { type CoverRecord, coverBytesMax } from "./thinning.ts";

/** Where values and definitions are looked for. */
export interface Remembered {
  readonly points: PointTable;
  readonly journal: Pick<Journal, "blocks">;
}

/** Records before the damage that are looked at for the newest definition before it. */
const recordsMax = 20_000;
/** About the bytes of a definition and of a value as JSON, without their texts. */
const definitionWeight = 60;
const valueWeight = 40;

/** Whether a record is a cover over damage that tells nothing of what it covers. */
export function isBareDamage(record: BatchRecord): record is CoverRecord {
  if (record.kind !== "cover") return false;
  const { reason, last, definitions } = record.body as Readonly<Record<string, unknown>>;
  return reason === "corrupt" && last === undefined && definitions === undefined;
}

/**
 * Covers in the place of one over damaged records of points, as many as their size asks for. They
 * carry the value of each point whose newest record is among these, and the definition of each that
 * may have got it there: a reader that knows a definition already passes over it. What is not known
 * any more stays untold: deletions, and definitions of what was deleted or defined anew since.
 */
export function coversOfDamage(
  { points, journal }: Remembered,
  cover: CoverRecord,
): readonly CoverRecord[] {
  const { sequence: from, to } = cover;
  const { slots } = points;
  const known = newestIndexBefore(journal, from);
  const found = points.changedSince(from - 1);
  const values: LastRecord[] = [];
  const definitions = new Map<number, SurvivingDefinition>();
  for (const slot of found) {
    const index = slots.index[slot] as number;
    const sequence = slots.revision[slot] as number;
    // Indices rise with the sequences of their definitions.
    if (index > known) definitions.set(index, definitionOf(points, slot, from));
    if (sequence > to) continue;
    const { value, quality, reason, time, source } = slots.pointOf(slot);
    const why = reason === undefined ? {} : { reason };
    const who = source === undefined ? {} : { source };
    values.push({ kind: "point", sequence, index, value, quality, ...why, time, ...who });
  }
  values.sort((a, b) => a.sequence - b.sequence);
  // What was defined first behind the damage's beginning was defined within it, if anything was.
  const inOrder = [...definitions].sort(([a], [b]) => a - b);
  return shared(cover, new Map(inOrder), values);
}

function definitionOf(points: PointTable, slot: number, sequence: number): SurvivingDefinition {
  const { index, scope, key, type, unit, profile } = points.slots.definitionOf(slot);
  return {
    sequence,
    index,
    scope,
    key,
    ...(type === undefined ? {} : { type }),
    ...(unit === undefined ? {} : { unit }),
    ...(profile === undefined ? {} : { profile }),
  };
}

/**
 * The highest index that some of the records before a sequence name: what it stands for, and all
 * below it, was defined before.
 */
function newestIndexBefore(journal: Pick<Journal, "blocks">, sequence: number): number {
  let newest = 0;
  let left = recordsMax;
  for (let at = sequence - 1; at > 0 && left > 0; ) {
    const block = firstOf(journal.blocks("state", at - 1));
    if (block === undefined || block.head.first > at) break;
    newest = Math.max(newest, newestIndexIn(block));
    left -= Math.max(100, block.head.count);
    at = block.head.first - 1;
  }
  return newest;
}

function firstOf(blocks: Iterable<Block>): Block | undefined {
  for (const block of blocks) return block;
  return undefined;
}

function newestIndexIn({ head, bytes }: Block): number {
  try {
    const points = blockPoints(bytes);
    // In a block of points alone there is nothing else to look for.
    if (points?.index.length === head.count)
      return points.index.reduce((a, b) => Math.max(a, b), 0);
    const { records } = decodeBlock(bytes);
    return records.reduce((most, record) => Math.max(most, newestIndexOf(record)), 0);
  } catch (error) {
    if (hasCode(error, "STORE_DAMAGED")) return 0;
    throw error;
  }
}

function newestIndexOf(record: Readonly<Record<string, unknown>>): number {
  if (typeof record.index === "number") return record.index;
  if (record.kind !== "cover") return 0;
  const { definitions, last } = readCover(record.body);
  return [...definitions, ...last].reduce((most, { index }) => Math.max(most, index), 0);
}

/** Shares out what survives over covers of bounded size, one after the other. */
function shared(
  { sequence: from, to }: CoverRecord,
  definitions: ReadonlyMap<number, SurvivingDefinition>,
  values: readonly LastRecord[],
): CoverRecord[] {
  // A value is understood where its definition is known: they go together.
  const own = values.map((value) => weightOf(definitions.get(value.index)) + weightOfLast(value));
  const valued = new Set(values.map(({ index }) => index));
  const others = [...definitions.values()].filter(({ index }) => !valued.has(index));
  const weights = others.map(weightOf);
  const parts = Math.ceil((sum(own) + sum(weights)) / coverBytesMax);
  const span = { from, to, parts: Math.min(Math.max(1, parts), to - from + 1) };
  const ends = endsOf(span, values, own);
  const share = Math.min(coverBytesMax, Math.ceil(sum(weights) / ends.length));
  const covers: CoverRecord[] = [];
  let start = from;
  let told = 0;
  for (const end of ends) {
    const last = values.filter(({ sequence }) => sequence >= start && sequence <= end);
    const beside = last.flatMap(({ index }) => definitions.get(index) ?? []);
    for (let taken = 0; told < others.length && taken < share; told += 1) {
      beside.push(...others.slice(told, told + 1));
      taken += weights[told] ?? 0;
    }
    const count = end - start + 1;
    const known = beside.map((definition) => ({ ...definition, sequence: start }));
    const body = coverBody({ reason: "corrupt", count, definitions: known, last });
    covers.push({ kind: "cover", sequence: start, to: end, body });
    start = end + 1;
  }
  return covers;
}

function weightOf(definition: SurvivingDefinition | undefined): number {
  if (definition === undefined) return 0;
  return definitionWeight + definition.scope.length + definition.key.length;
}

function weightOfLast(last: LastRecord): number {
  return valueWeight + (last.kind === "point" ? JSON.stringify(last.value).length : 0);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((before, number) => before + number, 0);
}

/** The last sequences of so many parts of a span, with about as much of the values in each. */
function endsOf(
  { from, to, parts }: { readonly from: number; readonly to: number; readonly parts: number },
  values: readonly LastRecord[],
  weights: readonly number[],
): number[] {
  const ends: number[] = [];
  const share = sum(weights) / parts;
  let taken = 0;
  for (const [at, { sequence }] of values.entries()) {
    if (ends.length === parts - 1) break;
    taken += weights[at] ?? 0;
    if (taken < share * (ends.length + 1) || sequence >= to) continue;
    ends.push(sequence);
  }
  // Without values to go by, the sequences themselves are shared out.
  for (let next = ends.at(-1) ?? from - 1; ends.length < parts - 1 && next + 1 < to; ) {
    next += 1;
    ends.push(next);
  }
  return [...ends, to];
}

/** Records with what survives told, those behind `after`. */
export function tellDamage(
  remembered: Remembered,
  records: readonly BatchRecord[],
  after: number,
): readonly BatchRecord[] {
  if (!records.some(isBareDamage)) return records;
  return records.flatMap((record): readonly BatchRecord[] =>
    isBareDamage(record)
      ? coversOfDamage(remembered, record).filter((cover) => lastOf(cover) > after)
      : [record],
  );
}
