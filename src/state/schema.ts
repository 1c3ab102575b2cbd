// What the points of a scope may be: types, units and ranges by key, checked against changes.
// Pure; it must not know where schemas are kept.
import { PlantError } from "../util/errors.ts";
import { check, v } from "../util/shape.ts";
import type { PointChange } from "./point.ts";
import { fits } from "./point-request.ts";
import { bound, checkJson, limits } from "./requests.ts";
import { canonicalJson } from "./same-json.ts";

const edge = v.union([v.pipe(v.number(), v.finite()), v.pipe(v.string(), v.regex(/^-?\d{1,20}$/))]);
const rule = v.strictObject({
  type: v.optional(v.picklist(["bool", "i64", "u64", "f64", "text", "json"])),
  unit: v.optional(v.pipe(v.string(), v.maxLength(64))),
  /** Least and most value of a number; a decimal text for 64-bit integers. */
  min: v.optional(edge),
  max: v.optional(edge),
  /** Characters of a text. */
  maxLength: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0))),
  /** The only values there may be. */
  enum: v.optional(v.pipe(v.array(v.unknown()), v.minLength(1), v.maxLength(1000))),
});
const document = v.strictObject({
  points: v.record(v.pipe(v.string(), v.minLength(1), v.maxLength(255)), rule),
  others: v.optional(v.picklist(["allow", "refuse"]), "allow"),
});

/** A rule, and its only values as texts. */
interface Rule extends Omit<v.InferOutput<typeof rule>, "enum"> {
  readonly choices: ReadonlySet<string> | undefined;
}
/** A schema as it is kept. */
export type SchemaDocument = v.InferOutput<typeof document>;

/** What a value was to be, and what it is. */
export interface Violation {
  readonly wanted: string;
  readonly given: string;
}

type Judged = Pick<PointChange, "key" | "value" | "type" | "unit">;

/** @throws PlantError REQUEST_MALFORMED, LIMIT_REACHED. */
export function checkSchema(schema: unknown): SchemaDocument {
  checkJson("schema", schema);
  refuseInheritedNames(schema);
  const checked = check(document, schema);
  bound("points of one schema", Object.keys(checked.points).length, limits.schemaPoints);
  const patterns = Object.keys(checked.points).filter((name) => name.includes(star));
  bound("patterns of one schema", patterns.length, limits.schemaPatterns);
  for (const name of patterns) bound("stars of one name", stars(name), limits.schemaStars);
  for (const [name, { type, min, max }] of Object.entries(checked.points)) {
    const isNumber = type === "f64" || type === "i64" || type === "u64";
    if (isNumber || (min === undefined && max === undefined)) continue;
    const reason = `${name}: min and max need the type f64, i64 or u64`;
    throw new PlantError("REQUEST_MALFORMED", { reason, count: 1 });
  }
  return checked;
}

/** Names that the check of shapes would pass over: a rule for them would be lost in silence. */
const inherited = ["__proto__", "constructor", "prototype"];

function refuseInheritedNames(schema: unknown): void {
  const { points } = Object(schema) as { points?: unknown };
  const name = inherited.find((one) => Object.hasOwn(Object(points), one));
  if (name === undefined) return;
  const reason = `points: no rule may be named ${name}; a star covers it`;
  throw new PlantError("REQUEST_MALFORMED", { reason, count: 1 });
}

const star = "*";

function stars(name: string): number {
  return name.split(star).length - 1;
}

/** The schema of one scope. */
export class ScopeSchema {
  readonly document: SchemaDocument;
  readonly #names = new Map<string, Rule>();
  /** Rules by the texts between the stars of their name, in the order of the document. */
  readonly #patterns: { readonly parts: readonly string[]; readonly rule: Rule }[] = [];

  constructor(schema: SchemaDocument) {
    this.document = schema;
    for (const [name, one] of Object.entries(schema.points)) {
      const compiled = { ...one, choices: one.enum && new Set(one.enum.map(canonicalJson)) };
      if (name.includes(star)) this.#patterns.push({ parts: name.split(star), rule: compiled });
      else this.#names.set(name, compiled);
    }
  }

  #ruleOf(key: string): Rule | undefined {
    const named = this.#names.get(key);
    return named ?? this.#patterns.find(({ parts }) => isLike(key, parts))?.rule;
  }

  /** What is wrong with a point; undefined when nothing is. */
  violation(point: Judged): Violation | undefined {
    const found = this.#ruleOf(point.key);
    if (found !== undefined) return violationOf(found, point);
    if (this.document.others === "allow") return undefined;
    return { wanted: "one of the points of the schema", given: point.key };
  }

  /** A change with the type and unit that the schema says. */
  complete(change: PointChange): PointChange {
    const found = this.#ruleOf(change.key);
    if (found === undefined) return change;
    const { type = found.type, unit = found.unit } = change;
    return { ...change, type, unit };
  }
}

/** Whether a key is made of the parts in their order, with anything between them. */
function isLike(key: string, parts: readonly string[]): boolean {
  const first = parts[0] ?? "";
  const last = parts.at(-1) ?? "";
  if (!key.startsWith(first) || key.length < first.length + last.length) return false;
  const end = key.length - last.length;
  let at = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = key.indexOf(part, at);
    if (found < 0 || found + part.length > end) return false;
    at = found + part.length;
  }
  return at <= end && key.endsWith(last);
}

function violationOf(wanted: Rule, { value, type, unit }: Judged): Violation | undefined {
  if (wanted.unit !== undefined && unit !== undefined && unit !== wanted.unit) {
    return { wanted: `in ${wanted.unit}`, given: unit };
  }
  if (wanted.type !== undefined && type !== undefined && type !== wanted.type) {
    return { wanted: `of the type ${wanted.type}`, given: type };
  }
  if (value === null) return undefined;
  const given = JSON.stringify(value).slice(0, 100);
  if (wanted.type !== undefined && !fits(value, wanted.type)) {
    return { wanted: `of the type ${wanted.type}`, given };
  }
  if (wanted.min !== undefined && isLess(value, wanted.min)) {
    return { wanted: `at least ${wanted.min}`, given };
  }
  if (wanted.max !== undefined && isLess(wanted.max, value)) {
    return { wanted: `at most ${wanted.max}`, given };
  }
  if (wanted.maxLength !== undefined && typeof value === "string") {
    if (value.length > wanted.maxLength) {
      return { wanted: `at most ${wanted.maxLength} characters`, given };
    }
  }
  const { choices } = wanted;
  if (choices === undefined || choices.has(canonicalJson(value))) return undefined;
  return { wanted: `one of [${[...choices].join(",").slice(0, 200)}]`, given };
}

/** Whether one number is less than another; texts of 64-bit integers are numbers. */
function isLess(one: unknown, other: unknown): boolean {
  if (typeof one === "number" && typeof other === "number") return one < other;
  if (!isNumeric(one) || !isNumeric(other)) return false;
  // The language compares a whole number of any size with a fraction exactly.
  return asNumeric(one) < asNumeric(other);
}

function isNumeric(value: unknown): value is number | string {
  return typeof value === "number" || (typeof value === "string" && /^-?\d+$/.test(value));
}

function asNumeric(value: number | string): number | bigint {
  return typeof value === "number" ? value : BigInt(value);
}
