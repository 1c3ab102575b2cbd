// What state keeps of the past beside the log: rollups, and corrections of time, made behind it.
// It must not know what requests look like.
import type { Config } from "../config/config.ts";
import type { Journal } from "../journal/journal.ts";
import type { Clock, ClockSync } from "../util/clock.ts";
import { PlantError } from "../util/errors.ts";
import type { Log } from "../util/log.ts";
import { type Running, startLoop } from "../util/running.ts";
import { ClockWatch } from "./clock-watch.ts";
import { History } from "./history.ts";
import { Rollup } from "./rollup.ts";

/** Time between two looks at the clock of the machine. */
const clockLookMs = 10_000;
/** Above this share of the room, acknowledged records go whatever their age. */
const wayShare = 0.7;
/** Where room is to be made, this share of the records is rolled up first. */
const rolledShare = 0.9;

export interface PastDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** The boot that runs. */
  readonly boot: string;
  readonly journal: Journal;
  readonly sync?: () => ClockSync;
}

type PastConfig = Pick<
  Config["store"],
  "checkpointMs" | "keepMs" | "rollupMinuteDays" | "rollupDays" | "rollupPercent"
>;

export class Past {
  readonly #deps: PastDeps;
  readonly #config: PastConfig;
  rollup: Rollup;
  #watch: ClockWatch;
  #isEnded = false;

  constructor(deps: PastDeps, config: PastConfig) {
    this.#deps = deps;
    this.#config = config;
    this.rollup = this.#makeRollup();
    this.#watch = this.#makeWatch();
    deps.journal.hold(() => this.rollup.rolledUpTo());
  }

  #makeRollup(): Rollup {
    const { rollupMinuteDays, rollupDays, rollupPercent, keepMs } = this.#config;
    const ages = { minuteDays: rollupMinuteDays, days: rollupDays };
    const limits = { ...ages, percent: rollupPercent, keepMs };
    return new Rollup(this.#deps, limits);
  }

  #makeWatch(): ClockWatch {
    const { clock, boot, journal, sync = () => "none" } = this.#deps;
    return new ClockWatch({ clock, boot, journal, sync });
  }

  get history(): History {
    const { clock, journal } = this.#deps;
    return new History({ clock, journal, rollup: this.rollup });
  }

  /**
   * Rolls up to where records may go, when room is to be made and more than a few of those that
   * could make it are not rolled up yet: these are held.
   */
  async makeWay(): Promise<void> {
    const { journal } = this.#deps;
    const { liveBytes = 0, roomBytes = 0 } = journal.stats();
    const { first, bytes, quotaBytes } = journal.use("state");
    if (bytes <= quotaBytes && liveBytes <= roomBytes * wayShare) return;
    const end = Math.min(journal.head("state"), journal.checkpoint.sequence);
    if (this.rollup.rolledUpTo() - first >= (end - first) * rolledShare) return;
    await this.#try("the rollups stand still", () => this.rollup.flush(true));
  }

  /** Stops before the store is replaced; resolves when nothing is under way. */
  async end(): Promise<void> {
    this.#isEnded = true;
    await this.rollup.end();
  }

  /** Begins anew after `end`, from what the store has then. */
  renew(): void {
    this.rollup = this.#makeRollup();
    this.#watch = this.#makeWatch();
    this.#isEnded = false;
  }

  /** The work done on its own: rolling up, and looking at the clock. */
  startLoops(): Running[] {
    const { clock } = this.#deps;
    const rolling = startLoop({
      clock,
      round: async (signal) => {
        await clock.sleep(this.#config.checkpointMs, signal);
        if (!signal.aborted) await this.#try("the rollups stand still", () => this.rollup.tend());
      },
    });
    const watching = startLoop({
      clock,
      round: () => this.#try("times were not corrected", () => this.#watch.look()),
      pauseMs: clockLookMs,
    });
    return [rolling, watching];
  }

  /** Failures are told, not fatal; that the store is closed needs no words. */
  async #try(what: string, work: () => Promise<void>): Promise<void> {
    if (this.#isEnded) return;
    try {
      await work();
    } catch (error) {
      if (!(error instanceof PlantError)) throw error;
      if (error.code === "STORE_CLOSED" || error.code === "STORE_BUSY") return;
      this.#deps.log.error(what, { code: error.code, error });
    }
  }
}
