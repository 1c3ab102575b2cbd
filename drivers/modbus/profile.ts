// Device profiles: tables of points in YAML, their schema and all that can be wrong with them.
// It must not know lines, requests or values.
import { fileURLToPath } from "node:url";
import { parseYaml } from "../../src/config/config.ts";
import { PlantError } from "../../src/util/errors.ts";
import { type Flaw, inspect, v } from "../../src/util/shape.ts";
import { listProfiles, readProfile } from "../kit/kit.ts";
import { isBitTable, limits, tables } from "./pdu.ts";
import { type Layout, orders, registersOf, types } from "./registers.ts";

const nameForm = v.pipe(
  v.string("a text"),
  v.regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/, "a name of letters, digits, - and _, at most 63"),
);

function whole(min: number, max: number) {
  const message = `a whole number from ${min} to ${max}`;
  return v.pipe(
    v.number(message),
    v.integer(message),
    v.minValue(min, message),
    v.maxValue(max, message),
  );
}

const finite = v.pipe(v.number("a number"), v.finite("a finite number"));
const words = v.pipe(v.string("a text"), v.minLength(1, "a text"), v.maxLength(500, "a text"));

const point = v.strictObject(
  {
    table: v.picklist(tables, `one of ${tables.join(", ")}`),
    address: whole(0, 65_535),
    type: v.picklist(types, `one of ${types.join(", ")}`),
    order: v.optional(v.picklist(orders, `one of ${orders.join(", ")}`)),
    length: v.optional(whole(1, 123)),
    bit: v.optional(whole(0, 15)),
    scale: v.optional(
      v.pipe(
        finite,
        v.check((value) => value !== 0, "a number other than 0"),
      ),
      1,
    ),
    offset: v.optional(finite, 0),
    unit: v.optional(words),
    group: v.optional(nameForm),
    access: v.optional(v.picklist(["read", "write"], "one of read, write"), "read"),
    min: v.optional(finite),
    max: v.optional(finite),
    invalid: v.optional(
      v.pipe(
        v.array(v.union([finite, v.string()], "a number, or 64-bit digits in quotes")),
        v.maxLength(16, "at most 16 values"),
      ),
    ),
    label: v.optional(words),
    values: v.optional(v.record(v.string(), words)),
    typical: v.optional(v.union([finite, v.boolean(), v.string()], "a number, a text or a bit")),
  },
  "a group of keys",
);

const schema = v.strictObject(
  {
    name: words,
    maker: words,
    source: words,
    simulated: v.optional(v.boolean("true or false"), false),
    order: v.optional(v.picklist(orders, `one of ${orders.join(", ")}`), "ABCD"),
    limits: v.optional(
      v.strictObject(
        {
          registers: v.optional(whole(1, limits.readRegisters), limits.readRegisters),
          bits: v.optional(whole(1, limits.readBits), limits.readBits),
          gap: v.optional(whole(0, limits.readRegisters)),
        },
        "a group of keys",
      ),
      {},
    ),
    writes: v.optional(v.picklist(["single", "multiple"], "one of single, multiple"), "single"),
    groups: v.optional(
      v.record(nameForm, v.strictObject({ every: whole(1, 100_000) }, "a group of keys")),
      {},
    ),
    points: v.pipe(
      v.record(nameForm, point),
      v.minEntries(1, "at least one point"),
      v.maxEntries(5000, "at most 5000 points"),
    ),
  },
  "a group of keys",
);

/** One point of a profile after defaults. Addresses count from 0, as on the wire. */
export type ProfilePoint = v.InferOutput<typeof point>;

/** A device as a table. */
export type Profile = v.InferOutput<typeof schema> & {
  /** The file's name without `.yaml`. */
  readonly id: string;
};

/** How a point's value lies in its registers, the profile's order where it names none. */
export function layoutOf(profile: Profile, point: ProfilePoint): Layout {
  const { type, length, bit, scale, offset, invalid: sentinels } = point;
  const order = point.order ?? profile.order;
  return { type, order, length, bit, scale, offset, invalid: sentinels };
}

/** One thing wrong with a profile. */
export interface ProfileFlaw {
  readonly line: number;
  readonly column: number;
  /** Dotted path of the setting. */
  readonly setting: string;
  readonly message: string;
}

const textBytesMax = 1_000_000;

/**
 * Reads a profile's text.
 * @throws PlantError PROFILE_INVALID with every flaw in `detail.flaws`.
 */
export function parseProfile(id: string, text: string): Profile {
  if (text.length > textBytesMax) {
    throw invalid(id, [flawAt({ line: 1, column: 1 }, "", "the file is larger than 1 MB")]);
  }
  const yaml = parseYaml(text);
  if (yaml.errors.length > 0) {
    throw invalid(
      id,
      yaml.errors.map(({ message, at }) => flawAt(at, "", message)),
    );
  }
  const result = inspect(schema, yaml.value);
  const flaws = [...(result.ok ? [] : result.flaws), ...contradictions(yaml.value)];
  if (!result.ok || flaws.length > 0) {
    throw invalid(
      id,
      flaws.map(({ path, message }) =>
        flawAt(yaml.positionOf(path), path.join("."), wordsOf(message)),
      ),
    );
  }
  return { ...result.value, id };
}

function wordsOf(message: string): string {
  return /^(a|an|one|at) /.test(message) ? `must be ${message}` : message;
}

function flawAt(at: { line: number; column: number }, setting: string, message: string) {
  return { line: at.line, column: at.column, setting, message };
}

function invalid(profile: string, flaws: readonly ProfileFlaw[]): PlantError {
  return new PlantError("PROFILE_INVALID", { profile, count: flaws.length, flaws });
}

/** What each setting alone does not show: points that contradict themselves or their groups. */
function contradictions(tree: unknown): Flaw[] {
  if (typeof tree !== "object" || tree === null) return [];
  const { points, groups } = tree as Record<string, unknown>;
  if (typeof points !== "object" || points === null) return [];
  const flaws: Flaw[] = [];
  for (const [name, raw] of Object.entries(points)) {
    const result = inspect(point, raw);
    if (!result.ok) continue;
    const known = Object.keys((groups as object | undefined) ?? {});
    for (const [key, message] of flawsOfPoint(result.value, known)) {
      flaws.push({ path: ["points", name, key], message });
    }
  }
  return flaws;
}

function flawsOfPoint(p: ProfilePoint, groups: readonly string[]): [string, string][] {
  const flaws: [string, string][] = [];
  const isBit = isBitTable(p.table);
  const isInteger = /^[iu]/.test(p.type);
  if (isBit && p.type !== "bool") flaws.push(["type", `a ${p.table} holds a bool`]);
  if (isBit && p.bit !== undefined) flaws.push(["bit", `a ${p.table} is one bit already`]);
  if (!isBit && p.type === "bool" && p.bit === undefined) {
    flaws.push(["type", "a bool in a register needs `bit`"]);
  }
  if (p.bit !== undefined && p.type !== "bool") flaws.push(["bit", "only a bool has a bit"]);
  if (p.type === "string" && p.length === undefined) {
    flaws.push(["type", "a string needs `length`, in registers"]);
  }
  if (p.length !== undefined && p.type !== "string") {
    flaws.push(["length", "only a string has a length"]);
  }
  if (p.address + registersOf(p) > 65_536) flaws.push(["address", "reaches beyond 65535"]);
  if (p.access === "write" && (p.table === "input" || p.table === "discrete")) {
    flaws.push(["access", `the table ${p.table} cannot be written`]);
  }
  if (p.access === "write" && p.bit !== undefined) {
    flaws.push(["access", "a bit of a register cannot be written alone"]);
  }
  if (p.invalid !== undefined && !isInteger) {
    flaws.push(["invalid", "only integers have invalid values; NaN is known"]);
  }
  if (p.min !== undefined && p.max !== undefined && p.min > p.max) {
    flaws.push(["min", "lies above max"]);
  }
  if (p.group !== undefined && !groups.includes(p.group)) {
    flaws.push(["group", "no group has this name"]);
  }
  return flaws;
}

const own = fileURLToPath(new URL("./profiles/", import.meta.url));

/** Names of the profiles that come with the driver, and of those in `folder`. */
export function profileNames(folder?: string): string[] {
  return listProfiles(folder === undefined ? [own] : [folder, own]);
}

/**
 * A profile of `folder`, or one that comes with the driver.
 * @throws PlantError PROFILE_UNKNOWN, PROFILE_INVALID.
 */
export function loadProfile(id: string, folder?: string): Profile {
  return parseProfile(id, readProfile(folder === undefined ? [own] : [folder, own], id));
}
