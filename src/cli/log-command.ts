// `plant log`: lines of all parts, newest last. It must not know where they are kept.
import { services } from "../status/status.ts";
import { PlantError } from "../util/errors.ts";
import { inspect, v } from "../util/shape.ts";
import type { Invocation } from "./command.ts";
import { parseDuration } from "./duration.ts";
import type { Colour, Output } from "./output.ts";

const presetLines = 100;
const followMs = 40_000;

const lineShape = v.looseObject({
  timestamp: v.optional(v.string(), ""),
  level: v.optional(v.string(), ""),
  service: v.optional(v.string(), ""),
  context: v.optional(v.string()),
  message: v.optional(v.string(), ""),
  code: v.optional(v.string()),
  fields: v.optional(v.fallback(v.record(v.string(), v.unknown()), {}), {}),
});

/** Characters of a fact that are shown to people. */
const factMax = 100;

const tones: Readonly<Record<string, Colour>> = { error: "red", warn: "yellow" };

/** Prints lines, and with `--follow` those that come. */
export async function runLog(invocation: Invocation): Promise<number> {
  const { io, options, flags, signal } = invocation;
  const client = await invocation.client();
  const args = {
    limit: limitOf(options.lines),
    ...(options.errors === true ? { level: "error" } : {}),
    ...(typeof options.service === "string" ? { service: options.service } : {}),
    ...(typeof options.since === "string"
      ? { since: io.clock.wallMs() - parseDuration(options.since, "--since") }
      : {}),
  };
  const call = { deadlineMs: flags.timeoutMs, signal };
  print(invocation, await client.call(services.logger, "tail", args, call));
  if (options.follow !== true) return 0;
  try {
    while (!signal.aborted) {
      const parts = client.stream(services.logger, "follow", {}, { deadlineMs: followMs, signal });
      for (;;) {
        const part = await parts.next();
        if (part.done === true) break;
        print(invocation, part.value);
      }
      await io.clock.sleep(0, signal);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  if (io.signal.aborted) throw new PlantError("CANCELLED");
  return 0;
}

function limitOf(text: unknown): number {
  if (typeof text !== "string") return presetLines;
  if (!/^[1-9]\d{0,5}$/.test(text)) {
    throw new PlantError("USAGE", { message: `--lines is a number from 1 to 999999, not ${text}` });
  }
  return Number(text);
}

function print({ out, options }: Invocation, data: unknown): void {
  const found = (data as { lines?: unknown } | null)?.lines;
  for (const item of Array.isArray(found) ? found : []) {
    const line = inspect(lineShape, typeof item === "string" ? parse(item) : item);
    if (!line.ok) continue;
    if (options.errors === true && line.value.level !== "error") continue;
    if (typeof options.service === "string" && line.value.service !== options.service) continue;
    out.item({ schema: "plant.line/1", ...line.value }, () => inWords(line.value, out));
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return { message: text }; // a line that is not JSON is its own message
  }
}

function inWords(line: v.InferOutput<typeof lineShape>, out: Output): string {
  const { timestamp, level, service, context, message, code, fields } = line;
  const tone = tones[level];
  const word = level.padEnd(5);
  const from = context === undefined ? service : `${service}/${context}`;
  const facts = Object.entries(fields).map(([name, value]) => `${name}=${factInWords(value)}`);
  const more = [...(code === undefined ? [] : [code]), ...facts].join(" ");
  const tail = more === "" ? "" : `  ${out.paint("dim", more)}`;
  const shown = tone === undefined ? word : out.paint(tone, word);
  // A line of the text within never looks like a line of another part.
  return `${timestamp}  ${shown}  ${from}  ${message}${tail}`.replaceAll("\n", "\n    ");
}

/** A fact of a line, cut where it would hide the others; `--json` has all of it. */
function factInWords(value: unknown): string {
  const isList = Array.isArray(value) && value.every((one) => typeof one === "string");
  const words = isList ? value.join(",") : value;
  const text = typeof words === "string" ? words : (JSON.stringify(words) ?? "");
  const shown = text.length > factMax ? `${text.slice(0, factMax)}…` : text;
  return /^[^\s"=]+$/.test(shown) ? shown : JSON.stringify(shown);
}
