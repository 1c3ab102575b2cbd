// Which records the sections give back exactly as they were; the others are kept otherwise.
// It must not know where records are kept.
import type { ClockSync, Stamp } from "../util/clock.ts";
import { qualities, syncs, timeMax } from "./columns.ts";
import type { Quality } from "./records.ts";

type AnyRecord = Readonly<Record<string, unknown>>;

const indexMax = 2 ** 32 - 1;
const timed = ["sequence", "kind", "time", "source"];

/** The fields a record may have, by its kind. */
const fields: Readonly<Record<string, ReadonlySet<string>>> = {
  point: new Set([...timed, "index", "value", "quality", "reason"]),
  define: new Set(["sequence", "kind", "index", "scope", "key", "type", "unit", "profile"]),
  delete: new Set([...timed, "index"]),
  event: new Set([...timed, "event"]),
  line: new Set(["sequence", "kind", "text"]),
  correction: new Set(["sequence", "kind", "body"]),
  base: new Set(["sequence", "kind", "body"]),
  cover: new Set(["sequence", "kind", "to", "body"]),
};

/** Whether all records are of kinds, fields and ranges that sections hold without a loss. */
export function areExact(records: readonly AnyRecord[]): boolean {
  // The records of one call share their stamp.
  let stamp: unknown;
  for (const record of records) {
    if (!isExact(record, stamp)) return false;
    stamp = record.time;
  }
  return true;
}

/** @param stamp one that is exact, if any. */
function isExact(record: AnyRecord, stamp: unknown): boolean {
  const { kind } = record;
  if (typeof kind !== "string" || !Object.hasOwn(fields, kind)) return false;
  const known = fields[kind];
  for (const name in record) {
    if (known?.has(name) !== true && record[name] !== undefined) return false;
  }
  switch (kind) {
    case "point":
      return (
        isIndex(record.index) &&
        isTimed(record, stamp) &&
        qualities.includes(record.quality as Quality) &&
        isTextOrNone(record.reason) &&
        record.value !== undefined
      );
    case "define":
      return (
        isIndex(record.index) &&
        isText(record.scope) &&
        isText(record.key) &&
        isTextOrNone(record.type) &&
        isTextOrNone(record.unit) &&
        isTextOrNone(record.profile)
      );
    case "delete":
      return isIndex(record.index) && isTimed(record, stamp);
    case "event":
      return isTimed(record, stamp) && record.event !== undefined;
    case "line":
      return isText(record.text);
    case "cover":
      return Number.isSafeInteger(record.to) && record.body !== undefined;
    default:
      return record.body !== undefined;
  }
}

function isIndex(index: unknown): boolean {
  return Number.isInteger(index) && (index as number) >= 0 && (index as number) <= indexMax;
}

function isText(text: unknown): boolean {
  return typeof text === "string" && text.isWellFormed();
}

function isTextOrNone(text: unknown): boolean {
  return text === undefined || isText(text);
}

function isTimed({ time, source }: AnyRecord, stamp: unknown): boolean {
  if (!isTextOrNone(source)) return false;
  if (typeof time !== "object" || time === null) return false;
  if (time === stamp) return true;
  const { wall, boot, mono, sync, ...more } = time as Stamp;
  return (
    isTime(wall) &&
    isTime(mono) &&
    isText(boot) &&
    syncs.includes(sync as ClockSync) &&
    Object.keys(more).length === 0
  );
}

function isTime(value: unknown): boolean {
  return Number.isInteger(value) && Math.abs(value as number) < timeMax;
}
