// `plant state changes`: records of a stream, as whoever takes them upstream gets them.
// It must not take any: it is nobody's consumer.
import { describeValue } from "../status/status.ts";
import { hasCode, PlantError } from "../util/errors.ts";
import { check, inspect, v } from "../util/shape.ts";
import type { Invocation } from "./command.ts";
import { optionalWhole, wholeOption } from "./numbers.ts";
import { ask } from "./state-command.ts";

const streams = ["state", "event", "log", "metric"];
const presetLines = 20;
const linesMax = 10_000_000;
const pageRecords = 1000;
/** How long the store may wait for a record when following; within the wait for an answer. */
const waitMs = 3000;

const recordShape = v.looseObject({
  sequence: v.number(),
  kind: v.string(),
  index: v.optional(v.number()),
});
type Entry = v.InferOutput<typeof recordShape>;
const pageShape = v.looseObject({
  epoch: v.optional(v.string()),
  records: v.array(recordShape),
  last: v.number(),
  head: v.number(),
});

/** Prints records, the newest unless told after which, and with `--follow` those that come. */
export async function runChanges(invocation: Invocation): Promise<number> {
  const { options, signal, io } = invocation;
  const named = typeof options.stream === "string" ? options.stream : "state";
  const [stream = named] = invocation.args;
  if (!streams.includes(stream)) {
    const message = `a stream is ${streams.join(", ")}, not ${stream}`;
    throw new PlantError("USAGE", { message });
  }
  const preset = options.follow === true ? linesMax : presetLines;
  let left = wholeOption(options, "lines", { min: 1, max: 999_999_999, preset });
  const given = optionalWhole(options, "after", Number.MAX_SAFE_INTEGER);
  let after = given ?? (await newest(invocation, stream, Math.min(left, presetLines)));
  const names = new Map<number, string>();
  while (left > 0 && !signal.aborted) {
    const wait = options.follow === true ? { waitMs } : {};
    const page = await read(
      invocation,
      { stream, after, limit: Math.min(left, pageRecords) },
      wait,
    );
    if (page === undefined) break;
    for (const record of page.records) print(invocation, record, names);
    left -= page.records.length;
    if (options.follow !== true && page.last >= page.head) break;
    if (options.follow !== true && page.records.length === 0) break;
    after = Math.max(after, page.last);
  }
  if (io.signal.aborted) throw new PlantError("CANCELLED");
  return 0;
}

/** One page; none when the time is over or somebody interrupts. */
async function read(
  invocation: Invocation,
  query: { readonly stream: string; readonly after: number; readonly limit: number },
  wait: { readonly waitMs?: number },
): Promise<v.InferOutput<typeof pageShape> | undefined> {
  try {
    const data = await ask(invocation, "changes", { ...query, ...wait });
    return check(pageShape, data, "REMOTE_SHAPE");
  } catch (error) {
    if (invocation.signal.aborted) return undefined;
    throw error;
  }
}

/** Sequence after which the newest records are, as many as asked for and as are kept. */
async function newest(invocation: Invocation, stream: string, count: number): Promise<number> {
  try {
    // Beyond every sequence: the answer says where the stream ends, and registers nobody.
    const after = Number.MAX_SAFE_INTEGER;
    await ask(invocation, "changes", { stream, after, limit: 1 });
    return 0;
  } catch (error) {
    if (!hasCode(error, "SEQUENCE_AHEAD")) throw error;
    const after = Math.max(0, Number(error.detail.head) - count);
    return await keptFrom(invocation, stream, after);
  }
}

/** The same, or the end of what is no longer kept. */
async function keptFrom(invocation: Invocation, stream: string, after: number): Promise<number> {
  try {
    await ask(invocation, "changes", { stream, after, limit: 1 });
    return after;
  } catch (error) {
    if (!hasCode(error, "SEQUENCE_GONE")) throw error;
    return Number(error.detail.first) - 1;
  }
}

function print({ out }: Invocation, record: Entry, names: Map<number, string>): void {
  out.item({ schema: "plant.change/1", ...record }, () => {
    const { sequence, kind } = record;
    const at = timeOf(record);
    const time = at === undefined ? "" : `${out.time(at)}  `;
    return `${String(sequence).padStart(8)}  ${time}${kind.padEnd(10)}  ${inWords(record, names)}`;
  });
}

function timeOf({ time }: Entry): number | undefined {
  const wall = (time as { wall?: unknown } | undefined)?.wall;
  return typeof wall === "number" ? wall : undefined;
}

/** What a record says, in one line. */
function inWords(record: Entry, names: Map<number, string>): string {
  const { sequence: _, kind, index, time: _time, ...rest } = record;
  const name = index === undefined ? "" : (names.get(index) ?? `#${index}`);
  if (kind === "define") {
    const { scope, key, unit } = rest as { scope?: unknown; key?: unknown; unit?: unknown };
    const full = `${String(scope)}/${String(key)}`;
    if (index !== undefined) names.set(index, full);
    return `${full} is #${index}${typeof unit === "string" ? `, in ${unit}` : ""}`;
  }
  if (kind === "point") {
    const { value, quality, reason } = rest as Record<string, unknown>;
    const state = quality === "good" ? "" : `  ${String(reason ?? quality)}`;
    return `${name}  ${describeValue(value)}${state}`;
  }
  if (kind === "delete") return name;
  if (kind === "line" && typeof rest.text === "string") return rest.text;
  if (kind === "event") return metricsInWords(rest.event) ?? JSON.stringify(rest.event);
  return `${name} ${JSON.stringify(rest)}`.trim();
}

const metricsShape = v.looseObject({
  kind: v.literal("metric"),
  values: v.array(
    v.looseObject({
      name: v.string(),
      value: v.number(),
      unit: v.optional(v.string()),
      labels: v.optional(v.record(v.string(), v.string())),
    }),
  ),
});

/** Measurements in one line; undefined for any other event. */
function metricsInWords(event: unknown): string | undefined {
  const found = inspect(metricsShape, event);
  if (!found.ok) return undefined;
  return found.value.values
    .map(({ name, value, unit, labels = {} }) => {
      const marks = Object.entries(labels).map(([label, text]) => `${label}=${text}`);
      const place = marks.length === 0 ? "" : `{${marks.join(",")}}`;
      return `${name}${place} ${describeValue(value)}${unit === undefined ? "" : ` ${unit}`}`;
    })
    .join("  ");
}
