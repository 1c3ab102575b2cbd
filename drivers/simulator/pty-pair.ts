// A serial cable without hardware: two pseudo terminals joined by the program socat.
// It must not know what travels.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import type { Clock } from "../../src/util/clock.ts";
import { PlantError } from "../../src/util/errors.ts";
import { asError, type Running, within } from "../../src/util/running.ts";

/** The two ends of a cable, as paths to open like serial ports. */
export interface PtyPair extends Running {
  readonly ends: readonly [string, string];
  /** Process id of socat; ending it pulls the cable. */
  readonly pid: number;
}

/** Lets socat die with this process, where the machine can do that. @see setpriv(1) */
const setpriv = "/usr/bin/setpriv";
/** socat is there at once or not at all. */
const startMaxMs = 5000;
/** What socat says is kept for the error message, no more. */
const wordsMax = 4000;

/**
 * Joins two new pseudo terminals, in raw mode, under the paths `links`. Disposal ends socat and
 * removes both paths.
 * @throws PlantError TOOL_MISSING without socat; PORT_UNUSABLE when it does not start.
 */
export async function startPtyPair(
  deps: { readonly clock: Clock },
  links: readonly [string, string],
): Promise<PtyPair> {
  for (const link of links) rmSync(link, { force: true });
  const end = (link: string) => `pty,raw,echo=0,link=${link}`;
  const line = ["socat", "-d", "-d", end(links[0]), end(links[1])];
  const [program = "", ...rest] = existsSync(setpriv)
    ? [setpriv, "--pdeathsig=KILL", ...line]
    : line;
  const child = spawn(program, rest, {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let words = "";
  const ended = new Promise<Error | undefined>((resolve) => {
    child.once("error", resolve);
    child.once("exit", (code, signal) => {
      const isAsked = signal !== null || code === 0 || code === 143 || code === 130;
      resolve(isAsked ? undefined : new Error(`socat ended with ${code}: ${words.slice(-500)}`));
    });
  });
  const ready = new Promise<boolean>((resolve) => {
    child.stderr.on("data", (data: Buffer) => {
      words = `${words}${data.toString()}`.slice(-wordsMax);
      if (words.includes("starting data transfer loop")) resolve(true);
    });
    void ended.then(() => resolve(false));
  });
  if ((await within(deps.clock, startMaxMs, ready)) !== true || child.pid === undefined) {
    child.kill("SIGKILL");
    throw failure(links, await ended, words);
  }
  return { ends: links, pid: child.pid, ended, [Symbol.asyncDispose]: () => stop(child) };

  async function stop(process: ChildProcess): Promise<void> {
    process.kill("SIGTERM");
    if (
      (await within(
        deps.clock,
        1000,
        ended.then(() => true),
      )) === undefined
    ) {
      process.kill("SIGKILL");
      await ended;
    }
    for (const link of links) rmSync(link, { force: true });
  }
}

function failure(links: readonly string[], error: Error | undefined, words: string): PlantError {
  const cause = error ?? new Error(words);
  const isMissing = (asError(cause) as NodeJS.ErrnoException).code === "ENOENT";
  if (isMissing || words.includes("failed to execute")) {
    return new PlantError("TOOL_MISSING", { tool: "socat", package: "socat" }, { cause });
  }
  return new PlantError("PORT_UNUSABLE", { port: links[0], reason: words.slice(-300) }, { cause });
}
