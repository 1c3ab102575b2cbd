// How a setting is written down: type, unit, range, default and why in one line.
// It must not know any setting.
import { v } from "../util/shape.ts";

/** What documentation says of a setting. */
export type SettingNote = {
  readonly unit?: string;
  readonly why: string;
};

export function note<T>(why: string, unit?: string): v.MetadataAction<T, SettingNote> {
  return v.metadata<T, SettingNote>({ why, ...(unit === undefined ? {} : { unit }) });
}

/** A whole number with a unit, a range and a default. */
export function whole(unit: string, min: number, max: number, preset: number, why: string) {
  const range = `a whole number from ${min} to ${max} (${unit})`;
  return v.optional(
    v.pipe(
      v.number(range),
      v.integer(range),
      v.minValue(min, range),
      v.maxValue(max, range),
      note(why, unit),
    ),
    preset,
  );
}

/** A whole number that may be absent. */
export function optionalWhole(unit: string, min: number, max: number, why: string) {
  return v.exactOptional(whole(unit, min, max, min, why).wrapped);
}

export function flag(preset: boolean, why: string) {
  return v.optional(v.pipe(v.boolean("true or false"), note(why)), preset);
}

export function text(preset: string, why: string) {
  return v.optional(v.pipe(v.string("a text"), v.maxLength(1024), note(why)), preset);
}

export function choice<const T extends readonly string[]>(
  options: T,
  preset: T[number],
  why: string,
) {
  const message = `one of ${options.join(", ")}`;
  return v.optional(v.pipe(v.picklist(options, message), note(why)), preset);
}

/** A place below a value, as issues of valibot name it. */
export function pathTo(value: unknown, keys: readonly (string | number)[]) {
  const items: v.ObjectPathItem[] = [];
  let input = value as Record<string, unknown>;
  for (const each of keys) {
    const key = String(each);
    items.push({ type: "object", origin: "value", input, key, value: input[key] });
    input = input[key] as Record<string, unknown>;
  }
  return items as [v.ObjectPathItem, ...v.ObjectPathItem[]];
}

/** A section with every key optional; unknown keys are refused. */
export function section<E extends v.ObjectEntries>(entries: E) {
  return v.optional(v.strictObject(entries, "a group of keys"), {} as never);
}

/** Names of lines, devices and points: they become parts of addresses and file names. */
export const name = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/, "a name of letters, digits, - and _, at most 63"),
);
