// A peer in Python as a process: told what to do by one JSON argument or by lines on its standard
// input, heard by lines of JSON, ended by its id. It must not know what the peer does.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { systemClock as clock } from "../../src/util/clock.ts";
import { within } from "../../src/util/running.ts";

const root = fileURLToPath(new URL("../..", import.meta.url)).replace(/\.build\/$/, "");
const python = "/usr/bin/python3";

/** What a peer says of itself: whatever fields its script prints. */
export type Told = Readonly<Record<string, unknown>>;

export interface PythonPeer extends AsyncDisposable {
  readonly pid: number;
  /** All it said so far. */
  readonly told: readonly Told[];
  /** Waits for the next line that has these fields, after those already waited for. */
  next(wanted: Told): Promise<Told>;
  /** What it said on its standard error; the end of it. */
  said(): string;
  /** Gives it a line of JSON. */
  tell(order: Told): void;
  signal(name: NodeJS.Signals): void;
  /** Its exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>;
}

const limitMs = 60_000;

/** Starts a script, given by its path from the root of the repository. */
export function startPython(script: string, words: readonly string[]): PythonPeer {
  const child = spawn(python, ["-u", `${root}${script}`, ...words], {
    stdio: ["pipe", "pipe", "pipe"],
  });
  const told: Told[] = [];
  let complaint = "";
  let seen = 0;
  let wake = () => {};
  let isOver = false;
  child.stderr.on("data", (data: Buffer) => {
    complaint = `${complaint}${data}`.slice(-4000);
  });
  child.stdin.on("error", () => {});
  const lines = createInterface(child.stdout);
  lines.on("line", (line) => {
    told.push(JSON.parse(line));
    wake();
  });
  const drained = new Promise<void>((resolve) => lines.once("close", () => resolve()));
  const ended = new Promise<number | string>((resolve) => {
    child.once("close", async (code, signal) => {
      await drained;
      isOver = true;
      wake();
      resolve(signal ?? code ?? 0);
    });
  });
  const find = async (wanted: Told) => {
    for (;;) {
      const found = told.findIndex((one, at) => at >= seen && has(one, wanted));
      if (found >= 0) {
        seen = found + 1;
        return told[found];
      }
      if (isOver) return undefined;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  return {
    pid: child.pid ?? 0,
    told,
    ended,
    said: () => complaint,
    async next(wanted) {
      const found = await within(clock, limitMs, find(wanted));
      if (found !== undefined) return found;
      const all = told.slice(-20).map((one) => JSON.stringify(one));
      const words = isOver ? "ended" : "is silent";
      throw new Error(
        `${script} ${words} without ${JSON.stringify(wanted)}\n${all.join("\n")}\n${complaint}`,
      );
    },
    tell: (order) => child.stdin.write(`${JSON.stringify(order)}\n`),
    signal: (name) => child.kill(name),
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

function has(one: Told, wanted: Told): boolean {
  return Object.entries(wanted).every(([key, value]) => one[key] === value);
}
