// The broker under strain: how late its event loop is under a flood, and what a crowd of connections
// costs. It must not know what counts as good.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { systemClock as clock } from "../../src/util/clock.ts";
import { node, type Programs, runLoad, service, startOurs } from "./broker-peers.ts";
import { type BenchContext, startPeer, stopPeer } from "./harness.ts";
import { memoryOf } from "./process-figures.ts";

/** Figures by name. */
type Found = readonly (readonly [string, number])[];

/** The connections of the crowd, and how many of them ask. */
const [connections, active] = [10_000, 1000];
const patienceMs = 40_000;

/** Lag of the event loop while eight clients keep 800 requests in flight. */
export async function measureLag(
  context: BenchContext,
  { mdp }: Programs,
  ms: number,
): Promise<Found> {
  const found: [string, number][] = [];
  for (let round = 0; round < 3; round += 1) {
    const file = join(context.folder, `lag${round}`);
    const probe = node("./lag-probe").at(-1) ?? "";
    const flags = ["--import", probe];
    const broker = await startOurs(context, { flags, env: { BENCH_LAG_FILE: file } });
    const words = [mdp, "worker", broker.workers, "plant", service] as const;
    const workers = [await startPeer(context, words), await startPeer(context, words)];
    const generator = [mdp, "load", broker.clients, "plant", service] as const;
    const shape = { clients: 8, window: 100, size: 64, ms };
    await runLoad(broker, generator, { ...shape, ms: 300 });
    process.kill(broker.pid, "SIGUSR2");
    const { faults } = await runLoad(broker, generator, shape);
    await broker.end();
    for (const worker of workers) await stopPeer(worker);
    if (existsSync(file)) {
      const { p99Ms, maxMs } = JSON.parse(readFileSync(file, "utf8")) as Record<string, number>;
      found.push(["lag p99", p99Ms ?? Number.NaN], ["lag max", maxMs ?? Number.NaN]);
    }
    found.push(["faults", faults]);
  }
  return found;
}

/** Memory of a broker at which a crowd stands, part of it asking; the most that was seen. */
export async function measureCrowd(
  context: BenchContext,
  { crowd, mdp }: Programs,
  ms: number,
): Promise<Found> {
  const settings = { peersMax: 2 * connections, connectionsMax: 2 * connections };
  const broker = await startOurs(context, { settings });
  await startPeer(context, [mdp, "worker", broker.workers, "plant", service]);
  await startPeer(context, [mdp, "worker", broker.workers, "plant", service]);
  const path = broker.clients.replace("ipc://", "");
  const words = [path, service, String(connections), String(active), String(2 * ms)];
  const child = spawn(crowd, words, { stdio: ["ignore", "pipe", "inherit"] });
  context.defer(() => stopPeer(child));
  const lines: string[] = [];
  const reader = createInterface(child.stdout);
  reader.on("line", (line) => lines.push(line));
  const gone = once(child, "exit");
  const most = { rss: 0, anonymous: 0 };
  const untilMs = clock.monotonicMs() + patienceMs;
  while (lines.length < 2 && child.exitCode === null && clock.monotonicMs() < untilMs) {
    await clock.sleep(100);
    const { rss, anonymous } = memoryOf(broker.pid);
    most.rss = Math.max(most.rss, rss);
    most.anonymous = Math.max(most.anonymous, anonymous);
  }
  const { count = 0, wrong = 0, lost = 0 } = JSON.parse(lines[1] ?? "{}") as Record<string, number>;
  await stopPeer(child);
  await gone;
  await broker.end();
  if (lines.length < 2) {
    context.say(`a crowd of ${connections} connections did not stand: left out (see ulimit -n)`);
    return [];
  }
  return [
    ["crowd rss", most.rss],
    ["crowd anonymous", most.anonymous],
    ["crowd perSecond", count / ((2 * ms) / 1000)],
    ["faults", wrong + lost],
  ];
}
