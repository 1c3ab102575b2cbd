// The column of values: numbers as differences of decimals where they are any, the rest by kind.
// It must not know which records the values belong to.
import { type ByteReader, type ByteWriter, malformed, signedMax } from "./bytes.ts";
import type { Indices, Texts, TextTable } from "./columns.ts";

/** Decimals with more places travel as floats. */
const placesMax = 9;
const scales = [1, 10, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9] as const;
const mantissaMax = signedMax / 2;

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

/** What the last value of each index was, for differences: places, mantissa, 64-bit integer. */
class Before {
  readonly places: Uint8Array;
  readonly mantissas: Float64Array;
  readonly #bigs = new Map<number, bigint>();
  readonly #base: number;
  /** Slots of indices that lie too far apart for a table. */
  readonly #slots: Map<number, number> | undefined;

  constructor({ all, min, max }: Indices) {
    const span = max - min + 1;
    const isDense = span <= 4 * all.length + 64;
    const size = isDense ? span : all.length;
    this.places = new Uint8Array(size);
    this.mantissas = new Float64Array(size);
    this.#base = min;
    this.#slots = isDense ? undefined : new Map();
  }

  slotOf(index: number): number {
    return this.#slots === undefined ? index - this.#base : this.#sparse(this.#slots, index);
  }

  #sparse(slots: Map<number, number>, index: number): number {
    const known = slots.get(index);
    if (known !== undefined) return known;
    slots.set(index, slots.size);
    return slots.size - 1;
  }

  big(slot: number): bigint {
    return this.#bigs.get(slot) ?? 0n;
  }

  setBig(slot: number, value: bigint): void {
    this.#bigs.set(slot, value);
  }
}

/** Records with values, from one on, and their indices. */
interface ValueRun {
  readonly indices: Indices;
  readonly items: readonly { readonly value: unknown }[];
  readonly from: number;
}

/** The values of points: first all kinds, then what each kind needs. */
export function writeValues(
  writer: ByteWriter,
  { indices, items, from }: ValueRun,
  texts: TextTable,
): void {
  const before = new Before(indices);
  const { all } = indices;
  const tags = writer.gap(all.length);
  for (let at = 0; at < all.length; at += 1) {
    const value = items[from + at]?.value;
    const slot = before.slotOf(all[at] ?? 0);
    const tag =
      typeof value === "number"
        ? writeNumber(writer, value, { before, slot })
        : writeOther(writer, value, { before, slot, texts });
    writer.put(tags + at, tag);
  }
}

interface Place {
  readonly before: Before;
  readonly slot: number;
}

function writeNumber(writer: ByteWriter, value: number, { before, slot }: Place): number {
  const least = before.places[slot] ?? 0;
  const places = placesOf(value, least);
  if (places >= 0) {
    const mantissa = Math.round(value * (scales[places] ?? 1));
    writer.signed(places === least ? mantissa - (before.mantissas[slot] ?? 0) : mantissa);
    before.places[slot] = places;
    before.mantissas[slot] = mantissa;
    return tagDecimal + places;
  }
  if (!Number.isFinite(value)) return tagNull;
  if (Math.fround(value) === value) {
    writer.float(value);
    return tagFloat;
  }
  writer.double(value);
  return tagDouble;
}

/** How many places a number has as a decimal, `least` or the next more if it may; -1 if it is none. */
function placesOf(value: number, least: number): number {
  if (value === 0) return Object.is(value, -0) ? -1 : least;
  const more = placesFrom(value, least, placesMax);
  return more >= 0 ? more : placesFrom(value, 0, least - 1);
}

function placesFrom(value: number, from: number, to: number): number {
  for (let places = from; places <= to; places += 1) {
    const scale = scales[places] ?? 1;
    const mantissa = Math.round(value * scale);
    if (!(Math.abs(mantissa) <= mantissaMax)) return -1;
    if (mantissa / scale === value) return places;
  }
  return -1;
}

function writeOther(
  writer: ByteWriter,
  value: unknown,
  { before, slot, texts }: Place & { readonly texts: TextTable },
): number {
  if (value === null || value === undefined) return tagNull;
  if (value === false) return tagFalse;
  if (value === true) return tagTrue;
  if (typeof value === "string") {
    const big = asBig(value);
    if (big !== undefined) {
      writer.signedBig(big - before.big(slot));
      before.setBig(slot, big);
      return tagBig;
    }
    if (value.isWellFormed()) {
      writer.whole(texts.refer(value));
      return tagText;
    }
  }
  writer.whole(texts.refer(JSON.stringify(value) ?? "null"));
  return tagJson;
}

/** A decimal string of 64 bits, signed or not, in its only spelling. */
function asBig(value: string): bigint | undefined {
  if (value.length > 20 || !/^(0|-?[1-9][0-9]{0,19})$/.test(value)) return undefined;
  const big = BigInt(value);
  return big >= -(2n ** 63n) && big < 2n ** 64n ? big : undefined;
}

export function readValues(reader: ByteReader, indices: Indices, texts: Texts): unknown[] {
  const { all } = indices;
  const tags = reader.bytes(all.length);
  const before = new Before(indices);
  const { places, mantissas } = before;
  const values: unknown[] = [];
  for (let at = 0; at < all.length; at += 1) {
    const tag = tags[at] ?? tagNull;
    const slot = before.slotOf(all[at] ?? 0);
    const more = tag - tagDecimal;
    if (more < 0) {
      values.push(readOther(reader, tag, { before, slot, texts }));
      continue;
    }
    if (more > placesMax) throw malformed("a value has a kind that does not exist");
    const difference = reader.signed();
    const mantissa = more === places[slot] ? (mantissas[slot] ?? 0) + difference : difference;
    if (Math.abs(mantissa) > mantissaMax) throw malformed("a value is out of range");
    places[slot] = more;
    mantissas[slot] = mantissa;
    values.push(more === 0 ? mantissa : mantissa / (scales[more] ?? 1));
  }
  return values;
}

function readOther(
  reader: ByteReader,
  tag: number,
  { before, slot, texts }: Place & { readonly texts: Texts },
): unknown {
  switch (tag) {
    case tagNull:
      return null;
    case tagFalse:
      return false;
    case tagTrue:
      return true;
    case tagText:
      return texts.required(reader.whole());
    case tagJson:
      return parseJson(texts.required(reader.whole()));
    case tagFloat:
      return finite(reader.float());
    case tagDouble:
      return finite(reader.double());
    case tagBig: {
      const big = before.big(slot) + reader.signedBig();
      if (big < -(2n ** 63n) || big >= 2n ** 64n) throw malformed("an integer is out of range");
      before.setBig(slot, big);
      return big.toString();
    }
    default:
      throw malformed("a value has a kind that does not exist");
  }
}

function finite(value: number): number {
  if (!Number.isFinite(value)) throw malformed("a value is no number");
  return value;
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
