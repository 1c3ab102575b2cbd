// From which severity on each part of a process writes: as configured, and as somebody set it for
// a while. It must not know who sets it.
import type { Clock } from "./clock.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";

/** All levels, least severe first. */
export const logLevels: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/** Stands for every part that is not named. */
const everyPart = "all";

/** Levels that somebody set, by part. */
export interface SetLevels {
  /** Differs whenever the levels do. */
  readonly revision: string;
  readonly parts: Readonly<Record<string, { readonly level: LogLevel; readonly forMs?: number }>>;
}

/** What the parts of one process write. */
export interface LogLevels {
  readonly configured: LogLevel;
  /** What was set last; `""` before. */
  readonly revision: string;
  isEnabled(part: string, level: LogLevel): boolean;
  /** Takes what was set in the place of all that was set before. */
  apply(levels: SetLevels): void;
}

/** How weighty a level is; one that is not known counts as the highest. */
export function weightOf(level: string): number {
  const at = logLevels.indexOf(level as LogLevel);
  return at < 0 ? logLevels.length - 1 : at;
}

/** Levels as configured. A level set for a while ends by itself, whoever set it being there or not. */
export function openLogLevels(clock: Clock, configured: LogLevel): LogLevels {
  const own = weightOf(configured);
  let set = new Map<string, { readonly weight: number; readonly untilMs: number }>();
  let revision = "";
  const weightFor = (part: string): number => {
    for (const name of [part, everyPart]) {
      const found = set.get(name);
      if (found === undefined) continue;
      if (found.untilMs > clock.monotonicMs()) return found.weight;
      set.delete(name);
    }
    return own;
  };
  return {
    configured,
    get revision() {
      return revision;
    },
    isEnabled: (part, level) => weightOf(level) >= (set.size === 0 ? own : weightFor(part)),
    apply(levels) {
      const nowMs = clock.monotonicMs();
      revision = levels.revision;
      set = new Map(
        Object.entries(levels.parts).map(([part, { level, forMs }]) => [
          part,
          { weight: weightOf(level), untilMs: nowMs + (forMs ?? Number.POSITIVE_INFINITY) },
        ]),
      );
    },
  };
}
