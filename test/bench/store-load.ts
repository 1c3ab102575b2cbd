// The load generator of the store bench: our client asking the store over the broker, one job per
// process, its findings as one line of JSON. It must not know the store's insides.
// Usage: ENDPOINT sets|singles|gets|changes|list|bulk|past|look|stats WORDS…
import { type Client, startClient } from "../../src/client/client.ts";
import { systemClock as clock, readBootId } from "../../src/util/clock.ts";
import { openLog } from "../../src/util/log.ts";
import { systemRandom as random } from "../../src/util/random.ts";
import { quantile } from "./harness.ts";

const [endpoint = "", job = "", ...words] = process.argv.slice(2);
const log = openLog({ service: "load", level: "error" });
const service = "org.plantd.State";
const pointsPerCall = 100;
const [scope, history] = ["device/meter", "device/history"];
const minuteMs = 60_000;

type Found = Readonly<Record<string, number>>;

function connect(): Promise<Client> {
  return startClient({ clock, log, random }, { endpoint });
}

let number = 0;

function call(client: Client, operation: string, args: object): Promise<unknown> {
  return client.call(service, operation, args, { deadlineMs: 60_000 });
}

interface Batch {
  readonly flush: "now" | "group";
  readonly count: number;
  readonly source: string;
  /** First of the keys that follow each other. */
  readonly from: number;
}

function setMany(client: Client, { flush, count, source, from }: Batch): Promise<unknown> {
  number += 1;
  const points = Array.from({ length: count }, (_, at) => ({
    scope,
    key: `register-${from + at}`,
    value: Math.round((number + at * 7.3) * 10) / 10,
    unit: "V",
  }));
  return call(client, "set-many", { source, run: String(process.pid), number, flush, points });
}

/** `set-many` of 100 points: WINDOW in flight for MS, at most RATE calls per second (0: any). */
async function sets(window: number, ms: number, rate: number): Promise<Found> {
  const client = await connect();
  const from = clock.monotonicMs();
  const sums: number[] = [];
  let calls = 0;
  /** Milliseconds until the next call is due; nothing when all are made. */
  const due = () => {
    const now = clock.monotonicMs() - from;
    const at = rate === 0 ? now : Math.max(now, (calls * 1000) / rate);
    if (at >= ms) return undefined;
    calls += 1;
    return at - now;
  };
  const ask = async (at: number) => {
    const batch = { flush: "group", count: pointsPerCall, source: `s${at}` } as const;
    for (let waitMs = due(); waitMs !== undefined; waitMs = due()) {
      const place = calls % 10;
      if (waitMs >= 1) await clock.sleep(waitMs);
      await setMany(client, { ...batch, from: place * pointsPerCall });
      const minute = Math.floor((clock.monotonicMs() - from) / minuteMs);
      sums[minute] = (sums[minute] ?? 0) + pointsPerCall;
    }
  };
  await Promise.all(Array.from({ length: window }, (_, at) => ask(at)));
  const spentMs = clock.monotonicMs() - from;
  const total = sums.reduce((sum, one) => sum + one, 0);
  const whole = sums.slice(0, Math.max(1, Math.floor(ms / minuteMs)));
  const perSecond = (1000 * total) / spentMs;
  const worst = ms < minuteMs ? perSecond : Math.min(...whole) / 60;
  return { points: total, perSecond, worstMinute: worst };
}

/** Single durable sets for MS, PAUSE ms apart: over all, and the worst minute's p99. */
async function singles(ms: number, pauseMs: number): Promise<Found> {
  const client = await connect();
  const from = clock.monotonicMs();
  const minutes: number[][] = [];
  while (clock.monotonicMs() - from < ms) {
    const start = clock.monotonicMs();
    await setMany(client, { flush: "now", count: 1, source: "single", from: 5000 });
    const end = clock.monotonicMs();
    const minute = Math.floor((end - from) / minuteMs);
    minutes[minute] ??= [];
    minutes[minute]?.push(end - start);
    if (pauseMs > 0) await clock.sleep(pauseMs);
  }
  const sorted = (times: readonly number[]) => times.toSorted((a, b) => a - b);
  const all = sorted(minutes.flat());
  const tails = minutes.map((times) => quantile(sorted(times), 0.99));
  const p99 = quantile(all, 0.99);
  return { p50: quantile(all, 0.5), p99, max: all.at(-1) ?? 0, worstP99: Math.max(...tails) };
}

/** `get` by CLIENTS with WINDOW requests in flight each, for MS. */
async function gets(clients: number, window: number, ms: number): Promise<Found> {
  const all = await Promise.all(Array.from({ length: clients }, connect));
  const startMs = clock.monotonicMs() + ms / 4;
  let done = 0;
  const ask = async (client: Client, at: number) => {
    const args = { scope, key: `register-${at % 1000}` };
    for (;;) {
      const point = (await client.call(service, "get", args)) as { key: string };
      if (point.key !== args.key) throw new Error(`${point.key} is not ${args.key}`);
      const nowMs = clock.monotonicMs();
      if (nowMs >= startMs + ms) return;
      if (nowMs >= startMs) done += 1;
    }
  };
  await Promise.all(
    all.flatMap((client, which) =>
      Array.from({ length: window }, (_, at) => ask(client, which * window + at)),
    ),
  );
  return { perSecond: (1000 * done) / ms };
}

/** All keys of a scope that begin with PREFIX, page by page. */
async function list(prefix: string): Promise<Found> {
  const client = await connect();
  const from = clock.monotonicMs();
  let after: string | undefined;
  let count = 0;
  do {
    const args = { scope: "bulk", prefix, ...(after === undefined ? {} : { after }) };
    const page = (await call(client, "list", args)) as { points: unknown[]; next?: string };
    count += page.points.length;
    after = page.next;
  } while (after !== undefined);
  return { count, ms: clock.monotonicMs() - from };
}

/** COUNT keys of one value each, in calls of 1,000. */
async function bulk(count: number): Promise<Found> {
  const client = await connect();
  const from = clock.monotonicMs();
  const step = 1000;
  let next = 0;
  const ask = async (at: number) => {
    for (let first = next; first < count; first = next) {
      next += step;
      number += 1;
      const points = Array.from({ length: Math.min(step, count - first) }, (_, place) => ({
        scope: "bulk",
        key: `line-${first % 7}/register-${first + place}`,
        value: (first + place) / 10,
      }));
      const source = { source: `b${at}`, run: String(process.pid), number };
      await call(client, "set-many", { ...source, flush: "group", points });
    }
  };
  await Promise.all(Array.from({ length: 16 }, (_, at) => ask(at)));
  return { ms: clock.monotonicMs() - from };
}

/** One point DAYS long at one value per second up to now, beside OTHERS points each minute. */
async function past(days: number, others: number): Promise<Found> {
  const client = await connect();
  const boot = readBootId();
  const seconds = days * 86_400;
  const nowMs = clock.wallMs();
  const monoMs = Math.round(clock.monotonicMs());
  const stampOf = (agoS: number) => {
    const time = { wall: nowMs - agoS * 1000, boot, mono: monoMs - agoS * 1000 };
    return { ...time, sync: "ntp" };
  };
  const step = 3000;
  let next = 0;
  const ask = async () => {
    for (let first = next; first < seconds; first = next) {
      next += step;
      number += 1;
      const points: object[] = [];
      for (let at = first; at < Math.min(first + step, seconds); at += 1) {
        const time = stampOf(seconds - at);
        const value = Math.round(1000 * Math.sin(at / 5000)) / 10;
        points.push({ scope: history, key: "level", value, time });
        if (at % 60 !== 0) continue;
        for (let other = 0; other < others; other += 1) {
          points.push({ scope: history, key: `other-${other}`, value: at + other, time });
        }
      }
      const source = { source: "past", run: String(process.pid), number };
      await call(client, "set-many", { ...source, flush: "group", points });
    }
  };
  const from = clock.monotonicMs();
  await ask();
  return { ms: clock.monotonicMs() - from, points: seconds };
}

/** The point of `past` in BUCKETS buckets over DAYS, TIMES times: the middle time. */
async function look(days: number, buckets: number, times: number): Promise<Found> {
  const client = await connect();
  const spent: number[] = [];
  let count = 0;
  let samples = 0;
  for (let at = 0; at < times; at += 1) {
    const to = clock.wallMs();
    const args = { scope: history, key: "level", from: to - days * 86_400_000, to, buckets };
    const start = clock.monotonicMs();
    const answer = (await call(client, "history", args)) as { buckets: { count: number }[] };
    spent.push(clock.monotonicMs() - start);
    count = answer.buckets.length;
    samples = answer.buckets.reduce((sum, bucket) => sum + bucket.count, 0);
  }
  const ms = quantile(
    spent.sort((a, b) => a - b),
    0.5,
  );
  return { ms, buckets: count, samples };
}

/** The stream `state` from its first record kept, at most COUNT records. */
async function changes(count: number): Promise<Found> {
  const client = await connect();
  const place = (await call(client, "position", { consumer: "bench" })) as {
    streams: { state: { first: number; head: number } };
  };
  const { first, head } = place.streams.state;
  const wanted = Math.min(count, head - first + 1);
  const from = clock.monotonicMs();
  let after = first - 1;
  const parts = client.stream(service, "changes", { stream: "state", after, parts: true });
  for await (const part of parts) {
    const { last } = part as { last: number };
    after = last;
    if (after >= first - 1 + wanted) break;
  }
  const ms = clock.monotonicMs() - from;
  return { perSecond: (1000 * (after - first + 1)) / ms, records: after - first + 1 };
}

/** The statistics of the store that are numbers. */
async function stats(): Promise<Found> {
  const found = (await call(await connect(), "stats", {})) as Record<string, unknown>;
  const numbers: Record<string, number> = {};
  for (const [name, value] of Object.entries(found)) {
    if (typeof value === "number") numbers[name] = value;
  }
  return numbers;
}

/** Numbers among the words. */
function at(place: number): number {
  return Number(words[place]);
}

const jobs: Readonly<Record<string, () => Promise<Found>>> = {
  sets: () => sets(at(0), at(1), at(2)),
  singles: () => singles(at(0), at(1)),
  gets: () => gets(at(0), at(1), at(2)),
  list: () => list(words[0] ?? ""),
  bulk: () => bulk(at(0)),
  past: () => past(at(0), at(1)),
  look: () => look(at(0), at(1), at(2)),
  changes: () => changes(at(0)),
  stats,
};
const run = jobs[job];
if (run === undefined) throw new Error(`there is no job ${job}`);
process.stdout.write(`${JSON.stringify(await run())}\n`, () => process.exit(0));
