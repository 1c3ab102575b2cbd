// Those who watch points: each has a bounded list of what changed since it was last told, where the
// newest value wins, and of what was deleted. It must not know where points come from.
import type { Clock } from "../util/clock.ts";
import { PlantError } from "../util/errors.ts";
import { JsonText, type WorkerRequest } from "../worker/worker.ts";
import type { Place, PointObserver, PointTable } from "./points.ts";
import { bound, limits } from "./requests.ts";

/** A point that is no more. */
interface Deletion extends Place {
  /** Sequence of its deletion. */
  readonly revision: number;
}

/** Which points are watched: a prefix is of the key where scopes are named, else of the scope. */
export interface Wanted {
  readonly scopes: ReadonlySet<string> | undefined;
  readonly prefix: string;
}

interface Watcher {
  readonly wanted: Wanted;
  /** Indices of points that changed; never more than there are points. */
  readonly changed: Set<number>;
  /** By scope and key; what is there again is not here. */
  readonly deleted: Map<string, Deletion>;
  /** More was deleted than is remembered, or the store is another one. */
  isLost: boolean;
  wake: () => void;
}

export interface WatchOptions {
  readonly wanted: Wanted;
  /** The position a watch before ended with; from now on when absent. */
  readonly after: number | undefined;
  readonly waitMs: number;
}

/** What a watch needs of the store around it. */
export interface WatchDeps {
  readonly clock: Clock;
  readonly head: () => number;
  readonly runMs: () => number;
}

/** Points in one part of the stream. */
const pointsPerPart = 500;
/** Deletions that are remembered for those who come back, and for each who watches. */
const deletionsMax = 10_000;
/** Points that are still told when the time of a watch is over. */
const lastPointsMax = 2000;

export class Watchers implements PointObserver {
  readonly #watchers = new Set<Watcher>();
  /** Of them, those who watch named scopes, by each of these, and all others. */
  readonly #byScope = new Map<string, Set<Watcher>>();
  readonly #anyScope = new Set<Watcher>();
  #points: PointTable | undefined;
  /** The last deletions, in order, and the sequence after which all of them are here. */
  #deletions: Deletion[] = [];
  #since = 0;

  get count(): number {
    return this.#watchers.size;
  }

  /** From now on hears of the changes of a table; those who watched another one are lost. */
  begin(points: PointTable, head: number): void {
    this.#points = points;
    this.#deletions = [];
    this.#since = head;
    points.observer = this;
    for (const watcher of this.#watchers) {
      watcher.isLost = true;
      watcher.wake();
    }
  }

  changed(index: number): void {
    const points = this.#points;
    if (this.#watchers.size === 0 || points === undefined) return;
    const { slots } = points;
    const slot = slots.findIndex(index);
    const scope = slots.scopeOf(slot);
    const there = this.#byScope.get(scope);
    if (there === undefined && this.#anyScope.size === 0) return;
    const place = { scope, key: slots.keyOf(slot) };
    if (there !== undefined) tellChanged(there, place, index);
    tellChanged(this.#anyScope, place, index);
  }

  deleted({ scope, key }: Place, revision: number): void {
    const deletion = { scope, key, revision };
    this.#deletions.push(deletion);
    if (this.#deletions.length > 2 * deletionsMax) {
      const forgotten = this.#deletions.splice(0, deletionsMax);
      this.#since = forgotten.at(-1)?.revision ?? this.#since;
    }
    tellDeleted(this.#byScope.get(scope) ?? [], deletion);
    tellDeleted(this.#anyScope, deletion);
  }

  #add(watcher: Watcher): void {
    this.#watchers.add(watcher);
    const { scopes } = watcher.wanted;
    if (scopes === undefined) this.#anyScope.add(watcher);
    for (const scope of scopes ?? []) {
      const there = this.#byScope.get(scope);
      if (there === undefined) this.#byScope.set(scope, new Set([watcher]));
      else there.add(watcher);
    }
  }

  #remove(watcher: Watcher): void {
    this.#watchers.delete(watcher);
    this.#anyScope.delete(watcher);
    for (const scope of watcher.wanted.scopes ?? []) {
      const there = this.#byScope.get(scope);
      there?.delete(watcher);
      if (there?.size === 0) this.#byScope.delete(scope);
    }
  }

  /**
   * Streams changes until the time is over or the caller gives up.
   * @returns the sequence up to which everything was told.
   * @throws PlantError LIMIT_REACHED; WATCH_GONE when what was deleted since is not known.
   */
  async follow(deps: WatchDeps, options: WatchOptions, request: WorkerRequest): Promise<number> {
    bound("watches", this.#watchers.size + 1, limits.watchersMax);
    const watcher = this.#open(deps, options);
    this.#add(watcher);
    const over = new AbortController();
    const stop = AbortSignal.any([over.signal, request.signal]);
    const timed = deps.clock.sleep(options.waitMs, stop).then(() => over.abort());
    let position = options.after ?? deps.head();
    try {
      while (!stop.aborted) {
        if (!hasNews(watcher)) await woken(watcher, stop);
        if (!stop.aborted) position = await this.#tell(deps, watcher, request);
      }
      const isLast = !request.signal.aborted && watcher.changed.size <= lastPointsMax;
      if (isLast) position = await this.#tellLast(deps, watcher, request);
    } finally {
      this.#remove(watcher);
      over.abort();
      await timed;
    }
    return position;
  }

  #open({ head }: WatchDeps, { wanted, after }: WatchOptions): Watcher {
    const watcher: Watcher = {
      wanted,
      changed: new Set(),
      deleted: new Map(),
      isLost: false,
      wake: () => {},
    };
    const points = this.#points;
    if (after === undefined || after >= head() || points === undefined) return watcher;
    if (after < this.#since) throw gone(after, this.#since);
    const { slots } = points;
    for (const slot of points.changedSince(after)) {
      const place = { scope: slots.scopeOf(slot), key: slots.keyOf(slot) };
      if (wants(wanted, place)) watcher.changed.add(slots.index[slot] as number);
    }
    for (const deletion of this.#deletions) {
      const { scope, key, revision } = deletion;
      if (revision <= after || !wants(wanted, deletion) || slots.find(scope, key) >= 0) continue;
      watcher.deleted.set(idOf(deletion), deletion);
    }
    return watcher;
  }

  /** Tells all that is news, a point that changes meanwhile with its newest value. */
  async #tell(deps: WatchDeps, watcher: Watcher, request: WorkerRequest): Promise<number> {
    const reached = deps.head();
    const indices = takeNews(watcher, reached);
    await this.#send(deps, { watcher, request, indices }, Number.POSITIVE_INFINITY);
    return reached;
  }

  /** Tells what is news up to here; what comes meanwhile is for the next watch. */
  async #tellLast(deps: WatchDeps, watcher: Watcher, request: WorkerRequest): Promise<number> {
    const reached = deps.head();
    const indices = takeNews(watcher, reached);
    await this.#send(deps, { watcher, request, indices }, reached);
    return reached;
  }

  async #send(deps: WatchDeps, news: News, upTo: number): Promise<void> {
    const { watcher, request, indices } = news;
    for (let at = 0; at < indices.deleted.length; at += pointsPerPart) {
      using _room = await request.room();
      const deleted = indices.deleted.slice(at, at + pointsPerPart);
      await request.partial({ points: [], deleted });
    }
    for (let at = 0; at < indices.changed.length; ) {
      using _room = await request.room();
      if (watcher.isLost) throw gone(upTo, this.#since);
      const part = this.#part(deps.runMs(), news, { at, upTo });
      at = part.next;
      if (part.text !== undefined) await request.partial(part.text);
    }
  }

  /** The next points as one part: few enough, and short enough, for one message. */
  #part(
    now: number,
    { watcher, indices }: News,
    { at, upTo }: { at: number; upTo: number },
  ): { next: number; text: JsonText | undefined } {
    const points = this.#points;
    const texts: string[] = [];
    let weight = 0;
    let next = at;
    for (; next < indices.changed.length && points !== undefined; next += 1) {
      if (texts.length >= pointsPerPart || weight > limits.answerChars) break;
      const index = indices.changed[next] ?? 0;
      const slot = points.slots.findIndex(index);
      if (slot < 0 || (points.slots.revision[slot] as number) > upTo) continue;
      watcher.changed.delete(index);
      const text = points.jsonOf(slot, now);
      if (text === undefined) continue;
      texts.push(text);
      weight += text.length;
    }
    if (texts.length === 0) return { next, text: undefined };
    return { next, text: new JsonText(`{"points":[${texts.join(",")}],"deleted":[]}`) };
  }
}

interface News {
  readonly watcher: Watcher;
  readonly request: WorkerRequest;
  readonly indices: { readonly changed: readonly number[]; readonly deleted: readonly Deletion[] };
}

function tellChanged(watchers: Iterable<Watcher>, place: Place, index: number): void {
  for (const watcher of watchers) {
    if (!wants(watcher.wanted, place)) continue;
    watcher.changed.add(index);
    if (watcher.deleted.size > 0) watcher.deleted.delete(idOf(place));
    watcher.wake();
  }
}

function tellDeleted(watchers: Iterable<Watcher>, deletion: Deletion): void {
  for (const watcher of watchers) {
    if (!wants(watcher.wanted, deletion)) continue;
    watcher.deleted.set(idOf(deletion), deletion);
    if (watcher.deleted.size > deletionsMax) watcher.isLost = true;
    watcher.wake();
  }
}

function takeNews(watcher: Watcher, reached: number): News["indices"] {
  if (watcher.isLost) throw gone(reached, reached);
  const news = { changed: [...watcher.changed], deleted: [...watcher.deleted.values()] };
  watcher.changed.clear();
  watcher.deleted.clear();
  return news;
}

function hasNews({ changed, deleted, isLost }: Watcher): boolean {
  return isLost || changed.size > 0 || deleted.size > 0;
}

function wants({ scopes, prefix }: Wanted, { scope, key }: Place): boolean {
  if (scopes === undefined) return prefix === "" || scope.startsWith(prefix);
  return scopes.has(scope) && (prefix === "" || key.startsWith(prefix));
}

/** Scope and key hold printable characters only. */
function idOf({ scope, key }: Place): string {
  return `${scope}\0${key}`;
}

function gone(after: number, since: number): PlantError {
  return new PlantError("WATCH_GONE", { after, since });
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
