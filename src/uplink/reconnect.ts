// When to connect again, and what ended a connection, in codes. Pure.
// It must not know sockets or timers.
import { type BackoffRange, backoffMs } from "../util/backoff.ts";
import { PlantError } from "../util/errors.ts";

/** Connections shorter than this count as failures. */
const shortMs = 60_000;
/** A connection this old that also carried an acknowledgement has proven itself. */
const stableMs = 120_000;
/** DISCONNECT "session taken over". @see MQTT 5.0, 3.14.2.1 */
const takenOver = 142;

/** How one attempt to be connected ended. */
export interface Outcome {
  /** How long the connection was up; 0 when it never was. */
  readonly upMs: number;
  /** Whether the peer behind the broker confirmed something meanwhile. */
  readonly isConfirmed: boolean;
  readonly reason: PlantError;
}

/**
 * Failed attempts after an outcome, and how long to wait before the next.
 * @param unit a random number in [0, 1).
 */
export function afterOutcome(
  failures: number,
  outcome: Outcome,
  draw: { readonly range: BackoffRange; readonly unit: number },
): { failures: number; waitMs: number } {
  const { range, unit } = draw;
  if (outcome.reason.code === "LINK_TAKEN_OVER") {
    const waitMs = Math.ceil(range.ceilingMs * (1 - unit / 2));
    return { failures: failures + 1, waitMs };
  }
  if (outcome.upMs >= stableMs && outcome.isConfirmed) {
    return { failures: 0, waitMs: backoffMs(range, 0, unit) };
  }
  const waitMs = backoffMs(range, failures, unit);
  return { failures: outcome.upMs < shortMs ? failures + 1 : failures, waitMs };
}

/** Why a connection could not be made or ended, as an error with a code of ours. */
export function linkError(address: string, thrown: unknown): PlantError {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const cause = { cause: error };
  const { code } = error as Error & { code?: unknown };
  if (typeof code === "number") {
    const reason = `${error.message} (${code})`;
    if (code === takenOver) return new PlantError("LINK_TAKEN_OVER", { address }, cause);
    return code >= 128
      ? new PlantError("LINK_REFUSED", { address, reason }, cause)
      : new PlantError("LINK_CLOSED", { address, reason }, cause);
  }
  const name = typeof code === "string" ? code : "";
  const reason = name === "" ? error.message : name;
  if (/^(ERR_TLS|ERR_SSL|CERT_|UNABLE_TO|DEPTH_ZERO|SELF_SIGNED|EPROTO|ERR_OSSL)/.test(name)) {
    return new PlantError("LINK_TLS_FAILED", { address, reason }, cause);
  }
  return new PlantError("LINK_UNREACHABLE", { address, reason }, cause);
}

/** The error of a DISCONNECT packet the broker sent. */
export function disconnectError(address: string, reasonCode: number): PlantError {
  const reason = `the broker disconnects (${reasonCode})`;
  if (reasonCode === takenOver) return new PlantError("LINK_TAKEN_OVER", { address });
  return new PlantError("LINK_CLOSED", { address, reason });
}
