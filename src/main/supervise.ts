// Runs parts in one process: starts them in order, ends them in reverse, on a signal, when one
// fails, or when starting fails. It must not know any part.
import { exitCodes } from "../util/catalogue.ts";
import type { Clock } from "../util/clock.ts";
import { asPlantError } from "../util/errors.ts";
import type { Log } from "../util/log.ts";
import { asError, type Running, within } from "../util/running.ts";
import type { Notifier } from "./notify.ts";
import { type Proof, startWatchdog } from "./watchdog.ts";

/** A started part. */
export interface Part {
  readonly running: Running;
  /** Evidence of its progress, for the watchdog. */
  readonly proof: Proof;
}

/** A part to start. */
export interface PartPlan {
  readonly name: string;
  readonly start: () => Promise<Part>;
}

export interface SuperviseDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly notifier: Notifier;
  /** Aborts when the process was asked to end. */
  readonly signal: AbortSignal;
  /** Gives back what only starting needed; called once all parts have started. */
  readonly settle?: () => void;
}

export interface SuperviseConfig {
  readonly plans: readonly PartPlan[];
  /** Longest time the ending of all parts may take together. */
  readonly stopMs: number;
}

/** Exit codes of `plantd run`. */
const done = 0;
const partFailed = 1;

/** Runs the parts until the end. @returns the exit code; never throws. */
export async function supervise(deps: SuperviseDeps, config: SuperviseConfig): Promise<number> {
  const { clock, log, notifier } = deps;
  const started: { name: string; part: Part }[] = [];
  let code = done;
  try {
    for (const plan of config.plans) {
      if (deps.signal.aborted) break;
      const fromMs = clock.monotonicMs();
      started.push({ name: plan.name, part: await plan.start() });
      const tookMs = Math.round(clock.monotonicMs() - fromMs);
      log.info("part started", { part: plan.name, tookMs });
    }
    if (!deps.signal.aborted) {
      deps.settle?.();
      code = await attend(deps, started);
    }
  } catch (thrown) {
    code = fail(log, config.plans[started.length]?.name ?? "", thrown);
  }
  notifier.send("STOPPING=1");
  const isStopped = await within(clock, config.stopMs, stop(log, started));
  if (isStopped === undefined) {
    log.error("the parts did not end in time", { stopMs: config.stopMs });
    return code === done ? partFailed : code;
  }
  return isStopped ? code : partFailed;
}

/** Says ready, feeds the watchdog, and waits for a signal or for a part to end. */
async function attend(
  { clock, log, notifier, signal }: SuperviseDeps,
  started: readonly { readonly name: string; readonly part: Part }[],
): Promise<number> {
  notifier.send("READY=1", `STATUS=${started.map(({ name }) => name).join(" ")}`);
  log.info("ready", { parts: started.map(({ name }) => name) });
  const { watchdogMs } = notifier;
  const beat = () => notifier.send("WATCHDOG=1");
  const proofs = started.map(({ part }) => part.proof);
  const watchdog =
    watchdogMs === undefined
      ? undefined
      : startWatchdog({ clock, log, beat }, { proofs, intervalMs: watchdogMs / 4 });
  const asked = new Promise<undefined>((resolve) => {
    signal.addEventListener("abort", () => resolve(undefined), { once: true });
    if (signal.aborted) resolve(undefined);
  });
  const lost = started.map(async ({ name, part }) => ({ name, error: await part.running.ended }));
  const first = await Promise.race([asked, ...lost]);
  await watchdog?.[Symbol.asyncDispose]();
  if (first === undefined) return done;
  return fail(log, first.name, first.error ?? new Error("it ended without being asked"));
}

function fail(log: Log, part: string, thrown: unknown): number {
  const error = asPlantError(thrown);
  const { detail } = error;
  log.error("a part failed", { code: error.code, part, reason: error.message, ...causeOf(thrown) });
  if (detail.flaws !== undefined) log.error("what is wrong", { part, flaws: detail.flaws });
  return error.exit === exitCodes.badConfig ? error.exit : partFailed;
}

/** Where a defect stands; expected errors need no stack. */
function causeOf(thrown: unknown): { stack?: string } {
  const error = asError(thrown);
  const root = error.cause instanceof Error ? error.cause : error;
  return asPlantError(thrown).code === "INTERNAL" && root.stack !== undefined
    ? { stack: root.stack.slice(0, 2000) }
    : {};
}

/** Ends parts in reverse order. @returns whether all ended well. */
async function stop(
  log: Log,
  started: readonly { readonly name: string; readonly part: Part }[],
): Promise<boolean> {
  let isClean = true;
  for (const { name, part } of started.toReversed()) {
    try {
      await part.running[Symbol.asyncDispose]();
    } catch (thrown) {
      isClean = false;
      const error = asPlantError(thrown);
      log.error("a part did not end cleanly", {
        code: error.code,
        part: name,
        reason: error.message,
      });
    }
  }
  return isClean;
}
