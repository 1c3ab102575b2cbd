// Takes secrets out of what is to be written: by the names of fields and by the shapes of texts.
// It must not know who writes or who reads.
import {
  curveRule,
  findWordless,
  privateMembers,
  redacted,
  secretNames,
  secretSuffixes,
  suspicion,
  textRules,
  withoutCodes,
} from "./redaction-rules.ts";

export { redacted } from "./redaction-rules.ts";

/** Takes out secrets; the same again changes nothing more. */
export interface Redactor {
  /** A text without secrets; of one too long its beginning. */
  text(text: string): string;
  /**
   * A value as JSON can hold it, without secrets: errors are named by message and code, bytes by
   * their number, what lies too deep by saying so. What needs no change is not copied.
   */
  value(value: unknown): unknown;
}

/** Objects and lists within one another. */
const depthMax = 10;
/** Characters of a text that are looked at, and those that are kept of a longer one. */
const lookMax = 16_384;
const keepMax = 8192;
/** Names of fields whose verdict is remembered. */
const namesMax = 2000;

type Verdict = "secret" | "public" | "plain";

/** @param names further names of fields that hold secrets; case, hyphens and such do not matter. */
export function makeRedactor(names: readonly string[] = []): Redactor {
  const further = new Set(names.map(plainName));
  const verdicts = new Map<string, Verdict>();

  function verdictOf(name: string): Verdict {
    const known = verdicts.get(name);
    if (known !== undefined) return known;
    const plain = plainName(name);
    const isSecret =
      secretNames.has(plain) ||
      further.has(plain) ||
      secretSuffixes.some((suffix) => plain.endsWith(suffix));
    const verdict = isSecret ? "secret" : plain.includes("public") ? "public" : "plain";
    if (verdicts.size >= namesMax) verdicts.clear();
    verdicts.set(name, verdict);
    return verdict;
  }

  function walk(value: unknown, depth: number, isPublic: boolean): unknown {
    if (typeof value === "string") return redactText(value, isPublic);
    if (typeof value === "bigint") return value.toString();
    if (typeof value !== "object" || value === null) return value;
    if (depth >= depthMax) return "[too deep]";
    if (Array.isArray(value)) return walkList(value, depth, isPublic);
    if (value instanceof Error) return walk(errorFacts(value), depth + 1, false);
    if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
    const { toJSON } = value as { toJSON?: unknown };
    if (typeof toJSON === "function") return walk(toJSON.call(value), depth + 1, isPublic);
    return walkFields(value as Record<string, unknown>, depth);
  }

  function walkList(list: readonly unknown[], depth: number, isPublic: boolean): unknown {
    let changed: unknown[] | undefined;
    for (let at = 0; at < list.length; at += 1) {
      const item = list[at];
      const clean = walk(item, depth + 1, isPublic);
      if (clean === item) continue;
      changed ??= [...list];
      changed[at] = clean;
    }
    return changed ?? list;
  }

  function walkFields(fields: Record<string, unknown>, depth: number): unknown {
    let changed: Record<string, unknown> | undefined;
    const isKey = typeof fields.kty === "string";
    for (const name of Object.keys(fields)) {
      const item = fields[name];
      const verdict = isKey && privateMembers.has(name) ? "secret" : verdictOf(name);
      const clean =
        verdict === "secret" && isTelling(item)
          ? redacted
          : walk(item, depth + 1, verdict === "public");
      if (clean === item) continue;
      changed ??= { ...fields };
      changed[name] = clean;
    }
    return changed ?? fields;
  }

  return {
    text: (text) => redactText(text, false),
    value: (value) => walk(value, 0, false),
  };
}

/** Whether a value under a secret's name could be one: not yes, no, nothing. */
function isTelling(value: unknown): boolean {
  return value !== undefined && value !== null && value !== "" && typeof value !== "boolean";
}

function plainName(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, "");
}

function errorFacts(error: Error): Record<string, unknown> {
  const { code } = error as Error & { code?: unknown };
  return { message: error.message, ...(code === undefined ? {} : { code }) };
}

function redactText(text: string, isPublic: boolean): string {
  const isLong = text.length > lookMax;
  let clean = isLong ? text.slice(0, lookMax) : text;
  if (suspicion.test(clean)) {
    for (const { pattern, replace } of textRules) clean = clean.replace(pattern, replace);
  }
  const { hasCode, hasCurve } = findWordless(clean);
  if (hasCode) clean = withoutCodes(clean);
  // The one rule that cannot tell a secret from what everybody may know.
  if (hasCurve && !isPublic && !/public/i.test(clean)) {
    clean = clean.replace(curveRule.pattern, curveRule.replace);
  }
  return isLong ? `${clean.slice(0, keepMax)}…` : clean;
}
