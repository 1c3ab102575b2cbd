// Changes good input into almost good input: bytes, frames, words of a text, parts of JSON.
// It must not know what is fed with it.
import type { Random } from "../../src/util/random.ts";

/** How an input is built, and so what can be changed about it. */
export type Shape = "frames" | "bytes" | "text" | "json";

/** An input: one or more byte strings. */
export type Input = readonly Uint8Array[];

const bytesMax = 300_000;
const depth = 20_000;
/** Stands for something deep until the text is made. */
const deep = "as deep as it goes";
const edges = [0, 1, 0x7f, 0x80, 0xff, 0x0a, 0x0d, 0x22, 0x5b, 0x7b];
const words = [
  ..."{}[]\",:&*!|>%@`'#?-~".split(""),
  ...["__proto__", "constructor", "null", "true", "1e999", "-0", "9007199254740993", "NaN"],
  ...["0x7fffffff", "\\u0000", "\\ud800", "\u0000", "\ufeff", "é", "𝄞", "\n", "\r\n", "\t", " "],
  ...["&a [*a]", "<<: *a", "!!binary", "---", "..", ": ", "- ", "{value}", "(?", "999999999999"],
];
const strange: readonly unknown[] = [
  ...[null, true, false, 0, -1, 1.5, 1e308, -1e308, 2 ** 53, 2 ** 53 - 1, -(2 ** 53), 256, 65_536],
  ...["", " ", "__proto__", "constructor", "\u0000", "\ud800", "é".repeat(300), "x".repeat(70_000)],
  ...["18446744073709551616", "-9223372036854775809", "ab".repeat(16), "good", "now"],
  ...[[], {}, [[]], [null], { a: 1 }, { toString: 1 }, { length: -1 }, { constructor: 1 }],
];

/** Draws for one seed. */
export interface Mutator {
  pick(count: number): number;
  choose<T>(items: readonly T[]): T;
  /** A changed input; its samples are never touched. */
  mutate(shape: Shape, samples: readonly Input[]): Input;
}

/** Makes a mutator that always draws the same from the same source. */
export function openMutator(random: Random): Mutator {
  const pick = (count: number) => Math.floor(random.unit() * count);
  const choose = <T>(items: readonly T[]): T => items[pick(items.length)] as T;

  function change(bytes: Uint8Array): Uint8Array {
    const at = pick(bytes.length + 1);
    const length = choose([1, 1, 2, 4, 8, pick(64)]);
    const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)];
    switch (pick(8)) {
      case 0: {
        const flipped = Uint8Array.from(bytes);
        const bit = pick(bytes.length * 8);
        if (bytes.length > 0) flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        return flipped;
      }
      case 1: {
        const edged = Uint8Array.from(bytes);
        return edged.fill(choose(edges), at, at + length);
      }
      case 2:
        return Buffer.concat([head, random.bytes(length), tail]);
      case 3:
        return Buffer.concat([head, tail.subarray(length)]);
      case 4:
        return Buffer.concat([head, tail.subarray(0, length), tail]);
      case 5:
        return head.slice();
      case 6:
        return Buffer.concat([head, random.bytes(length), tail.subarray(length)]);
      default:
        return Buffer.concat([head, new Uint8Array(length).fill(choose(edges)), tail]);
    }
  }

  function changeText(bytes: Uint8Array): Uint8Array {
    if (pick(2) === 0) return change(bytes);
    const at = pick(bytes.length + 1);
    if (pick(400) === 0) {
      const opening = Buffer.from(choose(["[", "{", '{"a":', "- ", "? "]).repeat(depth));
      return Buffer.concat([bytes.subarray(0, at), opening, bytes.subarray(at)]);
    }
    const gone = pick(3) === 0 ? pick(8) : 0;
    return Buffer.concat([
      bytes.subarray(0, at),
      Buffer.from(choose(words)),
      bytes.subarray(at + gone),
    ]);
  }

  /** Replaces, removes or adds one thing somewhere in a JSON value. */
  function changeValue(value: unknown): unknown {
    if (typeof value !== "object" || value === null || pick(8) === 0) {
      if (pick(500) === 0) return deep;
      return typeof value === "number" && pick(2) === 0
        ? value + choose([-1, 1, 0.5, 2 ** 31])
        : choose(strange);
    }
    if (Array.isArray(value)) {
      const at = pick(value.length + 1);
      const gone = pick(3) === 0 ? 1 : 0;
      if (pick(4) === 0) return value.toSpliced(at, gone, choose(strange));
      return value.map((item, index) => (index === at ? changeValue(item) : item));
    }
    const names = Object.keys(value);
    const chosen = choose(names) ?? "x";
    const entries = Object.entries(value).filter(([name]) => name !== chosen || pick(5) !== 0);
    if (pick(5) === 0) entries.push([String(choose(words)), choose(strange)]);
    return Object.fromEntries(
      entries.map(([name, item]) => [name, name === chosen ? changeValue(item) : item]),
    );
  }

  /** JSON that is fine but for its depth. */
  function nested(): string {
    const levels = choose([50, 2000, depth]);
    const [opening, closing] = choose([["[", "]"] as const, ['{"a":', "}"] as const]);
    return `${opening.repeat(levels)}0${closing.repeat(levels)}`;
  }

  function changeJson(bytes: Uint8Array): Uint8Array {
    if (pick(6) === 0) return changeText(bytes);
    try {
      const text = JSON.stringify(changeValue(JSON.parse(Buffer.from(bytes).toString())));
      return Buffer.from(text.includes(deep) ? text.replace(`"${deep}"`, nested()) : text);
    } catch (error) {
      // No JSON any more, or too deep to be written again.
      if (error instanceof SyntaxError || error instanceof RangeError) return changeText(bytes);
      throw error;
    }
  }

  function changeFrames(frames: Input): Input {
    const at = pick(frames.length);
    switch (pick(6)) {
      case 0:
        return frames.toSpliced(at, 1);
      case 1:
        return frames.toSpliced(at, 0, choose([new Uint8Array(), random.bytes(pick(40))]));
      case 2:
        return frames.toSpliced(at, 1, random.bytes(pick(40)));
      default:
        return frames.map((frame, index) => (index === at ? change(frame) : frame));
    }
  }

  function once(shape: Shape, input: Input): Input {
    if (shape === "frames") return changeFrames(input);
    const at = pick(input.length);
    const one = shape === "bytes" ? change : shape === "text" ? changeText : changeJson;
    return input.map((bytes, index) => (index === at ? one(bytes).slice(0, bytesMax) : bytes));
  }

  return {
    pick,
    choose,
    mutate(shape, samples) {
      let input = choose(samples);
      if (pick(50) === 0) return input.map(() => random.bytes(pick(300)));
      for (let left = choose([1, 1, 1, 2, 3, 6]); left > 0; left -= 1) input = once(shape, input);
      return input;
    },
  };
}
