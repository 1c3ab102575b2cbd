// Looks at databases in a process of its own: a garbled page ends that one and not the store. It
// must not know what follows from the answer.
import { spawn } from "node:child_process";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { type Code, catalogue } from "../util/catalogue.ts";
import type { Clock } from "../util/clock.ts";
import { isCode, PlantError } from "../util/errors.ts";
import type { CheckReport } from "./check.ts";
import type { Heads, Lost, Remains, Verdict } from "./recovery-plan.ts";

/** What the process is asked; the whole of it is one word of its command line. */
export type Inspection =
  | {
      readonly do: "check";
      /** Folder of the data file. */
      readonly folder: string;
      readonly roomBytes: number;
      readonly budgetMs: number;
      /** What it must hold at least, and its newest epoch, when its owner closed it. */
      readonly expected?: { readonly epoch: string; readonly heads: Heads } | undefined;
    }
  | {
      readonly do: "read-remains";
      /** The damaged file. */
      readonly file: string;
      /** Folder of the new one. */
      readonly folder: string;
      /** What it held when its owner closed it; else what it held at least. */
      readonly known: Heads;
      readonly isClosed: boolean;
      readonly roomBytes: number;
      readonly budgetMs: number;
    };

/** What it answers, as one line. */
export type Answer =
  | { readonly kind: "sound"; readonly isWhole: boolean; readonly report?: CheckReport }
  | {
      readonly kind: "remains";
      readonly remains: Exclude<Remains, "none">;
      readonly heads: Heads;
      readonly holes: readonly Lost[];
      /** Folder of the new database. */
      readonly folder: string;
    }
  | { readonly kind: "failed"; readonly code: Code; readonly detail: Record<string, unknown> };

/** What was found out. */
export interface Inspected {
  readonly verdict: Verdict;
  readonly answer?: Answer;
  readonly tookMs: number;
}

/** Time for starting the process and for what is not bounded by its budget. */
const startMs = 15_000;
const outputBytesMax = 1_048_576;
/** Signals by which a garbled page ends a process. */
const crashes = new Set(["SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE", "SIGTRAP"]);
const flags = ["--disable-warning=ExperimentalWarning", "--max-semi-space-size=1"];

/** Asks a process of its own; never throws for what is wrong with the database. */
export async function inspect(clock: Clock, asked: Inspection): Promise<Inspected> {
  const from = clock.monotonicMs();
  const limitMs = asked.budgetMs * 2 + startMs;
  const { text, code, signal, isLate } = await runPart(asked, limitMs, clock);
  const tookMs = Math.round(clock.monotonicMs() - from);
  if (signal !== null && crashes.has(signal)) {
    const reason = `a page is garbled: reading it ended a process by ${signal}`;
    return { verdict: { kind: "damaged", reason }, tookMs };
  }
  const answer = parseAnswer(text);
  if (answer === undefined) {
    const how = isLate ? `it took more than ${limitMs} ms` : `it ended by ${signal ?? code}`;
    return { verdict: { kind: "unknown", reason: `nobody could look at it: ${how}` }, tookMs };
  }
  return { verdict: verdictOf(answer), answer, tookMs };
}

/**
 * Checks a database whole. @returns what it says of itself.
 * @throws PlantError STORE_DAMAGED, STORE_FORMAT_NEWER, STORE_LOCKED, STORE_UNUSABLE.
 */
export async function inspectWhole(
  clock: Clock,
  { folder, roomBytes }: { readonly folder: string; readonly roomBytes: number },
): Promise<CheckReport> {
  const budgetMs = wholeBudgetMs;
  const { verdict, answer } = await inspect(clock, { do: "check", folder, roomBytes, budgetMs });
  if (verdict.kind === "refused") throw new PlantError(verdict.code, verdict.detail);
  if (answer?.kind === "sound" && answer.report !== undefined) return answer.report;
  const reason = "reason" in verdict ? verdict.reason : "it could not be read in time";
  throw new PlantError("STORE_DAMAGED", { reason });
}

/** Longest check of a backup or snapshot, for which nobody waits to work. */
const wholeBudgetMs = 300_000;

/** What an answer says of a database. */
export function verdictOf(answer: Answer): Verdict {
  if (answer.kind !== "failed") {
    return { kind: "sound", isWhole: answer.kind === "sound" && answer.isWhole };
  }
  const { code, detail } = answer;
  if (code !== "STORE_DAMAGED") return { kind: "refused", code, detail };
  return { kind: "damaged", reason: String(detail.reason ?? catalogue[code].sentence) };
}

function parseAnswer(text: string): Answer | undefined {
  try {
    const answer = JSON.parse(text) as Answer;
    return answer.kind !== "failed" || isCode(answer.code) ? answer : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

interface Ended {
  readonly text: string;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly isLate: boolean;
}

function runPart(asked: Inspection, limitMs: number, clock: Clock): Promise<Ended> {
  const path = fileURLToPath(import.meta.url);
  const part = path.replace(/inspection\.[jt]s$/, `inspection-part${extname(path)}`);
  const child = spawn(process.execPath, [...flags, part, JSON.stringify(asked)], {
    stdio: ["ignore", "pipe", "ignore"],
    env: {},
  });
  const over = new AbortController();
  let isLate = false;
  let text = "";
  void clock.sleep(limitMs, over.signal).then(() => {
    if (over.signal.aborted) return;
    isLate = true;
    child.kill("SIGKILL");
  });
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    if (text.length < outputBytesMax) text += chunk;
  });
  return new Promise((resolve) => {
    const end = (code: number | null, signal: NodeJS.Signals | null) => {
      over.abort();
      resolve({ text, code, signal, isLate });
    };
    child.once("error", () => end(null, null));
    child.once("close", end);
  });
}
