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

/**
 * A flag that is a whole number from 0 on and may be absent: `--after 4711`.
 * @throws PlantError USAGE.
 */
export function optionalWhole(
  options: Readonly<Record<string, unknown>>,
  name: string,
  max: number,
): number | undefined {
  const camel = name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
  const text = options[camel];
  if (typeof text !== "string") return undefined;
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (value <= max) return value;
  throw new PlantError("USAGE", { message: `--${name} is a whole number, not ${text}` });
}
