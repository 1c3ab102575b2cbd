// `plant log`: lines of all parts, newest last. It must not know where they are kept.
import type { Client } from "../client/client.ts";
import { explain, services } from "../status/status.ts";
import { parseTime } from "../util/clock.ts";
import { hasCode, PlantError } from "../util/errors.ts";
import { check, inspect, v } from "../util/shape.ts";
import type { Invocation } from "./command.ts";
import { parseDuration } from "./duration.ts";
import { wholeOption } from "./numbers.ts";
import type { Colour, Output } from "./output.ts";

/** Lines when nothing is said of their number; with `--since` it is the time that bounds. */
const presetLines = 100;
const presetSinceLines = 10_000;
const linesMax = 999_999;
const pageLines = 2000;
const followMs = 40_000;
/** Pause before another try while the logger is away. */
const retryMs = 1000;
/** How far lines of one moment may come apart. */
const apartMs = 5000;
/** A look back tells how far it is after so many lines. */
const talkEvery = 20_000;

const lineShape = v.looseObject({
  timestamp: v.optional(v.string(), ""),
  level: v.optional(v.string(), ""),
  service: v.optional(v.string(), ""),
  context: v.optional(v.string()),
  message: v.optional(v.string(), ""),
  code: v.optional(v.string()),
  fields: v.optional(v.fallback(v.record(v.string(), v.unknown()), {}), {}),
});
type Line = v.InferOutput<typeof lineShape>;

const pageShape = v.looseObject({
  lines: v.optional(v.array(v.unknown()), []),
  run: v.optional(v.string()),
  position: v.optional(v.number()),
  missed: v.optional(v.number()),
  next: v.optional(v.string()),
});
type Page = v.InferOutput<typeof pageShape>;

/** Characters of a fact that are shown to people. */
const factMax = 100;

const tones: Readonly<Record<string, Colour>> = { error: "red", warn: "yellow" };

/** Prints lines, and with `--follow` those that come, none missing or twice in between. */
export async function runLog(invocation: Invocation): Promise<number> {
  const { options, signal, io } = invocation;
  const filter = filterOf(invocation);
  const client = await invocation.client();
  const first = await printTail(invocation, client, filter);
  if (options.follow !== true) return 0;
  let place: Place = { after: first.position, run: first.run };
  while (!signal.aborted) place = await follow(invocation, client, filter, place);
  if (io.signal.aborted) throw new PlantError("CANCELLED");
  return 0;
}

type Filter = Readonly<Record<string, unknown>>;

/** @throws PlantError USAGE. */
function filterOf({ options, io }: Invocation): Filter {
  const nowMs = io.clock.wallMs();
  const filter: Record<string, unknown> = {};
  for (const name of ["service", "part", "context", "grep"]) {
    if (typeof options[name] === "string") filter[name] = options[name];
  }
  for (const name of ["since", "until"]) {
    const text = options[name];
    if (typeof text !== "string") continue;
    filter[name] = Math.max(0, nowMs - parseDuration(text, `--${name}`));
  }
  const { level } = options;
  if (typeof level === "string") {
    if (!["debug", "info", "warn", "error"].includes(level)) {
      const message = `--level is debug, info, warn or error, not ${level}`;
      throw new PlantError("USAGE", { message });
    }
    filter.level = level;
  }
  if (options.errors === true) filter.level = "error";
  if (filter.grep === "") throw new PlantError("USAGE", { message: "--grep needs a text" });
  return filter;
}

/** Asks page by page, newest first, and prints oldest first. @returns the newest page. */
async function printTail(invocation: Invocation, client: Client, filter: Filter): Promise<Page> {
  const { options, flags, signal, out } = invocation;
  const preset = filter.since === undefined ? presetLines : presetSinceLines;
  const lines = wholeOption(options, "lines", { min: 1, max: linesMax, preset });
  const call = { deadlineMs: flags.timeoutMs, signal };
  const pages: Page[] = [];
  let left = lines;
  let before: { before?: string } = {};
  while (left > 0) {
    const args = { ...filter, ...before, limit: Math.min(left, pageLines) };
    const page = check(pageShape, await client.call(services.logger, "tail", args, call));
    pages.push(page);
    const had = lines - left;
    left -= page.lines.length;
    if (page.next === undefined) break;
    if (Math.floor((lines - left) / talkEvery) > Math.floor(had / talkEvery)) {
      out.talk(`${lines - left} lines so far`);
    }
    before = { before: page.next };
  }
  const found = pages.toReversed().flatMap((page) => page.lines.flatMap(lineIn));
  print(invocation, inOrder(found));
  if (found.length === 0) out.talk(noneInWords(filter));
  if (left === 0 && before.before !== undefined && options.lines === undefined) {
    out.talk(`there are more than these ${lines} lines: --lines shows them`);
  }
  return pages[0] ?? { lines: [] };
}

/** Where the next stream goes on; without a position where the logger stands. */
interface Place {
  readonly after: number | undefined;
  readonly run: string | undefined;
}

/** One stream of lines as they come. A logger that is away is waited for. */
async function follow(
  invocation: Invocation,
  client: Client,
  filter: Filter,
  from: Place,
): Promise<Place> {
  const { out, signal, io } = invocation;
  const { since: _since, until: _until, ...wanted } = filter;
  let place = from;
  const go = { ...(from.after === undefined ? {} : { after: from.after }) };
  const of = { ...(from.run === undefined ? {} : { run: from.run }) };
  const call = { deadlineMs: followMs, signal };
  const parts = client.stream(services.logger, "follow", { ...wanted, ...go, ...of }, call);
  try {
    for (;;) {
      const part = await parts.next();
      const page = check(pageShape, part.value ?? {});
      const { position: after = place.after, run = place.run, missed = 0 } = page;
      if (missed > 0) out.talk(`${missed} lines passed too quickly to be shown`);
      print(invocation, page.lines.flatMap(lineIn));
      place = { after, run };
      if (part.done === true) break;
    }
    await io.clock.sleep(0, signal);
  } catch (error) {
    if (signal.aborted) return place;
    const isAway = hasCode(
      error,
      ...(["NO_SERVICE", "WORKER_LOST", "EXPIRED", "BROKER_LOST", "TIME_RAN_OUT"] as const),
    );
    if (!isAway) throw error;
    out.talk(`the logger is away (${error.code}); going on when it is back`);
    await io.clock.sleep(retryMs, signal);
  }
  return place;
}

function lineIn(item: unknown): Line[] {
  const line = inspect(lineShape, typeof item === "string" ? parse(item) : item);
  return line.ok ? [line.value] : [];
}

/**
 * Parts send their lines in batches, so those of one moment come a little apart: a line goes before
 * those that are later by less than that. A clock that was set leaves the order as it is.
 */
function inOrder(lines: readonly Line[]): Line[] {
  const sorted: { line: Line; ms: number }[] = [];
  for (const line of lines) {
    const ms = parseTime(line.timestamp) ?? Number.NaN;
    let at = sorted.length;
    for (; at > 0; at -= 1) {
      const later = (sorted[at - 1]?.ms ?? Number.NaN) - ms;
      if (!(later > 0 && later <= apartMs)) break;
    }
    sorted.splice(at, 0, { line, ms });
  }
  return sorted.map(({ line }) => line);
}

/** That nothing was found, and where to look for what was meant. */
function noneInWords({ level, part }: Filter): string {
  if (typeof part === "string") return "no such lines; plant log level names the parts";
  return level === "error" ? "no errors" : "no such lines";
}

function print({ out, options }: Invocation, lines: readonly Line[]): void {
  const isExplained = options.explain === true;
  for (const line of lines) {
    out.item({ schema: "plant.line/1", ...line }, () => inWords(line, out, isExplained));
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return { message: text }; // a line that is not JSON is its own message
  }
}

function inWords(line: Line, out: Output, isExplained: boolean): string {
  const { timestamp, level, service, context, message, code, fields } = line;
  const tone = tones[level];
  const word = level.padEnd(5);
  const from = context === undefined ? service : `${service}/${context}`;
  const facts = Object.entries(fields).map(([name, value]) => `${name}=${factInWords(value)}`);
  const more = [...(code === undefined ? [] : [code]), ...facts].join(" ");
  const tail = more === "" ? "" : `  ${out.paint("dim", more)}`;
  const shown = tone === undefined ? word : out.paint(tone, word);
  // A line of the text within never looks like a line of another part.
  const told = `${timestamp}  ${shown}  ${from}  ${message}${tail}`.replaceAll("\n", "\n    ");
  return isExplained ? `${told}${explanationOf(code, out)}` : told;
}

/** What the catalogue says of a code, on lines of their own. */
function explanationOf(code: string | undefined, out: Output): string {
  const entry = code === undefined ? undefined : explain(code);
  if (entry === undefined) return "";
  const { causes, next } = entry;
  const likely = causes.length === 0 ? "" : `\n    likely  ${causes.join(" · ")}`;
  return out.paint("dim", `${likely}\n    next    ${next}`);
}

/** A fact of a line, cut where it would hide the others; `--json` has all of it. */
function factInWords(value: unknown): string {
  const isList = Array.isArray(value) && value.every((one) => typeof one === "string");
  const words = isList ? value.join(",") : value;
  const text = typeof words === "string" ? words : (JSON.stringify(words) ?? "");
  const shown = text.length > factMax ? `${text.slice(0, factMax)}…` : text;
  return /^[^\s"=]+$/.test(shown) ? shown : JSON.stringify(shown);
}
