// `plant state stats`: how full the store is, how quick, and what it wears the medium, in words and
// bars. It must not know how any of it is counted.
import { describeBytes, describeCount, describeDuration } from "../status/status.ts";
import { hasCode } from "../util/errors.ts";
import { check, inspect, v } from "../util/shape.ts";
import type { Invocation } from "./command.ts";
import { columns, type Output } from "./output.ts";
import { ask } from "./state-command.ts";

const number = v.optional(v.number());
const counts = v.record(v.string(), v.number());
const statsShape = v.looseObject({
  roomBytes: number,
  liveBytes: number,
  fileBytes: number,
  usedBytes: number,
  flushP50Ms: number,
  flushP99Ms: number,
  commits: number,
  failedCommits: number,
  damagedReads: number,
  waiting: number,
  points: number,
  watchers: number,
  consumers: number,
  epochs: number,
  checkpointAgeMs: number,
  streams: v.optional(
    v.record(
      v.string(),
      v.looseObject({
        bytes: number,
        quotaBytes: number,
        first: number,
        head: number,
        acked: v.optional(v.nullable(v.number())),
      }),
    ),
  ),
  checks: v.optional(
    v.array(
      v.looseObject({
        name: v.string(),
        status: v.picklist(["pass", "warn", "fail"]),
        output: v.optional(v.string(), ""),
        code: v.optional(v.string()),
      }),
    ),
  ),
  consumerList: v.optional(
    v.array(
      v.looseObject({
        consumer: v.string(),
        far: v.boolean(),
        streams: v.record(v.string(), v.looseObject({ waiting: v.number() })),
      }),
    ),
  ),
  rollup: v.optional(v.looseObject({ waiting: v.number() })),
  readers: number,
  format: number,
  formatHeld: v.optional(v.boolean(), false),
  quarantines: number,
  losses: number,
  snapshots: v.optional(v.looseObject({ count: v.optional(v.number(), 0) })),
  wear: v.optional(
    v.looseObject({
      todayBytes: v.number(),
      perDayBytes: v.optional(v.nullable(v.number()), null),
      days: v.array(v.looseObject({ day: v.number(), bytes: v.number(), perStream: counts })),
      perStream: counts,
    }),
  ),
});
type Stats = v.InferOutput<typeof statsShape>;

const snapshotsShape = v.looseObject({
  snapshots: v.array(
    v.looseObject({ time: v.union([v.number(), v.looseObject({ wall: v.number() })]) }),
  ),
});

/** Above these shares of the room the store is filling, and full. */
const filling = 0.7;
const full = 0.95;
const barWidth = 24;
/** Days of wear that are shown. */
const daysShown = 14;

type State = "ok" | "filling" | "full" | "degraded" | "failing";

/** Prints the figures; exit 1 where the store is full or fails at this moment. */
export async function runStats(invocation: Invocation): Promise<number> {
  const { out, io } = invocation;
  const stats = check(statsShape, await ask(invocation, "stats", {}), "REMOTE_SHAPE");
  const snapshotMs = await newestSnapshot(invocation);
  const snapshotAgeMs = snapshotMs === undefined ? undefined : io.clock.wallMs() - snapshotMs;
  const state = judge(stats);
  const { wear, ...rest } = stats;
  const document = {
    schema: "plant.stats/1",
    state,
    ...rest,
    ...(wear === undefined ? {} : { wear }),
    ...(snapshotAgeMs === undefined ? {} : { snapshotAgeMs }),
  } as const;
  out.result(document, () => inWords(stats, { state, snapshotAgeMs }, out));
  return state === "full" || state === "failing" ? 1 : 0;
}

function judge(stats: Stats): State {
  const share = shareOf(stats);
  const { checks } = stats;
  // A store that judges nothing itself counts since its start only.
  const isFailing =
    checks?.some(({ name, status }) => status === "fail" && name !== "room") ??
    ((stats.failedCommits ?? 0) > 0 || (stats.damagedReads ?? 0) > 0);
  if (isFailing) return "failing";
  if (share >= full) return "full";
  if (checks?.some(({ name, status }) => status === "warn" && name !== "room")) return "degraded";
  return share >= filling ? "filling" : "ok";
}

function shareOf({ liveBytes, fileBytes, roomBytes }: Stats): number {
  const used = liveBytes ?? fileBytes;
  return used === undefined || roomBytes === undefined || roomBytes === 0 ? 0 : used / roomBytes;
}

const verdicts: Readonly<Record<State, readonly [string, string]>> = {
  ok: ["●", "OK"],
  filling: ["▲", "FILLING"],
  full: ["■", "FULL"],
  degraded: ["▲", "DEGRADED"],
  failing: ["■", "FAILING"],
};

function inWords(
  stats: Stats,
  { state, snapshotAgeMs }: { state: State; snapshotAgeMs: number | undefined },
  out: Output,
): string {
  const [mark, word] = verdicts[state];
  const tone = tones[state];
  const points = `${describeCount(stats.points ?? 0)} points`;
  const lines = [`${out.paint(tone, mark)} store  ${out.paint(tone, word)}  ${points}`];
  const wrong = (stats.checks ?? []).filter(({ status }) => status !== "pass");
  for (const { name, output, code } of wrong) {
    lines.push(`  why    ${name}: ${output}  ${out.paint("dim", code ?? "")}`.trimEnd());
  }
  const next = nextOf(state, wrong[0]?.code);
  if (next !== undefined) lines.push(`  next   ${next}`);
  lines.push("", ...roomLines(stats), flushLine(stats), ageLine(stats, snapshotAgeMs));
  lines.push(...databaseLines(stats));
  lines.push(...streamLines(stats), ...consumerLines(stats), ...wearLines(stats));
  return lines.join("\n");
}

const tones = {
  ok: "green",
  filling: "yellow",
  degraded: "yellow",
  full: "red",
  failing: "red",
} as const;

function nextOf(state: State, code: string | undefined): string | undefined {
  if (code !== undefined) return `plant explain ${code}`;
  if (state === "failing") return "plant log --errors --since 1d";
  return state === "ok" ? undefined : "plant outbox";
}

function roomLines(stats: Stats): string[] {
  const { liveBytes, fileBytes = 0, roomBytes = 0 } = stats;
  const share = shareOf(stats);
  const used = describeBytes(liveBytes ?? fileBytes);
  const size = `${used} of ${describeBytes(roomBytes)}`;
  return [`  room   ${bar(share)}  ${percent(share)}  ${size}, file ${describeBytes(fileBytes)}`];
}

function flushLine({
  flushP50Ms,
  flushP99Ms,
  commits = 0,
  failedCommits = 0,
  ...rest
}: Stats): string {
  const ms = (value: number | undefined) => (value === undefined ? "–" : value.toFixed(1));
  const failed =
    failedCommits === 0 ? "" : `, ${describeCount(failedCommits)} failed since the start`;
  const waiting = `${describeCount(rest.waiting ?? 0)} records waiting`;
  const done = `${describeCount(commits)} commits${failed}`;
  return `  flush  p50 ${ms(flushP50Ms)} ms  p99 ${ms(flushP99Ms)} ms  ${done}  ${waiting}`;
}

function ageLine({ checkpointAgeMs }: Stats, snapshotAgeMs: number | undefined): string {
  const age = (ms: number | undefined) => (ms === undefined ? "–" : `${describeDuration(ms)} old`);
  return `  saved  checkpoint ${age(checkpointAgeMs)}  snapshot ${age(snapshotAgeMs)}`;
}

function streamLines({ streams = {} }: Stats): string[] {
  const rows = Object.entries(streams).map(([name, { bytes, quotaBytes, first, head, acked }]) => [
    name,
    bytes === undefined ? "–" : describeBytes(bytes),
    quotaBytes === undefined ? "–" : describeBytes(quotaBytes),
    quotaBytes === undefined || bytes === undefined ? "" : bar(bytes / quotaBytes),
    first === undefined || head === undefined ? "–" : describeCount(Math.max(0, head - first + 1)),
    acked === null || acked === undefined || head === undefined
      ? "–"
      : describeCount(Math.max(0, head - acked)),
  ]);
  if (rows.length === 0) return [];
  return ["", ...columns(["STREAM", "SIZE>", "QUOTA>", "", "RECORDS>", "HELD>"], rows)];
}

/** What is known of the database as a whole; nothing of an older store. */
function databaseLines(stats: Stats): string[] {
  const { format, formatHeld, snapshots, quarantines = 0, losses = 0, rollup, readers } = stats;
  if (format === undefined) return [];
  const words = [
    `format ${format}${formatHeld ? ", held until the update is confirmed" : ""}`,
    `${snapshots?.count ?? 0} snapshots`,
    `${quarantines} quarantines`,
    ...(losses === 0 ? [] : [`${losses} losses not seen`]),
    ...(readers === undefined ? [] : [`${readers} readers`]),
    ...(rollup === undefined ? [] : [`${describeCount(rollup.waiting)} records not rolled up`]),
  ];
  return [`  file   ${words.join("  ")}`];
}

/** Who holds records, and how many of each stream. */
function consumerLines({ consumerList = [] }: Stats): string[] {
  const rows = consumerList.map(({ consumer, far, streams }) => [
    consumer,
    far ? "far" : "",
    Object.entries(streams)
      .filter(([, { waiting }]) => waiting > 0)
      .map(([name, { waiting }]) => `${describeCount(waiting)} of ${name}`)
      .join(", ") || "nothing",
  ]);
  return rows.length === 0 ? [] : ["", ...columns(["CONSUMER", "", "WAITING"], rows)];
}

/** Bytes written to the medium by day, the newest last, each stream with its share. */
function wearLines({ wear }: Stats): string[] {
  if (wear === undefined) return [];
  const shown = wear.days.slice(-daysShown);
  const most = Math.max(1, ...shown.map(({ bytes }) => bytes));
  const names = [...new Set(shown.flatMap(({ perStream }) => Object.keys(perStream)))];
  const newest = shown.at(-1)?.day ?? 0;
  const rows = shown.map(({ day, bytes, perStream }) => [
    day === newest ? "today" : `${newest - day} d ago`,
    describeBytes(bytes),
    bar(bytes / most),
    ...names.map((name) => describeBytes(perStream[name] ?? 0)),
  ]);
  const heads = names.map((name) => `${name.toUpperCase()}>`);
  const { perDayBytes } = wear;
  const rate = perDayBytes === null ? [] : [`about ${describeBytes(perDayBytes)} a day`];
  return ["", ...columns(["WEAR (running days)", "WRITTEN>", "", ...heads], rows), ...rate];
}

function bar(share: number): string {
  const filled = Math.round(barWidth * Math.min(1, Math.max(0, share)));
  return "█".repeat(filled) + "░".repeat(barWidth - filled);
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}

function wallOf({ time }: { readonly time: number | { readonly wall: number } }): number {
  return typeof time === "number" ? time : time.wall;
}

/** When the newest snapshot was made; nothing where the store makes none. */
async function newestSnapshot(invocation: Invocation): Promise<number | undefined> {
  try {
    const found = inspect(snapshotsShape, await ask(invocation, "snapshot-list", {}));
    const times = found.ok ? found.value.snapshots.map(wallOf) : [];
    return times.length === 0 ? undefined : Math.max(...times);
  } catch (error) {
    if (hasCode(error, "OPERATION_UNKNOWN", "DENIED", "NOT_ALLOWED")) return undefined;
    throw error;
  }
}
