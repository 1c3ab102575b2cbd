// What a line means: answer of a request to values with quality, answer of a command to a verdict.
// Pure. It must not know ports, and what happens when no line comes.
import type { SerialPoint, SerialProfile, SerialRequest, SerialWrite } from "./profile.ts";
import { type Fields, matchLine, numberOf, renderLine, type Template } from "./template.ts";

/** A value read from a line. `reason` says why it is not good. */
export interface Reading {
  readonly point: string;
  readonly value: number | string | boolean | null;
  readonly quality: "good" | "uncertain" | "bad";
  readonly reason?: string;
}

/** A line as the answer of a request. */
export type Answer =
  | { readonly kind: "readings"; readonly readings: readonly Reading[] }
  | { readonly kind: "refused"; readonly reason: string }
  | { readonly kind: "foreign" };

/** A line as the answer of a command. */
export type Verdict =
  | { readonly kind: "done" }
  | { readonly kind: "refused"; readonly reason: string }
  | { readonly kind: "foreign" };

/** Reads a line as the answer of `request`; one that answers something else is `foreign`. */
export function readAnswer(profile: SerialProfile, request: string, line: string): Answer {
  const refusal = profile.refusals.get(line);
  if (refusal !== undefined) return { kind: "refused", reason: refusal };
  const fields = firstMatch(profile.requests.get(request)?.answers ?? [], line);
  if (fields === undefined) return { kind: "foreign" };
  const readings = profile.points
    .filter(({ read }) => read?.request === request)
    .map((point) => readPoint(point, fields));
  return { kind: "readings", readings };
}

/** Reads a line as the answer of a written value. */
export function readVerdict(profile: SerialProfile, write: SerialWrite, line: string): Verdict {
  const reason = write.refused.get(line) ?? profile.refusals.get(line);
  if (reason !== undefined) return { kind: "refused", reason };
  return { kind: firstMatch(write.done, line) === undefined ? "foreign" : "done" };
}

/** The line that writes a value to a point, or why there is none. */
export function commandLine(point: SerialPoint, value: unknown): string | { problem: string } {
  if (point.write === undefined) return { problem: "the point is not writable" };
  if (point.type === "bool") {
    if (value !== true) return { problem: "only true carries the command out" };
    return renderLine(point.write.send, {});
  }
  if (point.type === "text") {
    if (typeof value !== "string" || !/^[!-~]{1,64}$/.test(value)) {
      return { problem: "the value must be a word of printable characters" };
    }
    return renderLine(point.write.send, { value });
  }
  if (typeof value !== "number" || !Number.isFinite(value) || Math.abs(value) >= 1e15) {
    return { problem: "the value must be a number" };
  }
  return renderLine(point.write.send, { value: (value / point.scale).toFixed(point.decimals) });
}

function firstMatch(templates: readonly Template[], line: string): Fields | undefined {
  for (const template of templates) {
    const fields = matchLine(template, line);
    if (fields !== undefined) return fields;
  }
  return undefined;
}

function readPoint(point: SerialPoint, fields: Fields): Reading {
  const { name, read, quality } = point;
  const state = quality === undefined ? undefined : fields[quality.field];
  const bad = state === undefined ? undefined : quality?.bad.get(state);
  if (bad !== undefined) return { point: name, value: null, quality: "bad", reason: bad };
  const raw = fields[read?.field ?? ""];
  if (raw === undefined) {
    return { point: name, value: null, quality: "bad", reason: "not-in-answer" };
  }
  const value = interpret(point, raw, fields);
  if (typeof value === "object") {
    return { point: name, value: null, quality: "bad", reason: value.problem };
  }
  const unsure = state === undefined ? undefined : quality?.uncertain.get(state);
  if (unsure !== undefined) return { point: name, value, quality: "uncertain", reason: unsure };
  return { point: name, value, quality: "good" };
}

function interpret(
  point: SerialPoint,
  raw: string,
  fields: Fields,
): number | string | boolean | { problem: string } {
  if (point.words !== undefined) return point.words.get(raw) ?? { problem: "unknown-word" };
  if (point.type !== "f64") return raw;
  const number = numberOf(raw);
  if (!Number.isFinite(number)) return { problem: "not-a-number" };
  const factor =
    point.units === undefined ? 1 : point.units.factors.get(fields[point.units.field] ?? "");
  if (factor === undefined) return { problem: "unknown-unit" };
  return settle(number * factor * point.scale, raw);
}

/** Removes what binary multiplication adds below the last digit of the line. */
function settle(value: number, raw: string): number {
  return Number(value.toPrecision(Math.max(12, Math.min(17, raw.length))));
}

/** A line the device would answer to `request` with these fields: for simulators. */
export function answerLine(request: SerialRequest, fields: Fields): string | undefined {
  const template = request.answers.find((candidate) =>
    candidate.parts.every((part) => {
      if (!("name" in part)) return true;
      const field = fields[part.name];
      return field !== undefined && (part.kind !== "choice" || part.options.includes(field));
    }),
  );
  return template === undefined ? undefined : renderLine(template, fields);
}
