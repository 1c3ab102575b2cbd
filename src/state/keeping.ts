// Makes room as the plan says: releases what is acknowledged, thins points, drops the oldest, and
// tells of it. Works in slices. It must not know requests.
import type { BatchRecord, LastRecord } from "../batch/batch.ts";
import {
  type Block,
  decodeBlock,
  type Journal,
  replacedBlocksMax,
  type Stream,
  streams,
} from "../journal/journal.ts";
import { assert } from "../util/assert.ts";
import type { Clock } from "../util/clock.ts";
import { hasCode, PlantError } from "../util/errors.ts";
import type { Log } from "../util/log.ts";
import { turn } from "../util/slices.ts";
import { minuteMs as narrowMs, quarterMs as wideMs } from "./aggregate.ts";
import { isBareDamage } from "./damage.ts";
import { plan, type Situation, type Step, type StreamPressure } from "./retention.ts";
import { type CoverRecord, coverBytesMax, Thinner, type ThinningOptions } from "./thinning.ts";

export interface KeeperDeps {
  readonly clock: Clock;
  readonly journal: Journal;
  readonly log: Log;
  /** Sequence of a point's current value by its index; undefined when nothing has that index. */
  readonly revisionAt: (index: number) => number | undefined;
  /** Sequence of a point's current value by its name. */
  readonly revisionOf: (scope: string, key: string) => number | undefined;
  /** What is still known of damaged records, in the place of a cover over them. */
  readonly told: (cover: CoverRecord) => readonly CoverRecord[];
  /** Tells people what is lost. */
  readonly tell: (event: KeepingEvent) => Promise<void>;
}

/** What happened to records that somebody still waits for. */
export interface KeepingEvent {
  readonly kind: "store-thinned" | "store-dropped";
  readonly severity: "warning" | "alarm";
  readonly message: string;
  readonly detail: Readonly<Record<string, unknown>>;
}

/** When values may become aggregates. */
export interface KeeperOptions {
  /** Age in running time, in milliseconds. */
  readonly thinAfterMs: number;
}

/** What one round of making room did, by kind of step. */
export interface Kept {
  readonly freed: number;
  readonly steps: number;
}

/** How far a stream is thinned: see `StreamPressure`. */
interface Bounds {
  droppedTo: number;
  widenedTo: number;
  thinnedTo: number;
}

/** What a block is, from the finest to what is left of least. */
const tiers = { raw: 0, narrow: 1, wide: 2, dropped: 3 } as const;
/** Above this share of the room, room is made in all streams. */
const fullShare = 0.85;
/** Steps of one round; the next round goes on. */
const stepsMax = 500;
/** A slice of work ends after this long, or after so many records. */
const sliceMs = 4;
const sliceRecords = 2000;
/** The least that is taken in one step: small covers cost more than they free. */
const stepBytesLeast = 262_144;
/** Of what a replacement takes away, the least it must free. */
const gainLeast = 0.1;
/** Time between two events about the same loss, in running time. */
const tellEveryMs = 86_400_000;

export class Keeper {
  readonly #deps: KeeperDeps;
  readonly #options: KeeperOptions;
  readonly #bounds = new Map<Stream, Bounds>();
  readonly #toldAtMs = new Map<string, number>();

  constructor(deps: KeeperDeps, options: KeeperOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /**
   * Makes room until there is enough, or nothing more can be done.
   * @throws PlantError STORE_FULL, STORE_FAILED, STORE_DAMAGED: every step is whole or not done.
   */
  async keep(): Promise<Kept> {
    const held = new Set<Stream>();
    let freed = 0;
    let steps = 0;
    while (steps < stepsMax) {
      const step = plan(this.#situation(held));
      if (step === undefined) break;
      steps += 1;
      const gain = step.kind === "release" ? await this.#release(step) : await this.#rewrite(step);
      if (step.kind === "release" && gain === 0) held.add(step.stream);
      freed += gain;
    }
    return { freed, steps };
  }

  /** @param held streams whose acknowledged records share their block with others. */
  #situation(held: ReadonlySet<Stream>): Situation {
    const { journal } = this.#deps;
    const { liveBytes = 0, roomBytes = 0 } = journal.stats();
    const excessBytes = Math.max(0, liveBytes - roomBytes * fullShare);
    const pressure = (stream: Stream) =>
      this.#pressure(stream, { isHeld: held.has(stream), isShort: excessBytes > 0 });
    return {
      streams: Object.fromEntries(streams.map((stream) => [stream, pressure(stream)])) as Record<
        Stream,
        StreamPressure
      >,
      excessBytes,
      thinAfterMs: this.#options.thinAfterMs,
      mayCover: journal.format !== 1,
    };
  }

  #pressure(
    stream: Stream,
    { isHeld, isShort }: { readonly isHeld: boolean; readonly isShort: boolean },
  ): StreamPressure {
    const { journal } = this.#deps;
    const { first, limit, acked, bytes, coverBytes, quotaBytes } = journal.use(stream);
    const isQuiet = bytes <= quotaBytes && !isShort;
    const bounds = isQuiet ? noBounds : this.#boundsOf(stream, first - 1, limit);
    const rawAgeMs = stream === "state" && !isQuiet ? this.#rawAgeMs(bounds.thinnedTo) : 0;
    const use = { first, limit, acked: isHeld ? 0 : acked, bytes, coverBytes, quotaBytes };
    return { ...use, ...bounds, rawAgeMs };
  }

  #rawAgeMs(thinnedTo: number): number {
    const { journal } = this.#deps;
    for (const { head } of journal.blocks("state", thinnedTo)) return journal.runMs() - head.runMs;
    return 0;
  }

  /** Found by halving where nobody knows: the further back, the less is left. */
  #boundsOf(stream: Stream, before: number, limit: number): Bounds {
    const known = this.#bounds.get(stream);
    if (known !== undefined) {
      known.droppedTo = Math.max(known.droppedTo, before);
      known.widenedTo = Math.max(known.widenedTo, known.droppedTo);
      known.thinnedTo = Math.max(known.thinnedTo, known.widenedTo);
      return known;
    }
    const find = (tier: number) => this.#lastOfTier(stream, { tier, before, limit });
    const bounds: Bounds = {
      droppedTo: find(tiers.dropped),
      widenedTo: find(tiers.wide),
      thinnedTo: find(tiers.narrow),
    };
    this.#bounds.set(stream, bounds);
    return bounds;
  }

  #lastOfTier(
    stream: Stream,
    { tier, before, limit }: { tier: number; before: number; limit: number },
  ): number {
    let low = before;
    let high = limit;
    while (low < high) {
      const middle = low + Math.ceil((high - low) / 2);
      const block = firstOf(this.#deps.journal.blocks(stream, middle - 1));
      if (block === undefined) break;
      if (tierOf(block) >= tier) low = Math.max(low + 1, Math.min(block.head.last, high));
      else high = Math.min(middle - 1, block.head.first - 1);
    }
    return Math.max(before, low);
  }

  async #release({ stream, bytes }: Step): Promise<number> {
    return await this.#deps.journal.release(stream, bytes);
  }

  /** Puts covers in the place of the next stretch; moves the bound even where it does not pay. */
  async #rewrite(step: Step): Promise<number> {
    const { journal } = this.#deps;
    const { stream, kind } = step;
    const { first, limit, acked } = journal.use(stream);
    const bounds = this.#boundsOf(stream, first - 1, limit);
    const name = boundNames[kind];
    const stretch = await this.#collect(step, bounds[name], limit);
    // The next block ends above the limit, or there is none.
    if (stretch === undefined || stretch.to <= bounds[name]) {
      bounds[name] = limit;
      return 0;
    }
    const { from, to, bytes, thinner } = stretch;
    const gain = await journal.replace({
      stream,
      from,
      to,
      records: thinner.finish() as unknown as Record<string, unknown>[],
      bytesLeast: kind === "drop" ? 1 : Math.ceil(bytes * gainLeast),
    });
    bounds[name] = to;
    if (gain > 0) await this.#tellOf(step, { from, to, acked });
    return gain;
  }

  /** Whole blocks of one epoch from a bound on, taken into covers, a slice at a time. */
  async #collect(step: Step, after: number, limit: number): Promise<Stretch | undefined> {
    const { journal, clock } = this.#deps;
    const { stream, bytes: wanted } = step;
    const thinner = new Thinner(this.#optionsOf(step));
    const { quotaBytes } = journal.use(stream);
    const enough = Math.max(wanted * 1.2, Math.min(stepBytesLeast, quotaBytes / 8));
    let at = this.#beginning(step, after);
    let stretch: Stretch | undefined;
    let blocks = 0;
    let taken = 0;
    for (;;) {
      const until = clock.monotonicMs() + sliceMs;
      let records = 0;
      let isOver = true;
      for (const block of journal.blocks(stream, at)) {
        const { head, bytes } = block;
        if (head.last > limit || (stretch !== undefined && head.epoch !== stretch.epoch)) break;
        // Behind the bound there is at least one; a full cover leaves the rest to another step.
        const isEnough = blocks >= replacedBlocksMax || taken >= enough || thinner.count > 1;
        if (at > after && isEnough) break;
        records += this.#takeIn(thinner, stream, block);
        blocks += 1;
        taken += head.first > after ? bytes.length : 0;
        at = head.last;
        const from = stretch?.from ?? head.first;
        const sum = (stretch?.bytes ?? 0) + bytes.length;
        stretch = { from, to: head.last, epoch: head.epoch, bytes: sum, thinner };
        isOver = false;
        if (records >= sliceRecords || clock.monotonicMs() >= until) break;
      }
      if (isOver) return stretch;
      await turn();
    }
  }

  /** @returns how many records were looked at. */
  #takeIn(thinner: Thinner, stream: Stream, { head, bytes }: Block): number {
    const { first, last, count } = head;
    if (stream !== "state" && last - first + 1 <= count) {
      // Of other streams nothing survives but how many there were.
      const body = { reason: "quota", count };
      thinner.add({ kind: "cover", sequence: first, to: last, body });
      return 1;
    }
    const records = recordsOf({ head, bytes });
    for (const record of records) {
      const isBare = stream === "state" && isBareDamage(record);
      const told = isBare ? this.#deps.told(record) : [record];
      for (const one of told) thinner.add(one);
    }
    return records.length;
  }

  /** Goes on in the cover before the bound while that has room, so that covers do not stay small. */
  #beginning({ stream, kind }: Step, after: number): number {
    const { journal } = this.#deps;
    const before = firstOf(journal.blocks(stream, after - 1));
    const next = firstOf(journal.blocks(stream, after));
    const isSame = before?.head.epoch === next?.head.epoch && before?.head.last === after;
    if (before === undefined || !isSame || tierOf(before) !== tierNames[kind]) return after;
    const [cover] = recordsOf(before);
    const bytes = JSON.stringify(cover ?? null).length;
    return bytes < coverBytesMax / 2 ? before.head.first - 1 : after;
  }

  #optionsOf({ stream, kind }: Step): ThinningOptions {
    if (kind === "thin") return { reason: "thinned", spanMs: narrowMs };
    if (kind === "widen") return { reason: "thinned", spanMs: wideMs };
    if (stream !== "state") return { reason: "quota" };
    return { reason: "quota", isReplaced: (last, name) => this.#isReplaced(last, name) };
  }

  /** Whether the log holds a later record of the point, or of another that took its name. */
  #isReplaced(
    { kind, index, sequence }: LastRecord,
    name: { readonly scope: string; readonly key: string } | undefined,
  ): boolean {
    const { revisionAt, revisionOf } = this.#deps;
    const byName = name === undefined ? undefined : revisionOf(name.scope, name.key);
    if (byName !== undefined && byName > sequence) return true;
    if (kind === "delete") return false;
    // An index that nothing has was deleted, or defined anew, by a later record.
    return (revisionAt(index) ?? Number.POSITIVE_INFINITY) > sequence;
  }

  /** Says once in a while what was done to records that somebody has not acknowledged. */
  async #tellOf(
    { stream, kind }: Step,
    { from, to, acked }: { readonly from: number; readonly to: number; readonly acked: number },
  ): Promise<void> {
    const { journal, tell, log } = this.#deps;
    const event = kind === "drop" ? "store-dropped" : "store-thinned";
    const now = journal.runMs();
    const toldAt = this.#toldAtMs.get(`${event} ${stream}`);
    if (toldAt !== undefined && now - toldAt < tellEveryMs) return;
    this.#toldAtMs.set(`${event} ${stream}`, now);
    const waiting = journal
      .consumers()
      .filter(({ streams: marks }) => (marks[stream] ?? Number.POSITIVE_INFINITY) < to);
    const what = stream === "state" ? "values" : `records of ${stream}`;
    const message =
      kind === "drop"
        ? `Room ran out: the oldest ${what} were dropped`
        : "Room runs short: old values became aggregates";
    const consumers = waiting.map(({ consumer }) => consumer);
    const detail = { stream, from, to, acked: Number.isFinite(acked) ? acked : null, consumers };
    try {
      const severity = kind === "drop" ? "alarm" : "warning";
      await tell({ kind: event, severity, message, detail });
    } catch (error) {
      // The loss stands in its cover; room is made none the less.
      if (!(error instanceof PlantError)) throw error;
      log.warn("what was lost could not be told", { code: error.code, error });
    }
  }
}

/** Blocks on their way into covers. */
interface Stretch {
  readonly from: number;
  readonly to: number;
  readonly epoch: string;
  readonly bytes: number;
  readonly thinner: Thinner;
}

/** A stream that is not above its quota is not looked at. */
const noBounds: Bounds = {
  droppedTo: Number.MAX_SAFE_INTEGER,
  widenedTo: Number.MAX_SAFE_INTEGER,
  thinnedTo: Number.MAX_SAFE_INTEGER,
};

const boundNames = {
  release: "droppedTo",
  thin: "thinnedTo",
  widen: "widenedTo",
  drop: "droppedTo",
} as const;
const tierNames = {
  release: tiers.dropped,
  thin: tiers.narrow,
  widen: tiers.wide,
  drop: tiers.dropped,
} as const;

function firstOf(blocks: Iterable<Block>): Block | undefined {
  for (const block of blocks) return block;
  return undefined;
}

/** The records of a block; of a damaged one, what stands in their place. */
function recordsOf({ head, bytes }: Block): readonly BatchRecord[] {
  try {
    return decodeBlock(bytes).records as unknown as readonly BatchRecord[];
  } catch (error) {
    if (!hasCode(error, "STORE_DAMAGED")) throw error;
    const { first, last } = head;
    const body = { reason: "corrupt", count: last - first + 1 };
    return [{ kind: "cover", sequence: first, to: last, body }];
  }
}

function tierOf({ head, bytes }: Block): number {
  if (head.last - head.first + 1 <= head.count) return tiers.raw;
  const [record] = recordsOf({ head, bytes });
  assert(record?.kind === "cover", "a block that stands for more than it has is a cover");
  const { reason, aggregates } = record.body as {
    reason?: unknown;
    aggregates?: { readonly spanMs?: unknown };
  };
  if (reason === "quota") return tiers.dropped;
  if (reason !== "thinned") return tiers.raw;
  return aggregates?.spanMs === wideMs ? tiers.wide : tiers.narrow;
}
