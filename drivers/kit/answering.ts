// The answer to one request while its bytes arrive: complete, late for another, echo, noise, over.
// Pure: the owner brings bytes and times. It must not know ports.
import type { Exchange, Fault, Verdict } from "./exchange.ts";
import type { LateWindow } from "./late-window.ts";

/** The request in flight. */
export interface Answering {
  readonly exchange: Exchange<unknown>;
  readonly characterMs: number;
  /** The first byte must come before this moment. */
  readonly firstByMs: number;
  /** Requests that may still be answered; none where the port pairs answers. */
  readonly late: LateWindow | undefined;
}

/** What has been read so far. */
export interface Reading {
  readonly received: Uint8Array;
  /** The adapter gives back what it sends. */
  readonly echoes: boolean;
  readonly isEchoGone: boolean;
  /** When the first byte of the answer came. */
  readonly firstMs?: number;
}

export function startReading(echoes: boolean): Reading {
  return { received: new Uint8Array(0), echoes, isEchoGone: false };
}

type Ending =
  | Exclude<Verdict<unknown>, { is: "more" }>
  | { readonly is: "timeout" }
  | { readonly is: "wrong"; readonly fault: Fault };

/** Wait on, or an end. `lateAnswers` were found before it and dropped. */
export type AnswerStep = { readonly reading: Reading; readonly lateAnswers: number } & (
  | { readonly is: "waits"; readonly untilMs: number }
  | { readonly is: "ends"; readonly verdict: Ending }
);

/** More bytes than any answer has: somebody talks without end. */
const floodBytes = 1024;
/** The longest pause within a frame: adapters and their drivers deliver in lumps. */
const pauseLeastMs = 100;
const pauseCharacters = 20;

/** Looks at the bytes received and at the time. */
export function answerEnds(
  answering: Answering,
  before: Reading,
  times: { readonly nowMs: number; readonly lastByteMs: number },
): AnswerStep {
  const { nowMs } = times;
  let reading = before;
  let lateAnswers = 0;
  while (reading.received.length > 0) {
    const seen = consider(answering, reading, nowMs);
    reading = seen.reading;
    if (seen.is === "ends") return { is: "ends", verdict: seen.verdict, reading, lateAnswers };
    if (seen.is === "late") lateAnswers += 1;
    if (seen.is !== "more") continue;
    const pauseMs = Math.max(pauseLeastMs, pauseCharacters * answering.characterMs);
    const untilMs = times.lastByteMs + pauseMs;
    const isFlood = reading.received.length > floodBytes;
    if (!isFlood && nowMs < untilMs) return { is: "waits", untilMs, reading, lateAnswers };
    const verdict = { is: "wrong", fault: isFlood ? "long" : "short" } as const;
    return { is: "ends", verdict, reading, lateAnswers };
  }
  const untilMs = answering.firstByMs;
  if (nowMs < untilMs) return { is: "waits", untilMs, reading, lateAnswers };
  return { is: "ends", verdict: { is: "timeout" }, reading, lateAnswers };
}

/** What the bytes are now: an end, the begin of something, or what can be taken off the front. */
type Seen = { readonly reading: Reading } & (
  | { readonly is: "ends"; readonly verdict: Ending }
  | { readonly is: "more" }
  | { readonly is: "late" }
  | { readonly is: "echo" }
);

function consider(answering: Answering, before: Reading, nowMs: number): Seen {
  const { exchange, late } = answering;
  const echo = before.echoes ? takeEcho(exchange.frame, before) : before;
  if (echo === "more") return { is: "more", reading: before };
  if (echo !== undefined && echo !== before) return { is: "echo", reading: echo };
  const isSilentAgain = echo === undefined;
  const reading = {
    ...before,
    echoes: before.echoes && !isSilentAgain,
    firstMs: before.firstMs ?? nowMs,
  };
  const behind = considerBehind(answering, reading, nowMs);
  if (behind !== undefined) return behind;
  const verdict = exchange.judge(reading.received);
  if (verdict.is === "more") return { is: "more", reading };
  if (verdict.is === "exception") {
    const isAmbiguous = late?.isAmbiguous(exchange.signature, nowMs) ?? false;
    const fault = { is: "wrong", fault: "ambiguous" } as const;
    const ended = { ...reading, received: new Uint8Array(0) };
    return { is: "ends", verdict: isAmbiguous ? fault : verdict, reading: ended };
  }
  if (verdict.is === "answer") {
    return { is: "ends", verdict, reading: { ...reading, received: new Uint8Array(0) } };
  }
  const claim = late?.claim(reading.received, nowMs) ?? { is: "unknown" as const };
  if (claim.is === "late") {
    const { firstMs: _, ...rest } = reading;
    return { is: "late", reading: { ...rest, received: rest.received.subarray(claim.usedBytes) } };
  }
  if (claim.is === "more") return { is: "more", reading };
  const found = takeEcho(exchange.frame, reading);
  if (found === "more") return { is: "more", reading };
  if (found !== undefined && found !== reading) return { is: "echo", reading: found };
  return { is: "ends", verdict, reading };
}

/**
 * One lump may hold the answer and behind it a late one of an earlier request. The late one is
 * dropped; judged from the front, the answer would be taken for a late one of long ago.
 */
function considerBehind(answering: Answering, reading: Reading, nowMs: number): Seen | undefined {
  const { exchange, late } = answering;
  const { received } = reading;
  const { answerBytes } = exchange.signature;
  if (answerBytes === 0 || received.length <= answerBytes || late === undefined) return undefined;
  const first = received.subarray(0, answerBytes);
  if (exchange.judge(first).is !== "answer") return undefined;
  const rest = received.subarray(answerBytes);
  const claim = late.claim(rest, nowMs);
  if (claim.is === "more") return { is: "more", reading };
  if (claim.is === "unknown") return undefined;
  const left = Buffer.concat([first, rest.subarray(claim.usedBytes)]);
  return { is: "late", reading: { ...reading, received: left } };
}

/**
 * Takes the own frame off the front of what came back. `more` while it is incomplete, `undefined`
 * when something else came, the same reading when the echo is gone already.
 */
function takeEcho(frame: Uint8Array, reading: Reading): Reading | "more" | undefined {
  const { received } = reading;
  if (reading.isEchoGone) return reading;
  if (!received.every((byte, at) => at >= frame.length || byte === frame[at])) return undefined;
  if (received.length < frame.length) return "more";
  const { firstMs: _, ...rest } = reading;
  return { ...rest, received: received.subarray(frame.length), echoes: true, isEchoGone: true };
}
