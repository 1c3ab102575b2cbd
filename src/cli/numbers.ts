// Whole numbers as people write them. It must not know which flag they belong to.
import { PlantError } from "../util/errors.ts";

interface Range {
  readonly min: number;
  readonly max: number;
  readonly preset: number;
}

/**
 * A flag that is a whole number: `--count 10`.
 * @throws PlantError USAGE.
 */
export function wholeOption(
  options: Readonly<Record<string, unknown>>,
  name: string,
  { min, max, preset }: Range,
): number {
  const text = options[name];
  if (typeof text !== "string") return preset;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  const message = `--${name} is a number from ${min} to ${max}, not ${text}`;
  throw new PlantError("USAGE", { message });
}
