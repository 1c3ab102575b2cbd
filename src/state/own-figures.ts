// The store's own figures in the stream `metric`, now and then: what it wore, how full and how quick
// it is. Nothing is written when nothing else was. It must not know when.
import { streams } from "../journal/journal.ts";
import { PlantError } from "../util/errors.ts";
import type { StateCore } from "./core.ts";
import { type Metric, metricRecord } from "./metric-operations.ts";

const source = "org.plantd.State";

export class OwnFigures {
  readonly #core: StateCore;
  /** The heads of all streams after the last record, or at the start. */
  #seen: string;

  constructor(core: StateCore) {
    this.#core = core;
    this.#seen = this.#heads();
  }

  #heads(): string {
    const { journal } = this.#core.deps;
    return streams.map((stream) => journal.head(stream)).join(" ");
  }

  /** Appends a record unless nothing was appended since the last. Failures are told, not fatal. */
  async append(): Promise<void> {
    if (this.#heads() === this.#seen) return;
    const core = this.#core;
    try {
      const record = metricRecord(figuresOf(core), { time: core.now(), source });
      await core.append("metric", [record], { flush: "group" });
    } catch (error) {
      if (!(error instanceof PlantError)) throw error;
      core.deps.log.warn("the store's figures were not kept", { code: error.code });
      return;
    }
    this.#seen = this.#heads();
  }
}

/** The figures of one moment; counters count since the start. */
function figuresOf(core: StateCore): Metric[] {
  const { journal } = core.deps;
  const stats = journal.stats();
  const wear = core.wear.report();
  const losses = core.guard?.replaced.filter(({ seenMs }) => seenMs === undefined).length ?? 0;
  const figures: Metric[] = [
    { name: "store-wear-today", value: wear.todayBytes, unit: "B" },
    { name: "store-device-written", value: stats.deviceBytes ?? 0, unit: "B" },
    { name: "store-live", value: stats.liveBytes ?? 0, unit: "B" },
    { name: "store-room", value: stats.roomBytes ?? 0, unit: "B" },
    { name: "store-commits", value: stats.commits ?? 0 },
    { name: "store-failed-commits", value: stats.failedCommits ?? 0 },
    { name: "store-damaged-reads", value: stats.damagedReads ?? 0 },
    { name: "store-records", value: stats.records ?? 0 },
    { name: "store-points", value: core.points.count },
    { name: "store-losses", value: losses },
  ];
  const { flushP50Ms, flushP99Ms } = stats;
  if (flushP50Ms !== undefined && flushP99Ms !== undefined) {
    figures.push({ name: "store-flush-p50", value: thousandths(flushP50Ms), unit: "ms" });
    figures.push({ name: "store-flush-p99", value: thousandths(flushP99Ms), unit: "ms" });
  }
  return figures;
}

function thousandths(value: number): number {
  return Math.round(value * 1000) / 1000;
}
