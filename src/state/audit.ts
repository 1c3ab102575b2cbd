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

/** Deeds of one request that are told one by one; of more only the count is. */
const deedsMax = 100;

/** The records of the stream `event` for what `who` did in one request. */
export function auditRecords(
  who: string,
  deeds: readonly Deed[],
  { time, source }: { time: Stamp; source: string },
): JournalRecord[] {
  const told = deeds.length <= deedsMax ? deeds : [together(deeds)];
  return told.map((deed) => {
    const message = `${who}: ${deed.action} ${deed.target}`;
    const event = { kind: "audit", severity: "info", message, who, ...deed };
    return { kind: "event", event, time, source };
  });
}

function together(deeds: readonly Deed[]): Deed {
  return { action: deeds[0]?.action ?? "", target: `${deeds.length} points` };
}
