// Randomness as a parameter, so that a seed replays a whole run.
// It must not know what is drawn.
import { openSync, readSync } from "node:fs";

export interface Random {
  /** A number in [0, 1). */
  unit(): number;
  /** `count` bytes, unpredictable when the source is the system's. */
  bytes(count: number): Uint8Array;
}

let source: number | undefined;

/**
 * Bytes of the kernel, which gives none before it has gathered enough to be unpredictable and from
 * then on never waits. They come without OpenSSL, which takes 1.5 MB. @see random(4)
 */
function fromKernel(count: number): Buffer {
  source ??= openSync("/dev/random", "r");
  const bytes = Buffer.alloc(count);
  for (let at = 0; at < count; ) at += readSync(source, bytes, at, count - at, null);
  return bytes;
}

/** The random source of the operating system. */
export const systemRandom: Random = {
  unit: () => fromKernel(6).readUIntBE(0, 6) / 2 ** 48,
  bytes: (count) => new Uint8Array(fromKernel(count)),
};

/**
 * A repeatable source for tests and simulations (xoshiro128** seeded by splitmix32).
 * @see Blackman and Vigna, "Scrambled linear pseudorandom number generators"
 */
export function seededRandom(seed: number): Random {
  let mix = seed >>> 0;
  const next32 = () => {
    mix = (mix + 0x9e3779b9) >>> 0;
    let z = mix;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return (z ^ (z >>> 16)) >>> 0;
  };
  const state: [number, number, number, number] = [next32(), next32(), next32(), next32()];
  const rotate = (value: number, by: number) => ((value << by) | (value >>> (32 - by))) >>> 0;
  const draw = () => {
    const result = Math.imul(rotate(Math.imul(state[1], 5) >>> 0, 7), 9) >>> 0;
    const shifted = (state[1] << 9) >>> 0;
    state[2] = (state[2] ^ state[0]) >>> 0;
    state[3] = (state[3] ^ state[1]) >>> 0;
    state[1] = (state[1] ^ state[2]) >>> 0;
    state[0] = (state[0] ^ state[3]) >>> 0;
    state[2] = (state[2] ^ shifted) >>> 0;
    state[3] = rotate(state[3], 11);
    return result;
  };
  return {
    unit: () => draw() / 2 ** 32,
    bytes: (count) => Uint8Array.from({ length: count }, () => draw() & 0xff),
  };
}
