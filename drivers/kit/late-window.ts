// Remembers requests that were not answered, so that a late answer is never taken for another's.
// Pure. It must not know ports or clocks: times come as arguments, in monotonic milliseconds.
import type { Exchange, Signature } from "./exchange.ts";

interface Unanswered {
  readonly exchange: Exchange<unknown>;
  readonly sentMs: number;
  /** Until here no request with the same signature goes out. */
  readonly untilMs: number;
  /** Until here a late answer is still known as such. */
  readonly knownUntilMs: number;
}

/** What bytes that do not answer the request in flight turn out to be. */
export type Claim =
  /** A complete late answer of this many bytes. */
  | { readonly is: "late"; readonly usedBytes: number }
  /** The beginning of one. */
  | { readonly is: "more" }
  | { readonly is: "unknown" };

/** A window never lasts longer, however slow a device was. */
const windowMaxMs = 60_000;
/** How long one slow answer makes the windows wider. */
const slowestKeptMs = 600_000;
const rememberedMax = 64;

/**
 * The late window of a line whose answers carry no request number. After a request without a valid
 * answer, for `timeouts` × its timeout and at least twice the slowest answer seen lately, the next
 * request must differ from it in unit, function or length of the answer. Requests still open count
 * too: a device or converter may work them off one by one, so each adds as much again.
 *
 * What bound remains: an answer that comes later than that, to a request just like the one in
 * flight, can not be told from its answer.
 */
export class LateWindow {
  readonly #timeouts: number;
  #unanswered: Unanswered[] = [];
  #slowest = { tookMs: 0, atMs: 0 };

  constructor(timeouts: number) {
    this.#timeouts = timeouts;
  }

  /** A request that went out at `sentMs` was not answered validly. */
  open(exchange: Exchange<unknown>, sentMs: number, timeoutMs: number): void {
    const slowestMs = sentMs - this.#slowest.atMs < slowestKeptMs ? this.#slowest.tookMs : 0;
    const before = this.#unanswered.filter(({ untilMs }) => untilMs > sentMs).length;
    const ownMs = this.#timeouts * timeoutMs * (before + 1);
    const windowMs = Math.min(windowMaxMs, Math.max(ownMs, 2 * slowestMs));
    const entry = {
      exchange,
      sentMs,
      untilMs: sentMs + windowMs,
      knownUntilMs: sentMs + windowMaxMs,
    };
    this.#unanswered = [...this.#unanswered, entry].slice(-rememberedMax);
  }

  /** When a request with this signature may go out. */
  clearAtMs(signature: Signature): number {
    let clearMs = 0;
    for (const { exchange, untilMs } of this.#unanswered) {
      if (isAlike(exchange.signature, signature)) clearMs = Math.max(clearMs, untilMs);
    }
    return clearMs;
  }

  /** Whether an exception to this unit and function might belong to an earlier request. */
  isAmbiguous(signature: Signature, nowMs: number): boolean {
    return this.#unanswered.some(
      ({ exchange: { signature: other }, untilMs }) =>
        untilMs > nowMs && other.unit === signature.unit && other.function === signature.function,
    );
  }

  /**
   * Looks for a late answer at the beginning of received bytes. The oldest request it may answer is
   * forgotten, so a younger one like it keeps its window; an exception has no length to tell by,
   * so all requests it may answer keep theirs.
   */
  claim(received: Uint8Array, nowMs: number): Claim {
    this.#unanswered = this.#unanswered.filter(({ knownUntilMs }) => knownUntilMs > nowMs);
    let isPartial = false;
    let first: { entry: Unanswered; usedBytes: number; isAnswer: boolean } | undefined;
    let newest: Unanswered | undefined;
    for (const entry of this.#unanswered) {
      const { answerBytes } = entry.exchange.signature;
      const isLonger = answerBytes > 0 && received.length > answerBytes;
      const part = isLonger ? received.subarray(0, answerBytes) : received;
      const verdict = entry.exchange.judge(part);
      if (verdict.is === "more") isPartial = true;
      if (verdict.is !== "answer" && verdict.is !== "exception") continue;
      first ??= { entry, usedBytes: part.length, isAnswer: verdict.is === "answer" };
      newest = entry;
    }
    if (first === undefined || newest === undefined) return { is: isPartial ? "more" : "unknown" };
    const { entry, usedBytes, isAnswer } = first;
    if (isAnswer) this.#unanswered = this.#unanswered.filter((other) => other !== entry);
    this.noteSlow(nowMs - newest.sentMs, nowMs);
    return { is: "late", usedBytes };
  }

  /** An answer took this long. */
  noteSlow(tookMs: number, nowMs: number): void {
    const isOld = nowMs - this.#slowest.atMs >= slowestKeptMs;
    if (isOld || tookMs > this.#slowest.tookMs) this.#slowest = { tookMs, atMs: nowMs };
  }

  /** Forgets all: the line was closed, and nothing sent before can be answered on the new one. */
  clear(): void {
    this.#unanswered = [];
  }
}

function isAlike(a: Signature, b: Signature): boolean {
  return a.unit === b.unit && a.function === b.function && a.answerBytes === b.answerBytes;
}
