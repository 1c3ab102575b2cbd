// Wear rows: bytes the store has had written to the device per point at a steady rate, and when
// nothing changes, by its own counters; the device's beside them. It must not know how they come.
import { existsSync, readFileSync, statSync } from "node:fs";
import { systemClock as clock } from "../../src/util/clock.ts";
import { alone, type BenchContext, compare, type Row } from "./harness.ts";
import { type Gateway, startGateway } from "./store-stage.ts";

const sectorBytes = 512;
/** Where /sys/dev/block says how many sectors were written. */
const sectorsWrittenAt = 6;
/** The last checkpoint after the last value, and what comes with it. */
const checkpointMs = 5000;
const settleMs = 2 * checkpointMs;

interface Written {
  /** By the store's own counters. */
  readonly store: number;
  /** By the kernel, of the device the folder is on and all that use it; none where it is unknown. */
  readonly device: number | undefined;
}

/** The file system's device need not be a block device of its own: then nobody counts. */
function deviceBytes(folder: string): number | undefined {
  const { dev } = statSync(folder);
  const [major, minor] = [(dev >> 8) & 0xfff, (dev & 0xff) | ((dev >> 12) & 0xfff00)];
  const path = `/sys/dev/block/${major}:${minor}/stat`;
  if (!existsSync(path)) return undefined;
  const fields = readFileSync(path, "utf8").trim().split(/\s+/);
  return Number(fields[sectorsWrittenAt]) * sectorBytes;
}

async function written(gateway: Gateway): Promise<Written> {
  const { deviceBytes: store = Number.NaN } = await gateway.load("stats");
  return { store, device: deviceBytes(gateway.folder) };
}

/** Bytes of both counters between two looks. */
function between(before: Written, after: Written): Written {
  const isCounted = before.device !== undefined && after.device !== undefined;
  const device = isCounted ? (after.device ?? 0) - (before.device ?? 0) : undefined;
  return { store: after.store - before.store, device };
}

/** Bytes on the device per point at 1,000 points/s, and when nothing changes. */
export async function wearRows(context: BenchContext): Promise<readonly Row[]> {
  const { isQuick, say } = context;
  const ms = isQuick ? 20_000 : 300_000;
  const rows: Row[] = [];
  for (const [flushMaxMs, goal] of [
    [1000, 60],
    [10_000, 10],
  ] as const) {
    say(`wear: flushMaxMs ${flushMaxMs}`);
    const gateway = await startGateway(context, { store: { flushMaxMs } });
    // The first values define their points, and the file finds its size.
    await gateway.load("sets", "256", String(flushMaxMs * 2), "10");
    const before = await written(gateway);
    const { points = Number.NaN } = await gateway.load("sets", "256", String(ms), "10");
    const { store, device } = between(before, await written(gateway));
    const job = `written at 1,000 points/s, flushMaxMs ${flushMaxMs}`;
    const unit = "B/point";
    rows.push(
      compare({
        job,
        unit,
        ours: [store / points],
        peer: [goal],
        goal: 1,
        isLessBetter: true,
      }),
    );
    if (device !== undefined) {
      rows.push(alone(`${job}: all on the device by the kernel`, unit, [device / points]));
    }
    await gateway.end();
  }
  return [...rows, ...(await idleRows(context))];
}

/** What a store writes that nobody gives anything. */
async function idleRows(context: BenchContext): Promise<readonly Row[]> {
  context.say("wear: nothing changes");
  const gateway = await startGateway(context, { store: { checkpointMs } });
  await gateway.load("sets", "16", "2000", "10");
  await clock.sleep(settleMs);
  const before = await written(gateway);
  const ms = context.isQuick ? 20_000 : 180_000;
  await clock.sleep(ms);
  const { store } = between(before, await written(gateway));
  await gateway.end();
  return [alone(`written in ${ms / 1000} s when nothing changes`, "B", [store])];
}
