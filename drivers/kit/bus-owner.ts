// The one owner of a physical line: one request at a time, late answers never taken for others,
// open again after a loss. It must not know what devices say or who asks.
import { backoffMs } from "../../src/util/backoff.ts";
import type { Code } from "../../src/util/catalogue.ts";
import { type Clock, type ClockSync, stampNow } from "../../src/util/clock.ts";
import { asPlantError, PlantError } from "../../src/util/errors.ts";
import type { Log } from "../../src/util/log.ts";
import type { Random } from "../../src/util/random.ts";
import { type Running, within } from "../../src/util/running.ts";
import { type Answering, answerEnds, type Reading, startReading } from "./answering.ts";
import type { LineTiming } from "./device-plan.ts";
import type { Exchange, Outcome } from "./exchange.ts";
import { LaneQueue } from "./lane-queue.ts";
import { LateWindow } from "./late-window.ts";
import { LineFigures, type LineReport } from "./line-figures.ts";
import type { Port } from "./port.ts";

export interface BusOwnerDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  /** Boot id of the machine, for stamps. */
  readonly boot: string;
  readonly clockSync: () => ClockSync;
}

export interface BusOwnerOptions {
  readonly port: Port;
  readonly timing: LineTiming;
  readonly timeoutMs: number;
  readonly turnaroundMs: number;
  readonly queueMax: number;
  readonly lateTimeouts: number;
  /** The line opened or was lost. */
  onState(state: LineState): void;
  /** Bytes came without a request; returns how many were used. */
  onUnasked?(received: Uint8Array): number;
}

/** Whether the line can be used, and if not, why. */
export interface LineState {
  readonly state: "open" | "opening" | "failed";
  readonly reason?: string;
}

export interface BusOwner extends Running {
  /** Runs one exchange when its turn comes. Never rejects. */
  request<T>(exchange: Exchange<T>): Promise<Outcome<T>>;
  readonly state: LineState;
  report(): LineReport;
}

interface Item {
  readonly exchange: Exchange<unknown>;
  settle(outcome: Outcome<unknown>): void;
}

/** Right again within 5 s of the plug: no wait between two tries to open is longer. */
const reopenRange = { baseMs: 200, ceilingMs: 2000 };
/** Bytes kept while nobody asked for any. */
const unaskedMax = 4096;
/** Longest a port may take to take bytes, drop them or close, beside the time on the wire. */
const portMs = 5000;
/** Least silence after a request that was not answered validly. */
const quietLeastMs = 10;

/** Starts the owner of a line; it opens the port by itself and keeps it open. */
export function startBusOwner(deps: BusOwnerDeps, options: BusOwnerOptions): BusOwner {
  const owner = new Owner(deps, options);
  return owner.start();
}

class Owner {
  readonly #deps: BusOwnerDeps;
  readonly #options: BusOwnerOptions;
  readonly #queue: LaneQueue<Item>;
  readonly #late: LateWindow;
  readonly #figures: LineFigures;
  readonly #stop = new AbortController();
  #state: LineState = { state: "opening" };
  /** Ends the wait under way: bytes came, something was queued, the port closed. */
  #wake = new AbortController();
  #received: Uint8Array = new Uint8Array(0);
  #lastByteMs = 0;
  #lastEndMs = 0;
  #lost: PlantError | undefined;
  #timeoutsInRow = 0;
  /** Somebody was understood since the port was opened. */
  #isHeard = false;
  /** The loss that was told last, until somebody is understood again. */
  #toldReason: string | undefined;
  #echoes = false;

  constructor(deps: BusOwnerDeps, options: BusOwnerOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#queue = new LaneQueue(options.queueMax);
    this.#late = new LateWindow(options.lateTimeouts);
    this.#figures = new LineFigures(deps.clock.monotonicMs());
  }

  start(): BusOwner {
    const ended = this.#run().then(
      () => undefined,
      (error: unknown) => asPlantError(error),
    );
    const current = () => this.#state;
    return {
      ended,
      request: (exchange) => this.#request(exchange),
      get state() {
        return current();
      },
      report: () => this.#figures.report(this.#nowMs()),
      [Symbol.asyncDispose]: async () => {
        this.#stop.abort();
        this.#wake.abort();
        await ended;
      },
    };
  }

  #nowMs(): number {
    return this.#deps.clock.monotonicMs();
  }

  #request<T>(exchange: Exchange<T>): Promise<Outcome<T>> {
    if (this.#stop.signal.aborted) return Promise.resolve({ is: "unsent", code: "CANCELLED" });
    if (this.#state.state !== "open") {
      return Promise.resolve({ is: "unsent", code: "PORT_UNUSABLE" });
    }
    return new Promise((resolve) => {
      const settle = (outcome: Outcome<unknown>) => resolve(outcome as Outcome<T>);
      if (this.#queue.push({ exchange, settle })) this.#wake.abort();
      else resolve({ is: "unsent", code: "LIMIT_REACHED" });
    });
  }

  async #run(): Promise<void> {
    const { port } = this.#options;
    const stop = this.#stop.signal;
    let attempt = 0;
    try {
      while (!stop.aborted) {
        const opened = await this.#open();
        if (opened) {
          await this.#serve();
          await within(this.#deps.clock, portMs, port.close());
          if (this.#isStale()) continue;
          // A peer that takes the connection and drops it again is no reason to hurry.
          if (this.#isHeard) attempt = 0;
        }
        this.#refuseAll(stop.aborted ? "CANCELLED" : "PORT_UNUSABLE");
        const pauseMs = backoffMs(reopenRange, attempt, this.#deps.random.unit());
        if (!stop.aborted) await this.#deps.clock.sleep(pauseMs, stop);
        attempt += 1;
      }
    } finally {
      await within(this.#deps.clock, portMs, port.close());
      this.#refuseAll("CANCELLED");
    }
  }

  async #open(): Promise<boolean> {
    const { port } = this.#options;
    this.#lost = undefined;
    this.#received = new Uint8Array(0);
    this.#echoes = false;
    this.#isHeard = false;
    this.#timeoutsInRow = 0;
    this.#late.clear();
    try {
      await port.open({
        bytes: (data) => this.#take(data),
        strayed: () => this.#figures.count("late"),
        closed: (error) => {
          this.#lost = error;
          this.#wake.abort();
        },
      });
    } catch (error) {
      const failure = asPlantError(error);
      if (failure.code !== "PORT_UNUSABLE") throw failure;
      this.#setState({ state: "failed", reason: reasonOf(failure) });
      return false;
    }
    this.#lastEndMs = this.#nowMs();
    this.#setState({ state: "open" });
    return true;
  }

  #setState(state: LineState): void {
    const before = this.#state;
    this.#state = state;
    if (state.state === before.state && state.reason === before.reason) return;
    const { log } = this.#deps;
    const port = this.#options.port.name;
    const { reason } = state;
    if (state.state === "open") {
      if (this.#toldReason === undefined) log.info("line is open", { port });
    } else if (reason !== this.#toldReason) {
      this.#toldReason = reason;
      log.warn("line is down", { code: "PORT_UNUSABLE", reason });
    }
    if (state.state !== before.state) this.#options.onState(state);
  }

  #take(data: Uint8Array): void {
    this.#lastByteMs = this.#nowMs();
    const room = unaskedMax - this.#received.length;
    const kept = data.length > room ? data.subarray(0, Math.max(0, room)) : data;
    this.#received = Buffer.concat([this.#received, kept]);
    this.#wake.abort();
  }

  /** What came in was understood: the line is as good as it looks. */
  #noteHeard(): void {
    this.#isHeard = true;
    if (this.#toldReason === undefined) return;
    this.#toldReason = undefined;
    this.#deps.log.info("line is open", { port: this.#options.port.name });
  }

  /** Waits until `untilMs`, or until something happens. */
  async #wait(untilMs: number): Promise<void> {
    const leftMs = untilMs - this.#nowMs();
    if (this.#wake.signal.aborted) this.#wake = new AbortController();
    if (leftMs > 0) await this.#deps.clock.sleep(leftMs, this.#wake.signal);
    if (this.#wake.signal.aborted) this.#wake = new AbortController();
  }

  /** Serves requests until the port is lost or the owner is stopped. */
  async #serve(): Promise<void> {
    while (this.#lost === undefined && !this.#isStale() && !this.#stop.signal.aborted) {
      const nowMs = this.#nowMs();
      this.#refuseExpired(nowMs);
      const item = this.#queue.take((waiting) => this.#clearAtMs(waiting) <= nowMs);
      if (item !== undefined) {
        await this.#serveOne(item);
        continue;
      }
      this.#hearUnasked();
      await this.#wait(this.#nextChangeMs(nowMs));
    }
    if (this.#stop.signal.aborted || this.#isStale()) return;
    this.#setState({ state: "failed", reason: reasonOf(this.#lost) });
  }

  /** A connection on which nothing is answered any more: it is made anew, without a word. */
  #isStale(): boolean {
    const { timeoutsMax } = this.#options.port;
    return timeoutsMax > 0 && this.#timeoutsInRow >= timeoutsMax;
  }

  #clearAtMs({ exchange }: Item): number {
    return this.#options.port.pairsAnswers ? 0 : this.#late.clearAtMs(exchange.signature);
  }

  /** When a waiting item may go out or expires; far away if none waits. */
  #nextChangeMs(nowMs: number): number {
    let nextMs = nowMs + 60_000;
    for (const item of this.#queue.items()) {
      const expiryMs = item.exchange.deadlineMs ?? nextMs;
      nextMs = Math.min(nextMs, this.#clearAtMs(item), expiryMs);
    }
    return Math.max(nextMs, nowMs + 1);
  }

  #refuseExpired(nowMs: number): void {
    const isOver = ({ exchange }: Item) => (exchange.deadlineMs ?? Infinity) <= nowMs;
    for (const item of this.#queue.drain(isOver)) item.settle({ is: "unsent", code: "EXPIRED" });
  }

  #refuseAll(code: Code): void {
    for (const item of this.#queue.drain(() => true)) item.settle({ is: "unsent", code });
  }

  async #serveOne(item: Item): Promise<void> {
    const startMs = this.#nowMs();
    const outcome = await this.#exchange(item.exchange);
    const nowMs = this.#nowMs();
    if (outcome.is !== "unsent") this.#figures.busy(startMs, nowMs);
    this.#count(outcome);
    item.settle(outcome);
    if (outcome.is === "ok" || outcome.is === "exception") this.#timeoutsInRow = 0;
    if (outcome.is === "timeout" || outcome.is === "fault") {
      this.#timeoutsInRow += 1;
      if (!this.#options.port.pairsAnswers) await this.#keepQuiet();
    }
    this.#lastEndMs = this.#nowMs();
  }

  #count(outcome: Outcome<unknown>): void {
    const figures = this.#figures;
    if (outcome.is === "unsent") return;
    figures.count("requests");
    if (outcome.is === "ok") figures.count("ok");
    else if (outcome.is === "timeout") figures.count("timeouts");
    else if (outcome.is === "exception") figures.count("exceptions");
    else figures.count(outcome.is === "fault" && outcome.fault === "crc" ? "crc" : "other");
  }

  async #exchange(exchange: Exchange<unknown>): Promise<Outcome<unknown>> {
    const { port, timing, turnaroundMs } = this.#options;
    await this.#pauseUntil(this.#lastEndMs + timing.silenceMs + turnaroundMs);
    this.#hearUnasked();
    await this.#limited(port.dropInput());
    this.#received = new Uint8Array(0);
    if (this.#lost !== undefined) return { is: "unsent", code: "PORT_UNUSABLE" };
    if ((exchange.deadlineMs ?? Infinity) <= this.#nowMs()) {
      return { is: "unsent", code: "EXPIRED" };
    }
    const sentMs = this.#nowMs();
    try {
      await this.#limited(port.write(exchange.frame), exchange.frame.length * timing.characterMs);
    } catch (error) {
      const failure = asPlantError(error);
      if (failure.code !== "PORT_UNUSABLE") throw failure;
      this.#lost = failure;
      return { is: "lost", code: "PORT_UNUSABLE" };
    }
    if (this.#lost !== undefined) return { is: "lost", code: "PORT_UNUSABLE" };
    const outMs = sentMs + exchange.frame.length * timing.characterMs;
    if (exchange.isUnanswered === true) {
      await this.#pauseUntil(outMs);
      const at = stampNow(this.#deps.clock, this.#deps.boot, this.#deps.clockSync());
      return { is: "ok", value: undefined, at, tookMs: 0 };
    }
    return await this.#awaitAnswer(exchange, outMs);
  }

  /** Waits for the port; one that does not come back to us counts as lost. */
  async #limited(work: Promise<void>, wireMs = 0): Promise<void> {
    const done = work.then(() => true);
    if ((await within(this.#deps.clock, portMs + wireMs, done)) === true) return;
    this.#lost ??= new PlantError("PORT_UNUSABLE", {
      port: this.#options.port.name,
      reason: "it takes no bytes",
    });
  }

  async #awaitAnswer(exchange: Exchange<unknown>, outMs: number): Promise<Outcome<unknown>> {
    const { port, timing, timeoutMs } = this.#options;
    const answering: Answering = {
      exchange,
      characterMs: timing.characterMs,
      firstByMs: outMs + (exchange.timeoutMs ?? timeoutMs),
      late: port.pairsAnswers ? undefined : this.#late,
    };
    let reading: Reading = startReading(this.#echoes);
    for (;;) {
      if (this.#lost !== undefined) return { is: "lost", code: "PORT_UNUSABLE" };
      if (this.#stop.signal.aborted) return { is: "lost", code: "CANCELLED" };
      const nowMs = this.#nowMs();
      const step = answerEnds(
        answering,
        { ...reading, received: this.#received },
        {
          nowMs,
          lastByteMs: this.#lastByteMs,
        },
      );
      for (let count = 0; count < step.lateAnswers; count += 1) this.#figures.count("late");
      reading = step.reading;
      this.#received = step.reading.received;
      this.#echoes = step.reading.echoes;
      if (step.is === "waits") {
        await this.#wait(step.untilMs);
        continue;
      }
      return this.#conclude(exchange, step.verdict, { outMs, firstMs: reading.firstMs ?? nowMs });
    }
  }

  #conclude(
    exchange: Exchange<unknown>,
    verdict: AnswerVerdict,
    times: { readonly outMs: number; readonly firstMs: number },
  ): Outcome<unknown> {
    const { clock, boot, clockSync } = this.#deps;
    const nowMs = this.#nowMs();
    const tookMs = Math.max(0, nowMs - times.outMs);
    const at = stampNow(clock, boot, clockSync());
    if (verdict.is === "answer" || verdict.is === "exception") {
      this.#noteHeard();
      this.#figures.answered(nowMs, Math.max(0, times.firstMs - times.outMs));
      this.#late.noteSlow(tookMs, nowMs);
      if (verdict.is === "answer") return { is: "ok", value: verdict.value, at, tookMs };
      const { exception, isUnreachable = false } = verdict;
      return { is: "exception", exception, isUnreachable, at };
    }
    if (!this.#options.port.pairsAnswers) {
      const timeoutMs = exchange.timeoutMs ?? this.#options.timeoutMs;
      this.#late.open(exchange, times.outMs, timeoutMs);
    }
    return verdict.is === "timeout" ? verdict : { is: "fault", fault: verdict.fault };
  }

  /** Waits without being woken, short of the loss of the port. */
  async #pauseUntil(untilMs: number): Promise<void> {
    while (this.#nowMs() < untilMs && this.#lost === undefined && !this.#stop.signal.aborted) {
      await this.#wait(untilMs);
    }
  }

  /** After a request without a valid answer: until the line is silent, discards what comes. */
  async #keepQuiet(): Promise<void> {
    const { timing, timeoutMs } = this.#options;
    const silentMs = Math.max(2 * timing.silenceMs, quietLeastMs);
    const endMs = this.#nowMs() + timeoutMs;
    let untilMs = this.#nowMs() + silentMs;
    while (this.#nowMs() < untilMs && this.#lost === undefined && !this.#stop.signal.aborted) {
      await this.#wait(untilMs);
      if (this.#received.length > 0) untilMs = Math.min(this.#lastByteMs + silentMs, endMs);
    }
    this.#discardLate();
  }

  #discardLate(): void {
    const claim = this.#late.claim(this.#received, this.#nowMs());
    if (claim.is === "late") this.#figures.count("late");
    this.#received = new Uint8Array(0);
  }

  /** Bytes while no request is in flight: late answers, devices that talk by themselves, noise. */
  #hearUnasked(): void {
    if (this.#received.length === 0) return;
    if (this.#options.port.pairsAnswers) {
      this.#figures.count("late");
      this.#received = new Uint8Array(0);
      return;
    }
    const claim = this.#late.claim(this.#received, this.#nowMs());
    if (claim.is === "late") {
      this.#figures.count("late");
      this.#received = this.#received.subarray(claim.usedBytes);
    }
    const { onUnasked } = this.#options;
    if (onUnasked === undefined) return;
    const used = onUnasked(this.#received);
    if (used > 0) this.#noteHeard();
    this.#received = this.#received.subarray(used);
    if (this.#received.length >= unaskedMax) this.#received = new Uint8Array(0);
  }
}

type AnswerVerdict = Extract<ReturnType<typeof answerEnds>, { is: "ends" }>["verdict"];

/** What a person needs to find the fault: which port, and what the system says of it. */
function reasonOf(error: PlantError | undefined): string {
  const { port = "the port", reason = "it closed" } = error?.detail ?? {};
  return `${port}: ${reason}`;
}
