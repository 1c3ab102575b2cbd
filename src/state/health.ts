// The health of the state service: room, commits, how long a flush takes, what could not be read,
// how old the checkpoint is. It must not know who asks.
import type { StateCore } from "./core.ts";

type Status = "pass" | "warn" | "fail";

/** One thing that was looked at. */
interface HealthCheck {
  readonly name: string;
  readonly status: Status;
  readonly output: string;
}

/** The document of health. */
export interface Health {
  readonly status: Status;
  readonly checks: readonly HealthCheck[];
}

/** Shares of the room from which it is short, and as good as used up. */
const roomWarn = 0.85;
const roomFail = 0.98;
/** Milliseconds of a flush, of which one in a hundred takes longer, that a medium should not need. */
const flushWarnMs = 500;
/** Checkpoints that may be missing before it is told. */
const checkpointsMissing = 3;

/** Looks at the store. */
export function healthOf(core: StateCore): Health {
  const stats = core.deps.journal.stats();
  const { liveBytes = 0, roomBytes = 1, failedCommits = 0, commits = 0 } = stats;
  const { flushP50Ms = 0, flushP99Ms = 0, damagedReads = 0 } = stats;
  const share = liveBytes / roomBytes;
  const checks: HealthCheck[] = [
    {
      name: "room",
      status: share > roomFail ? "fail" : warnIf(share > roomWarn),
      output: `${Math.round(share * 100)} % used`,
    },
    {
      name: "commits",
      status: warnIf(failedCommits > 0),
      output: `${commits} made, ${failedCommits} failed`,
    },
    {
      name: "flush",
      status: warnIf(flushP99Ms > flushWarnMs),
      output: `${flushP50Ms.toFixed(1)} ms, one in a hundred above ${flushP99Ms.toFixed(1)} ms`,
    },
    {
      name: "reads",
      status: damagedReads > 0 ? "fail" : "pass",
      output: `${damagedReads} damaged`,
    },
    checkpointCheck(core),
  ];
  return { status: worst(checks), checks };
}

function checkpointCheck({ deps, config, checkpointAtMs }: StateCore): HealthCheck {
  const ageMs = deps.clock.monotonicMs() - checkpointAtMs;
  return {
    name: "checkpoint",
    status: warnIf(ageMs > checkpointsMissing * config.checkpointMs),
    output: `${Math.round(ageMs / 1000)} s old`,
  };
}

function warnIf(isSo: boolean): Status {
  return isSo ? "warn" : "pass";
}

function worst(checks: readonly HealthCheck[]): Status {
  if (checks.some(({ status }) => status === "fail")) return "fail";
  return warnIf(checks.some(({ status }) => status === "warn"));
}
