// The beat systemd waits for, given only while every part of the process makes progress.
// It must not know what a part does.
import type { Clock } from "../util/clock.ts";
import type { Log } from "../util/log.ts";
import { type Running, startLoop, within } from "../util/running.ts";

/** One part's own evidence that its work goes on. */
export interface Proof {
  readonly part: string;
  /** Resolves to whether work was done since it was last asked; a rejection means no. */
  readonly check: (signal: AbortSignal) => Promise<boolean>;
}

export interface WatchdogDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** Tells the manager that the process is alive. */
  readonly beat: () => void;
}

export interface WatchdogConfig {
  readonly proofs: readonly Proof[];
  /** Time between two rounds; a proof that takes longer counts as none. */
  readonly intervalMs: number;
}

/** Proof by a counter that must have moved. */
export function counterProof(part: string, read: () => number): Proof {
  let last: number | undefined;
  return {
    part,
    check: async () => {
      const count = read();
      const hasMoved = count !== last;
      last = count;
      return hasMoved;
    },
  };
}

/** Proof by a queue that is empty, or of which something was done since it was last asked. */
export function queueProof(
  part: string,
  read: () => { readonly waiting: number; readonly done: number },
): Proof {
  const moved = counterProof(part, () => read().done);
  return {
    part,
    check: async (signal) => {
      const hasMoved = await moved.check(signal);
      return hasMoved || read().waiting === 0;
    },
  };
}

/** Starts asking the parts; beats after each round in which all of them gave proof. */
export function startWatchdog(deps: WatchdogDeps, config: WatchdogConfig): Running {
  const { clock, log, beat } = deps;
  const { proofs, intervalMs } = config;
  const stuck = new Set<string>();
  const ask = async (proof: Proof, signal: AbortSignal): Promise<boolean> => {
    const limit = new AbortController();
    const asked = proof.check(AbortSignal.any([signal, limit.signal])).catch((error: unknown) => {
      log.debug("a part gave no proof of progress", { part: proof.part, error });
      return false;
    });
    const isAlive = (await within(clock, intervalMs, asked)) ?? false;
    limit.abort();
    if (isAlive) stuck.delete(proof.part);
    else if (!signal.aborted && !stuck.has(proof.part)) {
      stuck.add(proof.part);
      log.warn("a part makes no progress; the watchdog is not fed", { part: proof.part });
    }
    return isAlive;
  };
  return startLoop({
    clock,
    pauseMs: intervalMs,
    round: async (signal) => {
      const alive = await Promise.all(proofs.map((proof) => ask(proof, signal)));
      if (!signal.aborted && alive.every((isAlive) => isAlive)) beat();
    },
  });
}
