// Curves of the last hour for the points a page shows: asked of the store in one request, at most
// once a minute, and only when somebody looks. It must not know how they are shown.
import type { Client } from "../client/client.ts";
import { describeValue, services } from "../status/status.ts";
import type { Clock } from "../util/clock.ts";
import { asPlantError } from "../util/errors.ts";
import type { Log } from "../util/log.ts";
import { within } from "../util/running.ts";
import { inspect, v } from "../util/shape.ts";

/** Points that have a curve of their last hour; others show their last samples. */
const pointsMax = 256;
const hourMs = 3_600_000;
const bucketMs = 120_000;
const everyMs = 60_000;
/** After a failure it is asked again no sooner. */
const retryMs = 15_000;
const deadlineMs = 5000;
/** The first page waits this long for its curves; a slow store does not keep it. */
const patienceMs = 250;

const figure = v.optional(v.number());
const answerShape = v.looseObject({
  from: v.number(),
  to: v.number(),
  bucketMs: v.pipe(v.number(), v.minValue(1)),
  series: v.array(
    v.looseObject({
      scope: v.string(),
      key: v.string(),
      buckets: v.array(
        v.looseObject({ start: v.number(), min: figure, max: figure, mean: figure }),
      ),
    }),
  ),
});
type Answer = v.InferOutput<typeof answerShape>;
type Buckets = Answer["series"][number]["buckets"];

/** One curve in a box of 120 × 28, and its text equivalent. */
export interface HourCurve {
  /** The `d` of a path, with a gap where there was no value. */
  readonly path: string;
  readonly words: string;
}

/** Something that shows a point. */
interface Shown {
  readonly point: { readonly scope: string; readonly key: string };
}

/** Asks for curves of what is looked at. */
export interface Hours<T extends Shown> {
  /** Has the curves asked for when they are old; waits for the first ones, though not long. */
  look(points: readonly T[]): Promise<void>;
}

/** @param put takes the curves when they have come. */
export function createHours<T extends Shown>(
  { clock, client, log }: { clock: Clock; client: Client; log: Log },
  put: (curves: ReadonlyMap<T, HourCurve>) => void,
): Hours<T> {
  let dueMs = Number.NEGATIVE_INFINITY;
  let asking: Promise<void> | undefined;
  let isFirst = true;
  const ask = async (points: readonly T[]): Promise<void> => {
    try {
      put(await curvesOf(client, points, clock.wallMs()));
      dueMs = clock.monotonicMs() + everyMs;
    } catch (error) {
      const { code, message } = asPlantError(error);
      log.debug("the last hour is not known", { code, reason: message });
      dueMs = clock.monotonicMs() + retryMs;
    } finally {
      asking = undefined;
    }
  };
  return {
    async look(points) {
      if (asking === undefined && points.length > 0 && clock.monotonicMs() >= dueMs) {
        asking = ask(points.slice(0, pointsMax));
      }
      if (!isFirst || asking === undefined) return;
      await within(clock, patienceMs, asking);
      isFirst = false;
    },
  };
}

async function curvesOf<T extends Shown>(
  client: Client,
  points: readonly T[],
  nowMs: number,
): Promise<Map<T, HourCurve>> {
  const names = points.map(({ point: { scope, key } }) => ({ scope, key }));
  const args = { points: names, from: nowMs - hourMs, to: nowMs, bucketMs };
  const data = await client.call(services.state, "history-many", args, { deadlineMs });
  const answer = inspect(answerShape, data);
  const curves = new Map<T, HourCurve>();
  if (!answer.ok) return curves;
  const { from, to, bucketMs: width, series } = answer.value;
  for (const [at, { buckets }] of series.entries()) {
    const live = points[at];
    const curve = curveOf(buckets, { from, count: Math.ceil((to - from) / width), width });
    if (live !== undefined && curve !== undefined) curves.set(live, curve);
  }
  return curves;
}

/** The curve of the means; undefined for fewer than two buckets with numbers. */
export function curveOf(
  buckets: Buckets,
  { from, count, width }: { from: number; count: number; width: number },
): HourCurve | undefined {
  const low = buckets.reduce((least, { min = least }) => Math.min(least, min), Number.MAX_VALUE);
  const high = buckets.reduce((most, { max = most }) => Math.max(most, max), -Number.MAX_VALUE);
  let path = "";
  let before = Number.NaN;
  let drawn = 0;
  for (const { start, mean } of buckets) {
    if (mean === undefined) continue;
    const at = Math.round((start - from) / width);
    const share = high > low ? (mean - low) / (high - low) : 0.5;
    const x = Math.round((1200 * at) / Math.max(1, count - 1)) / 10;
    const y = Math.round(10 * (26 - share * 24)) / 10;
    path += `${at === before + 1 ? "L" : "M"}${x} ${y}`;
    before = at;
    drawn += 1;
  }
  if (drawn < 2) return undefined;
  return { path, words: `last hour from ${describeValue(low)} to ${describeValue(high)}` };
}
