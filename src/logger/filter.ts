// Which lines somebody wants to see. Pure; it must not know where lines are.
import { isoTime } from "../util/clock.ts";
import { weightOf } from "../util/log-levels.ts";
import { v } from "../util/shape.ts";

/** The end of the year 9999: later times have another spelling. */
const lastMs = 253_402_300_799_999;
const time = v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(lastMs)));
const word = v.optional(v.pipe(v.string(), v.maxLength(255)));

/** What a request may ask for; all of it must hold. */
export const filterEntries = {
  /** The least severe level. */
  level: v.optional(v.picklist(["debug", "info", "warn", "error"])),
  service: word,
  /** A part: the first word of the context, or the process that is named after it. */
  part: word,
  /** A context, with what is within it. */
  context: word,
  since: time,
  until: time,
  /** Plain text, in capitals or not, anywhere in the words and values of a line. */
  grep: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(1000))),
};

const filterShape = v.object(filterEntries);
type Asked = v.InferOutput<typeof filterShape>;

/** What the filter looks at; the whole line is read only where a text is looked for. */
export interface Seen {
  readonly timestamp: string;
  readonly weight: number;
  readonly service: string;
  readonly context: string;
  readonly text: string;
}

export type Filter = (line: Seen) => boolean;

export function makeFilter(asked: Asked): Filter {
  const { service, part, context } = asked;
  const least = asked.level === undefined ? 0 : weightOf(asked.level);
  const since = asked.since === undefined ? undefined : isoTime(asked.since);
  const until = asked.until === undefined ? undefined : isoTime(asked.until);
  const grep = asked.grep?.toLowerCase();
  const rough = grep === undefined ? "" : JSON.stringify(grep).slice(1, -1);
  return (line) =>
    line.weight >= least &&
    (since === undefined || line.timestamp >= since) &&
    (until === undefined || line.timestamp <= until) &&
    (service === undefined || line.service === service) &&
    (part === undefined || isOfPart(line, part)) &&
    (context === undefined || isWithin(line.context, context)) &&
    (grep === undefined ||
      (line.text.toLowerCase().includes(rough) && holds(JSON.parse(line.text), grep)));
}

function isOfPart({ service, context }: Seen, part: string): boolean {
  return isWithin(context, part) || service === part || service === `plantd-${part}`;
}

function isWithin(context: string, name: string): boolean {
  return context === name || context.startsWith(`${name}.`);
}

/** Whether a text stands in a value, names of fields left aside. */
function holds(value: unknown, grep: string): boolean {
  if (typeof value === "string") return value.toLowerCase().includes(grep);
  if (typeof value !== "object" || value === null) return String(value).includes(grep);
  return Object.values(value).some((item) => holds(item, grep));
}
