// The records that say what a person did to points: who, what, before and after.
// Pure; it must not know who is a person.
import type { JournalRecord } from "../journal/journal.ts";
import type { Stamp } from "../util/clock.ts";

/** One thing a person did. */
export interface Deed {
  /** `set`, `delete`, `create-scope`, … */
  readonly action: string;
  /** What it was done to. */
  readonly target: string;
  readonly before?: unknown;
  readonly after?: unknown;
}

/** Deeds of one request that are told one by one; of more the count is, and the first names. */
const deedsMax = 10;
/** Bytes of JSON of what was before, of what is after, and of the first names. */
const sideBytesMax = 4096;

/** The records of the stream `event` for what `who` did in one request. */
export function auditRecords(
  who: string,
  deeds: readonly Deed[],
  { time, source }: { time: Stamp; source: string },
): JournalRecord[] {
  const told = deeds.length <= deedsMax ? deeds.map(shortened) : [together(deeds)];
  return told.map((deed) => {
    const message = `${who}: ${deed.action} ${deed.target}`;
    const event = { kind: "audit", severity: "info", message, who, ...deed };
    return { kind: "event", event, time, source };
  });
}

function together(deeds: readonly Deed[]): Deed & { readonly targets: readonly string[] } {
  const targets: string[] = [];
  let bytes = 1;
  for (const { target } of deeds) {
    bytes += bytesOf(target) + 1;
    if (bytes > sideBytesMax) break;
    targets.push(target);
  }
  return { action: deeds[0]?.action ?? "", target: `${deeds.length} points`, targets };
}

/** A deed of which each side is short: audits share their room with alarms. */
function shortened({ action, target, before, after }: Deed): Deed {
  return { action, target, ...side("before", before), ...side("after", after) };
}

/** One side; of a long one the first characters of its JSON, and how many bytes are not there. */
function side(name: "before" | "after", value: unknown): object {
  if (value === undefined) return {};
  const text = JSON.stringify(value);
  const bytes = Buffer.byteLength(text);
  if (bytes <= sideBytesMax) return { [name]: value };
  let [fits, more] = [0, sideBytesMax];
  while (more - fits > 1) {
    const middle = (fits + more) >> 1;
    if (bytesOf(text.slice(0, middle)) <= sideBytesMax) fits = middle;
    else more = middle;
  }
  const cut = text.slice(0, fits);
  // No half of a pair stays.
  const part = cut.isWellFormed() ? cut : cut.slice(0, -1);
  return { [name]: part, [`${name}Cut`]: bytes - Buffer.byteLength(part) };
}

function bytesOf(text: string): number {
  return Buffer.byteLength(JSON.stringify(text));
}
