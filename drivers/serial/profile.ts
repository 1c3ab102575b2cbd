// Profiles of line-framed devices: a YAML table checked as a whole, every flaw at once with line
// and column. It must not know ports, requests or values.
import { fileURLToPath } from "node:url";
import { parseYaml, type YamlText } from "../../src/config/config.ts";
import { PlantError } from "../../src/util/errors.ts";
import { type Flaw, inspect, v } from "../../src/util/shape.ts";
import { listProfiles, readProfile } from "../kit/kit.ts";
import type { Framing } from "./framing.ts";
import { compileTemplate, type Template } from "./template.ts";

/** What a device is asked, and the lines it may answer. */
export interface SerialRequest {
  /** The line sent; absent when the device speaks by itself. */
  readonly send: string | undefined;
  readonly answers: readonly Template[];
}

/** A line that carries a written value out, and what the device says to it. */
export interface SerialWrite {
  /** The line sent; `value` is its only field. */
  readonly send: Template;
  readonly done: readonly Template[];
  /** Line → why the device did not do it. */
  readonly refused: ReadonlyMap<string, string>;
  /** Longest wait for the answer, when the command takes longer than the line's timeout. */
  readonly timeoutMs: number | undefined;
}

/** One point of a device. */
export interface SerialPoint {
  readonly name: string;
  readonly type: "f64" | "bool" | "text";
  readonly unit: string | undefined;
  /** Value = number in the line × scale. */
  readonly scale: number;
  /** Decimals a number is written with. */
  readonly decimals: number;
  readonly label: string | undefined;
  /** A value a simulator starts from. */
  readonly typical: number | string | boolean | undefined;
  readonly read: { readonly request: string; readonly field: string } | undefined;
  /** Word in the line → value. */
  readonly words: ReadonlyMap<string, string | boolean> | undefined;
  /** Field that names the unit of the number, and the factor of each unit to `unit`. */
  readonly units:
    | { readonly field: string; readonly factors: ReadonlyMap<string, number> }
    | undefined;
  /** Field that tells how good the value is; words not listed are good. */
  readonly quality:
    | {
        readonly field: string;
        readonly uncertain: ReadonlyMap<string, string>;
        readonly bad: ReadonlyMap<string, string>;
      }
    | undefined;
  readonly write: SerialWrite | undefined;
}

/** A kind of line-framed device. */
export interface SerialProfile {
  /** The file's name without `.yaml`. */
  readonly id: string;
  readonly name: string;
  readonly maker: string;
  /** The document the table was made from. */
  readonly source: string;
  readonly framing: Framing;
  /** Line → reason: answers that refuse any request. */
  readonly refusals: ReadonlyMap<string, string>;
  readonly requests: ReadonlyMap<string, SerialRequest>;
  readonly points: readonly SerialPoint[];
}

const name = v.pipe(
  v.string("a name"),
  v.regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/, "a name of letters, digits, - and _, at most 63"),
);
const text = v.pipe(v.string("a text"), v.minLength(1, "a text"), v.maxLength(256, "a text"));
const words = v.record(v.string(), text);
const mapOf = <T>(record: Readonly<Record<string, T>> | undefined) =>
  new Map(Object.entries(record ?? {}));

/** A line template, compiled. */
const template = v.pipe(
  text,
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const compiled = compileTemplate(dataset.value);
    if (typeof compiled !== "string") return compiled;
    addIssue({ message: compiled });
    return NEVER;
  }),
);

const framing = v.strictObject({
  terminator: v.picklist(["\r\n", "\r", "\n", "\n\r", "\x03"], "one of \\r\\n, \\r, \\n, \\x03"),
  start: v.optional(
    v.pipe(
      v.string(),
      v.check((value) => value.length === 1 && value < " ", "one control character"),
    ),
  ),
  lineMax: v.pipe(
    v.number("a whole number from 2 to 1024"),
    v.integer("a whole number from 2 to 1024"),
    v.minValue(2, "a whole number from 2 to 1024"),
    v.maxValue(1024, "a whole number from 2 to 1024"),
  ),
  checksum: v.optional(v.picklist(["none", "xor8", "sum8"], "one of none, xor8, sum8"), "none"),
});

const request = v.strictObject({
  send: v.optional(v.pipe(text, v.regex(/^[ -~]+$/, "printable ASCII characters"))),
  answers: v.pipe(v.array(template, "a list of lines"), v.minLength(1, "at least one line")),
});

const patience = "a number from 10 to 60000 (ms)";
const factor = v.pipe(v.number("a number above 0"), v.gtValue(0, "a number above 0"));
const point = v.strictObject({
  type: v.picklist(["f64", "bool", "text"], "one of f64, bool, text"),
  unit: v.optional(text),
  scale: v.optional(factor, 1),
  decimals: v.optional(
    v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(12, "at most 12 decimals")),
    3,
  ),
  label: v.optional(text),
  typical: v.optional(v.union([v.number(), v.string(), v.boolean()], "a number, text or boolean")),
  read: v.optional(v.strictObject({ request: name, field: text })),
  words: v.optional(v.record(v.string(), v.union([v.string(), v.boolean()], "a text or boolean"))),
  units: v.optional(v.strictObject({ field: text, factors: v.record(v.string(), factor) })),
  quality: v.optional(
    v.strictObject({ field: text, uncertain: v.optional(words), bad: v.optional(words) }),
  ),
  write: v.optional(
    v.strictObject({
      send: template,
      done: v.pipe(v.array(template, "a list of lines"), v.minLength(1, "at least one line")),
      refused: v.optional(words),
      timeoutMs: v.optional(
        v.pipe(v.number(patience), v.minValue(10, patience), v.maxValue(60_000, patience)),
      ),
    }),
  ),
});

const table = v.strictObject(
  {
    name: text,
    maker: text,
    source: text,
    framing,
    refusals: v.optional(words),
    requests: v.record(name, request),
    points: v.record(name, point),
  },
  "a group of keys",
);
type Table = v.InferOutput<typeof table>;

/**
 * Reads a profile from its text.
 * @throws PlantError PROFILE_INVALID; every flaw stands in `detail.flaws` as `{line, column,
 * setting, message}`.
 */
export function parseSerialProfile(profile: string, source: string): SerialProfile {
  const yaml = parseYaml(source);
  if (yaml.errors.length > 0) {
    throw invalid(
      profile,
      yaml.errors.map(({ message, at }) => ({ ...at, setting: "", message })),
    );
  }
  const result = inspect(table, yaml.value);
  const flaws = result.ok ? crossFlaws(result.value) : result.flaws;
  if (result.ok && flaws.length === 0) return assemble(profile, result.value);
  throw invalid(
    profile,
    flaws.map((flaw) => placed(yaml, flaw)),
  );
}

function placed(yaml: YamlText, { path, message }: Flaw) {
  const words = /^(a|an|one|at|printable) /.test(message) ? `must be ${message}` : message;
  return { ...yaml.positionOf(path), setting: path.join("."), message: words };
}

function invalid(profile: string, flaws: readonly unknown[]): PlantError {
  return new PlantError("PROFILE_INVALID", { profile, count: flaws.length, flaws });
}

/** What is wrong between the parts of a table that are right by themselves. */
function crossFlaws(profile: Table): Flaw[] {
  const flaws: Flaw[] = [];
  if (Object.keys(profile.points).length === 0) {
    flaws.push({ path: ["points"], message: "at least one point is needed" });
  }
  for (const [pointName, item] of Object.entries(profile.points)) {
    const at = (...path: string[]) => ["points", pointName, ...path];
    const { read, write } = item;
    if (read === undefined && write === undefined) {
      flaws.push({ path: at(), message: "a point is read or written, or both" });
    }
    if (write?.send.fields.some((field) => field !== "value")) {
      flaws.push({ path: at("write", "send"), message: "{value} is the only field of a command" });
    }
    if (read === undefined) continue;
    const asked = profile.requests[read.request];
    if (asked === undefined) {
      flaws.push({ path: at("read", "request"), message: `no request named ${read.request}` });
      continue;
    }
    const known = new Set(asked.answers.flatMap(({ fields }) => fields));
    const used = [
      [read.field, "read"],
      [item.units?.field, "units"],
      [item.quality?.field, "quality"],
    ] as const;
    for (const [field, part] of used) {
      if (field === undefined || known.has(field)) continue;
      flaws.push({ path: at(part, "field"), message: `no answer has a field ${field}` });
    }
    if (item.type === "bool" && item.words === undefined) {
      flaws.push({ path: at("type"), message: "a bool that is read needs words" });
    }
  }
  return flaws;
}

function assemble(profile: string, from: Table): SerialProfile {
  const points = Object.entries(from.points).map(([pointName, item]): SerialPoint => {
    const { units, quality, write } = item;
    return {
      name: pointName,
      type: item.type,
      unit: item.unit,
      scale: item.scale,
      decimals: item.decimals,
      label: item.label,
      typical: item.typical,
      read: item.read,
      words: item.words === undefined ? undefined : mapOf(item.words),
      units: units === undefined ? undefined : { ...units, factors: mapOf(units.factors) },
      quality:
        quality === undefined
          ? undefined
          : { field: quality.field, uncertain: mapOf(quality.uncertain), bad: mapOf(quality.bad) },
      write:
        write === undefined
          ? undefined
          : { ...write, refused: mapOf(write.refused), timeoutMs: write.timeoutMs },
    };
  });
  const requests = Object.entries(from.requests).map(
    ([key, { send, answers }]) => [key, { send, answers }] as const,
  );
  return {
    id: profile,
    name: from.name,
    maker: from.maker,
    source: from.source,
    framing: from.framing,
    refusals: mapOf(from.refusals),
    requests: new Map(requests),
    points,
  };
}

const own = fileURLToPath(new URL("./profiles/", import.meta.url));

/** Names of the profiles that come with the driver, and of those in `folder`. */
export function serialProfileNames(folder?: string): string[] {
  return listProfiles(folder === undefined ? [own] : [folder, own]);
}

/**
 * A profile of `folder`, or one that comes with the driver.
 * @throws PlantError PROFILE_UNKNOWN, PROFILE_INVALID.
 */
export function loadSerialProfile(id: string, folder?: string): SerialProfile {
  return parseSerialProfile(id, readProfile(folder === undefined ? [own] : [folder, own], id));
}
