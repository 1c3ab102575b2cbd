// A simple store: records in memory, an epoch per opening, snapshots it can be restored from, trims,
// covers. Points and covers are those of production. It must not know who reads it.
import { type BatchRecord, type LineageEntry, lastOf, type Stream } from "../../src/batch/batch.ts";
import type { JournalRecord } from "../../src/journal/journal.ts";
import { type Place, type Point, type PointChange, PointTable } from "../../src/state/points.ts";
import { type CoverRecord, coversOf } from "../../src/state/thinning.ts";
import type { StorePosition } from "../../src/sync/lineage.ts";
import type { Stamp } from "../../src/util/clock.ts";

export const written = ["state", "event"] as const;
export type Written = (typeof written)[number];

export interface Kept {
  readonly epoch: string;
  readonly record: BatchRecord;
}

interface StoreData {
  /** All openings, and from which on they are still named. */
  readonly lineage: readonly LineageEntry[];
  readonly named: number;
  /** All records, those too that covers stand for. */
  readonly records: Readonly<Record<Written, readonly Kept[]>>;
  /** In order; each within one epoch. */
  readonly covers: Readonly<Record<Written, readonly CoverRecord[]>>;
  readonly firsts: Readonly<Record<Written, number>>;
  readonly watermarks: Readonly<Record<Written, number>>;
}

/** A word of the centre about what it holds. */
export interface Mark {
  readonly stream: Stream;
  readonly sequence: number;
  readonly isWelcome: boolean;
}

export interface StoreSettings {
  /** How long acknowledged records stay, and how long a welcome is young. */
  readonly keepMs: number;
  readonly welcomeMs: number;
  /** Broken on purpose: an opening that goes on in the epoch before. */
  readonly isEpochKept?: boolean;
  /** Broken on purpose: what was acknowledged long ago goes without a young welcome. */
  readonly isTrimBlind?: boolean;
  /** Broken on purpose: covers that tell no last values. */
  readonly isLastLost?: boolean;
}

type Said = { readonly atMs: number; readonly sequence: number };

/** A store of one gateway. */
export class ModelStore {
  data: StoreData;
  points = new PointTable(1000);
  /** All that was ever written, in lives that were lost too, by stream, epoch and sequence. */
  readonly ever = new Map<string, BatchRecord>();
  /** All openings that ever were. */
  readonly openings = new Map<string, LineageEntry>();
  private readonly settings: StoreSettings;
  private snapshots: StoreData[] = [];
  /** What was acknowledged when, in this opening. */
  private said: Record<Written, Said[]> = { state: [], event: [] };
  private welcomed: Partial<Record<Written, Said>> = {};

  constructor(epoch: string, settings: StoreSettings) {
    this.settings = settings;
    this.data = {
      lineage: [{ epoch, parent: null, cuts: {} }],
      named: 0,
      records: { state: [], event: [] },
      covers: { state: [], event: [] },
      firsts: { state: 1, event: 1 },
      watermarks: { state: 0, event: 0 },
    };
  }

  get epoch(): string {
    return this.data.lineage.at(-1)?.epoch ?? "";
  }

  head(stream: Written): number {
    return this.data.records[stream].length;
  }

  private append(stream: Written, records: readonly JournalRecord[]): void {
    const list = [...this.data.records[stream]];
    for (const record of records) {
      const numbered = { sequence: list.length + 1, ...record } as unknown as BatchRecord;
      list.push({ epoch: this.epoch, record: numbered });
      this.ever.set(`${stream} ${this.epoch} ${numbered.sequence}`, numbered);
    }
    this.data = { ...this.data, records: { ...this.data.records, [stream]: list } };
  }

  set(change: PointChange): void {
    const records = this.points.recordsOfChanges([change], "writer");
    this.settle(records);
  }

  remove(place: Place, time: Stamp): void {
    this.settle(this.points.recordsOfDeletes([place], time));
  }

  private settle(records: readonly JournalRecord[]): void {
    const first = this.head("state") + 1;
    this.append("state", records);
    this.points.settle(true, records, first);
  }

  tell(event: unknown, time: Stamp): void {
    this.append("event", [{ kind: "event", event, time, source: "writer" }]);
  }

  /** A point whose index nobody defined: no centre can place it. */
  poison(index: number, time: Stamp): void {
    const value = { kind: "point", index, value: 1, quality: "good", time, source: "writer" };
    this.append("state", [value]);
  }

  values(): Point[] {
    return [...this.points.list(undefined, undefined)];
  }

  position(): StorePosition {
    const standing = (name: Written) => ({
      first: this.data.firsts[name],
      head: this.head(name),
      watermark: this.data.watermarks[name],
    });
    return {
      lineage: this.data.lineage.slice(this.data.named),
      streams: { state: standing("state"), event: standing("event") },
    };
  }

  /** Records behind `after`, of one epoch; undefined where the journal refuses. */
  changes(
    stream: Stream,
    after: number,
    limit: number,
  ): { epoch: string; records: BatchRecord[]; head: number } | undefined {
    const name = written.find((each) => each === stream);
    if (name === undefined) return { epoch: this.epoch, records: [], head: 0 };
    const head = this.head(name);
    if (after > head || after < this.data.firsts[name] - 1) return undefined;
    const epoch = this.data.records[name][after]?.epoch ?? this.epoch;
    const records: BatchRecord[] = [];
    for (let at = after + 1; at <= head && records.length < limit; ) {
      if (this.data.records[name][at - 1]?.epoch !== epoch) break;
      const record = this.recordAt(name, at);
      records.push(record);
      at = lastOf(record) + 1;
    }
    return { epoch, records, head };
  }

  /** The record at a sequence, or the cover that stands for it. */
  private recordAt(name: Written, sequence: number): BatchRecord {
    const cover = this.data.covers[name].find(
      (each) => each.sequence <= sequence && each.to >= sequence,
    );
    return cover ?? this.data.records[name][sequence - 1]!.record;
  }

  /** Covers in the place of records of one epoch, sent or not; the newest record stays. */
  thin(draw: (top: number) => number): void {
    const name = written[draw(written.length)]!;
    const head = this.head(name);
    const first = this.data.firsts[name];
    if (head - first < 2) return;
    const start = first + draw(head - first);
    const end = Math.min(head - 1, start + draw(40));
    const records: BatchRecord[] = [];
    const epoch = this.data.records[name][start - 1]?.epoch;
    for (let at = start; at <= end; ) {
      if (this.data.records[name][at - 1]?.epoch !== epoch) break;
      const record = this.recordAt(name, at);
      records.push(record);
      at = lastOf(record) + 1;
    }
    const [from = start] = records.map(({ sequence }) => sequence);
    const to = Math.max(from, ...records.map(lastOf));
    const isThinned = draw(2) === 0;
    const covers = coversOf(records, {
      reason: isThinned ? "thinned" : "quota",
      ...(isThinned ? { spanMs: draw(2) === 0 ? 60_000 : 900_000 } : {}),
      ...(draw(2) === 0 ? { bytesMax: 600 } : {}),
      isReplaced: ({ kind, index, sequence }, definition) =>
        !isThinned && this.isReplaced({ kind, index, sequence }, definition),
    }).map((cover) => (this.settings.isLastLost === true ? withoutLast(cover) : cover));
    const others = this.data.covers[name].filter((each) => each.to < from || each.sequence > to);
    const all = [...others, ...covers].sort((a, b) => a.sequence - b.sequence);
    this.data = { ...this.data, covers: { ...this.data.covers, [name]: all } };
  }

  private isReplaced(
    last: { readonly kind: string; readonly index: number; readonly sequence: number },
    name: { readonly scope: string; readonly key: string } | undefined,
  ): boolean {
    const later = this.data.records.state.findLast(
      ({ record }) =>
        (record.kind === "point" || record.kind === "delete") && record.index === last.index,
    );
    if (later !== undefined && later.record.sequence > last.sequence) return true;
    const point = name === undefined ? undefined : this.points.get(name.scope, name.key);
    return point !== undefined && point.revision > last.sequence;
  }

  mark({ stream, sequence, isWelcome }: Mark, nowMs: number): void {
    const name = written.find((each) => each === stream);
    if (name === undefined || sequence > this.head(name)) return;
    const stands = Math.max(sequence, this.data.firsts[name] - 1);
    this.data = { ...this.data, watermarks: { ...this.data.watermarks, [name]: stands } };
    // What is taken back was never said: its age begins when it is said again.
    const said = this.said[name].filter((before) => before.sequence <= stands);
    this.said[name] = [...said, { atMs: nowMs, sequence: stands }];
    if (isWelcome) this.welcomed[name] = { atMs: nowMs, sequence: stands };
  }

  /** Rule 6; the newest record stays. */
  trim(nowMs: number): void {
    for (const name of written) {
      const aged = this.said[name].findLast(({ atMs }) => atMs <= nowMs - this.settings.keepMs);
      const last = this.welcomed[name];
      const isYoung = last !== undefined && nowMs - last.atMs <= this.settings.welcomeMs;
      const welcomed = isYoung ? last.sequence : 0;
      const limit = Math.min(
        aged?.sequence ?? 0,
        this.data.watermarks[name],
        this.settings.isTrimBlind === true ? Number.POSITIVE_INFINITY : welcomed,
        this.head(name) - 1,
      );
      const first = Math.max(this.data.firsts[name], limit + 1);
      this.data = { ...this.data, firsts: { ...this.data.firsts, [name]: first } };
    }
    this.forgetEpochs();
  }

  private forgetEpochs(): void {
    const { lineage, firsts } = this.data;
    for (let named = this.data.named; named + 1 < lineage.length; named += 1) {
      const cuts = lineage[named + 1]?.cuts ?? {};
      if (written.some((name) => firsts[name] <= (cuts[name] ?? 0))) break;
      this.data = { ...this.data, named: named + 1 };
    }
  }

  /** Opens the store again: a new epoch, that takes the place of an empty one. */
  reopen(epoch: string): void {
    this.said = { state: [], event: [] };
    this.welcomed = {};
    this.points = new PointTable(1000);
    for (const { record } of this.data.records.state) {
      this.points.apply(record as unknown as JournalRecord, record.sequence);
    }
    if (this.settings.isEpochKept === true) return;
    const cuts = { state: this.head("state"), event: this.head("event") };
    const before = this.data.lineage.at(-1);
    const isEmpty = written.every((name) => (before?.cuts[name] ?? 0) === cuts[name]);
    const kept = isEmpty ? this.data.lineage.slice(0, -1) : this.data.lineage;
    const parent = (isEmpty ? before?.parent : before?.epoch) ?? null;
    const named = Math.min(this.data.named, kept.length);
    this.openings.set(epoch, { epoch, parent, cuts });
    this.data = { ...this.data, named, lineage: [...kept, { epoch, parent, cuts }] };
  }

  snapshot(): void {
    this.snapshots = [...this.snapshots, this.data].slice(-3);
  }

  /** Puts one of the last snapshots in the place of all; the same one may come again. */
  restore(epoch: string, draw: (top: number) => number): void {
    const saved = this.snapshots[draw(this.snapshots.length)];
    if (saved !== undefined) this.data = saved;
    this.reopen(epoch);
  }
}

function withoutLast(cover: CoverRecord): CoverRecord {
  const { last: _, ...body } = cover.body as Record<string, unknown>;
  return { ...cover, body };
}
