// The epochs of one device: generations, cuts, and where each stream of each epoch stands.
// Pure. It must not know disks, sockets or clocks.
import type { Stream } from "../batch/batch.ts";

/** Last sequences by stream; 0 where a stream is not named. */
export type Marks = Readonly<Partial<Record<Stream, number>>>;

/** One opening of a gateway's store, as the centre knows it. */
export interface Epoch {
  readonly id: string;
  readonly parent?: string;
  /** Across epochs the higher generation is the later. */
  readonly generation: number;
  /** Last sequences of the parent: the numbers of this epoch go on from there. */
  readonly start: Marks;
  /** When a batch was last applied, milliseconds since 1970 UTC. */
  readonly appliedAt?: number;
  /** Last sequences applied here. */
  readonly position: Marks;
}

/** All epochs of a device, and the newest that has spoken. */
export interface Lineage {
  readonly epochs: Map<string, Epoch>;
  head: string | undefined;
}

export function startOf(epoch: Epoch, stream: Stream): number {
  return epoch.start[stream] ?? 0;
}

/** The last sequence applied; before the first it is the parent's last. */
export function positionOf(epoch: Epoch, stream: Stream): number {
  return Math.max(epoch.position[stream] ?? 0, startOf(epoch, stream));
}

/** From `id` to its oldest known ancestor. Ends at a ring, which a sound gateway never makes. */
export function ancestryOf(lineage: Lineage, id: string): Epoch[] {
  const line: Epoch[] = [];
  let epoch = lineage.epochs.get(id);
  while (epoch !== undefined && !line.includes(epoch)) {
    line.push(epoch);
    epoch = epoch.parent === undefined ? undefined : lineage.epochs.get(epoch.parent);
  }
  return line;
}

/**
 * How far records of an epoch count for the latest values: up to its cut, without bound for the
 * head, not at all (-1) outside the head's line.
 */
export function countsUpTo(lineage: Lineage, id: string, stream: Stream): number {
  if (lineage.head === undefined) return -1;
  let child: Epoch | undefined;
  for (const epoch of ancestryOf(lineage, lineage.head)) {
    if (epoch.id === id) return child === undefined ? Infinity : startOf(child, stream);
    child = epoch;
  }
  return -1;
}

/** An ancestor that does not stand at its cut yet, with what it lacks. */
export interface Lack {
  readonly epoch: Epoch;
  /** The first and the last sequence that are missing. */
  readonly from: number;
  readonly to: number;
}

/** The oldest ancestor of `id` that does not stand at its cut; a batch waits behind it. */
export function gateOf(lineage: Lineage, id: string, stream: Stream): Lack | undefined {
  const line = ancestryOf(lineage, id);
  for (let at = line.length - 1; at > 0; at -= 1) {
    const epoch = line[at];
    const child = line[at - 1];
    if (epoch === undefined || child === undefined) continue;
    const stands = positionOf(epoch, stream);
    const cut = startOf(child, stream);
    if (stands < cut) return { epoch, from: stands + 1, to: cut };
  }
  return undefined;
}
