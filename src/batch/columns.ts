// Columns of a section: texts by reference, stamps, values, each as small as its neighbours allow.
// It must not know which records the columns make up.
import type { ClockSync, Stamp } from "../util/clock.ts";
import { type ByteReader, type ByteWriter, malformed, signedMax } from "./bytes.ts";
import type { Quality } from "./records.ts";

export const syncs: readonly ClockSync[] = ["none", "rtc", "ntp", "central"];
export const qualities: readonly Quality[] = ["good", "uncertain", "bad"];
/** Times outside (±35,000 years) are no times. */
export const timeMax = 2 ** 50;
/** Decimals with more places travel as floats. */
const placesMax = 9;

const tagNull = 0;
const tagFalse = 1;
const tagTrue = 2;
const tagText = 3;
const tagJson = 4;
const tagFloat = 5;
const tagDouble = 6;
const tagBig = 7;
/** Tag of a decimal without places; one more per place. */
const tagDecimal = 16;

/** The texts of a section, each once; reference 0 is "none". */
export class TextTable {
  private readonly references = new Map<string, number>();

  refer(text: string | undefined): number {
    if (text === undefined) return 0;
    const known = this.references.get(text);
    if (known !== undefined) return known;
    this.references.set(text, this.references.size + 1);
    return this.references.size;
  }

  write(writer: ByteWriter): void {
    writer.whole(this.references.size);
    for (const text of this.references.keys()) writer.text(text.toWellFormed());
  }
}

/** Reads a table of texts; the returned function resolves references. */
export function readTexts(reader: ByteReader): (reference: number) => string | undefined {
  const count = reader.whole();
  if (count > reader.left) throw malformed("more texts than bytes");
  const texts: string[] = [];
  for (let at = 0; at < count; at += 1) texts.push(reader.text());
  return (reference) => {
    if (reference > count) throw malformed("a text is referred to that is not there");
    return texts[reference - 1];
  };
}

function time(value: number): number {
  return Math.min(timeMax, Math.max(-timeMax, Math.round(value)));
}

/** Clock and boot, wall time by difference, and the drift between wall and monotonic time. */
export function writeStamps(writer: ByteWriter, stamps: readonly Stamp[], texts: TextTable): void {
  for (const { boot, sync } of stamps) {
    writer.whole(texts.refer(boot) * syncs.length + Math.max(0, syncs.indexOf(sync)));
  }
  let wall = 0;
  for (const stamp of stamps) {
    const next = time(stamp.wall);
    writer.signed(next - wall);
    wall = next;
  }
  let ahead = 0;
  for (const stamp of stamps) {
    const next = time(stamp.wall) - time(stamp.mono);
    writer.signed(next - ahead);
    ahead = next;
  }
}

export function readStamps(
  reader: ByteReader,
  count: number,
  textOf: (reference: number) => string | undefined,
): Stamp[] {
  const clocks: number[] = [];
  for (let at = 0; at < count; at += 1) clocks.push(reader.whole());
  const walls: number[] = [];
  let wall = 0;
  for (let at = 0; at < count; at += 1) {
    wall += reader.signed();
    if (Math.abs(wall) > timeMax) throw malformed("a time is out of range");
    walls.push(wall);
  }
  const stamps: Stamp[] = [];
  let ahead = 0;
  for (let at = 0; at < count; at += 1) {
    ahead += reader.signed();
    const clock = clocks[at] ?? 0;
    const boot = textOf(Math.floor(clock / syncs.length));
    const sync = syncs[clock % syncs.length];
    if (boot === undefined || sync === undefined) throw malformed("a stamp has no boot");
    const mono = (walls[at] ?? 0) - ahead;
    if (Math.abs(mono) > timeMax) throw malformed("a time is out of range");
    stamps.push({ wall: walls[at] ?? 0, boot, mono, sync });
  }
  return stamps;
}

/** Quality and reason in one number: good without a reason is 0. */
export function qualityCode(quality: Quality, reason: number): number {
  return Math.max(0, qualities.indexOf(quality)) + qualities.length * reason;
}

export function qualityOf(code: number): { quality: Quality; reason: number } {
  const quality = qualities[code % qualities.length];
  return { quality: quality ?? "bad", reason: Math.floor(code / qualities.length) };
}

/** What the last value of an index was, for differences. */
interface Before {
  places: number;
  mantissa: number;
  big: bigint;
}

function beforeOf(all: Map<number, Before>, index: number): Before {
  const known = all.get(index);
  if (known !== undefined) return known;
  const fresh: Before = { places: 0, mantissa: 0, big: 0n };
  all.set(index, fresh);
  return fresh;
}

/** How a number is a decimal with few places, at least as many as the one before it had. */
function asDecimal(value: number, least: number): { places: number; mantissa: number } | undefined {
  if (Object.is(value, -0)) return undefined;
  for (let places = least; places <= placesMax; places += 1) {
    const scale = 10 ** places;
    const mantissa = Math.round(value * scale);
    if (Math.abs(mantissa) > signedMax / 2) return undefined;
    if (mantissa / scale === value) return { places, mantissa: mantissa === 0 ? 0 : mantissa };
  }
  return undefined;
}

/** A decimal string of 64 bits, signed or not, in its only spelling. */
function asBig(value: string): bigint | undefined {
  if (!/^(0|-?[1-9][0-9]{0,19})$/.test(value)) return undefined;
  const big = BigInt(value);
  return big >= -(2n ** 63n) && big < 2n ** 64n ? big : undefined;
}

/** The values of points: first all kinds, then what each kind needs. */
export function writeValues(
  writer: ByteWriter,
  items: readonly { readonly index: number; readonly value: unknown }[],
  texts: TextTable,
): void {
  const all = new Map<number, Before>();
  const bodies: ((target: ByteWriter) => void)[] = [];
  for (const { index, value } of items) {
    const { tag, body } = valueParts(value, beforeOf(all, index), texts);
    writer.byte(tag);
    if (body !== undefined) bodies.push(body);
  }
  for (const body of bodies) body(writer);
}

type ValueParts = { tag: number; body?: (target: ByteWriter) => void };

function valueParts(value: unknown, before: Before, texts: TextTable): ValueParts {
  if (value === null || value === undefined) return { tag: tagNull };
  if (value === false) return { tag: tagFalse };
  if (value === true) return { tag: tagTrue };
  if (typeof value === "number") return numberParts(value, before);
  if (typeof value === "string") {
    const big = asBig(value);
    if (big !== undefined) {
      const difference = big - before.big;
      before.big = big;
      return { tag: tagBig, body: (target) => target.signedBig(difference) };
    }
    if (value.isWellFormed()) {
      const reference = texts.refer(value);
      return { tag: tagText, body: (target) => target.whole(reference) };
    }
  }
  const reference = texts.refer(JSON.stringify(value) ?? "null");
  return { tag: tagJson, body: (target) => target.whole(reference) };
}

function numberParts(value: number, before: Before): ValueParts {
  if (!Number.isFinite(value)) return { tag: tagNull };
  const decimal = asDecimal(value, before.places) ?? asDecimal(value, 0);
  if (decimal !== undefined) {
    const { places, mantissa } = decimal;
    const difference = places === before.places ? mantissa - before.mantissa : mantissa;
    before.places = places;
    before.mantissa = mantissa;
    return { tag: tagDecimal + places, body: (target) => target.signed(difference) };
  }
  if (Math.fround(value) === value) return { tag: tagFloat, body: (target) => target.float(value) };
  return { tag: tagDouble, body: (target) => target.double(value) };
}

export function readValues(
  reader: ByteReader,
  indices: readonly number[],
  textOf: (reference: number) => string | undefined,
): unknown[] {
  const tags = reader.bytes(indices.length);
  const all = new Map<number, Before>();
  return indices.map((index, at) => {
    const tag = tags[at] ?? tagNull;
    const before = beforeOf(all, index);
    return tag >= tagDecimal
      ? readDecimal(reader, tag, before)
      : readValue(reader, tag, { before, textOf });
  });
}

function readDecimal(reader: ByteReader, tag: number, before: Before): number {
  const places = tag - tagDecimal;
  if (places > placesMax) throw malformed("a value has a kind that does not exist");
  const difference = reader.signed();
  const mantissa = places === before.places ? before.mantissa + difference : difference;
  if (Math.abs(mantissa) > signedMax / 2) throw malformed("a value is out of range");
  before.places = places;
  before.mantissa = mantissa;
  return mantissa / 10 ** places;
}

interface ValueContext {
  readonly before: Before;
  readonly textOf: (reference: number) => string | undefined;
}

function readValue(reader: ByteReader, tag: number, context: ValueContext): unknown {
  const { before, textOf } = context;
  const finite = (value: number) => {
    if (!Number.isFinite(value)) throw malformed("a value is no number");
    return value;
  };
  const text = () => {
    const found = textOf(reader.whole());
    if (found === undefined) throw malformed("a value has no text");
    return found;
  };
  switch (tag) {
    case tagNull:
      return null;
    case tagFalse:
      return false;
    case tagTrue:
      return true;
    case tagText:
      return text();
    case tagJson:
      return parseJson(text());
    case tagFloat:
      return finite(reader.float());
    case tagDouble:
      return finite(reader.double());
    case tagBig:
      before.big += reader.signedBig();
      if (before.big < -(2n ** 63n) || before.big >= 2n ** 64n) {
        throw malformed("an integer is out of range");
      }
      return before.big.toString();
    default:
      throw malformed("a value has a kind that does not exist");
  }
}

/** JSON of a batch. @throws PlantError BATCH_MALFORMED */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) throw malformed("a JSON text cannot be read");
    throw error;
  }
}
