// A request to append records, its answer, and what a flush tells. Shapes only; it must not know how
// requests become commits.
import type { JournalRecord, Stream } from "./head.ts";
import type { Occurrences } from "./recent.ts";
import type { Sequences, SourceNumber } from "./source.ts";

/** Records to append to one stream. */
export interface AppendRequest {
  readonly stream: Stream;
  /** Makes the request known again when it is repeated. */
  readonly source?: SourceNumber;
  /** `now` commits at once; `group` waits at most `flushMaxMs`. */
  readonly flush: "now" | "group";
  /** `urgent` for what finds room where other records do not. */
  readonly room?: "urgent";
  /** The most records `build` returns. */
  readonly recordsMax: number;
  /**
   * Called in the order of requests when the commit is put together: once, and again after
   * `settle(false)` where it is tried anew without companions that found no room or refused
   * themselves.
   * @param first sequence the first record gets.
   * @returns the records, at least one. What it throws refuses this request alone.
   */
  readonly build: (first: number) => readonly JournalRecord[];
  /**
   * Records of the stream `event` that say who caused it, in the same commit. Called after `build`;
   * what it throws refuses this request alone: it and its companions are settled as failed, and
   * those are built anew. Never called for a request that is repeated.
   */
  readonly audit?: () => readonly JournalRecord[];
  /** Called after the flush, in the order of requests, or when the commit failed. */
  readonly settle?: (isFlushed: boolean) => void;
}

/** Sequences of the records; `repeated` when an earlier request wrote them. */
export interface Appended extends Sequences {
  readonly repeated: boolean;
}

/** Commits that failed since the opening. */
export interface FailedCommits extends Occurrences {
  /** None went well after the last one that failed. */
  readonly isLast: boolean;
}

/** Streams that grew. */
export interface Flushed {
  readonly streams: readonly Stream[];
  /** What their blocks take of the room. */
  readonly bytes: Readonly<Partial<Record<Stream, number>>>;
}
