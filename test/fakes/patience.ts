// What tests with real programs share: a free port, waiting for something to be true, and the end of
// a child. It must not know any program.
import type { ChildProcess } from "node:child_process";
import { createServer } from "node:net";
import { systemClock as clock } from "../../src/util/clock.ts";
import { systemRandom as random } from "../../src/util/random.ts";

/** As long as a slow machine may need. */
const limitMs = 30_000;

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

/**
 * Waits until `look` finds something that is neither undefined nor false.
 * @throws Error with `what` and what `seen` tells, when it does not come.
 */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  seen: () => unknown = () => "",
): Promise<T> {
  const endMs = clock.monotonicMs() + limitMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (clock.monotonicMs() > endMs) {
      throw new Error(`${what}: not within ${limitMs} ms ${String(seen())}`);
    }
    await clock.sleep(20);
  }
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
