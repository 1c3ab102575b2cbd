// Values over time for simulated points: plausible by unit, the same for the same seed and moment.
// Pure. It must not know devices or wires.

/** How a number moves. Periods in seconds, `swing` to both sides of `mean`. */
export type Waveform =
  | { readonly kind: "constant"; readonly value: number }
  | {
      readonly kind: "sine";
      readonly mean: number;
      readonly swing: number;
      readonly periodS: number;
    }
  | { readonly kind: "ramp"; readonly start: number; readonly perS: number }
  | {
      readonly kind: "walk" | "step";
      readonly mean: number;
      readonly swing: number;
      readonly periodS: number;
    };

/** The value of a waveform `seconds` after the start; `seed` sets points of one kind apart. */
export function waveformAt(waveform: Waveform, seconds: number, seed: number): number {
  switch (waveform.kind) {
    case "constant":
      return waveform.value;
    case "sine": {
      const phase = hashed(seed, 0) * 2 * Math.PI;
      const turn = (2 * Math.PI * seconds) / waveform.periodS;
      return waveform.mean + waveform.swing * Math.sin(turn + phase);
    }
    case "ramp":
      return waveform.start + waveform.perS * seconds;
    case "walk":
      return waveform.mean + waveform.swing * wander(seed, seconds / waveform.periodS);
    case "step":
      return waveform.mean + waveform.swing * stand(seed, seconds / waveform.periodS);
  }
}

/** Smooth noise in [-1, 1]: two layers of random heights, joined by a curve without corners. */
function wander(seed: number, at: number): number {
  return (2 * layer(seed, at) + layer(seed + 1, at * 3.7)) / 3;
}

/** A height in [-1, 1] that stands still for nine tenths of each step, then moves to the next. */
function stand(seed: number, at: number): number {
  const step = Math.floor(at);
  const part = Math.max(0, (at - step) * 10 - 9);
  const [from, to] = [hashed(seed, step), hashed(seed, step + 1)];
  return (from + (to - from) * part) * 2 - 1;
}

function layer(seed: number, at: number): number {
  const step = Math.floor(at);
  const part = at - step;
  const ease = part * part * (3 - 2 * part);
  const [from, to] = [hashed(seed, step), hashed(seed, step + 1)];
  return (from + (to - from) * ease) * 2 - 1;
}

/** A number in [0, 1) that depends on nothing but its arguments. */
function hashed(seed: number, step: number): number {
  let z = Math.imul((seed ^ Math.imul(step + 1, 0x9e3779b1)) >>> 0, 0x85ebca6b) >>> 0;
  z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35) >>> 0;
  return ((z ^ (z >>> 16)) >>> 0) / 2 ** 32;
}

/** A seed from a name. @see Fowler, Noll and Vo, FNV-1a */
export function seedOf(name: string): number {
  let hash = 0x811c9dc5;
  for (const letter of name) hash = Math.imul(hash ^ (letter.codePointAt(0) ?? 0), 0x01000193);
  return hash >>> 0;
}

/** How a unit's values move about what is typical: part of the typical value, and period. */
const habits: Readonly<Record<string, readonly ["sine" | "walk" | "step", number, number]>> = {
  V: ["sine", 0.01, 97],
  kV: ["sine", 0.01, 97],
  A: ["walk", 0.35, 23],
  W: ["walk", 0.35, 23],
  kW: ["walk", 0.35, 23],
  "V.A": ["walk", 0.35, 23],
  "V.A{reactive}": ["walk", 0.4, 31],
  Hz: ["walk", 0.0006, 11],
  "1": ["walk", 0.02, 43],
  "%": ["sine", 0.2, 71],
  Cel: ["walk", 0.1, 61],
  K: ["walk", 0.01, 61],
  bar: ["sine", 0.05, 41],
  Pa: ["sine", 0.003, 301],
  "m3/h": ["walk", 0.2, 37],
  "l/min": ["walk", 0.2, 37],
  "/min": ["walk", 0.02, 29],
  g: ["step", 0.8, 29],
  kg: ["step", 0.8, 29],
};

/** What counts up, by unit, in units per second. */
const rates: Readonly<Record<string, number>> = {
  "W.h": 1.2,
  "kW.h": 0.0012,
  "V.A{reactive}.h": 0.2,
  m3: 0.0035,
  h: 1 / 3600,
  s: 1,
};

/** The waveform of a number about what is typical of it, by its unit. */
export function waveformOf(typical: number, unit: string | undefined): Waveform {
  const rate = rates[unit ?? ""];
  if (rate !== undefined) return { kind: "ramp", start: typical, perS: rate };
  const habit = habits[unit ?? ""];
  if (habit === undefined) return { kind: "constant", value: typical };
  const [kind, part, periodS] = habit;
  return { kind, mean: typical, swing: Math.abs(typical) * part, periodS };
}
