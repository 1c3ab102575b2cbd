// What records change: definitions, latest values, and the latest anew when a head has forked.
// Pure but for reads of rows. It must not know how batches arrive.
import {
  type BatchRecord,
  decodeBatch,
  lastOf,
  open,
  peekHeader,
  type Stream,
} from "../batch/batch.ts";
import { PlantError } from "../util/errors.ts";
import { clipCover, type DefineRecord, survivorsOf, type ValueRecord } from "./cover-records.ts";
import {
  type DeviceState,
  definitionsOf,
  flushLatest,
  latestOf,
  offerLatest,
  replaceLatest,
  resolveIndex,
} from "./device-state.ts";
import { ancestryOf, countsUpTo, type Epoch, positionOf, startOf } from "./lineage.ts";
import {
  type Block,
  type Definition,
  definitionsChange,
  headChange,
  type Latest,
  readBlocks,
} from "./rows.ts";
import type { Change, ShelfReader } from "./shelf.ts";

/** Where a batch belongs and what it covers. */
export interface BatchSpan {
  readonly epoch: string;
  readonly stream: Stream;
  readonly first: number;
  readonly last: number;
}

/** The most records of one block that are read at once. */
const recordsMax = 100_000;

/** Rows to write, and how many records counted. */
export interface Applied {
  readonly changes: readonly Change[];
  readonly applied: number;
  /** Sequences behind the position for which covers stand (rule 7). */
  readonly covered: number;
  /** Of these, outside the head's line or above a cut: history only. */
  readonly orphaned: number;
}

/**
 * Applies the records behind the position. Nothing is changed when one of them cannot be.
 * @throws PlantError BATCH_MALFORMED for a point whose index nobody defined.
 */
export function applyRecords(
  reader: ShelfReader,
  device: DeviceState,
  span: BatchSpan,
  records: readonly BatchRecord[],
): Applied {
  const epoch = device.lineage.epochs.get(span.epoch);
  if (epoch === undefined) throw new PlantError("BATCH_MALFORMED", { reason: "an unknown epoch" });
  const position = positionOf(epoch, span.stream);
  const fresh = records.filter((record) => lastOf(record) > position);
  const bound = countsUpTo(device.lineage, epoch.id, span.stream);
  const orphaned = fresh.filter(({ sequence }) => sequence > bound).length;
  const covers = fresh.filter((record) => record.kind === "cover");
  const applied = fresh.length - covers.length;
  const covered = covers.reduce(
    (sum, { sequence, to }) => sum + to - Math.max(sequence - 1, position),
    0,
  );
  const counts = { applied, covered, orphaned };
  if (span.stream !== "state") return { changes: [], ...counts };

  const own = definitionsOf(reader, device, epoch.id);
  const defined = new Map<number, Definition>();
  const latest: Latest[] = [];
  for (const record of fresh) {
    // One that is known stays where it is: the batch it came with may hold others.
    for (const one of definesOf(record)) {
      if (record.kind === "define" || !own.has(one.index)) {
        defined.set(one.index, definitionOf(one));
      }
    }
    for (const value of valuesOf(record)) {
      const { index } = value;
      const definition = defined.get(index) ?? resolveIndex(reader, device, epoch.id, index);
      if (definition === undefined && record.kind !== "cover") {
        throw new PlantError("BATCH_MALFORMED", { reason: `nothing defines index ${index}` });
      }
      if (definition !== undefined && value.sequence <= bound) {
        latest.push(latestFrom(epoch, definition, value));
      }
    }
  }
  for (const [index, definition] of defined) own.set(index, definition);
  for (const value of latest) offerLatest(device, value);
  const rows =
    defined.size === 0 ? [] : [definitionsChange(device.id, epoch.id, [...defined.values()])];
  return { changes: rows, ...counts };
}

function definitionOf(record: DefineRecord): Definition {
  const { index, sequence, scope, key, type, unit } = record;
  return {
    index,
    sequence,
    scope,
    key,
    ...(type === undefined ? {} : { type }),
    ...(unit === undefined ? {} : { unit }),
  };
}

function latestFrom(epoch: Epoch, definition: Definition, record: ValueRecord): Latest {
  const { index: _, sequence: __, ...named } = definition;
  const place = { epoch: epoch.id, generation: epoch.generation, sequence: record.sequence };
  const source = record.source === undefined ? {} : { source: record.source };
  if (record.kind === "delete") {
    const gone = { value: null, quality: "bad", isDeleted: true } as const;
    return { ...named, ...gone, time: record.time, ...source, ...place };
  }
  const { value, quality, reason, time } = record;
  const why = reason === undefined ? {} : { reason };
  return { ...named, value, quality, ...why, time, ...source, ...place };
}

/** What a new head changed. */
export interface TakenHead {
  readonly changes: readonly Change[];
  /** The former head had gone further than its cut, or is no ancestor: a restored snapshot. */
  readonly isFork: boolean;
}

/**
 * Makes an epoch the head when its generation is higher than that of the head so far. The latest
 * values are written with it: a centre that restarts in between takes the new head for granted.
 */
export function takeHead(reader: ShelfReader, device: DeviceState, head: Epoch): TakenHead {
  const { lineage } = device;
  const former = lineage.head === undefined ? undefined : lineage.epochs.get(lineage.head);
  if (former !== undefined && former.generation >= head.generation) {
    return { changes: [], isFork: false };
  }
  lineage.head = head.id;
  const isFork = former !== undefined && hasForked(device, former);
  if (isFork) rebuildLatest(reader, device);
  return { changes: [headChange(device.id, head.id), ...flushLatest(device)], isFork };
}

/** Whether records that count differ from those that counted under the former head. */
function hasForked(device: DeviceState, former: Epoch): boolean {
  return (["state", "event", "log", "metric"] as const).some(
    (stream) => countsUpTo(device.lineage, former.id, stream) < positionOf(former, stream),
  );
}

/**
 * Finds the latest values anew from history, newest first, as far as records of the head's line
 * count; ends once every point its definitions name is found.
 */
function rebuildLatest(reader: ShelfReader, device: DeviceState): void {
  const missing = namesOf(reader, device);
  const found = new Map<string, Latest>();
  for (const block of readBlocks(reader, device.id, "state", { isReverse: true })) {
    if (missing.size === 0) break;
    for (const { epoch, record } of readRecords(device, block).reverse()) {
      for (const value of valuesOf(record).toReversed()) {
        if (value.sequence > countsUpTo(device.lineage, epoch.id, "state")) continue;
        const definition = resolveIndex(reader, device, epoch.id, value.index);
        if (definition === undefined) continue;
        const name = `${definition.scope}\0${definition.key}`;
        if (missing.delete(name)) found.set(name, latestFrom(epoch, definition, value));
      }
    }
  }
  for (const old of latestOf(device)) {
    const name = `${old.scope}\0${old.key}`;
    replaceLatest(device, old, found.get(name));
    found.delete(name);
  }
  for (const latest of found.values()) offerLatest(device, latest);
}

/** The values a record tells, oldest first. */
function valuesOf(record: BatchRecord): readonly ValueRecord[] {
  if (record.kind === "cover") return survivorsOf(record).last;
  return record.kind === "point" || record.kind === "delete" ? [record] : [];
}

function definesOf(record: BatchRecord): readonly DefineRecord[] {
  if (record.kind === "cover") return survivorsOf(record).definitions;
  return record.kind === "define" ? [record] : [];
}

/** The points the head's line defines, by scope and key. */
function namesOf(reader: ShelfReader, device: DeviceState): Set<string> {
  const names = new Set<string>();
  let cut = Infinity;
  for (const epoch of ancestryOf(device.lineage, device.lineage.head ?? "")) {
    for (const { scope, key, sequence } of definitionsOf(reader, device, epoch.id).values()) {
      if (sequence <= cut) names.add(`${scope}\0${key}`);
    }
    cut = Math.min(cut, startOf(epoch, "state"));
  }
  return names;
}

/**
 * The records of a block that count in it, oldest first; a cover that begins before the block is
 * told from the block's first sequence on.
 */
export function readRecords(
  device: DeviceState,
  block: Block,
): { readonly epoch: Epoch; readonly record: BatchRecord }[] {
  const { epoch: id, first, last } = peekHeader(block.bytes);
  const epoch = id === undefined ? undefined : device.lineage.epochs.get(id);
  if (epoch === undefined || first === undefined || last === undefined) return [];
  const { body } = open(block.bytes, ({ kid }) => device.keys.get(kid));
  return decodeBatch(body, { first, last }, recordsMax)
    .filter((record) => lastOf(record) >= block.from && record.sequence <= block.to)
    .map((record) => ({ epoch, record: clipCover(record, block.from) }));
}
