// The processes of the demo: started, restarted when they die as systemd would, ended by process
// id, their output kept in files. It must not know what they do.
import { type ChildProcess, spawn } from "node:child_process";
import { appendFileSync, mkdirSync, truncateSync } from "node:fs";
import { dirname } from "node:path";
import type { Clock } from "../util/clock.ts";
import { startLoop, within } from "../util/running.ts";
import { findProgram } from "./tools.ts";

/** One process to keep running. */
export interface ChildPlan {
  readonly name: string;
  readonly program: string;
  readonly words: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly folder?: string;
  /** Receives what it says on both outputs. */
  readonly logFile: string;
  /** A piece of its output that says it is ready; ready at once when absent. */
  readonly readyWhen?: string;
  /** Not restarted when it ends. */
  readonly isOnce?: boolean;
}

/** A process that is kept running. */
export interface Child {
  readonly name: string;
  readonly pid: number | undefined;
  /** Restarts so far. */
  readonly restarts: number;
  /** Settles when it is ready for the first time; false when the house closes before. */
  readonly ready: Promise<boolean>;
  /** Writes a line to its standard input. */
  tell(line: string): void;
  /** Ends it at once (SIGKILL), as a power cut would; it is restarted. */
  kill(): void;
}

/** All processes of the demo. Disposal ends each and waits until none is left. */
export interface House extends AsyncDisposable {
  start(plan: ChildPlan): Child;
  readonly children: readonly Child[];
}

/** Pause before a restart, as `RestartSec=` of the units. */
const restartMs = 1000;
/** Time for an orderly end before it is forced. */
const stopMs = 8000;
/** A log file is emptied above this size. */
const logBytesMax = 8_388_608;

/** Opens a house without processes. `die` is told when one cannot be started at all. */
export function openHouse(deps: { clock: Clock; die: (reason: string) => void }): House {
  const { clock, die } = deps;
  const closing = new AbortController();
  const children: { child: Child; end: () => Promise<void> }[] = [];

  function start(plan: ChildPlan): Child {
    mkdirSync(dirname(plan.logFile), { recursive: true });
    const keep = appender(plan.logFile);
    let current: ChildProcess | undefined;
    let restarts = -1;
    let isReady: (value: boolean) => void = () => {};
    const ready = new Promise<boolean>((resolve) => {
      isReady = resolve;
    });
    const run = () =>
      new Promise<void>((resolve) => {
        const [program, words] = mortal(plan);
        const process_ = spawn(program, words, {
          cwd: plan.folder,
          env: { ...process.env, ...plan.env },
          stdio: ["pipe", "pipe", "pipe"],
          detached: true,
        });
        current = process_;
        restarts += 1;
        let seen = "";
        const hear = (chunk: Buffer) => {
          keep(chunk);
          if (plan.readyWhen === undefined) return;
          seen = (seen + chunk.toString()).slice(-65_536);
          if (seen.includes(plan.readyWhen)) isReady(true);
        };
        process_.stdout.on("data", hear);
        process_.stderr.on("data", hear);
        process_.stdin.on("error", () => {}); // it ended; the exit tells
        process_.once("spawn", () => plan.readyWhen === undefined && isReady(true));
        process_.once("error", (error) => {
          die(`${plan.name} cannot be started: ${error.message}`);
          resolve();
        });
        process_.once("close", (code, signal) => {
          keep(Buffer.from(`-- ended: ${signal ?? code}\n`));
          current = undefined;
          if (plan.isOnce === true) isReady(code === 0);
          resolve();
        });
      });
    const loop = startLoop({
      clock,
      pauseMs: restartMs,
      round: async (signal) => {
        if (signal.aborted || closing.signal.aborted) return;
        await run();
        if (plan.isOnce === true) await clock.sleep(2 ** 31 - 1, signal);
      },
    });
    const child: Child = {
      name: plan.name,
      ready,
      get pid() {
        return current?.pid;
      },
      get restarts() {
        return Math.max(0, restarts);
      },
      tell: (line) => {
        current?.stdin?.write(`${line}\n`);
      },
      kill: () => {
        current?.kill("SIGKILL");
      },
    };
    const end = async () => {
      isReady(false);
      const disposed = Promise.resolve(loop[Symbol.asyncDispose]());
      current?.kill("SIGTERM");
      if (
        (await within(
          clock,
          stopMs,
          disposed.then(() => true),
        )) === undefined
      ) {
        current?.kill("SIGKILL");
        await disposed;
      }
    };
    children.push({ child, end });
    return child;
  }

  return {
    start,
    get children() {
      return children.map(({ child }) => child);
    },
    async [Symbol.asyncDispose]() {
      closing.abort();
      await Promise.all(children.map(({ end }) => end()));
    },
  };
}

/** Who was orphaned before the signal was asked for would never get it: it does not begin. */
const orphanCheck = '[ "$PPID" = "$0" ] && exec "$@"';

/** The command, made to die with this process where the machine can do that. */
function mortal(plan: ChildPlan): [string, string[]] {
  const setpriv = findProgram("setpriv");
  if (setpriv === undefined) return [plan.program, [...plan.words]];
  const guarded = ["/bin/sh", "-c", orphanCheck, `${process.pid}`, plan.program, ...plan.words];
  return [setpriv, ["--pdeathsig=KILL", ...guarded]];
}

function appender(path: string): (chunk: Buffer) => void {
  let bytes = 0;
  return (chunk) => {
    bytes += chunk.length;
    if (bytes > logBytesMax) {
      truncateSync(path, 0);
      bytes = chunk.length;
    }
    appendFileSync(path, chunk);
  };
}
