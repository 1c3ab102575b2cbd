// The health of the machine as points: processor, memory, load, uptime.
// It must not know the store's insides, only its operation set-many.
import { cpus, freemem, loadavg, totalmem, uptime } from "node:os";
import {
  type Client,
  type ClientConfig,
  type ClientDeps,
  startClient,
} from "../../src/client/client.ts";
import { asPlantError } from "../../src/util/errors.ts";
import { type Running, startLoop } from "../../src/util/running.ts";

/** One look at the machine; times since it booted. */
export interface Reading {
  /** Milliseconds all processors were busy and idle, together. */
  readonly busyMs: number;
  readonly idleMs: number;
  readonly memoryTotalBytes: number;
  readonly memoryFreeBytes: number;
  /** Mean number of runnable processes in the last minute. */
  readonly load: number;
  readonly uptimeS: number;
}

export interface MetricDeps extends ClientDeps {
  /** Reads the machine; the real one when absent. */
  readonly measure?: () => Reading;
  /** Asks the store; a client of its own when absent. */
  readonly client?: Client;
}

export interface MetricConfig extends ClientConfig {
  /** Time between two looks; 10,000 when absent. */
  readonly intervalMs?: number;
}

const scope = "org.plantd.module.Metric";
const source = "module.metric";

/** Starts publishing; points that cannot be delivered give way to the next ones. */
export async function start(deps: MetricDeps, config: MetricConfig): Promise<Running> {
  const { clock, log, random, measure = measureMachine } = deps;
  const client = deps.client ?? (await startClient(deps, config));
  const run = Buffer.from(random.bytes(8)).toString("hex");
  let number = 0;
  let last = measure();
  let isFailing = false;

  async function round(signal: AbortSignal): Promise<void> {
    const reading = measure();
    const points = pointsOf(last, reading);
    last = reading;
    number += 1;
    try {
      const request = { source, run, number, flush: "group", points };
      await client.call("org.plantd.State", "set-many", request, { signal });
      isFailing = false;
    } catch (thrown) {
      const error = asPlantError(thrown);
      if (error.code === "INTERNAL") throw error;
      if (!isFailing && !signal.aborted) log.warn("Points are not taken", { code: error.code });
      isFailing = true;
    }
  }

  const loop = startLoop({ clock, round, pauseMs: config.intervalMs ?? 10_000 });
  return {
    ended: loop.ended,
    async [Symbol.asyncDispose]() {
      await loop[Symbol.asyncDispose]();
      if (deps.client === undefined) await client[Symbol.asyncDispose]();
    },
  };
}

function pointsOf(before: Reading, after: Reading) {
  const busy = after.busyMs - before.busyMs;
  const idle = after.idleMs - before.idleMs;
  const share = busy + idle > 0 ? (100 * busy) / (busy + idle) : 0;
  const used = after.memoryTotalBytes - after.memoryFreeBytes;
  const point = (key: string, value: number, unit: string) => ({ scope, key, value, unit });
  return [
    point("cpu-busy", Math.round(share * 10) / 10, "%"),
    point("memory-used", used, "B"),
    point("memory-total", after.memoryTotalBytes, "B"),
    point("load", Math.round(after.load * 100) / 100, ""),
    point("uptime", Math.round(after.uptimeS), "s"),
  ];
}

function measureMachine(): Reading {
  let busyMs = 0;
  let idleMs = 0;
  for (const { times } of cpus()) {
    idleMs += times.idle;
    busyMs += times.user + times.nice + times.sys + times.irq;
  }
  return {
    busyMs,
    idleMs,
    memoryTotalBytes: totalmem(),
    memoryFreeBytes: freemem(),
    load: loadavg()[0] ?? 0,
    uptimeS: uptime(),
  };
}
