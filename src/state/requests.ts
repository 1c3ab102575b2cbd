// The arguments of the operations of state, checked at the door: shapes, lengths, depth, types.
// It must not know what is done with them.
import { type Stream, streams } from "../journal/journal.ts";
import { PlantError } from "../util/errors.ts";
import { v } from "../util/shape.ts";

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
  metricsPerCall: 500,
  labelsPerMetric: 16,
  lineBytes: 8192,
  listMax: 1000,
  /** Characters of the points in one answer or part of one, beyond which it ends. */
  answerChars: 2_097_152,
  /** Points that are asked for, or named, one by one. */
  namesPerCall: 1000,
  ttlMs: 315_576_000_000,
  /** Definitions in the schema of one scope. */
  schemaPoints: 1000,
  /** Of them, those with a star, and the stars of one: each is tried on each point that is set. */
  schemaPatterns: 64,
  schemaStars: 8,
  changesMax: 10_000,
  changesBytes: 4_194_304,
  /** Records in one part of a stream: what one turn of the loop makes. */
  changesPerPart: 2000,
  waitMs: 30_000,
  /** Milliseconds from 1970 either way: times outside cannot be kept. */
  time: 2 ** 50,
  /** Requests that wait for changes of a stream, and watches, at one time. */
  waitingMax: 128,
  watchersMax: 128,
} as const;

const number = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER));
/** Half a surrogate would be written as another character, and two names become one. */
export const wellFormed = v.check((text: string) => text.isWellFormed(), "half a character");
const shortText = v.pipe(v.string(), v.minLength(1), v.maxLength(255), wellFormed);
const flush = v.optional(v.picklist(["now", "group"]));
const stream = v.picklist(streams);

/** A run is a text or a number; it is kept as a text. */
const source = {
  source: v.pipe(v.string(), v.minLength(1), v.maxLength(128), wellFormed),
  run: v.pipe(
    v.union([v.pipe(v.string(), v.minLength(1), v.maxLength(64), wellFormed), number]),
    v.transform(String),
  ),
  number,
};

/** JSON spells numbers that none is: 1e400 is read as Infinity, and written back as null. */
const finite = v.pipe(v.number(), v.finite());
const moment = v.pipe(v.number(), v.minValue(-limits.time), v.maxValue(limits.time));
const stamp = v.object({
  wall: moment,
  boot: v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/)),
  mono: moment,
  sync: v.picklist(["none", "rtc", "ntp", "central"]),
});

const token = v.optional(v.string());
/** The person who causes a change, for the audit. */
const by = v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(128), wellFormed));
const places = v.pipe(
  v.array(v.object({ scope: shortText, key: shortText })),
  v.minLength(1),
  v.maxLength(limits.namesPerCall),
);
const optionalSource = v.partial(v.object(source)).entries;
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

const label = v.pipe(v.string(), v.minLength(1), v.maxLength(64));
const metrics = v.array(
  v.object({
    name: v.pipe(v.string(), v.minLength(1), v.maxLength(128)),
    value: finite,
    unit: v.optional(v.pipe(v.string(), v.maxLength(32))),
    labels: v.optional(v.record(label, v.pipe(v.string(), v.maxLength(255)))),
  }),
);

/** Shapes of the arguments, by operation. */
export const shapes = {
  appendEvent: v.object({ ...source, flush, events }),
  appendMetrics: v.object({ ...source, flush, metrics, time: v.optional(stamp) }),
  appendLines: v.object({ ...source, lines: v.array(v.string()) }),
  getMany: v.object({ points: places }),
  deleteMany: v.object({ points: places, by, reason: v.optional(shortText) }),
  compareAndSet: v.looseObject({
    ...optionalSource,
    flush,
    by,
    expect: v.union([
      v.strictObject({ value: v.unknown() }),
      v.strictObject({ revision: number }),
      v.strictObject({ absent: v.literal(true) }),
    ]),
  }),
  schemaSet: v.object({
    scope: shortText,
    schema: v.unknown(),
    keep: v.optional(v.boolean(), false),
    by,
  }),
  schemaGet: v.object({ scope: shortText }),
  schemaDelete: v.object({ scope: shortText, by }),
  list: v.object({
    scope: v.optional(shortText),
    prefix: v.optional(v.pipe(v.string(), v.maxLength(255))),
    after: v.optional(v.pipe(v.string(), v.maxLength(2048))),
    limit: v.optional(number),
  }),
  watch: v.object({
    scopes: v.optional(v.pipe(v.array(shortText), v.maxLength(1000))),
    prefix: v.optional(v.pipe(v.string(), v.maxLength(255)), ""),
    after: v.optional(number),
    epoch: v.optional(v.string()),
  }),
  changes: v.object({
    stream,
    after: number,
    limit: v.optional(number),
    bytesMax: v.optional(number),
    waitMs: v.optional(number),
    parts: v.optional(v.boolean(), false),
    coversDamage: v.optional(v.boolean(), false),
  }),
  ack: v.object({
    consumer: shortText,
    stream,
    sequence: number,
    welcome: v.optional(v.boolean(), false),
  }),
  position: v.object({ consumer: shortText, register: v.optional(v.boolean(), false) }),
  nothing: v.optional(v.record(v.string(), v.unknown()), {}),
  backupCreate: v.object({ passphrase }),
  backupRestore: v.object({ path: v.pipe(v.string(), v.minLength(1)), passphrase }),
  scope: v.object({ token, service: v.optional(shortText), scope: v.optional(shortText), by }),
  scopeKey: v.object({
    token,
    service: v.optional(shortText),
    scope: v.optional(shortText),
    key: shortText,
    by,
  }),
  set: v.looseObject({ token, service: v.optional(shortText), scope: v.optional(shortText), by }),
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

/** @throws PlantError LIMIT_REACHED above `limits.valueBytes` as JSON. */
export function boundJson(what: string, value: unknown): void {
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

/** REQUEST_MALFORMED with one flaw, in words. */
export function malformed(reason: string): PlantError {
  return new PlantError("REQUEST_MALFORMED", { reason, count: 1 });
}

/** The stream's arguments of `changes`, within their bounds. */
export function boundChanges(asked: v.InferOutput<typeof shapes.changes>): {
  stream: Stream;
  after: number;
  limit: number;
  bytesMax: number;
  waitMs: number;
  parts: boolean;
  coversDamage: boolean;
} {
  const { stream, after, parts, coversDamage } = asked;
  const most = parts ? limits.changesPerPart : limits.changesMax;
  const limit = countOf("changes limit", asked.limit, most);
  const bytesMax = countOf("changes bytesMax", asked.bytesMax, limits.changesBytes);
  bound("changes waitMs", asked.waitMs ?? 0, limits.waitMs);
  return { stream, after, limit, bytesMax, waitMs: asked.waitMs ?? 0, parts, coversDamage };
}
