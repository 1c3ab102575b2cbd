// What to do next before the database is opened, from what stands on disk: the same after a kill at
// any moment. Pure: it must not know files, processes or clocks.
import type { Code } from "../util/catalogue.ts";
import type { Detail } from "../util/errors.ts";
import type { Stream } from "./head.ts";

/** Last sequences of the streams, as far as they are known. */
export type Heads = Readonly<Partial<Record<Stream, number>>>;

/** Where what replaces a damaged database comes from. */
export type Source =
  /** All that stood in the damaged one: nothing is lost. */
  | "whole"
  | "snapshot"
  /** What could be read of the damaged one. */
  | "remains"
  | "nothing";

/** Sequences that are gone; `to` is null where nobody knows how far they went. */
export interface Lost {
  readonly stream: Stream;
  readonly from: number;
  readonly to: number | null;
}

/** How much could be read of a damaged file. */
export type Remains =
  /** All of it. */
  | "whole"
  /** All but some records of the log, which stand as covers: better than any snapshot. */
  | "holes"
  /** Some of it. */
  | "parts"
  | "none";

/** A replacement under way or done, as the file beside the database says it. */
export interface Recovery {
  readonly phase: "quarantine" | "restore" | "tell";
  /** Folder the damaged file goes to. */
  readonly name: string;
  /** Why it was replaced. */
  readonly reason: string;
  /** Milliseconds since 1970. */
  readonly atMs: number;
  /** What the database held at least before it was damaged. */
  readonly known: Heads;
  /** Whether its owner had closed it: then it held just that. */
  readonly isClosed: boolean;
  /** Sources that were tried in vain: snapshots by name, and `whole`, `remains`. */
  readonly tried: readonly string[];
  /** What was read of the damaged file; absent before it was tried. */
  readonly remains?: Remains | undefined;
  /** Records that are gone and stand as covers, when remains took its place. */
  readonly holes?: readonly Lost[] | undefined;
  /** What stands in its place. */
  readonly source?: Source | undefined;
  /** Name of the snapshot. */
  readonly snapshot?: string | undefined;
  /** What the replacement holds. */
  readonly restored?: Heads | undefined;
}

/** The result of looking at a database in a process of its own. */
export type Verdict =
  | { readonly kind: "sound"; readonly isWhole: boolean }
  | { readonly kind: "damaged"; readonly reason: string }
  /** It was not found out: the process that looked was ended, or took too long. */
  | { readonly kind: "unknown"; readonly reason: string }
  /** Neither sound nor damaged: it is held by another process, too new, or cannot be reached. */
  | { readonly kind: "refused"; readonly code: Code; readonly detail: Detail };

/** What stands on disk, and what this opening has found out. */
export interface Facts {
  readonly hasData: boolean;
  /** Whether the last owner closed it. */
  readonly isClean: boolean;
  /** Openings that failed since one that went well. */
  readonly failures: number;
  /** Whether it was rewritten since then because of them. */
  readonly isRewritten: boolean;
  readonly recovery?: Recovery | undefined;
  readonly verdict?: Verdict | undefined;
  /** Verified snapshots by name, newest first. */
  readonly snapshots: readonly string[];
}

export type Step =
  | { readonly do: "check"; readonly how: "quick" | "full"; readonly budgetMs: number }
  | { readonly do: "open" }
  | { readonly do: "refuse"; readonly code: Code; readonly detail: Detail }
  | { readonly do: "begin"; readonly reason: string }
  | { readonly do: "quarantine" }
  | { readonly do: "read-remains" }
  | { readonly do: "take-remains"; readonly source: "whole" | "remains" }
  | { readonly do: "take-snapshot"; readonly name: string }
  | { readonly do: "take-nothing" }
  /** The file that was set aside is sound and cannot be written anew: it goes back. */
  | { readonly do: "put-back" }
  /** The replacement stands in its place: what is left is to tell. */
  | { readonly do: "finish" };

/** Openings that failed after which a sound database is written anew. */
export const failuresMax = 5;
/** Openings that failed after which a database that nobody can look at is replaced. */
const unknownMax = 3;
const budgetCeilingMs = 60_000;
/** Part of the budget that a database gets that was closed by its owner. */
const quickShare = 0.25;
export const diedAgain = "the store died again and again after opening it";
export const isGone = "the data file is gone";

/** The next step. @param checkMs time for a full check where no opening failed. */
export function nextStep(facts: Facts, checkMs: number): Step {
  const { recovery, verdict, hasData, snapshots, failures } = facts;
  if (recovery !== undefined && recovery.phase !== "tell") return replace(recovery, facts);
  if (!hasData) {
    const isLost = snapshots.length > 0 && recovery?.source !== "nothing";
    return isLost ? { do: "begin", reason: isGone } : { do: "open" };
  }
  if (verdict === undefined) {
    const isQuick = facts.isClean && failures === 0;
    const share = isQuick ? quickShare : 2 ** Math.min(failures, 10);
    const budgetMs = Math.min(checkMs * share, Math.max(budgetCeilingMs, checkMs));
    return { do: "check", how: isQuick ? "quick" : "full", budgetMs };
  }
  if (verdict.kind === "refused") {
    return { do: "refuse", code: verdict.code, detail: verdict.detail };
  }
  const isHopeless = verdict.kind === "unknown" && failures >= unknownMax;
  if (verdict.kind === "damaged" || isHopeless) return { do: "begin", reason: verdict.reason };
  if (failures >= failuresMax && !facts.isRewritten) return { do: "begin", reason: diedAgain };
  return { do: "open" };
}

/**
 * All that stood there, else all but a few records, else the newest snapshot, else what can be
 * read, else nothing.
 */
function replace(recovery: Recovery, { snapshots, hasData }: Facts): Step {
  const { phase, tried, remains, source } = recovery;
  if (phase === "quarantine") return { do: "quarantine" };
  // The damaged file went away durably before: what is there took its place.
  if (hasData && source !== undefined) return { do: "finish" };
  const isLeft = (name: string) => !tried.includes(name);
  if (remains === undefined) return { do: "read-remains" };
  const isSound = recovery.reason === diedAgain;
  if (isSound && (remains !== "whole" || !isLeft("whole"))) return { do: "put-back" };
  if (remains === "whole" && isLeft("whole")) return { do: "take-remains", source: "whole" };
  if (remains === "holes" && isLeft("remains")) return { do: "take-remains", source: "remains" };
  const snapshot = snapshots.find(isLeft);
  if (snapshot !== undefined) return { do: "take-snapshot", name: snapshot };
  if (remains === "parts" && isLeft("remains")) return { do: "take-remains", source: "remains" };
  return { do: "take-nothing" };
}

/**
 * The sequences that are gone: after what was restored, up to what was known. What was not closed
 * may have held more than is known of it.
 */
export function lossOf(recovery: Recovery): readonly Lost[] {
  const { source, known, isClosed, restored = {}, holes = [] } = recovery;
  if (source === "whole") return [];
  if (source === "remains") return holes;
  return (["state", "event", "log", "metric"] as const).flatMap((stream): Lost[] => {
    const from = (restored[stream] ?? 0) + 1;
    const to = known[stream] ?? 0;
    if (to >= from) return [{ stream, from, to }];
    return isClosed ? [] : [{ stream, from, to: null }];
  });
}
