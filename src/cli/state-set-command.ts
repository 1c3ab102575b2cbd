// `plant state set`: keeps a value in the store, on conditions where there are any.
// It must not know devices.
import { describeUnit, describeValue } from "../status/status.ts";
import { PlantError } from "../util/errors.ts";
import type { Invocation } from "./command.ts";
import { parseDuration } from "./duration.ts";
import { optionalWhole } from "./numbers.ts";
import { parseValue } from "./set-command.ts";
import { ask, whoOf } from "./state-command.ts";

const types = ["bool", "i64", "u64", "f64", "text", "json"];
const qualities = ["good", "uncertain", "bad"];

/** Keeps a value; its reply means it is durable. */
export async function runStateSet(invocation: Invocation): Promise<number> {
  const [scope = "", key = "", text = ""] = invocation.args;
  const { options, out } = invocation;
  const type = wordOf(options.type, "type", types);
  const value = readValue(text, type);
  const quality = wordOf(options.quality, "quality", qualities);
  const ttl = options.ttl;
  const ttlMs = typeof ttl === "string" ? Math.round(parseDuration(ttl, "--ttl")) : undefined;
  if (ttlMs === 0) throw new PlantError("USAGE", { message: "--ttl is longer than nothing" });
  const { unit, reason } = options;
  const point = {
    ...{ scope, key, value },
    ...(type === undefined ? {} : { type }),
    ...(typeof unit === "string" ? { unit } : {}),
    ...(quality === undefined ? {} : { quality }),
    ...(typeof reason === "string" ? { reason } : {}),
    ...(ttlMs === undefined ? {} : { ttlMs }),
  };
  const expect = expectOf(options, type);
  const source = { source: "plant", run: crypto.randomUUID(), number: 1, flush: "now" };
  const by = whoOf(invocation);
  const data =
    expect === undefined
      ? await ask(invocation, "set-many", { ...source, by, points: [point] })
      : await ask(invocation, "compare-and-set", { ...source, by, ...point, expect });
  const { first, revision = first } = (data ?? {}) as { first?: unknown; revision?: unknown };
  out.result({ schema: "plant.kept/1", ...point, revision: revision ?? null }, () => {
    const shown = `${describeValue(value)} ${describeUnit(point.unit)}`.trimEnd();
    return `${scope} ${key} is ${shown}`;
  });
  return 0;
}

/** @throws PlantError USAGE. */
function wordOf(given: unknown, name: string, words: readonly string[]): string | undefined {
  if (typeof given !== "string") return undefined;
  if (words.includes(given)) return given;
  throw new PlantError("USAGE", { message: `--${name} is ${words.join(", ")}, not ${given}` });
}

/** A text stays one where a text is meant; 64-bit integers travel as texts. */
function readValue(text: string, type: string | undefined): unknown {
  return type === "text" || type === "i64" || type === "u64" ? text : parseValue(text);
}

/** What must hold before; nothing when no condition was named. @throws PlantError USAGE. */
function expectOf(
  options: Invocation["options"],
  type: string | undefined,
): Readonly<Record<string, unknown>> | undefined {
  const revision = optionalWhole(options, "expect-revision", Number.MAX_SAFE_INTEGER);
  const found = [
    ...(typeof options.expect === "string" ? [{ value: readValue(options.expect, type) }] : []),
    ...(revision === undefined ? [] : [{ revision }]),
    ...(options.expectAbsent === true ? [{ absent: true }] : []),
  ];
  if (found.length > 1) {
    const message = "one of --expect, --expect-revision and --expect-absent";
    throw new PlantError("USAGE", { message });
  }
  return found[0];
}
