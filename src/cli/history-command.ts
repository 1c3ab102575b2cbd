// `plant state history`: what a point's values were, as a curve, figures, or one by one.
// It must not know where values are kept.
import { describeDuration, describeUnit, describeValue, services } from "../status/status.ts";
import { parseTime } from "../util/clock.ts";
import { PlantError } from "../util/errors.ts";
import { inspect, v } from "../util/shape.ts";
import type { Invocation } from "./command.ts";
import { parseDuration } from "./duration.ts";
import { columns, type Output } from "./output.ts";
import { nameOf } from "./state-command.ts";

/** Values that one command prints with `--raw`. */
const rawMax = 20_000;
const rawPage = 5000;
const sinceMs = 86_400_000;
/** Characters of a curve where no terminal says how many it has. */
const curvePreset = 60;
const curveMax = 160;
const curveLeast = 10;
const heights = [..."▁▂▃▄▅▆▇█"];

const number = v.optional(v.number());
const bucketShape = v.looseObject({
  start: v.number(),
  count: v.number(),
  bad: v.fallback(v.number(), 0),
  min: number,
  max: number,
  mean: number,
  last: v.optional(v.unknown()),
  lastTime: v.fallback(v.number(), 0),
  lastQuality: v.fallback(v.string(), "good"),
});
type Bucket = v.InferOutput<typeof bucketShape>;
const rangeShape = { from: v.number(), to: v.number(), unit: v.optional(v.string()) };
const bucketsShape = v.looseObject({
  ...rangeShape,
  bucketMs: v.number(),
  source: v.fallback(v.string(), ""),
  buckets: v.array(bucketShape),
});
type History = v.InferOutput<typeof bucketsShape>;
const valueShape = v.looseObject({
  sequence: v.number(),
  time: v.number(),
  value: v.unknown(),
  quality: v.string(),
});
const rawShape = v.looseObject({
  ...rangeShape,
  values: v.array(valueShape),
  next: v.optional(v.number()),
});
type RawPage = v.InferOutput<typeof rawShape>;

/** What a point's values were. */
export async function runHistory(invocation: Invocation): Promise<number> {
  const { args, options, io } = invocation;
  const { scope, key } = nameOf(args);
  const range = rangeOf(options, io.clock.wallMs());
  if (options.raw === true) return runRaw(invocation, { scope, key, ...range });
  const { isTerminal, columns: wide } = io.stdout;
  const room = Math.min(curveMax, Math.max(curveLeast, isTerminal ? wide - 1 : curvePreset));
  const buckets = options.buckets === undefined ? room : wholeOf(options.buckets, "--buckets");
  const found = await ask(invocation, bucketsShape, { scope, key, ...range, buckets });
  const document = { schema: "plant.history/1", scope, key, ...found };
  invocation.out.result(document, () => inWords(`${scope} ${key}`, found, invocation.out));
  return 0;
}

async function ask<S extends v.GenericSchema>(
  invocation: Invocation,
  shape: S,
  args: object,
): Promise<v.InferOutput<S>> {
  const { flags, signal } = invocation;
  const client = await invocation.client();
  const how = { deadlineMs: flags.timeoutMs, signal };
  const answer = inspect(shape, await client.call(services.state, "history", args, how));
  if (answer.ok) return answer.value;
  throw new PlantError("REMOTE_SHAPE", { reason: "this is no history" });
}

/** The range of the options; times are moments, or durations ago. @throws PlantError USAGE. */
function rangeOf(options: Invocation["options"], nowMs: number): { from: number; to: number } {
  const moment = (value: unknown, flag: string): number => {
    const text = String(value);
    const time = parseTime(text);
    if (time !== undefined) return time;
    if (/^\d/.test(text) && !text.includes("-")) return nowMs - parseDuration(text, flag);
    const message = `${flag} is a moment such as 2026-03-01T12:00 or a time ago such as 6h`;
    throw new PlantError("USAGE", { message });
  };
  const to = options.to === undefined ? nowMs : moment(options.to, "--to");
  if (options.from !== undefined && options.since !== undefined) {
    throw new PlantError("USAGE", { message: "either --since or --from" });
  }
  const ago =
    options.since === undefined ? sinceMs : parseDuration(String(options.since), "--since");
  const from = options.from === undefined ? to - ago : moment(options.from, "--from");
  if (from < to) return { from, to };
  throw new PlantError("USAGE", { message: "--from must be before --to" });
}

function wholeOf(value: unknown, flag: string): number {
  const whole = Number(value);
  if (Number.isSafeInteger(whole) && whole > 0) return whole;
  throw new PlantError("USAGE", { message: `${flag} is a whole number above 0` });
}

function inWords(
  name: string,
  { from, to, bucketMs, unit, buckets }: History,
  out: Output,
): string {
  const span = `${out.time(from)} – ${out.time(to)}`;
  const head = `${out.paint("bold", name)}  ${span}`;
  const last = buckets.at(-1);
  if (last === undefined) return `${head}\nno values`;
  const numeric = buckets.filter(({ mean }) => mean !== undefined);
  if (numeric.length === 0) return [head, ...rowsOf(buckets, out)].join("\n");
  const words = describeUnit(unit);
  const value = (figure: number) => `${describeValue(figure)}${words === "" ? "" : ` ${words}`}`;
  const low = least(numeric, ({ min = 0 }) => min);
  const high = least(numeric, ({ max = 0 }) => -max);
  return [
    `${head}  each sign ${describeDuration(bucketMs)}`,
    curve({ from, to, bucketMs, buckets }),
    `  min   ${value(low.min ?? 0)}  at ${out.time(low.start)}`,
    `  max   ${value(high.max ?? 0)}  at ${out.time(high.start)}`,
    `  mean  ${value(meanOf(numeric))}`,
    `  last  ${describeValue(last.last)}${words === "" ? "" : ` ${words}`}  at ${out.time(last.lastTime)}${last.lastQuality === "good" ? "" : `  ${out.paint("yellow", last.lastQuality)}`}`,
    `  of    ${countWords(buckets)}`,
  ].join("\n");
}

function least(buckets: readonly Bucket[], of: (bucket: Bucket) => number): Bucket {
  return buckets.reduce((best, bucket) => (of(bucket) < of(best) ? bucket : best));
}

/** The mean of all values that have one, to nine digits: buckets have theirs rounded. */
function meanOf(buckets: readonly Bucket[]): number {
  let sum = 0;
  let count = 0;
  for (const bucket of buckets) {
    const values = bucket.count - bucket.bad;
    sum += (bucket.mean ?? 0) * values;
    count += values;
  }
  return Number((sum / Math.max(1, count)).toPrecision(9));
}

function countWords(buckets: readonly Bucket[]): string {
  const count = buckets.reduce((sum, bucket) => sum + bucket.count, 0);
  const bad = buckets.reduce((sum, bucket) => sum + bucket.bad, 0);
  const share = ((100 * bad) / count).toFixed(1);
  return `${count} values${bad === 0 ? "" : `, ${share} % of them bad`}`;
}

/** Means as heights, a space where there are none. */
export function curve({
  from,
  to,
  bucketMs,
  buckets,
}: Pick<History, "from" | "to" | "bucketMs" | "buckets">): string {
  const count = Math.min(curveMax * 20, Math.max(1, Math.ceil((to - from) / bucketMs)));
  const signs = Array.from({ length: count }, () => " ");
  const means = buckets.flatMap(({ mean }) => (mean === undefined ? [] : [mean]));
  const low = means.reduce((best, mean) => Math.min(best, mean), Number.POSITIVE_INFINITY);
  const high = means.reduce((best, mean) => Math.max(best, mean), Number.NEGATIVE_INFINITY);
  for (const { start, mean } of buckets) {
    if (mean === undefined) continue;
    const share = high > low ? (mean - low) / (high - low) : 0.5;
    const height = Math.min(heights.length - 1, Math.floor(share * heights.length));
    signs[Math.floor((start - from) / bucketMs)] = heights[height] ?? " ";
  }
  return signs.join("");
}

/** Buckets of values that are no numbers. */
function rowsOf(buckets: readonly Bucket[], out: Output): string[] {
  const rows = buckets.map(({ lastTime, last, lastQuality, count }) => [
    out.time(lastTime),
    describeValue(last),
    lastQuality,
    String(count),
  ]);
  return columns(["TIME", "LAST", "QUALITY", "VALUES>"], rows);
}

async function runRaw(invocation: Invocation, args: object): Promise<number> {
  const values: RawPage["values"] = [];
  let page: RawPage | undefined;
  let after = 0;
  do {
    const limit = Math.min(rawPage, rawMax - values.length);
    page = await ask(invocation, rawShape, { ...args, raw: true, after, limit });
    values.push(...page.values);
    after = page.next ?? 0;
  } while (page.next !== undefined && values.length < rawMax);
  const { next, values: _, ...rest } = page;
  const more = next !== undefined;
  if (more) invocation.out.talk(`only the first ${rawMax}; narrow it by --from and --to`);
  const document = { schema: "plant.history-raw/1", ...args, ...rest, more, values };
  const { out } = invocation;
  out.result(document, () => {
    if (values.length === 0) return "no values";
    const rows = values.map(({ time, value, quality }) => [
      out.time(time),
      describeValue(value),
      quality,
    ]);
    return columns(["TIME", "VALUE>", "QUALITY"], rows).join("\n");
  });
  return 0;
}
