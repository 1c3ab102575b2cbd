// The table of the broker bench: which figures are held against which, and what is wanted of them.
// It must not know how they came about.
import { alone, compare, type Row } from "./harness.ts";

/** What was measured, by name. */
export interface Figures {
  of(name: string): readonly number[];
  readonly faults: number;
}

interface Limit {
  readonly job: string;
  readonly unit: string;
  readonly ours: readonly number[];
  readonly limit: number;
  /** For sizes and times; otherwise the limit is the least. */
  readonly isMost: boolean;
}

/** A row whose peer is the limit itself: a ratio of 1 and more keeps it. */
function against({ job, unit, ours, limit, isMost }: Limit): Row {
  const words = `${job}; peer: the ${isMost ? "most" : "least"} we allow`;
  return compare({ job: words, unit, ours, peer: [limit], goal: 1, isLessBetter: isMost });
}

const rate = "requests/s";
const usual = "64 B, 4 clients x 50";

function throughput(figures: Figures): Row[] {
  const of = (name: string) => figures.of(`${name} perSecond`);
  const row = (job: string, ours: string, peer: string, goal: number) =>
    compare({ job, unit: rate, ours: of(ours), peer: of(peer), goal });
  const ungoaled = (one: Row): Row => ({ ...one, goal: null });
  return [
    row(`${usual}; peer: C broker that only routes`, "ours", "C", 0.7),
    row(`${usual}; peer: ours on libzmq`, "ours", "zeromq", 4),
    ungoaled(row(`${usual}; peer: nats-server, peers in C`, "ours", "nats", 1)),
    row("64 B, 64 clients x 16; peer: ours with 4 x 50", "ours many", "ours", 0.8),
    ungoaled(row("64 B, 64 clients x 16; peer: C broker", "ours many", "C many", 1)),
    row("1 KiB, 4 clients x 50; peer: C broker", "ours 1 KiB", "C 1 KiB", 0.7),
    row("64 KiB, 4 clients x 10; peer: ours on libzmq", "ours 64 KiB", "zeromq 64 KiB", 1),
    ungoaled(
      row(
        "64 B, RFC 18 clients, workers of ours; peer: C broker, workers of RFC 18",
        ...(["ours rfc18", "C rfc18", 1] as const),
      ),
    ),
  ];
}

function processor(figures: Figures): Row[] {
  const of = (name: string) => figures.of(`${name} cpuUs`);
  const unit = "us";
  const shared = { unit, ours: of("ours"), isLessBetter: true, goal: 1 } as const;
  return [
    against({
      job: `processor per request, ${usual}`,
      ...{ unit, ours: of("ours"), limit: 5, isMost: true },
    }),
    ...["C", "zeromq", "nats"].map((peer) => ({
      ...compare({
        ...shared,
        job: `processor per request; peer: ${peer === "zeromq" ? "ours on libzmq" : peer}`,
        peer: of(peer),
      }),
      goal: null,
    })),
  ];
}

function node(figures: Figures): Row[] {
  return [
    compare({
      job: "client, broker, worker of ours, 2 x 100; peer: nats-server and its Node client",
      ...{ unit: rate, ours: figures.of("all ours"), peer: figures.of("all nats"), goal: 3 },
    }),
    against({
      job: "parts of one stream, client, broker, worker of ours",
      ...{ unit: "parts/s", ours: figures.of("partials"), limit: 300_000, isMost: false },
    }),
  ];
}

function waits(figures: Figures): Row[] {
  const unit = "ms";
  const p = (name: string) => figures.of(name).map((us) => us / 1000);
  const shared = { unit, isLessBetter: true } as const;
  return [
    compare({
      ...{ job: "1,000 requests/s, p50; peer: C broker", ...shared, goal: 0.77 },
      ...{ ours: p("ours steady p50us"), peer: p("C steady p50us") },
    }),
    against({
      ...{ job: "1,000 requests/s, p99", unit, ours: p("ours steady p99us") },
      ...{ limit: 2, isMost: true },
    }),
    alone("1,000 requests/s, p99 of the C broker", unit, p("C steady p99us")),
    against({
      ...{ job: "lag of the event loop under flood, p99", unit, ours: figures.of("lag p99") },
      ...{ limit: 10, isMost: true },
    }),
    alone("lag of the event loop under flood, longest", unit, figures.of("lag max")),
    compare({
      ...{ job: "p99 of 4 x 50 beside a flood of 800; peer: without", ...shared, goal: 0.5 },
      ...{ ours: p("flooded p99us"), peer: p("ours p99us") },
    }),
    compare({
      ...{ job: "p99 of 4 x 50 beside a flood; peer: C broker, beside one too", ...shared },
      ...{ ours: p("flooded p99us"), peer: p("C flooded p99us"), goal: 1 },
    }),
    compare({
      ...{ job: "p99 of 1,000 requests/s beside a flood; peer: without", ...shared, goal: 0.5 },
      ...{ ours: p("flooded steady p99us"), peer: p("ours steady p99us") },
    }),
    compare({
      ...{ job: "p99 of 1,000 requests/s beside a flood; peer: C broker, beside one too" },
      ...{ ...shared, ours: p("flooded steady p99us"), peer: p("C flooded steady p99us"), goal: 1 },
    }),
  ];
}

function memory(figures: Figures): Row[] {
  const most = { unit: "MiB", isMost: true } as const;
  const crowd = "10,000 connections, 1,000 of them asking";
  return [
    against({ ...most, job: `${crowd}: RSS`, ours: figures.of("crowd rss"), limit: 120 }),
    alone(`${crowd}: anonymous`, "MiB", figures.of("crowd anonymous")),
    alone(crowd, rate, figures.of("crowd perSecond")),
    against({ ...most, job: "idle: anonymous", ours: figures.of("idle anonymous"), limit: 15 }),
    alone("idle: RSS", "MiB", figures.of("idle rss")),
  ];
}

/** The rows of what was measured; what was left out has none. */
export function rowsOf(figures: Figures): readonly Row[] {
  const rows = [throughput, processor, node, waits, memory].flatMap((part) => part(figures));
  const faults = alone("requests of all the above that failed", "requests", [figures.faults]);
  return [...rows.filter(({ ours }) => !Number.isNaN(ours)), faults];
}
