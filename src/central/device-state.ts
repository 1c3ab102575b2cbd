// What the centre holds in memory of one device: key, epochs, definitions, latest values.
// Pure but for reads of rows. It must not know how messages arrive.
import type { KeyObject } from "node:crypto";
import { publicKeyFrom } from "../util/ed25519.ts";
import { ancestryOf, type Lineage, startOf } from "./lineage.ts";
import {
  bucketOf,
  type Definition,
  type Latest,
  latestChange,
  readDefinitions,
  readDevice,
  readEpochs,
  readHead,
  readLatest,
} from "./rows.ts";
import type { Change, ShelfReader } from "./shelf.ts";

export interface DeviceState {
  readonly id: string;
  /** The key it signs with. */
  readonly publicKey: KeyObject;
  readonly kid: string;
  /** All keys it ever had, to read its history. */
  readonly keys: ReadonlyMap<string, KeyObject>;
  readonly lineage: Lineage;
  /** Definitions of each epoch by index, read when first needed. */
  readonly definitions: Map<string, Map<number, Definition>>;
  /** Latest values by bucket, then by scope and key. */
  readonly buckets: Map<number, Map<string, Latest>>;
  /** Buckets that changed since their rows were written. */
  readonly dirty: Set<number>;
}

/** Reads a device; none when it is unknown or has not enrolled. */
export function loadDevice(reader: ShelfReader, id: string): DeviceState | undefined {
  const row = readDevice(reader, id);
  if (row?.publicKey === undefined || row.kid === undefined) return undefined;
  const epochs = new Map(readEpochs(reader, id).map((epoch) => [epoch.id, epoch]));
  const publicKey = keyFrom(row.publicKey);
  const former = (row.formerKeys ?? []).map((key) => [key.kid, keyFrom(key.publicKey)] as const);
  const state: DeviceState = {
    id,
    publicKey,
    kid: row.kid,
    keys: new Map([...former, [row.kid, publicKey]]),
    lineage: { epochs, head: readHead(reader, id) },
    definitions: new Map(),
    buckets: new Map(),
    dirty: new Set(),
  };
  for (const latest of readLatest(reader, id)) keep(state, latest);
  return state;
}

function keyFrom(text: string): KeyObject {
  return publicKeyFrom(Buffer.from(text, "base64url"));
}

function nameOf(scope: string, key: string): string {
  return `${scope}\0${key}`;
}

/** Puts a value in its bucket; returns the bucket's number. */
function keep(state: DeviceState, latest: Latest): number {
  const bucket = bucketOf(latest.scope, latest.key);
  const values = state.buckets.get(bucket) ?? new Map<string, Latest>();
  values.set(nameOf(latest.scope, latest.key), latest);
  state.buckets.set(bucket, values);
  return bucket;
}

/** Takes a value if it is later than the one held, by generation, then by sequence. */
export function offerLatest(state: DeviceState, latest: Latest): void {
  const bucket = bucketOf(latest.scope, latest.key);
  const held = state.buckets.get(bucket)?.get(nameOf(latest.scope, latest.key));
  const isLater =
    held === undefined ||
    latest.generation > held.generation ||
    (latest.generation === held.generation && latest.sequence > held.sequence);
  if (isLater) state.dirty.add(keep(state, latest));
}

/** Replaces what is held of a point, or forgets it. */
export function replaceLatest(state: DeviceState, old: Latest, latest: Latest | undefined): void {
  const bucket = bucketOf(old.scope, old.key);
  if (latest === undefined) state.buckets.get(bucket)?.delete(nameOf(old.scope, old.key));
  else keep(state, latest);
  state.dirty.add(bucket);
}

/** All latest values, tombstones too, ordered by scope and key. */
export function latestOf(state: DeviceState): Latest[] {
  return [...state.buckets.values()]
    .flatMap((values) => [...values.values()])
    .sort((a, b) => order(a.scope, b.scope) || order(a.key, b.key));
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The rows of the buckets that changed; after this they count as written. */
export function flushLatest(state: DeviceState): Change[] {
  const changes = [...state.dirty].map((bucket) =>
    latestChange(state.id, bucket, [...(state.buckets.get(bucket)?.values() ?? [])]),
  );
  state.dirty.clear();
  return changes;
}

/** The definitions an epoch made itself. */
export function definitionsOf(
  reader: ShelfReader,
  state: DeviceState,
  epoch: string,
): Map<number, Definition> {
  const known = state.definitions.get(epoch);
  if (known !== undefined) return known;
  const read = readDefinitions(reader, state.id, epoch);
  const definitions = new Map(read.map((definition) => [definition.index, definition]));
  state.definitions.set(epoch, definitions);
  return definitions;
}

/** What `index` stands for in `epoch`: its own definition, or an ancestor's below the cut. */
export function resolveIndex(
  reader: ShelfReader,
  state: DeviceState,
  epoch: string,
  index: number,
): Definition | undefined {
  let cut = Infinity;
  for (const ancestor of ancestryOf(state.lineage, epoch)) {
    const definition = definitionsOf(reader, state, ancestor.id).get(index);
    if (definition !== undefined && definition.sequence <= cut) return definition;
    cut = Math.min(cut, startOf(ancestor, "state"));
  }
  return undefined;
}
