// Columns of a section: texts by reference, indices, stamps, each as small as neighbours allow.
// It must not know which records the columns make up.
import type { ClockSync, Stamp } from "../util/clock.ts";
import { type ByteReader, type ByteWriter, malformed } from "./bytes.ts";
import type { Quality } from "./records.ts";

export const syncs: readonly ClockSync[] = ["none", "rtc", "ntp", "central"];
export const qualities: readonly Quality[] = ["good", "uncertain", "bad"];
/** Times outside (±35,000 years) are no times. */
export const timeMax = 2 ** 50;

/** The texts of a section, each once; reference 0 is "none". */
export class TextTable {
  private readonly references = new Map<string, number>();
  /** The text asked for last: neighbours often share theirs. */
  private last: string | undefined;
  private lastReference = 0;

  refer(text: string | undefined): number {
    if (text === undefined) return 0;
    if (text === this.last) return this.lastReference;
    let reference = this.references.get(text);
    if (reference === undefined) {
      reference = this.references.size + 1;
      this.references.set(text, reference);
    }
    this.last = text;
    this.lastReference = reference;
    return reference;
  }

  write(writer: ByteWriter): void {
    writer.whole(this.references.size);
    for (const text of this.references.keys()) writer.text(text);
  }
}

/** The texts of a section that is read. */
export class Texts {
  private readonly texts: string[] = [];

  constructor(reader: ByteReader) {
    const count = reader.whole();
    if (count > reader.left) throw malformed("more texts than bytes");
    for (let at = 0; at < count; at += 1) this.texts.push(reader.text());
  }

  /** The text of a reference; undefined for "none". */
  at(reference: number): string | undefined {
    if (reference === 0) return undefined;
    if (reference > this.texts.length) {
      throw malformed("a text is referred to that is not there");
    }
    return this.texts[reference - 1];
  }

  required(reference: number): string {
    const text = this.at(reference);
    if (text === undefined) throw malformed("a text is missing");
    return text;
  }
}

/** Records of one kind, `from` (included) to `to` (excluded). */
export interface Run<T> {
  readonly items: readonly T[];
  readonly from: number;
  readonly to: number;
}

/** Where a run is not what it says: never, by those who make runs. */
function absent(): never {
  throw malformed("a run is longer than its records");
}

/** Indices of points, one per value, and their bounds. */
export interface Indices {
  readonly all: Float64Array;
  readonly min: number;
  readonly max: number;
}

export function writeIndices(
  writer: ByteWriter,
  { items, from, to }: Run<{ readonly index: number }>,
): Indices {
  const all = new Float64Array(to - from);
  let before = 0;
  let min = Number.POSITIVE_INFINITY;
  let max = 0;
  for (let at = from; at < to; at += 1) {
    const { index } = items[at] ?? absent();
    writer.signed(index - before);
    all[at - from] = index;
    if (index < min) min = index;
    if (index > max) max = index;
    before = index;
  }
  return { all, min, max };
}

export function readIndices(reader: ByteReader, count: number): Indices {
  const all = new Float64Array(count);
  let index = 0;
  let min = Number.POSITIVE_INFINITY;
  let max = 0;
  for (let at = 0; at < count; at += 1) {
    index += reader.signed();
    if (index < 0 || index > Number.MAX_SAFE_INTEGER) throw malformed("an index is out of range");
    all[at] = index;
    if (index < min) min = index;
    if (index > max) max = index;
  }
  return { all, min, max };
}

function time(value: number): number {
  return Math.min(timeMax, Math.max(-timeMax, Math.round(value)));
}

/** Clock and boot, wall time by difference, and the drift between wall and monotonic time. */
export function writeStamps(
  writer: ByteWriter,
  { items, from, to }: Run<{ readonly time: Stamp }>,
  texts: TextTable,
): void {
  for (let at = from; at < to; at += 1) {
    const { boot, sync } = (items[at] ?? absent()).time;
    writer.whole(texts.refer(boot) * syncs.length + Math.max(0, syncs.indexOf(sync)));
  }
  let wall = 0;
  for (let at = from; at < to; at += 1) {
    const next = time((items[at] ?? absent()).time.wall);
    writer.signed(next - wall);
    wall = next;
  }
  let ahead = 0;
  for (let at = from; at < to; at += 1) {
    const stamp = (items[at] ?? absent()).time;
    const next = time(stamp.wall) - time(stamp.mono);
    writer.signed(next - ahead);
    ahead = next;
  }
}

/** A boot and how far its clock was trusted. */
export type ClockName = Pick<Stamp, "boot" | "sync">;

/** Stamps in columns. */
export interface Stamps {
  /** Places in `clocks`. */
  readonly clock: Uint32Array;
  readonly clocks: readonly ClockName[];
  readonly wall: Float64Array;
  readonly mono: Float64Array;
}

export function readStamps(reader: ByteReader, count: number, texts: Texts): Stamps {
  const clock = new Uint32Array(count);
  const clocks: ClockName[] = [];
  const places = new Map<number, number>();
  let code = -1;
  let place = 0;
  for (let at = 0; at < count; at += 1) {
    const next = reader.whole();
    if (next !== code) {
      code = next;
      place = places.get(code) ?? clocks.length;
      if (place === clocks.length) clocks.push(clockName(code, texts));
      places.set(code, place);
    }
    clock[at] = place;
  }
  const wall = new Float64Array(count);
  let last = 0;
  for (let at = 0; at < count; at += 1) {
    last += reader.signed();
    if (Math.abs(last) > timeMax) throw malformed("a time is out of range");
    wall[at] = last;
  }
  const mono = new Float64Array(count);
  let ahead = 0;
  for (let at = 0; at < count; at += 1) {
    ahead += reader.signed();
    const next = (wall[at] ?? 0) - ahead;
    if (!(Math.abs(next) <= timeMax)) throw malformed("a time is out of range");
    mono[at] = next;
  }
  return { clock, clocks, wall, mono };
}

function clockName(code: number, texts: Texts): ClockName {
  const boot = texts.at(Math.floor(code / syncs.length));
  const sync = syncs[code % syncs.length];
  if (boot === undefined || sync === undefined) throw malformed("a stamp has no boot");
  return { boot, sync };
}

/** The stamps of a section as records have them: neighbours that are alike share theirs. */
export class StampReader {
  private readonly stamps: Stamps;
  private last: Stamp | undefined;
  private lastClock = -1;

  constructor(stamps: Stamps) {
    this.stamps = stamps;
  }

  at(at: number): Stamp {
    const { clock, clocks, wall: walls, mono: monos } = this.stamps;
    const place = clock[at] ?? 0;
    const wall = walls[at] ?? 0;
    const mono = monos[at] ?? 0;
    const { last } = this;
    if (last?.wall === wall && last.mono === mono && this.lastClock === place) return last;
    const { boot, sync } = clocks[place] ?? absent();
    const stamp = { wall, boot, mono, sync };
    this.last = stamp;
    this.lastClock = place;
    return stamp;
  }
}

export function writeQualities(
  writer: ByteWriter,
  { items, from, to }: Run<{ readonly quality: Quality; readonly reason?: string | undefined }>,
  texts: TextTable,
): void {
  for (let at = from; at < to; at += 1) {
    const { quality, reason } = items[at] ?? absent();
    const place = quality === "good" ? 0 : Math.max(0, qualities.indexOf(quality));
    writer.whole(place + qualities.length * texts.refer(reason));
  }
}

/** Qualities, and the references of their reasons, which are 0 where there is none. */
export interface QualityColumns {
  readonly quality: Uint8Array;
  readonly reason: Uint32Array;
}

export function readQualities(reader: ByteReader, count: number, texts: Texts): QualityColumns {
  const quality = new Uint8Array(count);
  const reason = new Uint32Array(count);
  for (let at = 0; at < count; at += 1) {
    const code = reader.whole();
    if (code === 0) continue;
    const reference = Math.floor(code / qualities.length);
    texts.at(reference);
    quality[at] = code % qualities.length;
    reason[at] = reference;
  }
  return { quality, reason };
}

export function writeSources(
  writer: ByteWriter,
  { items, from, to }: Run<{ readonly source?: string | undefined }>,
  texts: TextTable,
): void {
  for (let at = from; at < to; at += 1) writer.whole(texts.refer((items[at] ?? absent()).source));
}

/** References of texts, 0 where there is none. */
export function readReferences(reader: ByteReader, count: number, texts: Texts): Uint32Array {
  const references = new Uint32Array(count);
  for (let at = 0; at < count; at += 1) {
    const reference = reader.whole();
    if (reference !== 0) texts.at(reference);
    references[at] = reference;
  }
  return references;
}
