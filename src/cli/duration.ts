// Durations as people write them. It must not know which flag they belong to.
import { PlantError } from "../util/errors.ts";

const unitsMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/**
 * `30s`, `500ms`, `5m`, `1h`, `2d`; a bare number is seconds. In milliseconds.
 * @throws PlantError USAGE.
 */
export function parseDuration(text: string, flag: string): number {
  const found = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text);
  const unit = unitsMs[found?.[2] ?? "s"];
  if (found === null || unit === undefined) {
    throw new PlantError("USAGE", { message: `${flag} is a duration such as 30s, not ${text}` });
  }
  return Number(found[1]) * unit;
}
