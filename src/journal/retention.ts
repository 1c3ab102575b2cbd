// What leaves the log, and when: blocks that every consumer acknowledged, and the epochs that end
// with them. It must not know what the records mean.
import type { Disk } from "../disk/disk.ts";
import type { Clock } from "../util/clock.ts";
import { type Stream, streams } from "./head.ts";
import type { LogReader } from "./reader.ts";
import * as tables from "./tables.ts";
import type { Watermarks } from "./watermarks.ts";

export interface RetentionDeps {
  readonly clock: Clock;
  readonly disk: Disk;
  readonly reader: LogReader;
  readonly marks: Watermarks;
  /** Shortened in place when an epoch has left it. */
  readonly lineage: tables.EpochEntry[];
  readonly head: (stream: Stream) => number;
  readonly checkpoint: () => tables.CheckpointMark;
}

export interface RetentionOptions {
  readonly keepMs: number;
}

/** Above this share of the room, acknowledged records are not kept for their age. */
const keepRoomShare = 0.7;
/** Blocks removed in one commit. */
const trimBlocksMax = 500;

export class Retention {
  readonly #deps: RetentionDeps;
  readonly #options: RetentionOptions;

  constructor(deps: RetentionDeps, options: RetentionOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /** Removes blocks that may go; returns how many. */
  async trim(): Promise<number> {
    const { disk, reader } = this.#deps;
    let removed = 0;
    for (const stream of streams) {
      for (;;) {
        const limit = this.#trimLimit(stream);
        const beforeWallMs = this.#keepSinceWallMs();
        const keys = reader.oldBlocks(stream, { limit, beforeWallMs, max: trimBlocksMax });
        if (keys.length === 0) break;
        await disk.commit(keys.map((key) => ({ table: tables.logTable, key })));
        reader.forget();
        removed += keys.length;
        if (keys.length < trimBlocksMax) break;
      }
    }
    if (removed > 0) await this.#trimLineage();
    return removed;
  }

  /**
   * The last sequence of a stream that may go. The block of the newest record stays: the numbers of
   * the next epoch go on from it, unless those of this one began right there.
   */
  #trimLimit(stream: Stream): number {
    const { head: headOf, lineage, marks, checkpoint } = this.#deps;
    const head = headOf(stream);
    const isOfThisEpoch = head > (lineage.at(-1)?.cuts[stream] ?? 0);
    const newest = isOfThisEpoch ? head - 1 : head;
    const limit = Math.min(newest, marks.lowest(stream, this.#isShort));
    return stream === "state" ? Math.min(limit, checkpoint().sequence) : limit;
  }

  /** Acknowledged records made before this may go: all of them when room runs short. */
  #keepSinceWallMs(): number {
    if (this.#isShort) return Number.POSITIVE_INFINITY;
    return this.#deps.clock.wallMs() - this.#options.keepMs;
  }

  get #isShort(): boolean {
    const { liveBytes, roomBytes } = this.#deps.disk.stats();
    return liveBytes > roomBytes * keepRoomShare;
  }

  /** An epoch leaves the lineage when its last record is gone, ancestors first. */
  async #trimLineage(): Promise<void> {
    const { lineage, reader, head, disk } = this.#deps;
    const firsts = tables.forStreams((stream) => reader.first(stream, head(stream)));
    let gone = 0;
    for (const child of lineage.slice(1)) {
      if (streams.some((stream) => firsts[stream] <= child.cuts[stream])) break;
      gone += 1;
    }
    if (gone === 0) return;
    await disk.commit([tables.lineageWrite(lineage.slice(gone))], "reserve");
    lineage.splice(0, gone);
  }
}
