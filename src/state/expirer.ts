// Has points whose time is over deleted, soon after it is. It must not know how they are deleted.
import type { Clock } from "../util/clock.ts";
import { type Deadlines, watchDeadlines } from "../util/deadlines.ts";
import { PlantError } from "../util/errors.ts";
import type { Log } from "../util/log.ts";
import type { PointTable } from "./points.ts";

export interface ExpirerDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** Running time of the store, by which points go. */
  readonly runMs: () => number;
  /** The table there is: a restore makes another one. */
  readonly points: () => PointTable;
  /** Deletes those of the indices that are still due. */
  readonly remove: (indices: readonly number[]) => Promise<void>;
}

const expiredPerCommit = 500;
const retryMs = 1000;

export class Expirer {
  readonly #deps: ExpirerDeps;
  readonly #deadlines: Deadlines;
  readonly #stop = new AbortController();
  #isExpiring = false;
  #expiring: Promise<void> = Promise.resolve();

  constructor(deps: ExpirerDeps) {
    this.#deps = deps;
    this.#deadlines = watchDeadlines(deps.clock, () => this.#expireLater());
  }

  /** Looks anew when the next point goes. */
  watch(): void {
    const { clock, runMs, points } = this.#deps;
    const { nextDue } = points();
    if (nextDue === Number.POSITIVE_INFINITY) return;
    this.#deadlines.watch(clock.monotonicMs() + Math.max(0, nextDue - runMs()));
  }

  #expireLater(): number {
    if (!this.#isExpiring && !this.#stop.signal.aborted) {
      this.#isExpiring = true;
      this.#expiring = this.#expire();
    }
    return Number.POSITIVE_INFINITY;
  }

  /** Points whose time is over go, a bounded number at once. */
  async #expire(): Promise<void> {
    const { clock, log, runMs, remove } = this.#deps;
    const points = this.#deps.points();
    const due = points.takeDue(runMs(), expiredPerCommit);
    let pauseMs = 0;
    try {
      await remove(due);
    } catch (error) {
      if (!(error instanceof PlantError)) throw error;
      pauseMs = retryMs;
      log.warn("points whose time is over are not deleted yet", { code: error.code });
    }
    points.putBackDue(due);
    this.#isExpiring = false;
    if (pauseMs > 0) await clock.sleep(pauseMs, this.#stop.signal);
    this.watch();
  }

  /** Resolves when nothing is under way any more. */
  async end(): Promise<void> {
    this.#stop.abort();
    this.#deadlines.stop();
    await this.#expiring;
  }
}
