// What the centre tells of its gateways: summaries, latest values, history, events, lines.
// Pure but for reads of rows. It must not know HTTP or HTML.
import { type BatchRecord, type Stream, streams } from "../batch/batch.ts";
import type { Stamp } from "../util/clock.ts";
import { PlantError } from "../util/errors.ts";
import { readRecords } from "./apply.ts";
import { aggregatesOf, type CoverRecord } from "./cover-records.ts";
import { type DeviceState, latestOf, resolveIndex } from "./device-state.ts";
import { deviceOf, type IngestState } from "./ingest.ts";
import { ancestryOf, countsUpTo, type Epoch, positionOf } from "./lineage.ts";
import { type DeviceRow, type Gap, listDevices, readBlocks, readDevice, readGaps } from "./rows.ts";

/** Blocks one answer reads at most; the rest comes with `next`. */
const blocksPerAnswerMax = 2000;

/** One gateway in short. Times are milliseconds since 1970 UTC. */
export interface DeviceSummary {
  readonly id: string;
  readonly createdAt: number;
  readonly enrolledAt?: number;
  /** `waiting`: created, not yet enrolled; `unknown`: enrolled, nothing heard since the start. */
  readonly state: "waiting" | "unknown" | "up" | "down";
  readonly stateSince?: number;
  readonly lastBatchAt?: number;
  readonly epoch?: string;
  readonly generation?: number;
  readonly epochs: number;
  readonly points: number;
  readonly streams: Readonly<Partial<Record<Stream, StreamSummary>>>;
  /** Records that will never come. */
  readonly lost: number;
}

/** One stream of the newest epoch. */
export interface StreamSummary {
  /** Last sequence committed here. */
  readonly position: number;
  /** Highest sequence seen; what is between them is on its way. */
  readonly head: number;
}

/** A latest value as it is told. */
export interface ToldValue {
  readonly scope: string;
  readonly key: string;
  readonly value: unknown;
  readonly type?: string;
  readonly unit?: string;
  readonly quality: string;
  readonly reason?: string;
  readonly time: Stamp;
  readonly source?: string;
  /** Where it stands in history; absent for a value that came beside the durable streams. */
  readonly epoch?: string;
  readonly generation?: number;
  readonly sequence?: number;
}

export function listSummaries(state: IngestState): DeviceSummary[] {
  return listDevices(state.reader).map((row) => summarise(state, row));
}

/** @throws PlantError GATEWAY_UNKNOWN */
export function findSummary(state: IngestState, id: string): DeviceSummary {
  return summarise(state, rowOf(state, id));
}

function rowOf(state: IngestState, id: string): DeviceRow {
  const row = readDevice(state.reader, id);
  if (row === undefined) throw new PlantError("GATEWAY_UNKNOWN", { device: id });
  return row;
}

function summarise(state: IngestState, row: DeviceRow): DeviceSummary {
  const { id, createdAt, enrolledAt } = row;
  const device = deviceOf(state, id);
  const presence = state.presence.get(id);
  const base = { id, createdAt, ...(enrolledAt === undefined ? {} : { enrolledAt }) };
  if (device === undefined) {
    return { ...base, state: "waiting", epochs: 0, points: 0, streams: {}, lost: 0 };
  }
  const { epochs, head } = device.lineage;
  const newest = head === undefined ? undefined : epochs.get(head);
  const applied = [...epochs.values()].map(({ appliedAt }) => appliedAt ?? 0);
  const lastBatchAt = Math.max(0, presence?.heardAt ?? 0, ...applied);
  const since = presence?.linkSince;
  return {
    ...base,
    state: presence?.link ?? (presence?.heardAt === undefined ? "unknown" : "up"),
    ...(since === undefined ? {} : { stateSince: since }),
    ...(lastBatchAt === 0 ? {} : { lastBatchAt }),
    ...(newest === undefined ? {} : { epoch: newest.id, generation: newest.generation }),
    epochs: epochs.size,
    points: latestOf(device).filter(({ isDeleted }) => isDeleted !== true).length,
    streams: newest === undefined ? {} : streamsOf(device, newest, presence?.heads),
    lost: readGaps(state.reader, id).reduce((sum, { from, to }) => sum + to - from + 1, 0),
  };
}

function streamsOf(
  device: DeviceState,
  newest: Epoch,
  heads: Readonly<Partial<Record<Stream, number>>> | undefined,
): DeviceSummary["streams"] {
  const line = ancestryOf(device.lineage, newest.id);
  const told: Partial<Record<Stream, StreamSummary>> = {};
  for (const stream of streams) {
    const behind = line.findLast((epoch, at) => {
      const child = line[at - 1];
      return child !== undefined && positionOf(epoch, stream) < (child.start[stream] ?? 0);
    });
    const position = positionOf(behind ?? newest, stream);
    const head = Math.max(position, heads?.[stream] ?? 0);
    if (head > 0) told[stream] = { position, head };
  }
  return told;
}

/**
 * The latest values of a device in the order of scope and key; a value that came beside the
 * durable streams shows where it is newer.
 * @throws PlantError GATEWAY_UNKNOWN
 */
export function listValues(state: IngestState, id: string): ToldValue[] {
  rowOf(state, id);
  const device = deviceOf(state, id);
  if (device === undefined) return [];
  const live = new Map(
    state.presence.get(id)?.live?.points.map((point) => [`${point.scope}\0${point.key}`, point]),
  );
  return latestOf(device)
    .filter(({ isDeleted }) => isDeleted !== true)
    .map((latest) => {
      const newer = live.get(`${latest.scope}\0${latest.key}`);
      if (newer === undefined || newer.time.wall <= latest.time.wall) return latest;
      const { value, quality, reason, time } = newer;
      const { scope, key, type, unit } = latest;
      return {
        scope,
        key,
        value,
        ...(type === undefined ? {} : { type }),
        ...(unit === undefined ? {} : { unit }),
        quality,
        ...(reason === undefined ? {} : { reason }),
        time,
      };
    });
}

/** Where a page of history begins and how long it is. */
export interface HistoryQuery {
  readonly stream: Stream;
  readonly scope?: string;
  readonly key?: string;
  /** `<generation>.<sequence>` of the record before; absent starts at the beginning, or the end. */
  readonly after?: string;
  readonly limit: number;
  /** Newest first. */
  readonly isReverse?: boolean;
}

/** A record of history with its place. */
export type ToldRecord = Readonly<Record<string, unknown>> & {
  readonly epoch: string;
  readonly generation: number;
  readonly sequence: number;
  /** Outside the head's line or above a cut: it happened, but later history does not know it. */
  readonly isOrphan: boolean;
};

export interface HistoryPage {
  readonly records: readonly ToldRecord[];
  /** Goes into `after`; absent when there is no more. */
  readonly next?: string;
}

/**
 * Records in the order of generation and sequence.
 * @throws PlantError GATEWAY_UNKNOWN; REQUEST_MALFORMED for an `after` that is none.
 */
export function readHistory(state: IngestState, id: string, query: HistoryQuery): HistoryPage {
  rowOf(state, id);
  const device = deviceOf(state, id);
  if (device === undefined) return { records: [] };
  const { stream, limit, isReverse = false } = query;
  const after = query.after === undefined ? undefined : parsePlace(query.after);
  const told: ToldRecord[] = [];
  let blocks = 0;
  let place = after;
  const range = { isReverse, ...(after === undefined ? {} : { after }) };
  for (const block of readBlocks(state.reader, id, stream, range)) {
    blocks += 1;
    if (blocks > blocksPerAnswerMax) return { records: told, ...nextOf(place) };
    const records = readRecords(device, block);
    for (const { epoch, record } of isReverse ? records.reverse() : records) {
      const here = { generation: epoch.generation, sequence: record.sequence };
      if (after !== undefined && !isBehind(here, after, isReverse)) continue;
      const words = tellRecord(state, device, epoch, record, query);
      if (words !== undefined && told.length >= limit) return { records: told, ...nextOf(place) };
      place = here;
      if (words === undefined) continue;
      const bound = countsUpTo(device.lineage, epoch.id, stream);
      told.push({ epoch: epoch.id, ...here, isOrphan: record.sequence > bound, ...words });
    }
  }
  return { records: told };
}

interface HistoryPlace {
  readonly generation: number;
  readonly sequence: number;
}

function nextOf(place: HistoryPlace | undefined): { next?: string } {
  return place === undefined ? {} : { next: `${place.generation}.${place.sequence}` };
}

function parsePlace(text: string): HistoryPlace {
  const [, generation = "", sequence = ""] = /^(\d{1,16})\.(\d{1,16})$/.exec(text) ?? [];
  if (generation === "") {
    throw new PlantError("REQUEST_MALFORMED", { reason: "after: <generation>.<sequence>" });
  }
  return { generation: Number(generation), sequence: Number(sequence) };
}

function isBehind(here: HistoryPlace, after: HistoryPlace, isReverse: boolean): boolean {
  const order = here.generation - after.generation || here.sequence - after.sequence;
  return isReverse ? order < 0 : order > 0;
}

/** What a record says, without its place; undefined when it was not asked for. */
function tellRecord(
  state: IngestState,
  device: DeviceState,
  epoch: Epoch,
  record: BatchRecord,
  query: HistoryQuery,
): Record<string, unknown> | undefined {
  if (record.kind === "cover" && query.stream === "state") {
    return tellCover(state, { device, epoch }, record, query);
  }
  if (record.kind !== "point" && record.kind !== "delete") {
    if (query.scope !== undefined || query.key !== undefined) return undefined;
    const { sequence: _, ...words } = record;
    return words;
  }
  const definition = resolveIndex(state.reader, device, epoch.id, record.index);
  if (definition === undefined) return undefined;
  const { scope, key } = definition;
  if (query.scope !== undefined && query.scope !== scope) return undefined;
  if (query.key !== undefined && query.key !== key) return undefined;
  const { sequence: _, index: __, ...words } = record;
  return { scope, key, ...words };
}

/**
 * A cover of points: how many it stands for and what they came to, each with its name; of one point
 * alone where that is asked for, and nothing when it tells nothing of it.
 */
function tellCover(
  state: IngestState,
  { device, epoch }: { readonly device: DeviceState; readonly epoch: Epoch },
  record: CoverRecord,
  query: HistoryQuery,
): Record<string, unknown> | undefined {
  const { kind, to, body } = record;
  const aggregates = aggregatesOf(record);
  const isOfAll = query.scope === undefined && query.key === undefined;
  if (aggregates === undefined) return isOfAll ? { kind, to, body } : undefined;
  const rows = aggregates.rows.flatMap(({ index, ...row }) => {
    const definition = resolveIndex(state.reader, device, epoch.id, index);
    const { scope, key } = definition ?? {};
    if (query.scope !== undefined && query.scope !== scope) return [];
    if (query.key !== undefined && query.key !== key) return [];
    return [{ scope, key, ...row }];
  });
  if (rows.length === 0 && !isOfAll) return undefined;
  const { reason, count, overlap } = body as Readonly<Record<string, unknown>>;
  const { spanMs } = aggregates;
  const told = { reason, count, ...(overlap === undefined ? {} : { overlap }) };
  return { kind, to, body: { ...told, aggregates: { spanMs, rows } } };
}

/** Stretches that will never come. @throws PlantError GATEWAY_UNKNOWN */
export function listGaps(state: IngestState, id: string): Gap[] {
  rowOf(state, id);
  return readGaps(state.reader, id);
}
