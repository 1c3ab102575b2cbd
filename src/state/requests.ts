// The arguments of the operations of state, checked at the door: shapes, lengths, depth, types.
// It must not know what is done with them.
import { type Stream, streams } from "../journal/journal.ts";
import type { Stamp } from "../util/clock.ts";
import { PlantError } from "../util/errors.ts";
import { v } from "../util/shape.ts";
import type { PointChange, PointType, Quality } from "./points.ts";

/** Bounds of what one request may hold. */
export const limits = {
  /** Bytes of a scope or a key, printable ASCII or UTF-8 without control characters. */
  nameBytes: 255,
  /** Bytes of a value as JSON. */
  valueBytes: 65_536,
  /** Arrays and objects within one another. */
  depth: 16,
  pointsPerCall: 10_000,
  eventsPerCall: 1000,
  linesPerCall: 5000,
  lineBytes: 8192,
  listMax: 1000,
  /** Bytes of the values in one answer or part of one, beyond which it ends. */
  answerValueBytes: 4_194_304,
  changesMax: 10_000,
  changesBytes: 4_194_304,
  waitMs: 30_000,
  /** Requests that wait for changes of a stream, and watches, at one time. */
  waitingMax: 128,
  watchersMax: 128,
} as const;

const number = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER));
const shortText = v.pipe(v.string(), v.minLength(1), v.maxLength(255));
const flush = v.optional(v.picklist(["now", "group"]));
const stream = v.picklist(streams);

/** A run is a text or a number; it is kept as a text. */
const source = {
  source: v.pipe(v.string(), v.minLength(1), v.maxLength(128)),
  run: v.pipe(
    v.union([v.pipe(v.string(), v.minLength(1), v.maxLength(64)), number]),
    v.transform(String),
  ),
  number,
};

/** JSON spells numbers that none is: 1e400 is read as Infinity, and written back as null. */
const finite = v.pipe(v.number(), v.finite());
const stamp = v.object({
  wall: finite,
  boot: v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/)),
  mono: finite,
  sync: v.picklist(["none", "rtc", "ntp", "central"]),
});

const token = v.optional(v.string());
const passphrase = v.pipe(v.string(), v.minLength(1), v.maxLength(1024));
const events = v.array(
  v.object({
    kind: shortText,
    severity: v.picklist(["info", "warning", "alarm"]),
    message: v.pipe(v.string(), v.maxLength(4096)),
    detail: v.optional(v.unknown()),
    time: v.optional(stamp),
  }),
);

/** Shapes of the arguments, by operation. */
export const shapes = {
  setMany: v.object({ ...source, flush, points: v.array(v.unknown()) }),
  appendEvent: v.object({ ...source, flush, events }),
  appendLines: v.object({ ...source, lines: v.array(v.string()) }),
  get: v.object({
    token,
    scope: v.optional(shortText),
    service: v.optional(shortText),
    key: shortText,
  }),
  list: v.object({
    scope: v.optional(shortText),
    prefix: v.optional(v.pipe(v.string(), v.maxLength(255))),
    after: v.optional(v.pipe(v.string(), v.maxLength(2048))),
    limit: v.optional(number),
  }),
  watch: v.object({
    scopes: v.optional(v.pipe(v.array(shortText), v.maxLength(1000))),
    after: v.optional(number),
  }),
  changes: v.object({
    stream,
    after: number,
    limit: v.optional(number),
    bytesMax: v.optional(number),
    waitMs: v.optional(number),
  }),
  ack: v.object({
    consumer: shortText,
    stream,
    sequence: number,
    welcome: v.optional(v.boolean(), false),
  }),
  position: v.object({ consumer: shortText }),
  nothing: v.optional(v.record(v.string(), v.unknown()), {}),
  backupCreate: v.object({ passphrase }),
  backupRestore: v.object({ path: v.pipe(v.string(), v.minLength(1)), passphrase }),
  scope: v.object({ token, service: shortText }),
  scopeKey: v.object({ token, service: shortText, key: shortText }),
  set: v.object({ token, service: shortText, key: shortText, value: v.unknown() }),
} as const;

/** @throws PlantError LIMIT_REACHED. */
export function bound(limit: string, count: number, max: number): void {
  if (count > max) throw new PlantError("LIMIT_REACHED", { limit, max, count });
}

/** The count asked for, or `most` when none is. @throws PlantError LIMIT_REACHED. */
export function countOf(limit: string, asked: number | undefined, most: number): number {
  if (asked === undefined) return most;
  bound(limit, asked, most);
  return Math.max(1, asked);
}

/** About the bytes of a value as JSON, never less than half of them. */
export function weightOf(value: unknown): number {
  if (typeof value === "string") return Math.min(limits.valueBytes, 3 * value.length);
  if (typeof value !== "object" || value === null) return 8;
  return Buffer.byteLength(JSON.stringify(value));
}

const controls = /\p{Cc}/u;
const plainName = /^[\x20-\x7e]{1,255}$/;

/** @throws PlantError REQUEST_MALFORMED, LIMIT_REACHED. */
export function checkName(what: string, name: unknown): string {
  if (typeof name === "string" && plainName.test(name)) return name;
  if (typeof name !== "string" || name.length === 0) throw malformed(`${what}: a text is needed`);
  bound(`${what} bytes`, Buffer.byteLength(name), limits.nameBytes);
  if (controls.test(name) || !name.isWellFormed()) {
    throw malformed(`${what}: control characters are not allowed`);
  }
  return name;
}

const types: readonly unknown[] = ["bool", "i64", "u64", "f64", "text", "json"];
const qualities: readonly unknown[] = ["good", "uncertain", "bad"];

/**
 * One point of `set-many`. Written by hand, because it is done for every value of every device.
 * @throws PlantError REQUEST_MALFORMED, LIMIT_REACHED; `detail.reason` names the point.
 */
export function checkPoint(point: unknown, at: number, now: Stamp): PointChange {
  if (typeof point !== "object" || point === null) throw malformed(`points.${at}: an object`);
  const given = point as Record<string, unknown>;
  const { type, unit, quality = "good", reason, time } = given;
  const scope = checkName(`points.${at}.scope`, given.scope);
  const key = checkName(`points.${at}.key`, given.key);
  const { value } = given;
  if (value === undefined) throw malformed(`points.${at}.value: a value is needed`);
  if (type !== undefined && !types.includes(type)) throw malformed(`points.${at}.type`);
  if (!qualities.includes(quality)) throw malformed(`points.${at}.quality`);
  if (unit !== undefined) checkText(`points.${at}.unit`, unit, 64);
  if (reason !== undefined) checkText(`points.${at}.reason`, reason, 255);
  checkValue(`points.${at}.value`, value, type as PointType | undefined);
  return {
    scope,
    key,
    value,
    type: type as PointType | undefined,
    unit: unit as string | undefined,
    quality: quality as Quality,
    reason: reason as string | undefined,
    time: time === undefined ? now : checkStamp(`points.${at}.time`, time),
  };
}

function checkText(what: string, text: unknown, max: number): void {
  if (typeof text !== "string") throw malformed(`${what}: a text is needed`);
  bound(`${what} characters`, text.length, max);
}

function checkStamp(what: string, time: unknown): Stamp {
  if (!v.is(stamp, time)) throw malformed(`${what}: {wall, boot, mono, sync} is needed`);
  const { wall, boot, mono, sync } = time;
  return { wall: Math.round(wall), boot, mono: Math.round(mono), sync };
}

/** @throws PlantError REQUEST_MALFORMED when it is not of the type; LIMIT_REACHED. */
function checkValue(what: string, value: unknown, type: PointType | undefined): void {
  if (typeof value === "string") {
    if (value.length > limits.valueBytes / 6) boundJson(what, value);
  } else {
    checkJson(what, value);
  }
  if (value === null || type === undefined || type === "json") return;
  if (!fits(value, type)) throw malformed(`${what}: it is not of the type ${type}`);
}

/**
 * A value as deep and as long as it may be, without numbers that JSON cannot write.
 * @throws PlantError LIMIT_REACHED, REQUEST_MALFORMED.
 */
export function checkJson(what: string, value: unknown): void {
  if (typeof value === "number" && !Number.isFinite(value)) {
    throw malformed(`${what}: the number is too large`);
  }
  if (typeof value !== "object" || value === null) return;
  bound(`${what} depth`, depthOf(what, value, limits.depth + 1), limits.depth);
  boundJson(what, value);
}

function boundJson(what: string, value: unknown): void {
  bound(`${what} bytes`, Buffer.byteLength(JSON.stringify(value)), limits.valueBytes);
}

/** How deep arrays and objects are nested, looking no deeper than `most`. */
function depthOf(what: string, value: unknown, most: number): number {
  if (typeof value !== "object" || value === null || most === 0) {
    if (typeof value === "number") checkJson(what, value);
    return 0;
  }
  let deepest = 0;
  for (const inner of Object.values(value)) {
    deepest = Math.max(deepest, depthOf(what, inner, most - 1));
  }
  return deepest + 1;
}

function fits(value: unknown, type: PointType): boolean {
  switch (type) {
    case "bool":
      return typeof value === "boolean";
    case "f64":
      return typeof value === "number";
    case "text":
      return typeof value === "string";
    case "i64":
      return isWhole(value, -(2n ** 63n), 2n ** 63n - 1n);
    case "u64":
      return isWhole(value, 0n, 2n ** 64n - 1n);
    case "json":
      return true;
  }
}

/** A decimal string, or a number that holds a whole exactly. */
function isWhole(value: unknown, min: bigint, max: bigint): boolean {
  if (typeof value === "number") return Number.isSafeInteger(value) && value >= Number(min);
  if (typeof value !== "string" || !/^-?(0|[1-9]\d{0,19})$/.test(value)) return false;
  const whole = BigInt(value);
  return whole >= min && whole <= max;
}

function malformed(reason: string): PlantError {
  return new PlantError("REQUEST_MALFORMED", { reason, count: 1 });
}

/** The stream's arguments of `changes`, within their bounds. */
export function boundChanges(asked: v.InferOutput<typeof shapes.changes>): {
  stream: Stream;
  after: number;
  limit: number;
  bytesMax: number;
  waitMs: number;
} {
  const { stream, after } = asked;
  const limit = countOf("changes limit", asked.limit, limits.changesMax);
  const bytesMax = countOf("changes bytesMax", asked.bytesMax, limits.changesBytes);
  bound("changes waitMs", asked.waitMs ?? 0, limits.waitMs);
  return { stream, after, limit, bytesMax, waitMs: asked.waitMs ?? 0 };
}
