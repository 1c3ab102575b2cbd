// What tests with real programs share: a free port, waiting for something to be true, and the end of
// a child. It must not know any program.
import type { ChildProcess } from "node:child_process";
import { createServer } from "node:net";
import { systemClock as clock } from "../../src/util/clock.ts";
import { systemRandom as random } from "../../src/util/random.ts";

/** As long as a slow machine may need. */
const slowMachineMs = 30_000;
/** Time between two looks: short at first, as most things come soon. */
const look = { soonMs: 3, laterMs: 20, afterMs: 200 } as const;

/** Ports of one process; processes that run beside each other have other ones. */
const slice = { first: 10_000 + (process.pid % 50) * 300, size: 300 };
let handedOut = Math.floor(random.unit() * slice.size);

/**
 * A free port below those the kernel gives to outgoing connections, which may take any of theirs.
 * None is given twice in a row of 300: whoever got one may not listen on it yet.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    handedOut += 1;
    const port = slice.first + (handedOut % slice.size);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

/** How one wait differs from others. */
interface Patience {
  /** 30,000 when absent. */
  readonly limitMs?: number;
  /** What the failure tells beside what was awaited. */
  readonly seen?: () => unknown;
  /** What `find` throws means "not yet", as of a program that is starting; else it fails the wait. */
  readonly errorsMeanNotYet?: boolean;
}

/**
 * Waits until `find` finds something that is neither undefined nor false.
 * @throws Error with `what`, when it does not come.
 */
export async function until<T>(
  what: string,
  find: () => Promise<T | undefined | false> | T | undefined | false,
  patience: Patience = {},
): Promise<T> {
  const { limitMs = slowMachineMs, seen, errorsMeanNotYet = false } = patience;
  const fromMs = clock.monotonicMs();
  for (;;) {
    let cause: unknown;
    try {
      const found = await find();
      if (found !== undefined && found !== false) return found;
    } catch (error) {
      if (!errorsMeanNotYet) throw error;
      cause = error;
    }
    const tookMs = clock.monotonicMs() - fromMs;
    if (tookMs > limitMs) {
      const tail = seen === undefined ? "" : `: ${inWords(await seen())}`;
      throw new Error(`${what}: not within ${limitMs} ms${tail}`, { cause });
    }
    await clock.sleep(tookMs < look.afterMs ? look.soonMs : look.laterMs);
  }
}

function inWords(seen: unknown): string {
  return typeof seen === "string" ? seen : JSON.stringify(seen);
}

/** Ends a child by its id, unless it has ended, and waits for it. */
export async function endChild(
  child: ChildProcess | undefined,
  signal: NodeJS.Signals = "SIGKILL",
): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill(signal);
  await gone;
}
