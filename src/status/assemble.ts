// From the parts' answers to the status document. Pure: a part that failed shows as down with its
// code, and never blanks the rest. It must not know how the parts are asked.
import type { WireError } from "../util/errors.ts";
import { inspect, v } from "../util/shape.ts";
import type { Answer, Answers, DriverAnswer, SyncAnswer } from "./answers.ts";
import type { QueueReport } from "./broker.ts";
import type {
  BoxStatus,
  BrokerStatus,
  BusStatus,
  DeviceStatus,
  LinkStatus,
  OutboxStatus,
  PartStatus,
  StatusDocument,
} from "./document.ts";
import { type Facts, judge } from "./verdict.ts";
import { describeSettings } from "./words.ts";

/** The status document of one moment. `drainMs` is the estimate of who watches the backlog. */
export function assemble(answers: Answers, drainMs: number | null = null): StatusDocument {
  const { gateway, site, time } = answers;
  const drivers = Object.entries(answers.drivers).sort(([a], [b]) => compareText(a, b));
  const stats = answers.stats.ok ? answers.stats.data : {};
  const facts: Facts = {
    gateway,
    site,
    time,
    buses: drivers.map(([line, answer]) => busOf(line, answer)),
    devices: drivers.flatMap(([line, answer]) => (answer.ok ? devicesOf(line, answer.data) : [])),
    link: linkOf(answers.sync),
    outbox: { ...outboxOf(answers), drainMs },
    box: {
      ...answers.box,
      store: {
        bytes: numberIn(stats, "fileBytes"),
        written: numberIn(stats, "bytesPut"),
        ...storeOf(stats),
        loss: lossOf(stats),
      },
    },
    broker: brokerOf(answers.queue),
    parts: partsOf(answers),
    local: answers.local,
  };
  const { local: _, ...shown } = facts;
  return { schema: "plant.status/1", ...shown, verdict: judge(facts) };
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function busOf(line: string, answer: Answer<DriverAnswer>): BusStatus {
  if (!answer.ok) {
    return {
      line,
      kind: null,
      settings: null,
      state: "down",
      reason: answer.error.message,
      code: answer.error.code,
      devicesOk: 0,
      devicesTotal: 0,
      okPerMinute: null,
      timeouts: null,
      crc: null,
      exceptions: null,
      late: null,
      loadPercent: null,
      turnaroundMs: { p50: null, p99: null },
      lastHour: [],
    };
  }
  const { data } = answer;
  const enabled = data.devices.filter((device) => device.state !== "disabled");
  const { p50, p99 } = data.turnaroundMs;
  return {
    line,
    kind: data.kind,
    settings: describeSettings(data.settings),
    state: data.state,
    reason: data.reason,
    code: data.state === "failed" ? "LINE_FAILED" : null,
    devicesOk: enabled.filter((device) => device.state === "ok").length,
    devicesTotal: enabled.length,
    okPerMinute: data.okPerMinute,
    timeouts: data.counters.timeouts ?? null,
    crc: data.counters.crc ?? null,
    exceptions: data.counters.exceptions ?? null,
    late: data.counters.late ?? null,
    loadPercent: data.loadPercent,
    turnaroundMs: { p50, p99 },
    lastHour: data.lastHour.slice(-10),
  };
}

function devicesOf(line: string, driver: DriverAnswer): DeviceStatus[] {
  return driver.devices.map((device) => ({
    name: device.name,
    line,
    profile: device.profile,
    unit: device.unit,
    state: device.state,
    code: device.code,
    since: device.since?.wall ?? null,
    lastGood: device.lastGood?.wall ?? null,
    points: countOf(device.points),
  }));
}

/** Points may come as their number or as their list. */
function countOf(points: unknown): number | null {
  if (typeof points === "number") return points;
  return Array.isArray(points) ? points.length : null;
}

function linkOf(sync: Answer<SyncAnswer>): LinkStatus {
  if (!sync.ok) {
    return {
      state: "unknown",
      enrolled: null,
      device: null,
      centre: null,
      mqtt: null,
      since: null,
      reason: sync.error.code,
      words: sync.error.message,
      retryAt: null,
      paused: null,
      lastAck: null,
    };
  }
  const { link, enrolled, device, centre, mqtt, since, lastAck } = sync.data;
  const { reason, words, retryAt, paused } = sync.data;
  return {
    state: link,
    enrolled,
    device,
    centre,
    mqtt,
    since: since?.wall ?? null,
    reason,
    words,
    retryAt,
    paused,
    lastAck: lastAck?.wall ?? null,
  };
}

/** From sync when it answers, else from what the store knows of the centre's watermark. */
function outboxOf({ sync, position }: Answers): Omit<OutboxStatus, "drainMs"> {
  const source = sync.ok ? sync.data.streams : position.ok ? position.data.streams : undefined;
  if (source === undefined) return { waiting: null, oldest: null, streams: {} };
  const streams: Record<string, OutboxStatus["streams"][string]> = {};
  let waiting = 0;
  let oldest: number | null = null;
  for (const [name, stream] of Object.entries(source)) {
    const { head, watermark } = stream;
    const left = "waiting" in stream ? Number(stream.waiting) : Math.max(0, head - watermark);
    streams[name] = { head, watermark, waiting: left };
    waiting += left;
    const wall = left > 0 ? (stream.oldest?.wall ?? null) : null;
    if (wall !== null && (oldest === null || wall < oldest)) oldest = wall;
  }
  return { waiting, oldest, streams };
}

/** Queues named in a status; more are counted only. */
const queuesMax = 20;

function brokerOf(answer: Answer<QueueReport>): BrokerStatus | null {
  if (!answer.ok) return null;
  const { services } = answer.data;
  const sum = (read: (one: (typeof services)[number]) => number) =>
    services.reduce((total, one) => total + read(one), 0);
  const waiting = services
    .filter(({ queued }) => queued > 0)
    .sort((a, b) => b.queued - a.queued)
    .slice(0, queuesMax)
    .map(({ service, workers, queued, policy, oldestMs }) => ({
      service,
      workers,
      waiting: queued,
      waitingMax: policy.queueMax || null,
      oldestMs,
    }));
  return {
    waiting: sum(({ queued }) => queued),
    atWork: sum(({ busy }) => busy),
    services: waiting,
  };
}

function partsOf(answers: Answers): PartStatus[] {
  const { services, stats, sync, drivers } = answers;
  const parts = [partOf("broker", services), partOf("store", stats), partOf("sync", sync)];
  for (const [line, answer] of Object.entries(drivers))
    parts.push(partOf(`driver:${line}`, answer));
  if (!services.ok) return parts.filter((part) => part.name === "broker" || part.state === "ok");
  return parts;
}

function partOf(name: string, answer: Answer<unknown>): PartStatus {
  if (answer.ok) return { name, state: "ok", code: null, words: null };
  const { code, message }: WireError = answer.error;
  return { name, state: "down", code, words: message };
}

const nestedShape = v.looseObject({
  wear: v.fallback(v.looseObject({ perDayBytes: v.nullable(v.number()) }), { perDayBytes: null }),
  snapshots: v.fallback(v.looseObject({ ageMs: v.nullable(v.number()) }), { ageMs: null }),
  checks: v.fallback(
    v.array(
      v.looseObject({
        name: v.string(),
        status: v.picklist(["pass", "warn", "fail"]),
        output: v.string(),
        code: v.optional(v.string()),
      }),
    ),
    [],
  ),
});

/** Room, wear, snapshots and checks, as far as the store tells them. */
function storeOf(
  stats: Readonly<Record<string, unknown>>,
): Pick<BoxStatus["store"], "room" | "wearPerDay" | "snapshotAgeMs" | "checks"> {
  const { wear, snapshots, checks } = stats;
  const found = inspect(nestedShape, { wear, snapshots, checks });
  const used = numberIn(stats, "liveBytes");
  const total = numberIn(stats, "roomBytes");
  return {
    room: used === null || total === null ? null : { used, total },
    wearPerDay: found.ok ? found.value.wear.perDayBytes : null,
    snapshotAgeMs: found.ok ? found.value.snapshots.ageMs : null,
    checks: (found.ok ? found.value.checks : []).map(({ name, status, output, code = null }) => {
      return { name, status, code, words: output };
    }),
  };
}

const lossWords: Readonly<Record<string, string>> = {
  whole: "nothing is lost",
  snapshot: "the newest snapshot took its place",
  remains: "what could be read of it took its place",
  nothing: "an empty one took its place",
};

/** Spans of records that are named; `plant backup losses` names all. */
const namedMax = 4;

function lossOf(stats: Readonly<Record<string, unknown>>): BoxStatus["store"]["loss"] {
  const found = stats.lastLoss as Readonly<Record<string, unknown>> | null | undefined;
  if (typeof found?.atMs !== "number") return null;
  const lost = Array.isArray(found.lost) ? (found.lost as Readonly<Record<string, unknown>>[]) : [];
  const records = lost
    .filter(({ to }) => to !== null)
    .slice(0, namedMax)
    .map(({ stream, from, to }) => `${String(stream)} ${String(from)}–${String(to)}`)
    .join(", ");
  const words = lossWords[String(found.restored)] ?? "it was replaced";
  const isOpen = lost.some(({ to }) => to === null);
  const open = isOpen ? "; perhaps the newest records, too" : "";
  const missing = `${records === "" ? "" : `; missing: ${records}`}${open}`;
  return { time: found.atMs, words: `${words}${missing}` };
}

function numberIn(stats: Readonly<Record<string, unknown>>, name: string): number | null {
  const value = stats[name];
  return typeof value === "number" ? value : null;
}
