// Many cuts over several recordings, spread over processes: one that crashes or hangs is a cut that
// failed, never one that is lost. It must not know what a verifier looks at.
import { type ChildProcess, fork } from "node:child_process";
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock as clock } from "../../src/util/clock.ts";
import { endChild } from "../fakes/patience.ts";
import { programOf } from "./record.ts";

/** What is cut: the record of one load, and the folder it was made in. */
export interface Recorded {
  readonly name: string;
  readonly record: string;
  readonly folder: string;
}

export interface CampaignOptions {
  /** Cuts in all, spread evenly over the recordings. */
  readonly cuts: number;
  readonly seed: number;
  /** Processes beside each other; 2 unless said. */
  readonly processes?: number;
  /** Ends when so many cuts failed; 20 unless said. */
  readonly violationsMax?: number;
  /** The control: flushes are taken as if they had not happened. */
  readonly ignoresFlushes?: boolean;
  /** The store is broken on purpose: the record of a failed cut is not kept. */
  readonly isBroken?: boolean;
  /** Answers are taken as given before the flush that they waited for. */
  readonly answersEarly?: boolean;
  readonly progress?: (cuts: number) => void;
}

/** Cuts of one recording, as a process gets them. */
export interface Task {
  readonly recorded: Recorded;
  readonly from: number;
  readonly to: number;
  /** Cuts of the whole recording. */
  readonly of: number;
  readonly seed: number;
  readonly ignoresFlushes: boolean;
  readonly answersEarly: boolean;
}

/** What a process says of a cut that failed, and at the end of a task. */
export type Word = { readonly cut: string } | { readonly done: true };

export interface CampaignResult {
  readonly cuts: number;
  /** One sentence each; empty is good. */
  readonly violations: readonly string[];
}

const cutsPerTask = 250;
/** A cut that takes longer hangs. */
const cutMsMax = 60_000;

/** A place for the files of cuts: in memory where there is one, as nothing here must last. */
export function scratchFolder(): string {
  return mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "pc-"));
}

/** Cuts every recording at many places. */
export async function cutAll(
  recordings: readonly Recorded[],
  options: CampaignOptions,
): Promise<CampaignResult> {
  const { processes = 2, violationsMax = 20, seed, progress } = options;
  const of = Math.ceil(options.cuts / recordings.length);
  const tasks: Task[] = [];
  for (let from = 0; from < of; from += cutsPerTask) {
    for (const recorded of recordings) {
      const { ignoresFlushes = false, answersEarly = false } = options;
      const to = Math.min(of, from + cutsPerTask);
      tasks.push({ recorded, from, to, of, seed, ignoresFlushes, answersEarly });
    }
  }
  const violations: string[] = [];
  let cuts = 0;
  const hear = (task: Task, words: string) => {
    violations.push(`${task.recorded.name}, seed ${seed}, ${words}`);
    const { isBroken = task.ignoresFlushes || task.answersEarly } = options;
    if (!isBroken) keep(task);
  };
  const work = async () => {
    const scratch = scratchFolder();
    const cutter = new Cutter(scratch);
    try {
      for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) {
        if (violations.length >= violationsMax) return;
        const mine = task;
        const stop = () => violations.length >= violationsMax;
        await cutter.run(mine, { hear: (words) => hear(mine, words), stop });
        cuts += mine.to - mine.from;
        progress?.(cuts);
      }
    } finally {
      await cutter.end();
      rmSync(scratch, { recursive: true, force: true });
    }
  };
  await Promise.all(Array.from({ length: processes }, work));
  return { cuts, violations };
}

/** Keeps the record of a failed cut: what a recording holds depends on the time it was made. */
function keep({ recorded, seed }: Task): void {
  const folder = join(tmpdir(), "plantd-power-failed");
  mkdirSync(folder, { recursive: true });
  const copy = join(folder, `${recorded.name}-${seed}.record`);
  if (existsSync(copy)) return;
  copyFileSync(recorded.record, copy);
  writeFileSync(`${copy}.folder`, recorded.folder);
}

interface Ears {
  readonly hear: (words: string) => void;
  readonly stop: () => boolean;
}

/** A process that cuts; it is started anew when it has crashed. */
class Cutter {
  readonly #scratch: string;
  readonly #progress: string;
  #child: ChildProcess | undefined;

  constructor(scratch: string) {
    this.#scratch = join(scratch, "f");
    this.#progress = join(scratch, "at");
    writeFileSync(this.#progress, Buffer.alloc(8));
  }

  async run(task: Task, ears: Ears): Promise<void> {
    let { from } = task;
    while (from < task.to && !ears.stop()) {
      const end = await this.#attempt({ ...task, from }, ears);
      if (end === undefined) return;
      const seen = this.#at();
      const at = seen >= from && seen < task.to ? seen : from;
      ears.hear(`cut ${at} of ${task.of}: ${end}`);
      from = at + 1;
    }
  }

  /** How the process ended before the task was done; nothing when it did it all. */
  async #attempt(task: Task, { hear }: Ears): Promise<string | undefined> {
    const child = this.#start();
    const over = new AbortController();
    const ended = new Promise<string | undefined>((resolve) => {
      const settle = (end: string | undefined) => {
        child.off("message", listen);
        child.off("exit", leave);
        resolve(end);
      };
      const listen = (word: Word) => {
        if ("cut" in word) hear(word.cut);
        else settle(undefined);
      };
      const leave = (code: number | null, signal: string | null) => {
        this.#child = undefined;
        settle(`the process ended with ${signal ?? code}`);
      };
      child.on("message", listen);
      child.once("exit", leave);
    });
    child.send(task);
    const watched = this.#watch(child, over.signal);
    const end = await ended;
    over.abort();
    await watched;
    return end;
  }

  /** Ends a process that stands still. */
  async #watch(child: ChildProcess, signal: AbortSignal): Promise<void> {
    for (let before = -1; !signal.aborted; ) {
      await clock.sleep(cutMsMax, signal);
      const at = this.#at();
      if (!signal.aborted && at === before) child.kill("SIGKILL");
      before = at;
    }
  }

  #start(): ChildProcess {
    this.#child ??= fork(programOf("cut-part"), [this.#scratch, this.#progress], {
      execArgv: ["--disable-warning=ExperimentalWarning"],
      env: { ...process.env, NODE_TEST_CONTEXT: undefined },
    });
    return this.#child;
  }

  /** The cut that the process was at. */
  #at(): number {
    const bytes = Buffer.alloc(8);
    const file = openSync(this.#progress, "r");
    readSync(file, bytes, 0, 8, 0);
    closeSync(file);
    return bytes.readUInt32LE(0);
  }

  async end(): Promise<void> {
    await endChild(this.#child);
  }
}
