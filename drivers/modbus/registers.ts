// Registers <-> values: types, word and byte orders, scale, sentinels. Pure.
// It must not know addresses or frames.
import { PlantError } from "../../src/util/errors.ts";
import type { PointValue, Sample } from "../kit/kit.ts";

/** Types of a point in registers or bits. */
export const types = [
  "bool",
  "i16",
  "u16",
  "i32",
  "u32",
  "i64",
  "u64",
  "f32",
  "f64",
  "string",
] as const;
export type RegisterType = (typeof types)[number];

/**
 * Orders of bytes on the wire; A is the most significant. The same four serve 64-bit values:
 * ABCD as it stands, CDAB words reversed, BADC bytes swapped in each word, DCBA both.
 */
export const orders = ["ABCD", "CDAB", "BADC", "DCBA"] as const;
export type Order = (typeof orders)[number];

/** How a value lies in its registers. */
export interface Layout {
  readonly type: RegisterType;
  readonly order: Order;
  /** Registers of a `string`; other types have their own number. */
  readonly length?: number | undefined;
  /** Bit of a `bool` in a register, 0 the least significant. */
  readonly bit?: number | undefined;
  readonly scale: number;
  readonly offset: number;
  /** Raw values by which the device says that it has no value. */
  readonly invalid?: readonly (number | string)[] | undefined;
}

/** Registers a layout takes. */
export function registersOf(layout: Pick<Layout, "type" | "length">): number {
  switch (layout.type) {
    case "bool":
    case "i16":
    case "u16":
      return 1;
    case "i32":
    case "u32":
    case "f32":
      return 2;
    case "i64":
    case "u64":
    case "f64":
      return 4;
    case "string":
      return layout.length ?? 1;
  }
}

/** Brings bytes from wire order to ABCD, and back: it is its own inverse. */
function reorder(bytes: Uint8Array, layout: Layout): Uint8Array {
  const { order, type } = layout;
  const words = bytes.length / 2;
  const isReversed = type !== "string" && (order === "CDAB" || order === "DCBA");
  const isSwapped = order === "BADC" || order === "DCBA";
  const out = new Uint8Array(bytes.length);
  for (let word = 0; word < words; word += 1) {
    const from = (isReversed ? words - 1 - word : word) * 2;
    out[word * 2] = bytes[isSwapped ? from + 1 : from] ?? 0;
    out[word * 2 + 1] = bytes[isSwapped ? from : from + 1] ?? 0;
  }
  return out;
}

const noValue = { value: null, quality: "bad", reason: "sensor" } as const;

/** The value in register bytes (two per register, as they came), with its quality. */
export function decodeRegisters(layout: Layout, wire: Uint8Array): Omit<Sample, "point"> {
  const bytes = reorder(wire, layout);
  const view = new DataView(bytes.buffer);
  const raw = readRaw(layout, view, bytes);
  if (layout.invalid?.some((sentinel) => String(sentinel) === String(raw))) return noValue;
  if (typeof raw === "bigint") {
    const isPlain = layout.scale === 1 && layout.offset === 0;
    return { value: isPlain ? raw.toString() : scaled(Number(raw), layout), quality: "good" };
  }
  if (typeof raw !== "number") return { value: raw, quality: "good" };
  if (!Number.isFinite(raw)) return noValue;
  return { value: scaled(raw, layout), quality: "good" };
}

function readRaw(
  layout: Layout,
  view: DataView,
  bytes: Uint8Array,
): number | bigint | string | boolean {
  switch (layout.type) {
    case "bool":
      return ((view.getUint16(0) >> (layout.bit ?? 0)) & 1) === 1;
    case "i16":
      return view.getInt16(0);
    case "u16":
      return view.getUint16(0);
    case "i32":
      return view.getInt32(0);
    case "u32":
      return view.getUint32(0);
    case "i64":
      return view.getBigInt64(0);
    case "u64":
      return view.getBigUint64(0);
    case "f32":
      return shortest(view.getFloat32(0));
    case "f64":
      return view.getFloat64(0);
    case "string":
      return readText(bytes);
  }
}

/** Text up to the first NUL, without trailing spaces; bytes outside ASCII are Latin-1. */
function readText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end))
    .toString("latin1")
    .trimEnd();
}

/** A 32-bit float by the fewest digits that name it: 230.1, not 230.10000610351562. */
function shortest(value: number): number {
  if (!Number.isFinite(value)) return value;
  for (let digits = 6; digits < 9; digits += 1) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return Number(value.toPrecision(9));
}

/** raw × scale + offset; a scale of 1/n divides, so that 2301 × 0.1 is 230.1. */
function scaled(raw: number, { scale, offset }: Layout): number {
  if (scale === 1 && offset === 0) return raw;
  const divisor = Math.round(1 / scale);
  const isFraction = Math.abs(divisor) > 1 && Math.abs(divisor * scale - 1) < 1e-12;
  const product = isFraction ? raw / divisor : raw * scale;
  return offset === 0 ? product : Number((product + offset).toPrecision(15));
}

/** Bounds of the integer types, raw. */
const bounds = {
  i16: [-(2n ** 15n), 2n ** 15n - 1n],
  u16: [0n, 2n ** 16n - 1n],
  i32: [-(2n ** 31n), 2n ** 31n - 1n],
  u32: [0n, 2n ** 32n - 1n],
  i64: [-(2n ** 63n), 2n ** 63n - 1n],
  u64: [0n, 2n ** 64n - 1n],
} as const;

/**
 * The register bytes of a value, as they go on the wire. A bit of a register has no bytes of its
 * own and is refused.
 * @throws PlantError VALUE_REFUSED when the type cannot hold the value; `detail.reason` says why.
 */
export function encodeRegisters(layout: Layout, value: unknown): Uint8Array {
  const bytes = new Uint8Array(registersOf(layout) * 2);
  const view = new DataView(bytes.buffer);
  switch (layout.type) {
    case "bool":
      throw refused("a bit of a register cannot be written alone");
    case "string":
      writeText(bytes, value);
      break;
    case "f32":
      view.setFloat32(0, floatOf(layout, value, 3.4028234663852886e38));
      break;
    case "f64":
      view.setFloat64(0, floatOf(layout, value, Number.MAX_VALUE));
      break;
    default:
      writeInteger(layout.type, view, integerOf(layout, value));
  }
  return reorder(bytes, layout);
}

function writeInteger(type: keyof typeof bounds, view: DataView, raw: bigint): void {
  const [least, most] = bounds[type];
  if (raw < least || raw > most) throw refused(`${raw} does not fit into ${type}`);
  switch (type) {
    case "i16":
      view.setInt16(0, Number(raw));
      break;
    case "u16":
      view.setUint16(0, Number(raw));
      break;
    case "i32":
      view.setInt32(0, Number(raw));
      break;
    case "u32":
      view.setUint32(0, Number(raw));
      break;
    case "i64":
      view.setBigInt64(0, raw);
      break;
    case "u64":
      view.setBigUint64(0, raw);
      break;
  }
}

function floatOf(layout: Layout, value: unknown, most: number): number {
  const raw = (numberOf(value) - layout.offset) / layout.scale;
  if (Math.abs(raw) > most) throw refused(`${value} does not fit into ${layout.type}`);
  return raw;
}

function integerOf(layout: Layout, value: unknown): bigint {
  const is64 = layout.type === "i64" || layout.type === "u64";
  const isPlain = layout.scale === 1 && layout.offset === 0;
  if (is64 && isPlain && typeof value === "string") {
    if (!/^-?\d{1,20}$/.test(value)) throw refused("a whole number in decimal digits is needed");
    return BigInt(value);
  }
  const number = numberOf(value);
  if (isPlain && !Number.isInteger(number)) throw refused("a whole number is needed");
  return BigInt(Math.round((number - layout.offset) / layout.scale));
}

function numberOf(value: unknown): number {
  if (typeof value !== "number" || !Number.isFinite(value)) throw refused("a number is needed");
  return value;
}

function writeText(bytes: Uint8Array, value: unknown): void {
  if (typeof value !== "string") throw refused("a text is needed");
  const text = Buffer.from(value, "latin1");
  if (text.toString("latin1") !== value) throw refused("the text has characters beyond Latin-1");
  if (text.length > bytes.length) throw refused(`the text is longer than ${bytes.length} bytes`);
  bytes.set(text);
}

function refused(reason: string): PlantError {
  return new PlantError("VALUE_REFUSED", { reason });
}

/** The value a device will show after `value` was written: rounded to its resolution. */
export function roundToLayout(layout: Layout, value: unknown): PointValue {
  return decodeRegisters(layout, encodeRegisters(layout, value)).value;
}
