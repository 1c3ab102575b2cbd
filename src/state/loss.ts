// What is told after a damaged database was replaced: an event among the records, a line in the
// log, and what is shown until somebody has seen it. It must not know how it is replaced.
import { type Guard, type Lost, lossOf, type Recovery } from "../journal/journal.ts";
import type { StateCore } from "./core.ts";

/** A replacement as it is told and listed. */
export interface Loss {
  /** Folder the damaged file was put into. */
  readonly quarantine: string;
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly reason: string;
  /** What stands in its place. */
  readonly restored: "whole" | "snapshot" | "remains" | "nothing";
  readonly snapshot: string | null;
  /** Records that are gone. */
  readonly lost: readonly Lost[];
}

const words = {
  whole: "all of it could be read: nothing is lost",
  snapshot: "the newest snapshot was put in its place",
  remains: "what could be read of it was put in its place",
  nothing: "an empty one was put in its place",
} as const;

/** A replacement in the words of the operations. */
export function lossIn(recovery: Recovery): Loss {
  const { name, atMs, reason, source = "nothing", snapshot = null } = recovery;
  const lost = lossOf(recovery);
  return { quarantine: name, atMs, reason, restored: source, snapshot, lost };
}

/**
 * Writes the event of a replacement nobody was told of yet, and only then forgets that it is to be
 * told: a kill between the two tells it again, with the same number.
 */
export async function tellLoss(core: StateCore, guard: Guard): Promise<void> {
  const { untold } = guard;
  if (untold === undefined) return;
  const loss = lossIn(untold);
  const message = `The database was damaged (${loss.reason}); ${words[loss.restored]}`;
  const event = { kind: "store-replaced", severity: "alarm", message, detail: loss };
  const source = "org.plantd.State";
  const record = { kind: "event", event, time: core.now(), source };
  await core.append("event", [record], {
    flush: "now",
    source: { source, run: loss.quarantine, number: 1 },
  });
  core.deps.log.error("a damaged database was replaced", { code: "STORE_REPLACED", ...loss });
  guard.told();
}
