// One request on a line and what can become of it. It must not know queues, ports or protocols.

import type { Code } from "../../src/util/catalogue.ts";
import type { Stamp } from "../../src/util/clock.ts";

/** Lanes, most urgent first: people's writes and reads, alarms, polling, back-fill, probes. */
export const lanes = ["write", "alarm", "poll", "fill", "probe"] as const;
export type Lane = (typeof lanes)[number];

/**
 * What tells the answer to one request from the answer to another on a line whose answers carry no
 * request number: a late answer can only be mistaken for one with the same three.
 */
export interface Signature {
  /** Unit identifier, or whatever names the device on this line. */
  readonly unit: number;
  readonly function: number;
  /** Length of a complete regular answer in bytes; 0 when answers end by a delimiter. */
  readonly answerBytes: number;
}

/** Why received bytes are not an answer. */
export type Fault =
  | "crc"
  | "unit"
  | "function"
  | "byte-count"
  | "address"
  | "short"
  | "long"
  | "echo"
  | "ambiguous"
  | "malformed";

/** What received bytes mean for one request. Pure: the same bytes give the same verdict. */
export type Verdict<T> =
  | { readonly is: "more" }
  | { readonly is: "answer"; readonly value: T }
  /** `isUnreachable`: a gateway says that the device behind it is silent. */
  | { readonly is: "exception"; readonly exception: number; readonly isUnreachable?: boolean }
  | { readonly is: "wrong"; readonly fault: Fault };

/** One request: what to send and how to read the answer. */
export interface Exchange<T> {
  readonly lane: Lane;
  readonly signature: Signature;
  readonly frame: Uint8Array;
  /** Judges all bytes received since the request went out. */
  judge(received: Uint8Array): Verdict<T>;
  /** Does not go out after this moment of monotonic time. */
  readonly deadlineMs?: number;
  /** Longest wait for the first byte of the answer, when it is not that of the line. */
  readonly timeoutMs?: number;
  /** Sends without waiting for an answer (broadcast, listening devices). */
  readonly isUnanswered?: boolean;
}

/** How an exchange ended. */
export type Outcome<T> =
  /** A valid answer, stamped when its last byte arrived. */
  | { readonly is: "ok"; readonly value: T; readonly at: Stamp; readonly tookMs: number }
  /** The device refused. */
  | {
      readonly is: "exception";
      readonly exception: number;
      readonly isUnreachable: boolean;
      readonly at: Stamp;
    }
  /** The frame went out; nothing, or nothing valid, came back. */
  | { readonly is: "timeout" }
  | { readonly is: "fault"; readonly fault: Fault }
  | { readonly is: "lost"; readonly code: Code }
  /** The frame never went out: the device has not seen it. */
  | { readonly is: "unsent"; readonly code: Code };
