// Those who watch points: each has a bounded map of what changed since it was last told, where the
// newest value wins. It must not know where points come from.
import type { Clock } from "../util/clock.ts";
import type { WorkerRequest } from "../worker/worker.ts";
import type { Point } from "./points.ts";
import { bound, limits, weightOf } from "./requests.ts";

interface Watcher {
  readonly wanted: ReadonlySet<string> | undefined;
  /** Newest value per point; never more entries than there are points. */
  readonly changed: Map<string, Point>;
  wake: () => void;
}

interface WatchOptions {
  readonly wanted: ReadonlySet<string> | undefined;
  /** Points that changed before the watch began. */
  readonly missed: readonly Point[];
  readonly waitMs: number;
}

/** Points in one part of the stream. */
const pointsPerPart = 500;

export class Watchers {
  readonly #watchers = new Set<Watcher>();

  get count(): number {
    return this.#watchers.size;
  }

  /** Tells all who watch of points that changed. */
  tell(points: readonly Point[]): void {
    if (this.#watchers.size === 0 || points.length === 0) return;
    for (const watcher of this.#watchers) {
      const { wanted, changed } = watcher;
      for (const point of points) {
        if (wanted === undefined || wanted.has(point.scope)) {
          changed.set(`${point.scope}\0${point.key}`, point);
        }
      }
      if (changed.size > 0) watcher.wake();
    }
  }

  /**
   * Streams changes until the time is over or the caller gives up.
   * @returns the sequence up to which everything was told.
   * @throws PlantError LIMIT_REACHED.
   */
  async follow(
    { clock, head }: { clock: Clock; head: () => number },
    { wanted, missed, waitMs }: WatchOptions,
    request: WorkerRequest,
  ): Promise<number> {
    bound("watches", this.#watchers.size + 1, limits.watchersMax);
    const changed = new Map(missed.map((point) => [`${point.scope}\0${point.key}`, point]));
    const watcher: Watcher = { wanted, changed, wake: () => {} };
    this.#watchers.add(watcher);
    const over = new AbortController();
    const stop = AbortSignal.any([over.signal, request.signal]);
    const timed = clock.sleep(waitMs, stop).then(() => over.abort());
    let position = head();
    try {
      while (!stop.aborted) {
        if (changed.size === 0) await woken(watcher, stop);
        if (stop.aborted) break;
        const points = [...changed.values()];
        changed.clear();
        const reached = head();
        for (const part of partsOf(points)) await request.partial({ points: part });
        position = reached;
      }
    } finally {
      this.#watchers.delete(watcher);
      over.abort();
      await timed;
    }
    return changed.size === 0 ? head() : position;
  }
}

/** Parts of few enough points, and of values short enough, for one message each. */
function* partsOf(points: readonly Point[]): Iterable<readonly Point[]> {
  let from = 0;
  let weight = 0;
  for (const [at, { value }] of points.entries()) {
    weight += weightOf(value);
    const isFull = at + 1 - from >= pointsPerPart || weight > limits.answerValueBytes;
    if (!isFull && at + 1 < points.length) continue;
    yield points.slice(from, at + 1);
    from = at + 1;
    weight = 0;
  }
}

function woken(watcher: Watcher, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      stop.removeEventListener("abort", wake);
      watcher.wake = () => {};
      resolve();
    };
    watcher.wake = wake;
    stop.addEventListener("abort", wake, { once: true });
  });
}
