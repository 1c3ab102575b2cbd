// What every bench shares: rows, medians, child processes that say "ready".
// It must not know what is measured.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cpus, release, totalmem } from "node:os";

/** One job, ours beside a peer in the same run; a ratio of at least its goal is good. */
export interface Row {
  readonly job: string;
  readonly ours: number;
  readonly peer: number | null;
  readonly unit: string;
  readonly ratio: number | null;
  readonly goal: number | null;
}

export interface BenchContext {
  /** Whether the whole bench must end soon: within 50 s, that of the broker within 90. */
  readonly isQuick: boolean;
  /** Own folder for files and sockets; removed afterwards. Its path is short. */
  readonly folder: string;
  /** Tells a person how far it is. */
  readonly say: (text: string) => void;
  /** Runs when the bench is over, in reverse order, whatever happened. */
  readonly defer: (end: () => PromiseLike<void> | void) => void;
}

/** A bench: the module `test/bench/<name>.ts` exports this as `run`. */
export type Bench = (context: BenchContext) => Promise<readonly Row[]>;

/** The middle of several measurements. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  const upper = sorted[half] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? Number.NaN) + upper) / 2;
}

export interface Comparison {
  readonly job: string;
  readonly unit: string;
  readonly ours: readonly number[];
  /** None when the peer could not be had. */
  readonly peer?: readonly number[];
  readonly goal: number;
  /** Times and sizes: the ratio is turned round, so that more than 1 is better. */
  readonly isLessBetter?: boolean;
}

/** A row from the measurements of both sides, by their medians. */
export function compare(comparison: Comparison): Row {
  const { job, unit, goal, isLessBetter = false } = comparison;
  const ours = rounded(median(comparison.ours));
  const peer =
    comparison.peer === undefined || comparison.peer.length === 0
      ? null
      : rounded(median(comparison.peer));
  if (peer === null) return { job, ours, peer, unit, ratio: null, goal };
  const ratio = Math.round(100 * (isLessBetter ? peer / ours : ours / peer)) / 100;
  return { job, ours, peer, unit, ratio, goal };
}

function rounded(value: number): number {
  return value >= 100 ? Math.round(value) : Math.round(value * 100) / 100;
}

/** The machine in words. */
export function describeMachine(): string {
  const all = cpus();
  const gib = Math.round(totalmem() / 2 ** 30);
  const model = all[0]?.model.trim() || process.arch;
  return `${model}, ${all.length} cores, ${gib} GiB, Linux ${release()}, Node ${process.version}`;
}

/** Starts a program and waits for its line "ready"; it ends with the bench. */
export async function startPeer(
  context: BenchContext,
  words: readonly [string, ...string[]],
): Promise<ChildProcess> {
  const [program, ...rest] = words;
  const child = spawn(program, rest, { stdio: ["ignore", "pipe", "inherit"] });
  context.defer(() => stopPeer(child));
  const first = await Promise.race([once(child.stdout, "data"), once(child, "exit")]);
  if (!String(first[0]).startsWith("ready")) throw new Error(`${words.join(" ")} did not start`);
  return child;
}

/** Ends a peer and waits for it. */
export async function stopPeer(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

/** Runs a program to its end and reads the one line of JSON it prints. */
export async function readPeer(words: readonly [string, ...string[]]): Promise<unknown> {
  const [program, ...rest] = words;
  const child = spawn(program, rest, { stdio: ["ignore", "pipe", "inherit"] });
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(child, "close");
  return JSON.parse(Buffer.concat(chunks).toString());
}

/** A row nobody stands beside. */
export function alone(job: string, unit: string, ours: readonly number[]): Row {
  return { job, ours: rounded(median(ours)), peer: null, unit, ratio: null, goal: null };
}

/** The value below which a share of the sorted numbers lies. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN;
}
