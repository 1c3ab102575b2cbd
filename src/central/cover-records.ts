// What the centre makes of covers: what survives in them, and their part behind a place.
// Pure. It must not know rows or how batches arrive.
import {
  type Aggregates,
  type BatchRecord,
  type LastRecord,
  lastOf,
  readCover,
} from "../batch/batch.ts";

export type CoverRecord = Extract<BatchRecord, { kind: "cover" }>;
export type DefineRecord = Extract<BatchRecord, { kind: "define" }>;
/** A value or a deletion, from a record of its own or from a cover. */
export type ValueRecord = LastRecord;

export interface Survivors {
  readonly definitions: readonly DefineRecord[];
  /** Oldest first. */
  readonly last: readonly ValueRecord[];
}

/** Bodies of these reasons say what was refused, not what survives. */
const refused = "refused";

/**
 * What survives in a cover of the stream `state`.
 * Sequences outside of it are passed over. @throws PlantError BATCH_MALFORMED.
 */
export function survivorsOf({ sequence, to, body }: CoverRecord): Survivors {
  if (isOfRefused(body)) return { definitions: [], last: [] };
  const cover = readCover(body);
  const isInside = (at: { readonly sequence: number }) =>
    at.sequence >= sequence && at.sequence <= to;
  const definitions = cover.definitions.filter(isInside);
  const last = cover.last.filter(isInside);
  return {
    definitions: definitions.map((definition) => ({ kind: "define", ...definition })),
    last: last.toSorted((a, b) => a.sequence - b.sequence),
  };
}

/** What the points of a cover came to. @throws PlantError BATCH_MALFORMED. */
export function aggregatesOf({ body }: CoverRecord): Aggregates | undefined {
  return isOfRefused(body) ? undefined : readCover(body).aggregates;
}

function isOfRefused(body: unknown): boolean {
  return (body as { reason?: unknown } | null)?.reason === refused;
}

/**
 * A cover from `from` on, where it begins before: `overlap` are the sequences in front of it, which
 * are there as they were written, so that its aggregates hold them a second time (rule 7).
 */
export function clipCover(record: BatchRecord, from: number): BatchRecord {
  if (record.kind !== "cover" || record.sequence >= from) return record;
  const { body } = record;
  const told = typeof body === "object" && body !== null ? body : {};
  const count = lastOf(record) - from + 1;
  return { ...record, sequence: from, body: { ...told, count, overlap: from - record.sequence } };
}
