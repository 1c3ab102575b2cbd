// One log line as the logger keeps it: read from whatever a writer sent, without secrets, of bounded
// size, as a text. It must not know where it goes.
import type { Redactor } from "../util/redact.ts";

/** Longest slice of work on lines: a third of what others may be kept waiting. */
export const sliceMs = 1.5;

/** A line with what is looked at often; all of it is in the text. */
export interface Line {
  /** ISO 8601, UTC. */
  readonly timestamp: string;
  readonly level: string;
  readonly service: string;
  /** Empty where the writer named none. */
  readonly context: string;
  /** The line as JSON without its timestamp: the same for the same line written again. */
  readonly body: string;
}

/** Bytes of one line as JSON; of a longer one the fields go. */
export const lineBytesMax = 8192;
const messageMax = 2000;
/** Characters of a text that are read as JSON; a longer one is its own message. */
const parseMax = 65_536;

/** Names the logger writes itself, in front. */
const own = new Set(["timestamp", "level", "service", "context", "message"]);
const isoUtc = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/;

/** The whole line as JSON. */
export function textOf({ timestamp, body }: Line): string {
  return `{"timestamp":"${timestamp}",${body.slice(1)}`;
}

/** A line of the logger's own, about lines. */
export function makeLine(
  timestamp: string,
  about: { readonly level: string; readonly service: string; readonly context?: string },
  rest: { readonly message: string; readonly [field: string]: unknown },
): Line {
  const { level, service, context = "" } = about;
  const named = context === "" ? {} : { context };
  const body = JSON.stringify({ level, service, ...named, ...rest });
  return { timestamp, level, service, context, body };
}

/** @param now stands in for a time the writer left out or wrote otherwise than ISO 8601 in UTC. */
export function readLine(given: string | object, redactor: Redactor, now: () => string): Line {
  const read = typeof given === "string" ? parseLine(given) : given;
  const isLarge = typeof given !== "string" || given.length > lineBytesMax;
  const fields = read as Record<string, unknown>;
  const line = isLarge && isOversized(read) ? undefined : buildLine(fields, redactor, now, false);
  const isFitting =
    line !== undefined &&
    (line.body.length * 3 <= lineBytesMax || Buffer.byteLength(textOf(line)) <= lineBytesMax);
  return isFitting ? line : buildLine(fields, redactor, now, true);
}

function buildLine(
  fields: Record<string, unknown>,
  redactor: Redactor,
  now: () => string,
  isCut: boolean,
): Line {
  const word = (name: string, max: number): string => {
    const value = fields[name];
    return typeof value === "string" ? value.slice(0, max) : "";
  };
  const written = word("timestamp", 40);
  const isTimed = isoUtc.test(written);
  const level = word("level", 10) || "info";
  const service = redactor.text(word("service", 255)) || "unknown";
  const context = redactor.text(word("context", 255));
  const { message } = fields;
  // Redacted before it is cut: half a secret has no shape.
  const text = typeof message === "string" ? redactor.text(message).slice(0, messageMax) : "";
  const rest: Record<string, unknown> = { level, service };
  if (context !== "") rest.context = context;
  rest.message = text;
  if (!isTimed && written !== "") rest.written = redactor.text(written);
  if (isCut) {
    for (const name of ["code", "trace"]) {
      if (typeof fields[name] === "string") rest[name] = redactor.text(word(name, 64));
    }
    rest.isCut = true;
  } else {
    const clean = redactor.value(fields) as Record<string, unknown>;
    for (const name in clean) if (!own.has(name)) rest[name] = clean[name];
  }
  const timestamp = isTimed ? written : now();
  return { timestamp, level, service, context, body: JSON.stringify(rest) };
}

/** A line as its writer made it; what is no JSON object is its own message. */
function parseLine(text: string): object {
  if (text.length > parseMax) return { message: text.slice(0, parseMax) };
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : { message: text };
  } catch (error) {
    if (error instanceof SyntaxError) return { message: text };
    throw error;
  }
}

/** Whether a value as JSON is surely longer than a line may be, without writing it. */
function isOversized(value: object): boolean {
  let left = lineBytesMax;
  const walk = (item: unknown): void => {
    left -= 2;
    if (typeof item === "string") left -= item.length;
    if (typeof item !== "object" || item === null || left < 0) return;
    for (const name in item) {
      if (!Array.isArray(item)) left -= name.length;
      walk((item as Record<string, unknown>)[name]);
      if (left < 0) return;
    }
  };
  walk(value);
  return left < 0;
}
