// What a block of the log says of itself: its stream, epoch, sequences and times.
// It must not know how blocks are written.

/** The streams of a gateway, in the order of their numbers on disk. */
export const streams = ["state", "event", "log", "metric"] as const;
export type Stream = (typeof streams)[number];

/** Versions of the layout of a database: of its blocks, and of its small rows. */
export type Format = 1 | 2;

/** One record as the journal sees it, numbered by its place; a `cover` stands for up to `to`. */
export type JournalRecord = Readonly<Record<string, unknown>>;

/** What is told of a block to be made. */
export interface NewBlock {
  readonly stream: Stream;
  /** 32 hexadecimal digits. */
  readonly epoch: string;
  /** Sequence of the first record. */
  readonly first: number;
  /** Wall clock at the commit, in milliseconds since 1970. */
  readonly wallMs: number;
  /** Running time of the store at the commit; 0 before it was counted. */
  readonly runMs: number;
}

/** Facts about a block, from its head. */
export interface BlockHead extends NewBlock {
  /** The last sequence its records stand for. */
  readonly last: number;
  /** Records. */
  readonly count: number;
}

/** The last sequence a record with this sequence stands for. */
export function lastOfRecord(record: JournalRecord, sequence: number): number {
  return record.kind === "cover" && typeof record.to === "number" ? record.to : sequence;
}
