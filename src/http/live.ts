// Live values of the devices: listed once, then watched; the last samples of each are kept for a
// small curve. Bounded. It must not know how they are shown.
import type { Client } from "../client/client.ts";
import { listPoints, type Point, pointId, readPoints, services } from "../status/status.ts";
import type { Clock } from "../util/clock.ts";
import { asPlantError } from "../util/errors.ts";
import type { Log } from "../util/log.ts";
import { type Running, startLoop } from "../util/running.ts";
import type { HourCurve } from "./hours.ts";

/** Points the page can hold; more are counted and left out. */
const pointsMax = 2000;
const samplesMax = 60;
const retryMs = 1000;
/** The list is read afresh this often. */
const relistMs = 300_000;
const askMs = 5000;

/** One point with its recent past. */
export interface LivePoint {
  /** Stable for the life of the process. */
  readonly id: number;
  readonly device: string;
  point: Point;
  readonly samples: number[];
  /** Value of the view's `version` when it last changed. */
  version: number;
  /** The curve of its last hour, once the store told it, and the `version` it came with. */
  hour?: HourCurve & { readonly version: number };
}

/** The view that the page draws from. */
export interface LiveView extends Running {
  /** Counts changes. */
  readonly version: number;
  /** Changes when points appear or go: rows must be drawn anew. */
  readonly layout: number;
  /** Points beyond the limit, not shown. */
  readonly leftOut: number;
  /** Ordered by device and key. */
  list(device?: string): readonly LivePoint[];
  /** Puts curves of the last hour on points. */
  putHours(curves: ReadonlyMap<LivePoint, HourCurve>): void;
}

/** Starts to follow the store's device points. */
export function startLive(deps: { clock: Clock; client: Client; log: Log }): LiveView {
  const view = new View();
  const follow = async (signal: AbortSignal) => {
    try {
      await followOnce(deps, view, signal);
    } catch (error) {
      if (signal.aborted) return;
      const { code, message } = asPlantError(error);
      deps.log.debug("live values are interrupted", { code, reason: message });
      await deps.clock.sleep(retryMs, signal);
    }
  };
  const loop = startLoop({ clock: deps.clock, round: follow });
  return Object.assign(view, {
    ended: loop.ended,
    [Symbol.asyncDispose]: () => loop[Symbol.asyncDispose](),
  });
}

async function followOnce(
  deps: { clock: Clock; client: Client },
  view: View,
  signal: AbortSignal,
): Promise<void> {
  const { clock, client } = deps;
  const listedMs = clock.monotonicMs();
  const { position: listed } = Object(
    await client.call(services.state, "list", { limit: 1 }, { deadlineMs: askMs }),
  ) as { position?: unknown };
  const points = await listPoints(client, { max: pointsMax * 2, deadlineMs: askMs });
  view.replace(points);
  // What changes while the pages are read is told by the watch again.
  const highest = points.reduce((most, { revision }) => Math.max(most, revision), 0);
  let after = typeof listed === "number" ? listed : highest;
  while (!signal.aborted && clock.monotonicMs() - listedMs < relistMs) {
    const parts = client.stream(services.state, "watch", { after }, { deadlineMs: 40_000, signal });
    for (;;) {
      const part = await parts.next();
      if (part.done) {
        const { position } = (part.value ?? {}) as { position?: unknown };
        if (typeof position !== "number") break;
        if (position > 0 && position < after) return; // another store: a backup was restored
        after = Math.max(after, position);
        break;
      }
      for (const point of readPoints(part.value)) view.put(point);
      for (const place of readDeleted(part.value)) view.remove(pointId(place));
    }
    await clock.sleep(0, signal);
  }
}

/** Places of points that are no more. */
function readDeleted(part: unknown): { scope: string; key: string }[] {
  const { deleted } = Object(part) as { deleted?: unknown };
  const places = Array.isArray(deleted) ? deleted : [];
  return places.filter(({ scope, key }) => typeof scope === "string" && typeof key === "string");
}

class View {
  version = 0;
  layout = 0;
  leftOut = 0;
  readonly #points = new Map<string, LivePoint>();
  #sorted: LivePoint[] | undefined;
  #nextId = 1;

  list(device?: string): readonly LivePoint[] {
    this.#sorted ??= [...this.#points.values()].sort(byDeviceAndKey);
    if (device === undefined) return this.#sorted;
    return this.#sorted.filter((live) => live.device === device);
  }

  /** Takes a full list: what is not in it any more goes. */
  replace(points: readonly Point[]): void {
    const ids = new Set(points.map(pointId));
    for (const id of this.#points.keys()) {
      if (ids.has(id)) continue;
      this.#points.delete(id);
      this.#redraw();
    }
    this.leftOut = 0;
    for (const point of points) this.put(point);
  }

  remove(id: string): void {
    if (!this.#points.delete(id)) return;
    this.version += 1;
    this.#redraw();
  }

  put(point: Point): void {
    if (!point.scope.startsWith("device/")) return;
    const id = pointId(point);
    let live = this.#points.get(id);
    if (live === undefined) {
      if (this.#points.size >= pointsMax) {
        this.leftOut += 1;
        return;
      }
      const device = point.scope.slice("device/".length);
      live = { id: this.#nextId, device, point, samples: [], version: 0 };
      this.#nextId += 1;
      this.#points.set(id, live);
      this.#redraw();
    } else if (live.point.revision === point.revision) return;
    this.version += 1;
    live.version = this.version;
    live.point = point;
    const sample = sampleOf(point);
    if (sample === undefined) return;
    live.samples.push(sample);
    if (live.samples.length > samplesMax) live.samples.shift();
  }

  putHours(curves: ReadonlyMap<LivePoint, HourCurve>): void {
    for (const [live, curve] of curves) {
      if (live.hour?.path === curve.path && live.hour.words === curve.words) continue;
      this.version += 1;
      live.version = this.version;
      live.hour = { ...curve, version: this.version };
    }
  }

  #redraw(): void {
    this.#sorted = undefined;
    this.layout += 1;
  }
}

/** A point as a number for its curve; undefined when it has none. */
function sampleOf({ value, quality }: Point): number | undefined {
  if (quality === "bad") return undefined;
  if (typeof value === "number") return value;
  if (typeof value === "boolean") return value ? 1 : 0;
  return undefined;
}

function byDeviceAndKey(a: LivePoint, b: LivePoint): number {
  if (a.device !== b.device) return a.device < b.device ? -1 : 1;
  return a.point.key < b.point.key ? -1 : 1;
}
