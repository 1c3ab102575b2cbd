// The operations on what values were: one point in buckets or one by one, and many at once.
// It must not know where values are kept.
import { PlantError } from "../util/errors.ts";
import { check, v } from "../util/shape.ts";
import type { Operation } from "../worker/worker.ts";
import type { Aggregate } from "./aggregate.ts";
import type { StateCore } from "./core.ts";
import type { Found, Range } from "./history.ts";
import { withRoom } from "./point-operations.ts";
import { bound, countOf } from "./requests.ts";

const historyLimits = {
  bucketsMax: 2000,
  bucketsPreset: 240,
  pointsMax: 256,
  /** Buckets of all points of one answer. */
  bucketsOfAllMax: 20_000,
  rawMax: 5000,
} as const;
const dayMs = 86_400_000;
const timeMax = 2 ** 50;

const time = v.pipe(v.number(), v.minValue(-timeMax), v.maxValue(timeMax));
const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const name = v.pipe(v.string(), v.minLength(1), v.maxLength(255));
const range = {
  from: v.optional(time),
  to: v.optional(time),
  bucketMs: v.optional(whole),
  buckets: v.optional(whole),
};
const shapes = {
  history: v.object({
    scope: name,
    key: name,
    ...range,
    raw: v.optional(v.boolean(), false),
    after: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(0)), 0),
    limit: v.optional(whole),
  }),
  historyMany: v.object({
    points: v.pipe(v.array(v.object({ scope: name, key: name })), v.minLength(1)),
    ...range,
  }),
} as const;
type Asked = Omit<v.InferOutput<typeof shapes.historyMany>, "points">;

/** Operations on what values were. */
export function historyOperations(core: StateCore): Record<string, Operation> {
  return {
    history: (request) => withRoom(request, () => history(core, request.args)),
    "history-many": (request) => withRoom(request, () => historyMany(core, request.args)),
  };
}

async function history(core: StateCore, args: unknown): Promise<unknown> {
  const asked = check(shapes.history, args);
  const { scope, key, raw, after } = asked;
  core.refuseWhileRestoring();
  const wanted = rangeOf(core, asked);
  const limit = countOf("history limit", asked.limit, historyLimits.rawMax);
  await core.past.rollup.follow();
  const indices = indicesOf(core, scope, key);
  if (indices.length === 0) throw new PlantError("STATE_NOT_FOUND", { scope, key });
  const unit = core.points.get(scope, key)?.unit;
  const head = { scope, key, ...(unit === undefined ? {} : { unit }) };
  if (raw) {
    const { values, next } = await core.past.history.raw(indices, wanted, { after, limit });
    const { fromMs: from, toMs: to } = wanted;
    return { ...head, from, to, values, ...(next === undefined ? {} : { next }) };
  }
  const found = await core.past.history.buckets([indices], wanted);
  return { ...head, ...rangeAnswer(found), buckets: (found.series[0] ?? []).map(bucketOf) };
}

async function historyMany(core: StateCore, args: unknown): Promise<unknown> {
  const asked = check(shapes.historyMany, args);
  const { points } = asked;
  bound("points of one history", points.length, historyLimits.pointsMax);
  core.refuseWhileRestoring();
  const wanted = rangeOf(core, asked);
  const buckets = Math.ceil((wanted.toMs - wanted.fromMs) / wanted.widthMs) * points.length;
  bound("buckets of one history", buckets, historyLimits.bucketsOfAllMax);
  await core.past.rollup.follow();
  const indices = points.map(({ scope, key }) => indicesOf(core, scope, key));
  const found = await core.past.history.buckets(indices, wanted);
  const series = points.map(({ scope, key }, at) => ({
    scope,
    key,
    buckets: (found.series[at] ?? []).map(bucketOf),
  }));
  return { ...rangeAnswer(found), series };
}

function indicesOf(core: StateCore, scope: string, key: string): number[] {
  return core.past.rollup.names.indicesOf(scope, key);
}

/** The last day unless told, in so many buckets. @throws PlantError REQUEST_MALFORMED. */
function rangeOf(core: StateCore, { from, to, bucketMs, buckets }: Asked): Range {
  const toMs = to ?? core.deps.clock.wallMs();
  const fromMs = from ?? toMs - dayMs;
  if (fromMs >= toMs) {
    throw new PlantError("REQUEST_MALFORMED", { reason: "from: it is not before to", count: 1 });
  }
  if (bucketMs !== undefined && buckets !== undefined) {
    const reason = "bucketMs: either this or buckets";
    throw new PlantError("REQUEST_MALFORMED", { reason, count: 1 });
  }
  const count = countOf("history buckets", buckets, historyLimits.bucketsMax);
  const most = buckets === undefined ? historyLimits.bucketsPreset : count;
  const widthMs = bucketMs ?? Math.max(1, Math.ceil((toMs - fromMs) / most));
  const asked = Math.ceil((toMs - fromMs) / widthMs);
  bound("history buckets", asked, historyLimits.bucketsMax);
  return { fromMs, toMs, widthMs };
}

function rangeAnswer({ range, source }: Found): object {
  return { from: range.fromMs, to: range.toMs, bucketMs: range.widthMs, source };
}

function bucketOf({ startMs, lastMs, numbers: _, ...rest }: Aggregate): object {
  return { start: startMs, ...rest, lastTime: lastMs };
}
