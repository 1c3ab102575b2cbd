// The service org.plantd.State: values with quality and time, events and lines, what changed, and
// who has heard of it. It must not know MQTT or HTTP, or how requests reach it.
import type { Guard, Stream } from "../journal/journal.ts";
import { type Running, startLoop } from "../util/running.ts";
import type { Operation } from "../worker/worker.ts";
import { sweepHalves } from "./backup.ts";
import { backupOperations } from "./backup-operations.ts";
import { consumerOperations } from "./consumers.ts";
import { type StateConfig, StateCore, type StateDeps } from "./core.ts";
import { exportOperations } from "./export-operations.ts";
import { historyOperations } from "./history-operations.ts";
import { tellLoss } from "./loss.ts";
import { metricOperations } from "./metric-operations.ts";
import { OwnFigures } from "./own-figures.ts";
import { plantdOperations } from "./plantd.ts";
import { pointOperations } from "./point-operations.ts";
import { schemaOperations } from "./schema-operations.ts";
import { startSnapshots } from "./snapshot-schedule.ts";
import { storeOperations } from "./store-operations.ts";
import { streamOperations } from "./stream-operations.ts";
import { wearSaveMs } from "./wear.ts";

export type { StateConfig, StateDeps } from "./core.ts";
export type { Point, PointType, Quality } from "./points.ts";

/** The running state: its operations are served by a worker of `service`. */
export interface State extends Running {
  readonly service: "org.plantd.State";
  readonly operations: Readonly<Record<string, Operation>>;
  /** Sequence up to which records wait for nobody: grows while the disk works. */
  readonly head: (stream: Stream) => number;
  /**
   * Appends lines to the stream `log`, for the logger in the same process.
   * @returns the first one's number.
   */
  readonly appendLines: (lines: readonly string[]) => Promise<{ readonly first: number }>;
  /** From now on this guards the database; what it has to tell is told. */
  readonly attach: (guard: Guard) => Promise<void>;
}

/** Starts the state over an open journal: values are the checkpoint and the log after it. */
export async function startState(deps: StateDeps, config: StateConfig): Promise<State> {
  const core = new StateCore(deps, config);
  await core.load();
  sweepHalves(config.backups);
  const loop = startLoop({
    clock: deps.clock,
    round: async (signal) => {
      await deps.clock.sleep(config.checkpointMs, signal);
      if (!signal.aborted) await core.tend();
    },
  });
  const ledger = startLoop({
    clock: deps.clock,
    round: async (signal) => {
      await deps.clock.sleep(wearSaveMs, signal);
      if (!signal.aborted) await core.saveWear();
    },
  });
  const loops = [loop, ledger, ...core.past.startLoops(), ...startMeter(core)];
  const { clock, log } = deps;
  const { snapshots } = core;
  const schedule =
    snapshots && startSnapshots({ clock, log, snapshots }, { everyMs: config.snapshotEveryMs });
  let closing: Promise<void> | undefined;
  const close = async () => {
    await schedule?.[Symbol.asyncDispose]();
    await Promise.all([...loops.map((each) => each[Symbol.asyncDispose]()), core.past.end()]);
    await core.close();
    await core.saveWear();
  };
  return {
    service: "org.plantd.State",
    operations: operationsOf(core),
    head: (stream) => deps.journal.head(stream),
    appendLines: (lines) => core.appendOwnLines(lines),
    ended: Promise.race(loops.map(({ ended }) => ended)),
    async attach(guard) {
      core.guard = guard;
      await tellLoss(core, guard);
    },
    async [Symbol.asyncDispose]() {
      closing ??= close();
      await closing;
    },
  };
}

/** Appends the store's own figures now and then; never where the interval is 0. */
function startMeter(core: StateCore): Running[] {
  const { clock } = core.deps;
  const { metricEveryMs } = core.config;
  if (metricEveryMs === 0) return [];
  const figures = new OwnFigures(core);
  const round = async (signal: AbortSignal) => {
    await clock.sleep(metricEveryMs, signal);
    if (!signal.aborted) await figures.append();
  };
  return [startLoop({ clock, round })];
}

function operationsOf(core: StateCore): Record<string, Operation> {
  return {
    ...pointOperations(core),
    ...schemaOperations(core),
    ...streamOperations(core),
    ...metricOperations(core),
    ...exportOperations(core),
    ...consumerOperations(core),
    ...backupOperations(core),
    ...storeOperations(core),
    ...historyOperations(core),
    ...plantdOperations(core),
  };
}
