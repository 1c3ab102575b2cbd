// Loaded before a broker by `node --import`: how late its event loop is, since the last SIGUSR2,
// written to BENCH_LAG_FILE when the process ends. It must not know the broker.
import { writeFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";

const file = process.env.BENCH_LAG_FILE;
const resolutionMs = 1;
const nanosPerMs = 1e6;
const histogram = monitorEventLoopDelay({ resolution: resolutionMs });
histogram.enable();
process.on("SIGUSR2", () => histogram.reset());
process.on("exit", () => {
  if (file === undefined) return;
  // The histogram holds whole intervals; what is beyond the asked one is the lag.
  const late = (nanos: number) => Math.max(0, nanos / nanosPerMs - resolutionMs);
  const p99Ms = late(histogram.percentile(99));
  writeFileSync(file, JSON.stringify({ p99Ms, maxMs: late(histogram.max) }));
});
