// The shapes of what the parts answer, read leniently: a field of another version is left out,
// the rest still shows. It must not know how the answers are judged.
import type { WireError } from "../util/errors.ts";
import { v } from "../util/shape.ts";
import type { QueueReport } from "./broker.ts";
import type { BoxStatus } from "./document.ts";

/** What a part said, or why it said nothing. */
export type Answer<T> =
  | { readonly ok: true; readonly data: T }
  | { readonly ok: false; readonly error: WireError };

const stamp = v.fallback(v.nullable(v.looseObject({ wall: v.number() })), null);
const count = v.fallback(v.nullable(v.number()), null);
const words = v.fallback(v.nullable(v.string()), null);

const stream = v.looseObject({
  head: v.fallback(v.number(), 0),
  watermark: v.fallback(v.number(), 0),
  waiting: v.fallback(v.number(), 0),
  oldest: v.optional(stamp, null),
});

/** `org.plantd.Sync` `status`. */
export const syncShape = v.looseObject({
  enrolled: v.boolean(),
  device: v.optional(words, null),
  centre: v.optional(words, null),
  mqtt: v.optional(words, null),
  link: v.picklist(["down", "connecting", "up"]),
  since: v.optional(stamp, null),
  reason: v.optional(words, null),
  words: v.optional(words, null),
  retryAt: v.optional(count, null),
  paused: v.optional(v.fallback(v.boolean(), false), false),
  lastAck: v.optional(stamp, null),
  streams: v.optional(v.fallback(v.record(v.string(), stream), {}), {}),
});
export type SyncAnswer = v.InferOutput<typeof syncShape>;

const deviceShape = v.looseObject({
  name: v.string(),
  profile: v.optional(words, null),
  unit: v.optional(count, null),
  state: v.fallback(
    v.picklist(["ok", "silent", "faulty", "disabled", "starting", "unknown"]),
    "unknown",
  ),
  code: v.optional(words, null),
  since: v.optional(stamp, null),
  lastGood: v.optional(stamp, null),
  points: v.optional(v.unknown()),
});

/** `org.plantd.driver.<line>` `status`. */
export const driverShape = v.looseObject({
  line: v.string(),
  kind: v.optional(words, null),
  settings: v.optional(v.unknown()),
  state: v.picklist(["open", "opening", "failed"]),
  reason: v.optional(words, null),
  counters: v.optional(v.fallback(v.record(v.string(), v.number()), {}), {}),
  okPerMinute: v.optional(count, null),
  loadPercent: v.optional(count, null),
  turnaroundMs: v.optional(
    v.fallback(v.looseObject({ p50: v.optional(count, null), p99: v.optional(count, null) }), {
      p50: null,
      p99: null,
    }),
    { p50: null, p99: null },
  ),
  lastHour: v.optional(v.fallback(v.array(v.number()), []), []),
  devices: v.optional(v.array(deviceShape), []),
});
export type DriverAnswer = v.InferOutput<typeof driverShape>;

/** `org.plantd.State` `stats`: counts by name, some of them nested. */
export const statsShape = v.record(v.string(), v.unknown());

/** `org.plantd.State` `position`: what the centre has not acknowledged. */
export const positionShape = v.looseObject({
  streams: v.optional(
    v.record(
      v.string(),
      v.looseObject({
        head: v.fallback(v.number(), 0),
        watermark: v.fallback(v.number(), 0),
        oldest: v.optional(stamp, null),
      }),
    ),
    {},
  ),
});
export type PositionAnswer = v.InferOutput<typeof positionShape>;

/** Everything that was asked at one moment. */
export interface Answers {
  readonly gateway: string;
  readonly site: string;
  /** Milliseconds since 1970 UTC. */
  readonly time: number;
  /** Names of the registered services. */
  readonly services: Answer<readonly string[]>;
  /** What the broker says of its services. */
  readonly queue: Answer<QueueReport>;
  readonly stats: Answer<Readonly<Record<string, unknown>>>;
  readonly position: Answer<PositionAnswer>;
  readonly sync: Answer<SyncAnswer>;
  /** By line: those registered and those configured. */
  readonly drivers: Readonly<Record<string, Answer<DriverAnswer>>>;
  readonly box: Omit<BoxStatus, "store">;
  /** What goes wrong on this side, such as a configuration file that is not valid. */
  readonly local: readonly WireError[];
}
