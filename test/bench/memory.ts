// Bench of memory: a whole gateway, one process per unit, with two polled lines and an idle link,
// beside as many bare Node processes. It must not know what the processes do.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { startSimulation } from "../../drivers/simulator/simulator.ts";
import { parseConfig } from "../../src/config/config.ts";
import { systemClock as clock } from "../../src/util/clock.ts";
import { openLog } from "../../src/util/log.ts";
import { freePort, until } from "../fakes/patience.ts";
import { nodeFlags, startSite } from "../system/site.ts";
import { alone, type BenchContext, compare, type Row, stopPeer } from "./harness.ts";
import { type Memory, memoryOf, secondsOf } from "./process-figures.ts";

function linesText(meter: number, pump: number): string {
  return `lines:
  lan-1:
    kind: modbus-tcp
    host: 127.0.0.1
    port: ${meter}
    devices:
      meter-1: { profile: eastron-sdm630, unit: 1 }
      meter-2: { profile: eastron-sdm630, unit: 2 }
  lan-2:
    kind: modbus-tcp
    host: 127.0.0.1
    port: ${pump}
    devices:
      pump-1: { profile: plantd-demo-pump, unit: 1 }
`;
}

async function startGateway(context: BenchContext): Promise<ReadonlyMap<string, number>> {
  const config = linesText(await freePort(), await freePort());
  const log = openLog({ service: "bench", level: "error" });
  const { lines } = parseConfig(config, {});
  const simulation = await startSimulation({ clock, log }, { lines });
  context.defer(() => simulation[Symbol.asyncDispose]());
  const site = await startSite({ config, lines: Object.keys(lines) });
  context.defer(() => site[Symbol.asyncDispose]());
  // The process that enrolled holds what enrolment alone needs; from its next start on it does not.
  await site.kill("sync");
  await until("sync is back", () => site.pidOf("sync"), { limitMs: 20_000 });
  const names = site.names.filter((name) => name !== "central" && name !== "mosquitto");
  return new Map(names.map((name) => [name, site.pidOf(name) ?? 0]));
}

/** Node with an empty program that stays, and the flags of the units. */
async function startBare(context: BenchContext, count: number): Promise<number[]> {
  const pids: number[] = [];
  for (let at = 0; at < count; at += 1) {
    const words = [...nodeFlags, "-e", "process.stdin.resume()"];
    const child = spawn(process.execPath, words, { stdio: ["pipe", "ignore", "inherit"] });
    context.defer(() => stopPeer(child));
    await once(child, "spawn");
    pids.push(child.pid ?? 0);
  }
  return pids;
}

/** Runs the bench. */
export async function run(context: BenchContext): Promise<readonly Row[]> {
  const { isQuick, say } = context;
  const [settleMs, windowMs, samples] = isQuick ? [8000, 4000, 3] : [30_000, 20_000, 5];
  say("Starting a gateway of one process per unit …");
  const parts = await startGateway(context);
  const bare = await startBare(context, parts.size);
  await clock.sleep(settleMs);
  const memory = new Map<string, Memory[]>([...parts.keys()].map((name) => [name, []]));
  const busy = new Map<string, number[]>([...parts.keys()].map((name) => [name, []]));
  const bareMemory: Memory[][] = [];
  for (let round = 1; round <= samples; round += 1) {
    const before = new Map([...parts].map(([name, pid]) => [name, secondsOf(pid)]));
    const from = clock.monotonicMs();
    await clock.sleep(windowMs);
    const seconds = (clock.monotonicMs() - from) / 1000;
    for (const [name, pid] of parts) {
      busy.get(name)?.push((100 * (secondsOf(pid) - (before.get(name) ?? 0))) / seconds);
      memory.get(name)?.push(memoryOf(pid));
    }
    bareMemory.push(bare.map(memoryOf));
    say(`round ${round} of ${samples}`);
  }
  return rowsOf(memory, busy, bareMemory);
}

function rowsOf(
  memory: ReadonlyMap<string, readonly Memory[]>,
  busy: ReadonlyMap<string, readonly number[]>,
  bareMemory: readonly (readonly Memory[])[],
): readonly Row[] {
  const names = [...memory.keys()];
  const rounds = bareMemory.map((_, at) => at);
  const total = (list: readonly number[]) => list.reduce((sum, value) => sum + value, 0);
  const sum = (kind: keyof Memory) =>
    rounds.map((at) => total(names.map((name) => memory.get(name)?.[at]?.[kind] ?? Number.NaN)));
  const bareSum = (kind: keyof Memory) =>
    bareMemory.map((all) => total(all.map((one) => one[kind])));
  const rows: Row[] = [];
  for (const kind of ["pss", "anonymous"] as const) {
    const words = kind === "pss" ? "PSS" : "anonymous";
    const shared = { unit: "MiB", isLessBetter: true, goal: kind === "pss" ? 0.5 : 0.3 } as const;
    rows.push(
      compare({
        ...shared,
        job: `${names.length} processes of the gateway, ${words}; peer: as many bare Node processes`,
        ours: sum(kind),
        peer: bareSum(kind),
      }),
    );
    const bareEach = bareSum(kind).map((value) => value / names.length);
    for (const name of names) {
      const ours = memory.get(name)?.map((one) => one[kind]) ?? [];
      const job = `${name}, ${words}; peer: bare Node`;
      rows.push({ ...compare({ ...shared, job, ours, peer: bareEach }), goal: null });
    }
  }
  const idle = (at: number) => total(names.map((name) => busy.get(name)?.[at] ?? 0));
  rows.push(
    alone("processor while polling three devices, all processes", "% of a core", rounds.map(idle)),
  );
  for (const name of names) {
    rows.push(alone(`processor, ${name}`, "% of a core", busy.get(name) ?? []));
  }
  return rows;
}
