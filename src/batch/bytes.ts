// Writing and reading of bytes: unsigned and signed variable-length integers, texts, floats.
// It must not know what the bytes mean.
import { isAscii } from "node:buffer";
import { PlantError } from "../util/errors.ts";

/** The largest magnitude a signed variable-length integer may have here. */
export const signedMax = 2 ** 51;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Texts up to this long are written and read letter by letter, while they are ASCII. */
const shortMax = 24;

/** Appends to a buffer that grows. */
export class ByteWriter {
  private buffer = Buffer.allocUnsafe(4096);
  private length = 0;

  private reserve(count: number): void {
    const needed = this.length + count;
    if (needed <= this.buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, this.buffer.length * 2));
    this.buffer.copy(larger, 0, 0, this.length);
    this.buffer = larger;
  }

  byte(value: number): void {
    if (this.length === this.buffer.length) this.reserve(1);
    this.buffer[this.length] = value;
    this.length += 1;
  }

  bytes(value: Uint8Array): void {
    this.reserve(value.length);
    this.buffer.set(value, this.length);
    this.length += value.length;
  }

  /** Leaves out `count` bytes, to be `put` later. @returns the place of the first. */
  gap(count: number): number {
    this.reserve(count);
    this.length += count;
    return this.length - count;
  }

  put(place: number, value: number): void {
    this.buffer[place] = value;
  }

  /** LEB128 of a whole number from 0 to 2^53 - 1. */
  whole(value: number): void {
    if (this.length + 8 > this.buffer.length) this.reserve(8);
    const { buffer } = this;
    let rest = value;
    while (rest >= 0x80000000) {
      buffer[this.length] = (rest % 0x80) | 0x80;
      this.length += 1;
      rest = Math.floor(rest / 0x80);
    }
    while (rest >= 0x80) {
      buffer[this.length] = (rest & 0x7f) | 0x80;
      this.length += 1;
      rest >>>= 7;
    }
    buffer[this.length] = rest;
    this.length += 1;
  }

  /** Zigzag LEB128 of a whole number of at most `signedMax` either way. */
  signed(value: number): void {
    this.whole(value >= 0 ? value * 2 : -value * 2 - 1);
  }

  /** Zigzag LEB128 of a difference between two 64-bit integers. */
  signedBig(value: bigint): void {
    let rest = value >= 0n ? value * 2n : -value * 2n - 1n;
    while (rest >= 0x80n) {
      this.byte(Number(rest & 0x7fn) | 0x80);
      rest >>= 7n;
    }
    this.byte(Number(rest));
  }

  float(value: number): void {
    this.reserve(4);
    this.length = this.buffer.writeFloatLE(value, this.length);
  }

  double(value: number): void {
    this.reserve(8);
    this.length = this.buffer.writeDoubleLE(value, this.length);
  }

  /** UTF-8 behind its length in bytes; a half surrogate becomes U+FFFD. */
  text(value: string): void {
    if (value.length <= shortMax && this.ascii(value)) return;
    const bytes = Buffer.byteLength(value);
    this.whole(bytes);
    this.reserve(bytes);
    this.length += this.buffer.write(value, this.length, bytes, "utf8");
  }

  /** Writes a short text if all of it is ASCII. */
  private ascii(value: string): boolean {
    const count = value.length;
    this.reserve(count + 1);
    const { buffer, length } = this;
    buffer[length] = count;
    for (let at = 0; at < count; at += 1) {
      const letter = value.charCodeAt(at);
      if (letter >= 0x80) return false;
      buffer[length + 1 + at] = letter;
    }
    this.length += count + 1;
    return true;
  }

  /** What was written so far; it changes with the next `clear`. */
  get written(): Uint8Array {
    return this.buffer.subarray(0, this.length);
  }

  get size(): number {
    return this.length;
  }

  /** Begins anew in the same buffer. */
  clear(): void {
    this.length = 0;
  }

  /** What was written so far, as a copy. */
  taken(): Uint8Array {
    return new Uint8Array(this.written);
  }
}

/** Reads bytes to their end; whatever is wrong with them is BATCH_MALFORMED. */
export class ByteReader {
  private readonly view: Buffer;
  private at = 0;

  constructor(bytes: Uint8Array) {
    this.view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  get isAtEnd(): boolean {
    return this.at === this.view.length;
  }

  get left(): number {
    return this.view.length - this.at;
  }

  byte(): number {
    const value = this.view[this.at];
    if (value === undefined) throw malformed("it ends too early");
    this.at += 1;
    return value;
  }

  bytes(count: number): Uint8Array {
    if (count > this.left) throw malformed("it ends too early");
    this.at += count;
    return this.view.subarray(this.at - count, this.at);
  }

  whole(): number {
    const first = this.view[this.at];
    if (first === undefined) throw malformed("it ends too early");
    this.at += 1;
    return first < 0x80 ? first : this.longer(first & 0x7f);
  }

  /** The rest of a number that has more than one byte. */
  private longer(first: number): number {
    let value = first;
    let scale = 0x80;
    for (let count = 1; count < 8; count += 1) {
      const next = this.byte();
      value += (next & 0x7f) * scale;
      if (next < 0x80) {
        if (next === 0) throw malformed("a number is longer than it needs to be");
        if (!Number.isSafeInteger(value)) break;
        return value;
      }
      scale *= 0x80;
    }
    throw malformed("a number is too large");
  }

  signed(): number {
    const value = this.whole();
    if (value <= 0x7fffffff) return (value >>> 1) ^ -(value & 1);
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  signedBig(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const next = this.byte();
      value |= BigInt(next & 0x7f) << shift;
      if (next >= 0x80) continue;
      if (next === 0 && shift > 0n) throw malformed("a number is longer than it needs to be");
      return value & 1n ? -(value + 1n) / 2n : value / 2n;
    }
    throw malformed("a number is too large");
  }

  float(): number {
    if (this.left < 4) throw malformed("it ends too early");
    this.at += 4;
    return this.view.readFloatLE(this.at - 4);
  }

  double(): number {
    if (this.left < 8) throw malformed("it ends too early");
    this.at += 8;
    return this.view.readDoubleLE(this.at - 8);
  }

  text(): string {
    const count = this.whole();
    const encoded = this.bytes(count);
    if (isAscii(encoded)) return this.view.toString("latin1", this.at - count, this.at);
    try {
      return decoder.decode(encoded);
    } catch (error) {
      if (error instanceof TypeError) throw malformed("a text is not UTF-8");
      throw error;
    }
  }
}

/** The error of a batch body that cannot be read. */
export function malformed(reason: string): PlantError {
  return new PlantError("BATCH_MALFORMED", { reason });
}
