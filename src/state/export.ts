// Points as lines of JSON: a header, then one point a line, with all that is known of it. Pure: it
// must not know requests or the disk.
import type { Stamp } from "../util/clock.ts";
import { asPlantError, PlantError } from "../util/errors.ts";
import { checkPoint } from "./point-request.ts";
import type { Point, PointChange } from "./points.ts";
import { canonicalJson } from "./same-json.ts";

/** The first line of an export. */
export interface ExportHeader {
  readonly format: "plantd-points";
  readonly version: 1;
  /** When it was made, in milliseconds since 1970. */
  readonly time: number;
  readonly epoch: string;
  /** Sequence of `state` up to which it holds changes, at least. */
  readonly position: number;
  readonly scope?: string | undefined;
  readonly prefix?: string | undefined;
}

/** A point to be imported, and who set it. */
export interface ImportedPoint {
  /** Number of its line, from 1. */
  readonly line: number;
  readonly change: PointChange;
  readonly source: string;
}

/** What becomes of a line of an import. */
export type Fate = "new" | "same" | "changed" | "kept";

const version = 1;
/** Source of points whose line names none. */
export const presetSource = "import";

/** The first line of an export. */
export function headerLine(header: Omit<ExportHeader, "format" | "version">): string {
  return JSON.stringify({ format: "plantd-points", version, ...header });
}

/**
 * The points of some lines; empty ones and the header, which is the first, are none.
 * @param first number of the first line, from 1.
 * @throws PlantError IMPORT_REFUSED; `detail.line` is the line that is wrong.
 */
export function readLines(lines: readonly string[], first: number, now: Stamp): ImportedPoint[] {
  const points: ImportedPoint[] = [];
  for (const [at, text] of lines.entries()) {
    const line = first + at;
    if (text.trim() === "") continue;
    const value = objectOf(text, line);
    if (line === 1) readHeader(value);
    else points.push(readPoint(value, line, now));
  }
  return points;
}

function readHeader({ format, version: found }: Readonly<Record<string, unknown>>): void {
  if (format !== "plantd-points") {
    throw refused(1, 'the header is missing: {"format":"plantd-points","version":1}');
  }
  if (found !== version) throw refused(1, `version ${String(found)} is not known, only ${version}`);
}

function readPoint(
  value: Readonly<Record<string, unknown>>,
  line: number,
  now: Stamp,
): ImportedPoint {
  const { source = presetSource, expiresMs, ...rest } = value;
  const isText = typeof source === "string" && source !== "" && source.length <= 255;
  if (!isText || !source.isWellFormed()) {
    throw refused(line, "source: a text is needed");
  }
  const given = typeof expiresMs === "number" ? { ttlMs: expiresMs, ...rest } : rest;
  try {
    return { line, change: checkPoint(given, 0, now), source };
  } catch (error) {
    const { code, detail, message } = asPlantError(error);
    if (code === "INTERNAL") throw error;
    const reason = String(detail.reason ?? message).replaceAll(/points\.0\.?/g, "");
    throw refused(line, reason, error);
  }
}

function objectOf(text: string, line: number): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return value as Record<string, unknown>;
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw refused(line, "it is no JSON", error);
  }
  throw refused(line, "an object is needed");
}

function refused(line: number, reason: string, cause?: unknown): PlantError {
  return new PlantError("IMPORT_REFUSED", { line, reason }, { cause });
}

/** What becomes of a point: one that is there already is kept, unless it is to be replaced. */
export function fateOf(
  current: Point | undefined,
  { change, source }: ImportedPoint,
  replaces: boolean,
): Fate {
  if (current === undefined) return "new";
  if (sameText(current, current.source) === sameText(change, source)) return "same";
  return replaces ? "changed" : "kept";
}

/** All of a point but its revision, as one text. */
function sameText(point: PointChange, source: string): string {
  const { value, type, unit, quality, reason, time } = point;
  const { wall, boot, mono, sync } = time;
  return JSON.stringify([
    canonicalJson(value),
    type,
    unit,
    quality,
    reason,
    source,
    wall,
    boot,
    mono,
    sync,
  ]);
}
