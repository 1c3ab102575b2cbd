// The configuration: file, then environment, then flags, each above the one before; checked once,
// all errors at once, with line and column. It must not know any service.
import { isUtf8 } from "node:buffer";
import { closeSync, openSync, readSync } from "node:fs";
import { PlantError } from "../util/errors.ts";
import { nearestWord } from "../util/nearest.ts";
import { inspect, unknownKey } from "../util/shape.ts";
import { type Config, schema } from "./schema.ts";
import { parseYaml, type YamlText } from "./yaml.ts";

export { type Config, type DeviceConfig, type LineConfig, schema } from "./schema.ts";
export { forgetYaml, type Position, parseYaml, type YamlText } from "./yaml.ts";

/** Where settings come from. */
export interface ConfigSources {
  /** Path of the YAML file; none means defaults. */
  readonly file?: string;
  /** The environment; `PLANTD_HTTP_PORT` is `http.port`, `PLANTD_STORE_FLUSH_MAX_MS` too. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Settings from the command line, by dotted name. */
  readonly flags?: Readonly<Record<string, string>>;
}

/** One thing wrong with the configuration. */
export interface ConfigFlaw {
  /** File name, `environment` or `flag`. */
  readonly source: string;
  readonly line?: number;
  readonly column?: number;
  /** Dotted name of the setting. */
  readonly setting: string;
  readonly message: string;
}

/** Names under PLANTD_ that are not settings. */
const notSettings = ["PLANTD_DATA_DIR", "PLANTD_RUN_DIR", "PLANTD_RUN", "PLANTD_CONFIG"];

/**
 * Reads and checks the configuration.
 * @throws PlantError CONFIG_UNREADABLE; CONFIG_INVALID with every flaw in `detail.flaws`.
 */
export function loadConfig(sources: ConfigSources): Config {
  const { file } = sources;
  const text = file === undefined ? "" : readText(file);
  return parseConfig(text, { ...sources, file: file ?? "defaults" });
}

/** As `loadConfig`, from the text of the file. */
export function parseConfig(text: string, sources: ConfigSources): Config {
  const file = sources.file ?? "configuration";
  const yaml = parseYaml(text);
  if (yaml.errors.length > 0) {
    throw invalid(
      yaml.errors.map(({ message, at }) => ({ source: file, ...at, setting: "", message })),
    );
  }
  const origins = new Map<string, string>();
  const flaws: ConfigFlaw[] = [];
  const tree = structuredClone(yaml.value ?? {}) as Record<string, unknown>;
  for (const [name, value] of Object.entries(sources.env ?? {})) {
    if (!name.startsWith("PLANTD_") || notSettings.includes(name) || value === undefined) continue;
    const setting = settingOfVariable(name);
    if (setting === undefined) {
      const meant = nearestWord(name, settingNames().map(variableOf));
      const message = didYouMean("no setting has this name", meant);
      flaws.push({ source: "environment", setting: name, message });
    } else assign(tree, setting, value, origins, "environment");
  }
  for (const [name, value] of Object.entries(sources.flags ?? {})) {
    if (settingNames().includes(name)) assign(tree, name, value, origins, "flag");
    else {
      const message = didYouMean("no setting has this name", nearestWord(name, settingNames()));
      flaws.push({ source: "flag", setting: name, message });
    }
  }
  const result = inspect(schema, tree);
  if (result.ok && flaws.length === 0) return result.value;
  const found = result.ok ? [] : result.flaws;
  for (const { path, message } of found) {
    flaws.push(locate(file, yaml, origins, path, message));
  }
  throw invalid(flaws.sort(byPlace));
}

/** In the order of the file; what has no line comes last. */
function byPlace(a: ConfigFlaw, b: ConfigFlaw): number {
  const last = Number.MAX_SAFE_INTEGER;
  return (a.line ?? last) - (b.line ?? last) || (a.column ?? 0) - (b.column ?? 0);
}

/** `no key has this name here`, and the one that was meant. */
function withSuggestion(message: string, path: readonly (string | number)[]): string {
  if (message !== unknownKey) return message;
  const known = keysAt(path.slice(0, -1));
  const meant = nearestWord(String(path.at(-1)), known);
  return meant === undefined
    ? `${message}; there are ${known.join(", ")}`
    : didYouMean(message, meant);
}

function didYouMean(message: string, meant: string | undefined): string {
  return meant === undefined ? message : `${message}; did you mean ${meant}?`;
}

/** The keys a group of the configuration may have. */
function keysAt(path: readonly (string | number)[]): string[] {
  type Shape = {
    wrapped?: Shape;
    entries?: Record<string, Shape>;
    value?: Shape;
    item?: Shape;
  };
  const inner = (shape: Shape | undefined): Shape | undefined =>
    shape?.wrapped === undefined ? shape : inner(shape.wrapped);
  let shape = inner(schema as unknown as Shape);
  for (const key of path) {
    const { entries, value, item } = shape ?? {};
    shape = inner(entries === undefined ? (value ?? item) : entries[key]);
  }
  return Object.keys(shape?.entries ?? {});
}

function locate(
  file: string,
  yaml: YamlText,
  origins: ReadonlyMap<string, string>,
  path: readonly (string | number)[],
  message: string,
): ConfigFlaw {
  const setting = path.join(".");
  const origin = origins.get(setting);
  const words = /^(?:an? |one of |at (?:least|most) |tcp:)/.test(message)
    ? `must be ${message}`
    : withSuggestion(message, path);
  if (origin !== undefined) return { source: origin, setting, message: words };
  return { source: file, ...yaml.positionOf(path), setting, message: words };
}

function invalid(flaws: readonly ConfigFlaw[]): PlantError {
  return new PlantError("CONFIG_INVALID", { count: flaws.length, flaws });
}

/** One flaw as a line: `plantd.yaml:3:7 broker.heartbeatMs: …`. */
export function describeFlaw(flaw: ConfigFlaw): string {
  const place = flaw.line === undefined ? "" : `:${flaw.line}:${flaw.column}`;
  const setting = flaw.setting === "" ? "" : ` ${flaw.setting}`;
  return `${flaw.source}${place}${setting}: ${flaw.message}`;
}

/** A configuration is written by people: a file beyond this is none. */
const fileBytesMax = 1_048_576;

/** The text of a file, whatever kind of file it is; never more than the bound is read. */
function readText(path: string): string {
  const unreadable = (reason: string, cause?: unknown) =>
    new PlantError("CONFIG_UNREADABLE", { path, reason }, { cause });
  const bytes = Buffer.alloc(fileBytesMax + 1);
  let length = 0;
  try {
    const handle = openSync(path, "r");
    try {
      for (let count = -1; count !== 0 && length < bytes.length; length += count) {
        count = readSync(handle, bytes, length, bytes.length - length, null);
      }
    } finally {
      closeSync(handle);
    }
  } catch (error) {
    throw unreadable((error as NodeJS.ErrnoException).code ?? String(error), error);
  }
  if (length > fileBytesMax) throw unreadable(`it has more than ${fileBytesMax} bytes`);
  const text = bytes.subarray(0, length);
  if (!isUtf8(text)) throw unreadable("it is not UTF-8");
  return text.toString();
}

/** A dotted setting name of a variable: `PLANTD_HTTP_PORT` → `http.port`. */
function settingOfVariable(name: string): string | undefined {
  return settingNames().find((setting) => variableOf(setting) === name);
}

/** The environment variable of a setting: `store.flushMaxMs` → `PLANTD_STORE_FLUSH_MAX_MS`. */
export function variableOf(setting: string): string {
  const snake = setting
    .replaceAll("MiB", "Mib")
    .replaceAll(".", "_")
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2");
  return `PLANTD_${snake.toUpperCase()}`;
}

/** Dotted names of all settings that have one value. */
export function settingNames(): string[] {
  const names: string[] = [];
  for (const [sectionName, section] of Object.entries(schema.entries)) {
    const wrapped = "wrapped" in section ? section.wrapped : section;
    if (!("entries" in wrapped)) continue;
    for (const [key, entry] of Object.entries(wrapped.entries)) {
      if (!isGroup(entry)) names.push(`${sectionName}.${key}`);
    }
  }
  return names;
}

/** Whether a setting is made of groups of names, which only a file can hold. */
function isGroup(entry: unknown): boolean {
  type Shape = { type: string; wrapped?: Shape; item?: { entries?: object }; pipe?: Shape[] };
  const { type, wrapped, item } = entry as Shape;
  if (wrapped !== undefined) return isGroup(wrapped);
  return type === "record" || (type === "array" && item?.entries !== undefined);
}

/** Texts from environment and flags become numbers and booleans where they read as such. */
function assign(
  tree: Record<string, unknown>,
  setting: string,
  text: string,
  origins: Map<string, string>,
  origin: string,
): void {
  const [sectionName = "", key = ""] = setting.split(".");
  const section = (tree[sectionName] ?? {}) as Record<string, unknown>;
  tree[sectionName] = { ...section, [key]: typed(text) };
  origins.set(setting, origin);
}

function typed(text: string): unknown {
  if (text === "true" || text === "false") return text === "true";
  if (/^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  return text;
}
