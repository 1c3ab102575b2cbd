// Whether a device answers: silence makes its polls rare, one cheap probe at growing intervals.
// Pure. It must not know lines or clocks: times come as arguments, in monotonic milliseconds.
import type { Code } from "../../src/util/catalogue.ts";

export type HealthState = "starting" | "ok" | "faulty" | "silent";

/** How one request to a device went. */
export type HealthInput =
  | { readonly is: "answered" }
  | { readonly is: "refused" }
  | { readonly is: "unanswered"; readonly code: Code }
  /** The line itself is down: says nothing of the device, but its values are not known. */
  | { readonly is: "line-down" };

export interface Health {
  readonly state: HealthState;
  readonly code?: Code;
  /** Unanswered requests in a row. */
  readonly failures: number;
  /** While silent: when the next probe may go out. */
  readonly probeAtMs: number;
}

/** Unanswered requests in a row that make a device silent. */
const silentAfter = 2;
const probeBaseMs = 1000;
const probeCeilingMs = 30_000;

export const healthAtStart: Health = { state: "starting", failures: 0, probeAtMs: 0 };

/** The health after one more request. */
export function stepHealth(before: Health, input: HealthInput, nowMs: number): Health {
  switch (input.is) {
    case "answered":
      return { state: "ok", failures: 0, probeAtMs: 0 };
    case "refused":
      return { state: "faulty", code: "BUS_EXCEPTION", failures: 0, probeAtMs: 0 };
    case "line-down":
      return { state: "silent", code: "PORT_UNUSABLE", failures: 0, probeAtMs: Infinity };
    case "unanswered": {
      const failures = before.failures + 1;
      const { code } = input;
      if (failures < silentAfter) return { ...before, code, failures };
      const doublings = Math.min(failures - silentAfter, 10);
      const waitMs = Math.min(probeCeilingMs, probeBaseMs * 2 ** doublings);
      return { state: "silent", code, failures, probeAtMs: nowMs + waitMs };
    }
  }
}
