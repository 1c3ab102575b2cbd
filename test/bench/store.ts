// Bench of the store: in one process beside libraries that keep values; over the broker as a
// gateway has it; its sizes, times and wear as it grows. It must not know the store's insides.
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { systemClock as clock } from "../../src/util/clock.ts";
import { node } from "./broker-peers.ts";
import { alone, type BenchContext, compare, type Row } from "./harness.ts";
import { memoryOf } from "./process-figures.ts";
import { insideRows } from "./store-inside.ts";
import { logRows } from "./store-log.ts";
import { startGateway } from "./store-stage.ts";
import { wearRows } from "./store-wear.ts";

/** Ours beside a figure that was set as a goal, not measured. */
function against(
  job: string,
  unit: string,
  { ours, goal, isLessBetter }: { ours: number; goal: number; isLessBetter: boolean },
): Row {
  return compare({ job, unit, ours: [ours], peer: [goal], goal: 1, isLessBetter });
}

function atLeast(job: string, unit: string, ours: number, goal: number): Row {
  return against(job, unit, { ours, goal, isLessBetter: false });
}

function atMost(job: string, unit: string, ours: number, goal: number): Row {
  return against(job, unit, { ours, goal, isLessBetter: true });
}

/** What a gateway's processes see. */
async function busRows(context: BenchContext): Promise<readonly Row[]> {
  const { isQuick, say } = context;
  const gateway = await startGateway(context, { store: { mapMiB: 4096 } });
  const idleMs = String(isQuick ? 3000 : 15_000);
  say("over the broker: single sets, idle");
  await gateway.load("sets", "4", "1000", "0");
  const idle = await gateway.load("singles", idleMs, "5");
  say("over the broker: gets");
  const gets = await gateway.load("gets", "4", "64", idleMs);
  say("over the broker: sets of 100, and single ones meanwhile");
  const flowMs = isQuick ? 8000 : 600_000;
  const [flow, beside] = await Promise.all([
    gateway.load("sets", "64", String(flowMs), "640"),
    gateway.load("singles", String(flowMs), "50"),
  ]);
  const most = await gateway.load("sets", "64", String(isQuick ? 3000 : 20_000), "0");
  say("over the broker: changes");
  const changes = await gateway.load("changes", "2000000");
  await gateway.end();
  const minutes = isQuick ? "8 s" : "10 minutes";
  const flowing = `beside 64,000 points/s for ${minutes}`;
  return [
    atMost("one set, flush now, idle, p50", "ms", idle.p50 ?? 0, 1),
    alone("one set, flush now, idle, p99", "ms", [idle.p99 ?? 0]),
    atLeast("get, 4 clients with 64 in flight", "gets/s", gets.perSecond ?? 0, 100_000),
    atLeast(`set-many of 100, group, ${minutes}`, "points/s", flow.perSecond ?? 0, 60_000),
    atLeast("the worst minute of it", "points/s", flow.worstMinute ?? 0, 60_000),
    atMost(`one set, flush now, ${flowing}, p50`, "ms", beside.p50 ?? 0, 2),
    atMost(`one set, flush now, ${flowing}, p99`, "ms", beside.p99 ?? 0, 20),
    alone(`p99 of its worst minute`, "ms", [beside.worstP99 ?? 0]),
    alone("set-many of 100, group, as many as go", "points/s", [most.perSecond ?? 0]),
    atLeast("changes, streamed", "records/s", changes.perSecond ?? 0, 200_000),
  ];
}

/** A month of one point, beside others. */
async function historyRows(context: BenchContext): Promise<readonly Row[]> {
  const { isQuick, say } = context;
  const days = isQuick ? 3 : 30;
  const gateway = await startGateway(context, { store: { mapMiB: 4096, checkpointMs: 5000 } });
  say(`history: writing ${days} days at one value per second`);
  const past = await gateway.load("past", String(days), "10");
  // The first answer waits until all is rolled up.
  await gateway.load("look", String(days), "500", "1");
  const { ms = 0, samples = 0 } = await gateway.load("look", String(days), "500", "5");
  const hour = await gateway.load("look", String(1 / 24), "60", "20");
  await gateway.end();
  const job = `history, one point, ${days} days at 1 s (${samples} samples) to 500 buckets`;
  return [
    atMost(job, "ms", ms, 300),
    alone("history, one point, one hour to 60 buckets", "ms", [hour.ms ?? 0]),
    alone("points not in the answer", "points", [Math.max(0, (past.points ?? 0) - samples)]),
  ];
}

/** The module that watches the event loop of a process. */
const lagProbe = node("./lag-probe").at(-1) ?? "";

/** What many keys cost. */
async function sizeRows(context: BenchContext): Promise<readonly Row[]> {
  const { isQuick, say } = context;
  const store = { mapMiB: 4096, pointsMax: 2_000_000 };
  say("sizes: 100,000 keys");
  const lagFile = join(context.folder, "lag.json");
  const env = { BENCH_LAG_FILE: lagFile };
  const flags = ["--import", lagProbe];
  const hundred = await startGateway(context, { store });
  await hundred.load("bulk", "100000");
  const { folder } = hundred;
  await hundred.end();
  const again = await startGateway(context, { store, folder: join(folder, ".."), env, flags });
  await clock.sleep(3000);
  const { anonymous } = memoryOf(again.pid);
  process.kill(again.pid, "SIGUSR2");
  const listed = await again.load("list", "line-");
  await again.end();
  const { maxMs } = JSON.parse(readFileSync(lagFile, "utf8")) as { maxMs: number };
  const rows = [
    atMost("100,000 points: anonymous memory", "MiB", anonymous, 80),
    atMost("list of 100,000 keys by prefix, in pages", "ms", listed.ms ?? 0, 1000),
    atMost("its longest turn of the store's loop", "ms", maxMs, 20),
  ];
  const count = isQuick ? 200_000 : 1_000_000;
  say(`sizes: ${count} keys`);
  const million = await startGateway(context, { store });
  await million.load("bulk", String(count));
  await million.end();
  const { size } = statSync(join(million.folder, "data.mdb"));
  const reopened = await startGateway(context, { store, folder: join(million.folder, "..") });
  const { startMs } = reopened;
  const memory = memoryOf(reopened.pid);
  await reopened.end();
  const share = count / 1_000_000;
  return [
    ...rows,
    atMost(`${count} keys with their last log: file`, "MiB", size / 2 ** 20, 400 * share),
    atMost(`${count} keys: start, clean`, "s", startMs / 1000, 5 * share),
    alone(`${count} keys: anonymous memory`, "MiB", [memory.anonymous]),
  ];
}

const groups: Readonly<Record<string, (context: BenchContext) => Promise<readonly Row[]>>> = {
  inside: insideRows,
  bus: busRows,
  history: historyRows,
  sizes: sizeRows,
  wear: wearRows,
  log: logRows,
};

/** Runs the bench; of `STORE_BENCH`, groups by name, only those. */
export async function run(context: BenchContext): Promise<readonly Row[]> {
  const wanted = process.env.STORE_BENCH?.split(",") ?? Object.keys(groups);
  const rows: Row[] = [];
  for (const name of wanted) rows.push(...((await groups[name]?.(context)) ?? []));
  return rows;
}
