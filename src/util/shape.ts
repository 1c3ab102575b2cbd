// The shape of data from outside, checked at the door. The only importer of valibot.
// It must not know any particular shape.
import * as v from "valibot";
import type { Code } from "./catalogue.ts";
import { PlantError } from "./errors.ts";

export { v };

/** One thing wrong with a piece of data. */
export interface Flaw {
  /** Where, as keys and indices from the top. */
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** What is said of a key that a group does not know. */
export const unknownKey = "no key has this name here";

/** The most flaws one error reports. */
const flawsMax = 50;

/** All that is wrong with `value`, or its checked form with defaults filled in. */
export function inspect<S extends v.GenericSchema>(
  schema: S,
  value: unknown,
): { readonly ok: true; readonly value: v.InferOutput<S> } | { ok: false; flaws: Flaw[] } {
  const result = v.safeParse(schema, value);
  if (result.success) return { ok: true, value: result.output };
  return { ok: false, flaws: result.issues.slice(0, flawsMax).map(flawOf) };
}

/**
 * The checked form of `value`.
 * @throws PlantError `code`, REQUEST_MALFORMED unless told; `detail.reason` names every flaw.
 */
export function check<S extends v.GenericSchema>(
  schema: S,
  value: unknown,
  code: Code = "REQUEST_MALFORMED",
): v.InferOutput<S> {
  const result = inspect(schema, value);
  if (result.ok) return result.value;
  const { flaws } = result;
  const reason = flaws.map((flaw) => `${flaw.path.join(".") || "it"}: ${flaw.message}`).join("; ");
  throw new PlantError(code, { reason, count: flaws.length, flaws });
}

function flawOf(issue: v.BaseIssue<unknown>): Flaw {
  const path = (issue.path ?? []).map((item) => item.key as string | number);
  return { path, message: messageOf(issue) };
}

/** A schema's own words, except where they say nothing of what is wrong. */
function messageOf({ type, expected, received, message }: v.BaseIssue<unknown>): string {
  if (type === "strict_object" && expected === "never") return unknownKey;
  if (received === "undefined" && expected?.startsWith('"') === true) return "it is missing";
  if (/object$/.test(type) && expected === "Object") return `a group of keys, not ${received}`;
  return message.replace(/^Invalid type: Expected (\S+) but received /, "a $1, not ");
}
