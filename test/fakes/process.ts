// A process of ours under test: started with its own data folder, watched by what it says, ended
// by its id. It must not know what it runs.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { systemClock as clock } from "../../src/util/clock.ts";
import { within } from "../../src/util/running.ts";

const here = fileURLToPath(new URL("../..", import.meta.url));
const root = here.replace(/\.build\/$/, "");

export interface Spawned {
  readonly pid: number;
  /** All it said so far: both outputs, the standard one, that for errors. */
  readonly said: () => string;
  readonly results: () => string;
  readonly errors: () => string;
  /** Waits until it said this; false when it ended, or 20 s are over. */
  until(text: string | RegExp): Promise<boolean>;
  /** Its exit code, or the signal that ended it; "still running" after the time. */
  ended(ms?: number): Promise<number | string>;
  signal(name: NodeJS.Signals): void;
  tell(text: string): void;
}

export interface SpawnOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Words for Node before the program. */
  readonly flags?: readonly string[];
}

/** Lets what is started here die with the tests, also when they are killed. @see setpriv(1) */
const setpriv = "/usr/bin/setpriv";

/** Everything started in this file, to be ended whatever happens. */
const started = new Set<ChildProcess>();

/** Ends whatever is still running: for `after`. */
export function endAll(): void {
  for (const child of started) child.kill("SIGKILL");
}

/** Path of a main as compiled, or as source. */
export function mainPath(name: string, kind: "compiled" | "source" = "compiled"): string {
  const [folder, ending] = kind === "compiled" ? [".build/", "js"] : ["", "ts"];
  return `${root}${folder}src/main/${name}.${ending}`;
}

/** Starts one of our mains with an environment of its own. */
export function start(main: string, words: readonly string[], options: SpawnOptions = {}): Spawned {
  const clean = Object.entries(process.env).filter(([name]) => !name.startsWith("PLANTD_"));
  const flags = ["--disable-warning=ExperimentalWarning", ...(options.flags ?? [])];
  const line = [process.execPath, ...flags, main, ...words];
  const [program = "", ...rest] = existsSync(setpriv)
    ? [setpriv, "--pdeathsig=KILL", ...line]
    : line;
  const child = spawn(program, rest, {
    env: { ...Object.fromEntries(clean), NODE_TEST_CONTEXT: undefined, ...options.env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  started.add(child);
  let said = "";
  let results = "";
  let errors = "";
  let wake = () => {};
  let result: number | string | undefined;
  const hear = (chunk: Buffer) => {
    said += chunk.toString();
    wake();
  };
  child.stdout.on("data", (chunk: Buffer) => {
    results += chunk.toString();
    hear(chunk);
  });
  child.stderr.on("data", (chunk: Buffer) => {
    errors += chunk.toString();
    hear(chunk);
  });
  child.stdin.on("error", () => {});
  const closed = new Promise<number | string>((resolve) => {
    child.once("close", (code, signal) => {
      started.delete(child);
      result = signal ?? code ?? 0;
      resolve(result);
      wake();
    });
  });
  const has = (text: string | RegExp) =>
    typeof text === "string" ? said.includes(text) : text.test(said);
  return {
    pid: child.pid ?? 0,
    said: () => said,
    results: () => results,
    errors: () => errors,
    signal: (name) => child.kill(name),
    tell: (text) => child.stdin.write(text),
    ended: async (ms = 20_000) => (await within(clock, ms, closed)) ?? "still running",
    async until(text) {
      const found = async () => {
        while (!has(text) && result === undefined) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
        return has(text);
      };
      return (await within(clock, 20_000, found())) ?? false;
    },
  };
}
