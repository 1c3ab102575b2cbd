// The arguments of the hot operations, checked by hand because it is done for every value of every
// device: points, their names, times and values. It must not know what is done with them.
import type { Stamp } from "../util/clock.ts";
import { PlantError } from "../util/errors.ts";
import type { PointChange, PointType, Quality } from "./point.ts";
import { bound, boundJson, checkJson, limits, malformed } from "./requests.ts";

/** The arguments of `set-many`, with its points not yet looked at. */
export interface SetMany {
  readonly source: string;
  readonly run: string;
  readonly number: number;
  readonly flush: "now" | "group";
  readonly by?: string | undefined;
  readonly points: readonly unknown[];
}

const controls = /\p{Cc}/u;
const types: readonly unknown[] = ["bool", "i64", "u64", "f64", "text", "json"];
const qualities: readonly unknown[] = ["good", "uncertain", "bad"];

/** @throws PlantError REQUEST_MALFORMED, LIMIT_REACHED. */
export function checkSetMany(args: unknown): SetMany {
  const { source, run, number, flush = "group", by, points } = objectOf("arguments", args);
  checkShort("source", source, 128);
  if (typeof run !== "number" || !isSequence(run)) checkShort("run", run, 64);
  if (!isSequence(number)) throw malformed("number: a whole number from 0 to 2^53 - 1 is needed");
  if (flush !== "now" && flush !== "group") throw malformed("flush: now or group");
  if (by !== undefined) checkShort("by", by, 128);
  if (!Array.isArray(points)) throw malformed("points: a list is needed");
  if (points.length === 0) throw malformed("points: at least one is needed");
  bound("points of one call", points.length, limits.pointsPerCall);
  return {
    source: source as string,
    run: String(run),
    number: number as number,
    flush,
    by: by as string | undefined,
    points,
  };
}

/** The changes of `set-many`. @throws as `checkPoint`. */
export function changesOf(points: readonly unknown[], now: Stamp): PointChange[] {
  const changes: PointChange[] = [];
  for (let at = 0; at < points.length; at += 1) changes.push(checkPoint(points[at], at, now));
  return changes;
}

function objectOf(what: string, given: unknown): Record<string, unknown> {
  if (typeof given === "object" && given !== null) return given as Record<string, unknown>;
  throw malformed(`${what}: a group of keys is needed`);
}

function isSequence(value: unknown): boolean {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function checkShort(what: string, text: unknown, max: number): void {
  const isText = typeof text === "string" && text.length > 0 && text.length <= max;
  if (!isText || !text.isWellFormed()) {
    throw malformed(`${what}: a text of 1 to ${max} characters is needed`);
  }
}

/** The scope and key of `get`, where `service` may stand for `scope`. */
export function checkGet(args: unknown): { scope: string; key: string } {
  const given = objectOf("arguments", args);
  const scope = given.scope ?? given.service;
  const { key } = given;
  if (typeof scope === "string" && typeof key === "string") return { scope, key };
  throw malformed(`${typeof key === "string" ? "scope" : "key"}: a text is needed`);
}

/** @throws PlantError REQUEST_MALFORMED, LIMIT_REACHED. */
export function checkName(what: string, name: unknown): string {
  if (isPlainName(name)) return name;
  return checkOddName(what, name);
}

/** Whether it is a text of up to 255 printable characters of ASCII. */
function isPlainName(name: unknown): name is string {
  if (typeof name !== "string" || name.length === 0 || name.length > limits.nameBytes) return false;
  for (let at = 0; at < name.length; at += 1) {
    const unit = name.charCodeAt(at);
    if (unit < 0x20 || unit > 0x7e) return false;
  }
  return true;
}

function checkOddName(what: string, name: unknown): string {
  if (typeof name !== "string" || name.length === 0) throw malformed(`${what}: a text is needed`);
  bound(`${what} bytes`, Buffer.byteLength(name), limits.nameBytes);
  if (controls.test(name) || !name.isWellFormed()) {
    throw malformed(`${what}: control characters are not allowed`);
  }
  return name;
}

/**
 * One point of `set-many`.
 * @throws PlantError REQUEST_MALFORMED, LIMIT_REACHED; `detail.reason` names the point.
 */
export function checkPoint(point: unknown, at: number | undefined, now: Stamp): PointChange {
  if (typeof point !== "object" || point === null)
    throw malformed(`${nameOf(at, "")}: a group of keys`);
  const given = point as Record<string, unknown>;
  const { scope, key, value, type, unit, quality = "good", reason, time, ttlMs } = given;
  if (!isPlainName(scope)) checkOddName(nameOf(at, "scope"), scope);
  refuseReserved(scope as string);
  if (!isPlainName(key)) checkOddName(nameOf(at, "key"), key);
  if (value === undefined) throw malformed(`${nameOf(at, "value")}: a value is needed`);
  if (type !== undefined && !types.includes(type)) throw malformed(nameOf(at, "type"));
  if (quality !== "good" && !qualities.includes(quality)) throw malformed(nameOf(at, "quality"));
  if (unit !== undefined) checkText(nameOf(at, "unit"), unit, 64);
  if (reason !== undefined) checkText(nameOf(at, "reason"), reason, 255);
  if (ttlMs !== undefined) checkTtl(at, ttlMs);
  if (typeof value !== "number" || type !== undefined || !Number.isFinite(value)) {
    checkValue(at, value, type as PointType | undefined);
  }
  return {
    scope: scope as string,
    key: key as string,
    value,
    type: type as PointType | undefined,
    unit: unit as string | undefined,
    quality: quality as Quality,
    reason: reason as string | undefined,
    time: time === undefined ? now : checkStamp(at, time),
    ttlMs: ttlMs as number | undefined,
  };
}

/** Where a field is: in one of many points, or in the arguments themselves. */
function nameOf(at: number | undefined, field: string): string {
  return at === undefined ? field : `points.${at}.${field}`;
}

/** Whether a scope is the store's own. */
export function isReserved(scope: string): boolean {
  return scope.startsWith("plantd/");
}

/** @throws PlantError SCOPE_RESERVED for the scopes of the store's own. */
export function refuseReserved(scope: string): void {
  if (isReserved(scope)) throw new PlantError("SCOPE_RESERVED", { scope });
}

function checkText(what: string, text: unknown, max: number): void {
  if (typeof text !== "string" || !text.isWellFormed())
    throw malformed(`${what}: a text is needed`);
  bound(`${what} characters`, text.length, max);
}

function checkTtl(at: number | undefined, ttlMs: unknown): void {
  if (!isSequence(ttlMs) || ttlMs === 0) {
    throw malformed(`${nameOf(at, "ttlMs")}: whole milliseconds from 1 are needed`);
  }
  bound(nameOf(at, "ttlMs"), ttlMs as number, limits.ttlMs);
}

function checkStamp(at: number | undefined, time: unknown): Stamp {
  const { wall, boot, mono, sync } = Object(time) as Record<string, unknown>;
  const isTime = isMoment(wall) && isMoment(mono) && isBootId(boot);
  const isSynced = sync === "none" || sync === "rtc" || sync === "ntp" || sync === "central";
  if (isTime && isSynced)
    return { wall: wall as number, boot: boot as string, mono: mono as number, sync };
  throw malformed(`${nameOf(at, "time")}: {wall, boot, mono, sync} is needed`);
}

function isMoment(time: unknown): boolean {
  return typeof time === "number" && Math.abs(time) <= limits.time;
}

/** 32 hexadecimal digits. */
function isBootId(boot: unknown): boolean {
  if (typeof boot !== "string" || boot.length !== 32) return false;
  for (let at = 0; at < 32; at += 1) {
    const unit = boot.charCodeAt(at);
    const isDigit = unit >= 0x30 && unit <= 0x39;
    if (!isDigit && (unit < 0x61 || unit > 0x66)) return false;
  }
  return true;
}

/** @throws PlantError REQUEST_MALFORMED when it is not of the type; LIMIT_REACHED. */
function checkValue(at: number | undefined, value: unknown, type: PointType | undefined): void {
  if (typeof value === "string") {
    if (value.length > limits.valueBytes / 6) boundJson(nameOf(at, "value"), value);
  } else {
    checkJson(nameOf(at, "value"), value);
  }
  if (value === null || type === undefined || type === "json") return;
  if (!fits(value, type)) throw malformed(`${nameOf(at, "value")}: it is not of the type ${type}`);
}

const leastI64 = -(2n ** 63n);
const mostI64 = 2n ** 63n - 1n;
const mostU64 = 2n ** 64n - 1n;

/** Whether a value is of a type. A 64-bit integer is a decimal text without needless digits. */
export function fits(value: unknown, type: PointType): boolean {
  switch (type) {
    case "bool":
      return typeof value === "boolean";
    case "f64":
      return typeof value === "number";
    case "text":
      return typeof value === "string";
    case "i64":
      return isWhole(value, leastI64, mostI64);
    case "u64":
      return isWhole(value, 0n, mostU64);
    case "json":
      return true;
  }
}

/** A decimal text, or a number that holds a whole exactly. */
function isWhole(value: unknown, min: bigint, max: bigint): boolean {
  if (typeof value === "number") return Number.isSafeInteger(value) && value >= Number(min);
  if (typeof value !== "string" || !/^(0|-?[1-9]\d{0,19})$/.test(value)) return false;
  const whole = BigInt(value);
  return whole >= min && whole <= max;
}
