// A simple store: records in memory, an epoch per opening, snapshots it can be restored from.
// It must not know who reads it.
import type { LineageEntry, LineRecord, Stream } from "../../src/batch/batch.ts";
import type { StorePosition } from "../../src/sync/lineage.ts";

const names = ["state", "event"] as const;
type Name = (typeof names)[number];

interface Kept extends LineRecord {
  readonly epoch: string;
}

interface StoreData {
  readonly lineage: readonly LineageEntry[];
  readonly records: Readonly<Record<Name, readonly Kept[]>>;
  readonly watermarks: Readonly<Record<Name, number>>;
}

export interface ModelStore {
  append(stream: Name, text: string): void;
  position(): StorePosition;
  /** Records behind `after`, of one epoch. */
  changes(
    stream: Stream,
    after: number,
    limit: number,
  ): {
    epoch: string;
    records: LineRecord[];
    head: number;
  };
  mark(stream: Stream, sequence: number): void;
  /** Opens the store again: a new epoch. */
  reopen(epoch: string): void;
  snapshot(): void;
  restore(epoch: string): void;
  all(stream: Name): readonly Kept[];
  readonly lineage: readonly LineageEntry[];
}

export function openModelStore(epoch: string): ModelStore {
  let data: StoreData = {
    lineage: [{ epoch, parent: null, cuts: {} }],
    records: { state: [], event: [] },
    watermarks: { state: 0, event: 0 },
  };
  let saved = data;
  const newest = () => data.lineage.at(-1)!.epoch;
  const isKnown = (stream: Stream): stream is Name => stream === "state" || stream === "event";
  const reopen = (next: string) => {
    const cuts = { state: data.records.state.length, event: data.records.event.length };
    data = { ...data, lineage: [...data.lineage, { epoch: next, parent: newest(), cuts }] };
  };
  return {
    reopen,
    get lineage() {
      return data.lineage;
    },
    all: (stream) => data.records[stream],
    append(stream, text) {
      const list = data.records[stream];
      const record: Kept = { sequence: list.length + 1, kind: "line", text, epoch: newest() };
      data = { ...data, records: { ...data.records, [stream]: [...list, record] } };
    },
    position() {
      const standing = (name: Name) => ({
        first: 1,
        head: data.records[name].length,
        watermark: data.watermarks[name],
      });
      return {
        lineage: data.lineage,
        streams: { state: standing("state"), event: standing("event") },
      };
    },
    changes(stream, after, limit) {
      if (!isKnown(stream)) return { epoch: newest(), records: [], head: 0 };
      const list = data.records[stream];
      const first = list[after];
      const found = list.slice(after, after + limit).filter(({ epoch: of }) => of === first?.epoch);
      const records = found.map(({ sequence, kind, text }) => ({ sequence, kind, text }));
      return { epoch: first?.epoch ?? newest(), records, head: list.length };
    },
    mark(stream, sequence) {
      if (!isKnown(stream)) return;
      data = { ...data, watermarks: { ...data.watermarks, [stream]: sequence } };
    },
    snapshot() {
      saved = data;
    },
    restore(next) {
      data = saved;
      reopen(next);
    },
  };
}
