// One line of sequences over all epochs of the gateway's lineage, and where the centre stands on it.
// Pure. It must not know how positions travel.
import type { Body, LineageEntry, Stream } from "../batch/batch.ts";

/** A stream of the store: the first kept and the last flushed sequence, and the watermark. */
export interface StreamPosition {
  readonly first: number;
  readonly head: number;
  readonly watermark: number;
  /** When the oldest record that waits was made, as the store says it. */
  readonly oldest?: unknown;
}

/** What the store says of itself: its openings, newest last, and its streams. */
export interface StorePosition {
  readonly lineage: readonly LineageEntry[];
  readonly streams: Readonly<Partial<Record<Stream, StreamPosition>>>;
}

type Positions = Body<"welcome">["positions"];

/**
 * Where the centre stands on a stream: up to there every epoch has arrived up to its cut. What it
 * holds above a cut belongs to a future that was rolled back, and does not count.
 */
export function standing(
  lineage: readonly LineageEntry[],
  positions: Positions,
  stream: Stream,
): number {
  let stands = 0;
  for (const [at, { epoch, cuts }] of lineage.entries()) {
    const start = cuts[stream] ?? 0;
    const cut = cutOf(lineage, at, stream);
    stands = Math.min(Math.max(positions[epoch]?.[stream] ?? 0, start), cut);
    if (stands < cut) return stands;
  }
  return stands;
}

/** A sequence of an epoch on the line, or undefined when the epoch is not of the lineage. */
export function onLine(
  lineage: readonly LineageEntry[],
  at: { readonly epoch: string; readonly stream: Stream; readonly sequence: number },
): number | undefined {
  const index = lineage.findIndex(({ epoch }) => epoch === at.epoch);
  const start = lineage[index]?.cuts[at.stream] ?? 0;
  if (index < 0) return undefined;
  return Math.min(Math.max(at.sequence, start), cutOf(lineage, index, at.stream));
}

/** The last sequence of an epoch that its child names; none bounds the newest. */
function cutOf(lineage: readonly LineageEntry[], index: number, stream: Stream): number {
  const child = lineage[index + 1];
  return child === undefined ? Number.POSITIVE_INFINITY : (child.cuts[stream] ?? 0);
}
