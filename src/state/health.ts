// The health of the store: what is looked at, how it is judged, in which words. `health` and
// `stats` tell the same, and whoever shows the store shows this. It must not know who asks.
import { streams } from "../journal/journal.ts";
import { listConsumers } from "./consumers.ts";
import type { StateCore } from "./core.ts";

type Status = "pass" | "warn" | "fail";

/** One thing that was looked at. */
export interface HealthCheck {
  readonly name: string;
  readonly status: Status;
  /** In words. */
  readonly output: string;
  /** Of the catalogue, where it does not pass. */
  readonly code?: string;
}

/** The document of health. */
export interface Health {
  readonly status: Status;
  readonly checks: readonly HealthCheck[];
}

/** Shares of the room from which it is short, and as good as used up. */
const roomWarn = 0.85;
const roomFail = 0.95;
/** Milliseconds of a flush, of which one in a hundred takes longer, that a medium should not need. */
const flushWarnMs = 500;
/** Checkpoints that may be missing before it is told. */
const checkpointsMissing = 3;
/** Snapshots that may be missing before it is told, and the time after a start to make the first. */
const snapshotsMissing = 3;
const firstSnapshotMs = 3_600_000;
/** Damage stays a warning for so long after it was read the last time. */
const damageWarnMs = 86_400_000;
/** Share of its quota from which it matters who holds a stream, and share of it that is held. */
const holdsWarn = 0.7;
const heldWarn = 0.5;

/** Looks at the store. */
export function healthOf(core: StateCore): Health {
  const checks = [
    roomCheck(core),
    commitsCheck(core),
    flushCheck(core),
    damageCheck(core),
    checkpointCheck(core),
    snapshotsCheck(core),
    consumersCheck(core),
  ];
  const worst = (["fail", "warn"] as const).find((word) =>
    checks.some(({ status }) => status === word),
  );
  return { status: worst ?? "pass", checks };
}

function told(name: string, status: Status, output: string, code: string): HealthCheck {
  return status === "pass" ? { name, status, output } : { name, status, output, code };
}

function warnIf(isSo: boolean): Status {
  return isSo ? "warn" : "pass";
}

function roomCheck({ deps }: StateCore): HealthCheck {
  const { liveBytes = 0, roomBytes = 1 } = deps.journal.stats();
  const share = liveBytes / roomBytes;
  const status = share >= roomFail ? "fail" : warnIf(share >= roomWarn);
  const left = mebibytes(Math.max(0, roomBytes - liveBytes));
  return told("room", status, `${Math.round(share * 100)} % used, ${left} left`, "STORE_SHORT");
}

/** What failed an hour ago and went well since is history. */
function commitsCheck({ deps }: StateCore): HealthCheck {
  const { count, lastHour, lastAgeMs = 0, isLast } = deps.journal.troubles().failedCommits;
  const status = isLast && lastHour > 0 ? "fail" : warnIf(lastHour > 0);
  const output =
    lastHour > 0
      ? `${lastHour} failed in the last hour, the last one ${age(lastAgeMs)} ago${isLast ? ", none since went well" : ""}`
      : count > 0
        ? `none failed in the last hour, ${count} before`
        : "none failed";
  return told("commits", status, output, "STORE_COMMITS_FAIL");
}

function flushCheck({ deps }: StateCore): HealthCheck {
  const { flushP50Ms, flushP99Ms } = deps.journal.stats();
  if (flushP50Ms === undefined || flushP99Ms === undefined) {
    return { name: "flush", status: "pass", output: "no commit in the last minutes" };
  }
  const output = `${flushP50Ms.toFixed(1)} ms, one in a hundred above ${flushP99Ms.toFixed(1)} ms`;
  return told("flush", warnIf(flushP99Ms > flushWarnMs), output, "STORE_SLOW");
}

function damageCheck({ deps }: StateCore): HealthCheck {
  const { count, lastHour, lastAgeMs } = deps.journal.troubles().damagedReads;
  const isYoung = lastAgeMs !== undefined && lastAgeMs < damageWarnMs;
  const status = lastHour > 0 ? "fail" : warnIf(isYoung);
  const output =
    lastAgeMs === undefined
      ? "none was found"
      : `${count} reads found damage, ${lastHour} of them in the last hour, the last one ${age(lastAgeMs)} ago`;
  return told("damage", status, output, "STORE_DAMAGED");
}

function checkpointCheck({
  deps,
  config,
  checkpointAtMs,
  checkpointFailure,
}: StateCore): HealthCheck {
  const ageMs = deps.clock.monotonicMs() - checkpointAtMs;
  const isOld = ageMs > checkpointsMissing * config.checkpointMs;
  const why =
    checkpointFailure === undefined ? "" : `, the last try failed by ${checkpointFailure}`;
  return told("checkpoint", warnIf(isOld), `${age(ageMs)} old${why}`, "CHECKPOINT_OLD");
}

/** One that nothing came after is never old. */
function snapshotsCheck(core: StateCore): HealthCheck {
  const { snapshots, config, deps, startedAtMs } = core;
  if (snapshots === undefined)
    return { name: "snapshots", status: "pass", output: "none are made" };
  const { failed, skipped } = snapshots.stats();
  const [newest] = snapshots.list();
  const why =
    skipped === "no-room"
      ? ", the medium has no room for one"
      : failed > 0
        ? `, ${failed} failed`
        : "";
  const upMs = deps.clock.monotonicMs() - startedAtMs;
  if (newest === undefined) {
    const isMissing = upMs > Math.min(config.snapshotEveryMs, firstSnapshotMs);
    return told("snapshots", warnIf(isMissing), `there is none${why}`, "SNAPSHOT_OLD");
  }
  const ageMs = Math.max(0, deps.clock.wallMs() - newest.time);
  const dueMs = snapshotsMissing * config.snapshotEveryMs;
  const isOld = ageMs > dueMs && upMs > firstSnapshotMs && skipped !== "unchanged";
  const output = `the newest is ${age(ageMs)} old${why}`;
  return told("snapshots", warnIf(isOld || skipped === "no-room"), output, "SNAPSHOT_OLD");
}

/** Names who is far behind in a stream that fills. */
function consumersCheck(core: StateCore): HealthCheck {
  const all = listConsumers(core);
  const held = streams.flatMap((stream) => {
    const { first, head, bytes, quotaBytes } = core.deps.journal.use(stream);
    if (bytes < quotaBytes * holdsWarn) return [];
    const kept = head - first + 1;
    return all.flatMap(({ consumer, streams: places }) => {
      const waiting = Math.min(kept, places[stream]?.waiting ?? 0);
      if (waiting < kept * heldWarn) return [];
      const share = Math.round((100 * bytes) / quotaBytes);
      return [
        `${consumer} holds ${waiting} records of ${stream}, which fills ${share} % of its share`,
      ];
    });
  });
  const output = held.length > 0 ? held.join("; ") : `${all.length} registered, none holds room`;
  return told("consumers", warnIf(held.length > 0), output, "CONSUMER_HOLDS");
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 1_048_576)} MiB`;
}

/** A span in its largest unit. */
function age(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}
