// How far each consumer has acknowledged each stream, durably, and how far it may be believed.
// It must not know who consumes.
import type { Disk } from "../disk/disk.ts";
import type { Clock } from "../util/clock.ts";
import { PlantError } from "../util/errors.ts";
import { type Stream, streams } from "./head.ts";
import * as tables from "./tables.ts";
import { unheld } from "./tables.ts";

/** Last acknowledged sequence per stream; `unheld` where the consumer holds none of it. */
export type Marks = Readonly<Record<Stream, number>>;

/** A consumer as it is told. */
export interface ConsumerMarks {
  readonly consumer: string;
  /** Whether what it holds goes only by a young word of its own (rule 6 of the protocol). */
  readonly isFar: boolean;
  readonly streams: Readonly<Partial<Record<Stream, number>>>;
}

/** The most consumers that hold records. */
const consumersMax = 64;
/** How long the word of a far consumer about what it holds is young. */
const welcomeMs = 300_000;

export interface WatermarksDeps {
  readonly clock: Clock;
  readonly disk: Disk;
  /** The sequence before the first one kept: a watermark goes back no further. */
  readonly floor: (stream: Stream) => number;
}

export class Watermarks {
  readonly #deps: WatermarksDeps;
  readonly #marks: Map<string, Marks>;
  #turn: Promise<unknown> = Promise.resolve();
  /** Consumers whose records go only by a young welcome. */
  readonly #far: Set<string>;
  /** The last welcome of this opening, by consumer and stream. */
  readonly #welcomes = new Map<string, { readonly sequence: number; readonly atMs: number }>();

  constructor(deps: WatermarksDeps) {
    this.#deps = deps;
    this.#marks = tables.readMarks(deps.disk);
    this.#far = tables.readFar(deps.disk);
  }

  get count(): number {
    return this.#marks.size;
  }

  /** Where a consumer stands; one that is not known stands before all that is kept. */
  peek(consumer: string): Marks {
    const known = this.#marks.get(consumer);
    return known ?? tables.forStreams((stream) => this.#deps.floor(stream));
  }

  /** Where a consumer stands that is known, or for which there is a place. */
  #of(consumer: string): Marks {
    if (!this.#marks.has(consumer) && this.#marks.size >= consumersMax) {
      throw new PlantError("LIMIT_REACHED", { limit: "consumers", max: consumersMax });
    }
    return this.peek(consumer);
  }

  /**
   * From now on a consumer holds records of some streams, from the first one kept, or from where it
   * stands in those it held before; others it holds no longer.
   * @param first what must be done before it, once nothing refuses it; when it fails, nothing is.
   * @throws PlantError LIMIT_REACHED; what `first` throws.
   */
  add(consumer: string, held: readonly Stream[], first?: () => Promise<unknown>): Promise<void> {
    return this.#inTurn(async () => {
      const marks = this.#of(consumer);
      await first?.();
      const next = tables.forStreams((stream) => {
        if (!held.includes(stream)) return unheld;
        return marks[stream] === unheld ? this.#deps.floor(stream) : marks[stream];
      });
      await this.#save(consumer, next);
    });
  }

  /** Forgets a consumer: it holds nothing. @param first as in `add`. @returns if there was one. */
  remove(consumer: string, first?: () => Promise<unknown>): Promise<boolean> {
    return this.#inTurn(async () => {
      if (!this.#marks.has(consumer)) return false;
      await first?.();
      await this.#deps.disk.commit(tables.markRemoval(consumer), "reserve");
      this.#marks.delete(consumer);
      this.#far.delete(consumer);
      for (const stream of streams) this.#welcomes.delete(`${consumer} ${stream}`);
      return true;
    });
  }

  list(): ConsumerMarks[] {
    return [...this.#marks].map(([consumer, marks]) => ({
      consumer,
      isFar: this.#far.has(consumer),
      streams: Object.fromEntries(
        streams.filter((stream) => marks[stream] < unheld).map((name) => [name, marks[name]]),
      ),
    }));
  }

  /** Where a consumer stands; from now on it holds records. @throws PlantError LIMIT_REACHED. */
  register(consumer: string): Promise<Marks> {
    return this.#inTurn(async () => {
      const marks = this.#of(consumer);
      if (!this.#marks.has(consumer)) await this.#save(consumer, marks);
      return this.#of(consumer);
    });
  }

  /** Moves a watermark. @returns where it stands then. @throws PlantError LIMIT_REACHED. */
  move(consumer: string, stream: Stream, sequence: number): Promise<number> {
    return this.#inTurn(async () => {
      const marks = this.#of(consumer);
      const watermark = Math.max(sequence, this.#deps.floor(stream));
      if (marks[stream] === watermark && this.#marks.has(consumer)) return watermark;
      await this.#save(consumer, { ...marks, [stream]: watermark });
      return watermark;
    });
  }

  /** One change after the other: a row holds all streams, and none may be put back by another's. */
  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(change);
    this.#turn = mine.catch(() => {}); // whoever asked hears of it
    return mine;
  }

  /** A far consumer says anew what it holds of a stream: up to `sequence`. */
  welcome(consumer: string, stream: Stream, sequence: number): Promise<void> {
    return this.#inTurn(async () => {
      // Whoever was removed since its mark was moved leaves nothing behind.
      if (!this.#marks.has(consumer)) return;
      if (!this.#far.has(consumer)) {
        await this.#deps.disk.commit([tables.farWrite(consumer)], "reserve");
        this.#far.add(consumer);
      }
      const atMs = this.#deps.clock.monotonicMs();
      this.#welcomes.set(`${consumer} ${stream}`, { sequence, atMs });
    });
  }

  /** Up to where every consumer acknowledged, whatever became of it; Infinity without any. */
  acknowledged(stream: Stream): number {
    let lowest = Number.POSITIVE_INFINITY;
    for (const marks of this.#marks.values()) lowest = Math.min(lowest, marks[stream]);
    return lowest;
  }

  /** What every consumer holds; Infinity without any. @param isShort room is short. */
  lowest(stream: Stream, isShort: boolean): number {
    let lowest = Number.POSITIVE_INFINITY;
    for (const [consumer, marks] of this.#marks) {
      lowest = Math.min(lowest, marks[stream], this.#welcomed(consumer, stream, isShort));
    }
    return lowest;
  }

  /**
   * Up to where a far consumer holds records: none without a young welcome, since it may have lost
   * them. When room runs short an old one is enough: else new records would be refused.
   */
  #welcomed(consumer: string, stream: Stream, isShort: boolean): number {
    if (!this.#far.has(consumer)) return Number.POSITIVE_INFINITY;
    const last = this.#welcomes.get(`${consumer} ${stream}`);
    if (isShort) return last?.sequence ?? Number.POSITIVE_INFINITY;
    if (last === undefined || this.#deps.clock.monotonicMs() - last.atMs > welcomeMs) return 0;
    return last.sequence;
  }

  /** In memory at once, so that trimming sees the lower of old and new before the flush. */
  async #save(consumer: string, next: Marks): Promise<void> {
    const before = this.#marks.get(consumer);
    this.#marks.set(
      consumer,
      tables.forStreams((stream) => Math.min(next[stream], before?.[stream] ?? next[stream])),
    );
    await this.#deps.disk.commit([tables.marksWrite(consumer, next)], "reserve");
    this.#marks.set(consumer, next);
  }
}
