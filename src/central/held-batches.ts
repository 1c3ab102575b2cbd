// Batches that came before their turn, bounded by bytes and time.
// It must not know whose turn it is.
import type { Envelope, Stream } from "../batch/batch.ts";

/** How long a held batch stays; its gateway sends it again. */
const lifeMs = 60_000;
/** All that is held, over all streams, in multiples of what one stream may hold. */
const queuesWorthMax = 32;

/** One early batch. */
export interface HeldBatch {
  readonly device: string;
  readonly epoch: string;
  readonly stream: Stream;
  readonly first: number;
  readonly envelope: Envelope;
  readonly payload: Uint8Array;
  /** Monotonic milliseconds. */
  readonly since: number;
}

/** The early batches of one stream of one epoch. */
class HeldQueue {
  readonly device: string;
  readonly epoch: string;
  readonly stream: Stream;
  readonly batches = new Map<number, HeldBatch>();
  bytes = 0;
  /** Monotonic milliseconds of the last want. */
  wantedAt: number | undefined;

  constructor({ device, epoch, stream }: HeldBatch) {
    this.device = device;
    this.epoch = epoch;
    this.stream = stream;
  }

  oldest(): HeldBatch | undefined {
    return [...this.batches.values()].sort((a, b) => a.since - b.since)[0];
  }
}

function sizeOf(batch: HeldBatch): number {
  return batch.payload.length + batch.envelope.body.length;
}

/** All early batches. */
export class HeldBatches {
  readonly queues = new Map<string, HeldQueue>();
  private readonly bytesMax: number;
  private bytes = 0;

  /** @param bytesMax of one stream of one epoch, expanded bodies included. */
  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** Holds a batch; false when there is no room for it. */
  add(batch: HeldBatch): boolean {
    const name = `${batch.device}/${batch.epoch}/${batch.stream}`;
    const queue = this.queues.get(name) ?? new HeldQueue(batch);
    const before = queue.batches.get(batch.first);
    if (before !== undefined) this.remove(queue, batch.first);
    const size = sizeOf(batch);
    const isFull =
      queue.bytes + size > this.bytesMax || this.bytes + size > this.bytesMax * queuesWorthMax;
    if (isFull) return false;
    this.queues.set(name, queue);
    // Sent again, it has waited since it first came; its nonce is that of the new connection.
    queue.batches.set(batch.first, { ...batch, since: before?.since ?? batch.since });
    queue.bytes += size;
    this.bytes += size;
    return true;
  }

  /** Takes out the first batch of a device that is in its turn. */
  take(device: string, isInTurn: (batch: HeldBatch) => boolean): HeldBatch | undefined {
    for (const queue of this.queues.values()) {
      if (queue.device !== device) continue;
      for (const batch of queue.batches.values()) {
        if (!isInTurn(batch)) continue;
        this.remove(queue, batch.first);
        return batch;
      }
    }
    return undefined;
  }

  remove(queue: HeldQueue, first: number): void {
    const batch = queue.batches.get(first);
    if (batch === undefined) return;
    queue.batches.delete(first);
    queue.bytes -= sizeOf(batch);
    this.bytes -= sizeOf(batch);
    if (queue.batches.size > 0) return;
    this.queues.delete(`${queue.device}/${queue.epoch}/${queue.stream}`);
  }
}

/** Lets go of what has waited too long; what is left are the queues that still wait. */
export function expireHeld(held: HeldBatches, monoMs: number): HeldQueue[] {
  for (const queue of [...held.queues.values()]) {
    for (const batch of [...queue.batches.values()]) {
      if (monoMs - batch.since > lifeMs) held.remove(queue, batch.first);
    }
  }
  return [...held.queues.values()];
}
