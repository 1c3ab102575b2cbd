// What waits to be told to the store: points in order and events, bounded, newest first to stay.
// Pure. It must not know the bus.
import { keyOf } from "./changes.ts";
import type { TimedSample } from "./device-plan.ts";

/** An event of a driver: a write, a device that fell silent. */
export interface LineEvent {
  readonly kind: string;
  readonly severity: "info" | "warning" | "alarm";
  readonly message: string;
  readonly detail?: Readonly<Record<string, unknown>>;
  readonly time: TimedSample["time"];
}

export interface OutboxLimits {
  /** Samples that wait; beyond, only the newest of each point stay. */
  readonly samplesMax: number;
  readonly eventsMax: number;
  /** Samples in one request. */
  readonly batchMax: number;
}

/** Samples of one request and how urgent they are. */
export interface Batch {
  readonly samples: readonly TimedSample[];
  readonly flush: "now" | "group";
}

/** The bounded buffer between a line and the store. */
export class Outbox {
  readonly #limits: OutboxLimits;
  #samples: TimedSample[] = [];
  #events: LineEvent[] = [];
  #isUrgent = false;
  #samplesLost = 0;
  #eventsLost = 0;
  /** Points whose next sample must say that some before it are missing. */
  readonly #gaps = new Set<string>();

  constructor(limits: OutboxLimits) {
    this.#limits = limits;
  }

  get waiting(): number {
    return this.#samples.length + this.#events.length;
  }

  get lost(): { readonly samples: number; readonly events: number } {
    return { samples: this.#samplesLost, events: this.#eventsLost };
  }

  /** @returns the points that lost samples: their next one should be recorded in any case. */
  add(samples: readonly TimedSample[], flush: "now" | "group"): readonly string[] {
    this.#samples.push(...samples);
    if (flush === "now") this.#isUrgent = true;
    return this.#samples.length > this.#limits.samplesMax ? this.#thin() : [];
  }

  addEvent(event: LineEvent): void {
    this.#events.push(event);
    if (this.#events.length <= this.#limits.eventsMax) return;
    this.#events.shift();
    this.#eventsLost += 1;
  }

  /** Keeps the newest sample of each point. */
  #thin(): string[] {
    const newest = new Map<string, TimedSample>();
    const lost = new Set<string>();
    for (const sample of this.#samples) {
      const key = keyOf(sample);
      if (newest.delete(key)) {
        this.#samplesLost += 1;
        lost.add(key);
        this.#gaps.add(key);
      }
      newest.set(key, sample);
    }
    this.#samples = [...newest.values()];
    return [...lost];
  }

  /** Takes the next batch, oldest first; `undefined` when no samples wait. */
  take(): Batch | undefined {
    if (this.#samples.length === 0) return undefined;
    const taken = this.#samples.splice(0, this.#limits.batchMax);
    const flush = this.#isUrgent ? "now" : "group";
    if (this.#samples.length === 0) this.#isUrgent = false;
    return { samples: taken.map((sample) => this.#marked(sample)), flush };
  }

  #marked(sample: TimedSample): TimedSample {
    if (!this.#gaps.delete(keyOf(sample)) || sample.quality !== "good") return sample;
    return { ...sample, quality: "uncertain", reason: "overrun" };
  }

  takeEvents(): readonly LineEvent[] {
    return this.#events.splice(0, this.#limits.batchMax);
  }
}
