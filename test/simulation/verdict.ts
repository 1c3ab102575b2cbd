// Holds what the centre commits and answers against what the store wrote: while it happens, and
// when all is quiet. It must not know why anything happened.
import { isDeepStrictEqual } from "node:util";
import { type BatchRecord, type EnvelopeHeader, lastOf } from "../../src/batch/batch.ts";
import { listValues } from "../../src/central/fleet.ts";
import { deviceOf } from "../../src/central/ingest.ts";
import { countsUpTo } from "../../src/central/lineage.ts";
import type { Block } from "../../src/central/rows.ts";
import type { DownMessage } from "../../src/sync/sync-state.ts";
import { type CentreSide, recordsOf } from "./centre-side.ts";
import { type Kept, type ModelStore, type Written, written } from "./model-store.ts";

const violationsMax = 20;

export interface Verdict {
  readonly violations: string[];
  violate(words: string): void;
  /** A block was committed. */
  committed(block: Block & { readonly header: EnvelopeHeader }): void;
  /** The centre answered. */
  answered(message: DownMessage): void;
  /** All is quiet: compares everything. */
  close(centre: CentreSide, device: string): void;
}

export function openVerdict(store: ModelStore): Verdict {
  const violations: string[] = [];
  /** The highest sequence that was ever committed, by epoch and stream. */
  const highest = new Map<string, number>();
  const violate = (words: string) => {
    if (violations.length < violationsMax) violations.push(words);
  };

  function checkAnswer(epoch: string, stream: string, sequence: number): void {
    const start = store.openings.get(epoch)?.cuts[stream as Written] ?? 0;
    const most = Math.max(start, highest.get(`${epoch} ${stream}`) ?? 0);
    if (sequence > most) violate(`${stream}: ${sequence} is acknowledged, ${most} is committed`);
  }

  return {
    violations,
    violate,
    committed({ header, from, to }) {
      const { epoch = "", stream = "" } = header;
      const name = `${epoch} ${stream}`;
      highest.set(name, Math.max(highest.get(name) ?? 0, to));
      if (from > to) violate(`${stream}: a block from ${from} to ${to}`);
    },
    answered(message) {
      if (message.type === "ack" || message.type === "want") {
        const { epoch, stream, sequence } = message.body;
        checkAnswer(epoch, stream, sequence);
      }
      if (message.type !== "welcome") return;
      for (const [epoch, positions] of Object.entries(message.body.positions)) {
        for (const [stream, sequence] of Object.entries(positions)) {
          checkAnswer(epoch, stream, sequence ?? 0);
        }
      }
    },
    close(centre, device) {
      for (const gap of centre.gaps(device)) {
        violate(`${gap.stream}: ${gap.from} to ${gap.to} of ${gap.epoch} were given up`);
      }
      for (const stream of written) compare(stream, centre, device);
      const held = valuesOf(listValues(centre.state, device));
      const wanted = valuesOf(store.values());
      if (!isDeepStrictEqual(held, wanted)) {
        violate(`latest are ${JSON.stringify(held)}, not ${JSON.stringify(wanted)}`);
      }
      if (!isDeepStrictEqual(valuesOf(listValues(centre.reread(), device)), held)) {
        violate("the latest values in memory are not those of the rows");
      }
    },
  };

  /** Every record of history: in order, what was written, an orphan only where it was lost. */
  function compare(stream: Written, centre: CentreSide, device: string): void {
    const mine = new Map<string, Kept>(
      store.data.records[stream].map((kept) => [`${kept.epoch} ${kept.record.sequence}`, kept]),
    );
    const lineage = deviceOf(centre.state, device)?.lineage;
    const arrived: string[] = [];
    let before = { generation: 0, sequence: 0 };
    for (const block of centre.blocks(device, stream)) {
      const { generation } = block;
      const { epoch = "" } = block.header;
      const bound = lineage === undefined ? -1 : countsUpTo(lineage, epoch, stream);
      for (const record of recordsOf(block)) {
        // A cover stands for each record from the one behind what was there before.
        const from = Math.max(record.sequence, block.from);
        for (let sequence = from; sequence <= lastOf(record); sequence += 1) {
          const name = `${epoch} ${sequence}`;
          const isLater = generation - before.generation || sequence - before.sequence;
          if (isLater <= 0) violate(`${stream}: ${name} is out of order or twice`);
          before = { generation, sequence };
          const kept = mine.get(name);
          if (kept !== undefined) arrived.push(name);
          judge(stream, name, { record, kept, isOrphan: sequence > bound });
        }
      }
    }
    if (isDeepStrictEqual(arrived, [...mine.keys()])) return;
    const there = new Set(arrived);
    const missing = [...mine.keys()].filter((name) => !there.has(name));
    violate(`${stream}: ${missing.length} missing (${missing[0]}), or in another order`);
  }

  interface Found {
    readonly record: BatchRecord;
    /** The store's record of that name, unless it was lost. */
    readonly kept: Kept | undefined;
    readonly isOrphan: boolean;
  }

  function judge(stream: Written, name: string, { record, kept, isOrphan }: Found): void {
    if (kept === undefined) {
      if (!store.ever.has(`${stream} ${name}`)) violate(`${stream}: a stranger ${name}`);
      else if (!isOrphan) violate(`${stream}: ${name} was lost and counts`);
      return;
    }
    if (isOrphan) violate(`${stream}: ${name} is an orphan but was never lost`);
    if (!isSame(kept.record, record)) violate(`${stream}: ${name} is another record`);
  }
}

/** A poisoned record arrives within its cover. */
function isSame(kept: BatchRecord, arrived: BatchRecord): boolean {
  if (arrived.kind === "cover" && isOfStore(arrived)) return true;
  const isPoison = kept.kind === "point" && kept.index >= 1_000_000;
  if (!isPoison) return isDeepStrictEqual(plain(kept), plain(arrived));
  if (arrived.kind !== "cover") return false;
  const { reason, record } = arrived.body as { reason?: unknown; record?: unknown };
  return reason === "refused" && isDeepStrictEqual(plain(record), plain(kept));
}

/** A cover the store made: what it tells shows in the latest values. */
function isOfStore({ body }: Extract<BatchRecord, { kind: "cover" }>): boolean {
  const { reason } = body as { reason?: unknown };
  return reason === "thinned" || reason === "quota";
}

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value ?? null));

function valuesOf(
  points: readonly { scope: string; key: string; value: unknown; quality: string }[],
): Record<string, unknown> {
  return Object.fromEntries(
    points.map(({ scope, key, value, quality }) => [`${scope} ${key}`, [value, quality]]),
  );
}
