// The service org.plantd.Logger: lines of all parts in, a bounded ring to look at, the weighty ones
// on to the stream `log`, and what each part is to write. It must not know where that stream leads.
import type { Config } from "../config/config.ts";
import { type Clock, isoTime } from "../util/clock.ts";
import { type Deadlines, watchDeadlines } from "../util/deadlines.ts";
import { PlantError } from "../util/errors.ts";
import { type SetLevels, weightOf } from "../util/log-levels.ts";
import { makeRedactor, type Redactor } from "../util/redact.ts";
import type { Running } from "../util/running.ts";
import { Slices } from "../util/slices.ts";
import type { Operation } from "../worker/worker.ts";
import { Keeper } from "./keeper.ts";
import { type LevelMemory, LiveLevels, type PartLevel } from "./levels.ts";
import { type Line, makeLine, readLine, sliceMs, textOf } from "./line.ts";
import { type CountedLines, LineCounts } from "./line-counts.ts";
import { type Gap, Quota } from "./quota.ts";
import { type KeptLines, Reading } from "./reading.ts";
import { type Repeat, Repeats } from "./repeats.ts";
import { LineRing } from "./ring.ts";

export type { LevelMemory } from "./levels.ts";
export type { KeptLines } from "./reading.ts";

export interface LoggerDeps {
  readonly clock: Clock;
  /**
   * Keeps lines in the stream `log`; rejects when the store takes none.
   * @returns the first one's number in the stream.
   */
  readonly appendLines: (
    lines: readonly string[],
  ) => Promise<{ readonly first: number } | undefined>;
  /** Reads the stream `log`; without it a look back ends with the ring. */
  readonly kept?: KeptLines;
  /** Keeps levels over a restart; without it they hold until then. */
  readonly levelMemory?: LevelMemory;
}

/** The running logger: its operations are served by a worker of `service`. */
export interface Logger extends Running {
  readonly service: "org.plantd.Logger";
  readonly operations: Readonly<Record<string, Operation>>;
}

const ownService = "org.plantd.Logger";

/** Starts the logger. Nothing it does with lines waits for the disk. */
export async function startLogger(deps: LoggerDeps, config: Config["logger"]): Promise<Logger> {
  const levels = new LiveLevels(deps.clock, deps.levelMemory);
  await levels.load();
  const core = new LoggerCore(deps, config, levels);
  const { clock, kept } = deps;
  const reading = new Reading({ clock, kept, ring: core.ring, run: core.run });
  const { promise, resolve } = Promise.withResolvers<Error | undefined>();
  return {
    service: ownService,
    operations: {
      append: ({ args }) => core.append(args),
      tail: (request) => reading.tail(request),
      follow: (request) => reading.follow(request),
      levels: () => levels.list(),
      "set-level": ({ args }) => levels.set(args),
      stats: () => core.stats(),
      health: () => core.health(),
    },
    ended: promise,
    async [Symbol.asyncDispose]() {
      await core.drain();
      resolve(undefined);
    },
  };
}

/** What the operation `stats` tells. */
interface LoggerStats extends CountedLines {
  /** Lines above the rate of their service. */
  readonly dropped: number;
  /** Lines that came again, counted instead of taken. */
  readonly repeated: number;
  /** Lines the stream `log` did not get. */
  readonly lost: number;
  /** Lines on their way into the stream. */
  readonly waiting: number;
  readonly ring: { readonly lines: number; readonly bytes: number };
  readonly levels: readonly PartLevel[];
}

/** What a call of `append` is answered. */
interface Appended {
  readonly accepted: number;
  /** Lines above the rate of their service. */
  readonly dropped: number;
  /** Lines that came again, counted. */
  readonly repeated?: number;
  /** For a process that goes by other levels. */
  readonly levels?: SetLevels;
}

class LoggerCore {
  readonly run: string;
  readonly ring: LineRing;
  readonly #clock: Clock;
  readonly #config: Config["logger"];
  readonly #levels: LiveLevels;
  readonly #redactor: Redactor;
  readonly #repeats: Repeats;
  readonly #quota: Quota;
  readonly #keeper: Keeper;
  readonly #deadlines: Deadlines;
  readonly #counts = new LineCounts();
  readonly #keepWeight: number;
  /** Of all batches together: the clock runs from the last turn of others. */
  readonly #slices: Slices;
  /** The batch under way and those before it. */
  #turn: Promise<void> = Promise.resolve();
  readonly #now = () => isoTime(this.#clock.wallMs());

  constructor({ clock, appendLines }: LoggerDeps, config: Config["logger"], levels: LiveLevels) {
    this.#clock = clock;
    this.#config = config;
    this.#levels = levels;
    this.run = `${Math.floor(clock.wallMs()).toString(36)}-${process.pid}`;
    this.ring = new LineRing({ linesMax: config.ringMax, bytesMax: config.ringBytesMax });
    this.#redactor = makeRedactor(config.redact);
    this.#repeats = new Repeats(config.repeatMs);
    this.#quota = new Quota(config.linesPerSecondMax);
    this.#slices = new Slices(clock, sliceMs);
    this.#keepWeight = weightOf(config.keepLevel);
    this.#keeper = new Keeper({
      clock,
      append: appendLines,
      mark: (position, sequence) => this.ring.mark(position, sequence),
      tellLost: (lines, code) => this.#tellLost(lines, code),
    });
    this.#deadlines = watchDeadlines(clock, (nowMs) => this.#tellDue(nowMs));
  }

  /** @throws PlantError REQUEST_MALFORMED, LIMIT_REACHED. */
  async append(args: unknown): Promise<Appended> {
    const { lines, about } = checkAppend(args, this.#config.batchMax);
    const levels = about === undefined ? undefined : this.#levels.hear(about);
    const counts = { accepted: 0, dropped: 0, repeated: 0 };
    if (lines.length > 0) {
      // One batch after the other: slices of several at once would add up.
      const turn = this.#turn.then(() => this.#takeAll(lines, counts));
      const noMore = () => {};
      this.#turn = turn.then(noMore, noMore); // its caller hears of an error, the next does not
      await turn;
    }
    const { accepted, dropped, repeated } = counts;
    return {
      accepted,
      dropped,
      ...(repeated > 0 ? { repeated } : {}),
      ...(levels === undefined ? {} : { levels }),
    };
  }

  async #takeAll(
    lines: readonly (string | object)[],
    counts: Record<"accepted" | "dropped" | "repeated", number>,
  ): Promise<void> {
    let nowMs = this.#clock.monotonicMs();
    for (const given of lines) {
      counts[this.#admit(readLine(given, this.#redactor, this.#now), nowMs)] += 1;
      if (!this.#slices.isOver()) continue;
      this.#settle();
      await this.#slices.next();
      nowMs = this.#clock.monotonicMs();
    }
    this.#settle();
  }

  #admit(line: Line, nowMs: number): "accepted" | "repeated" | "dropped" {
    if (this.#repeats.isAgain(line, nowMs)) return "repeated";
    const isAllowed = this.#quota.take(line.service, nowMs);
    for (const gap of this.#quota.told()) this.#take(this.#gapLine(gap));
    if (!isAllowed) {
      this.#repeats.forget(line);
      return "dropped";
    }
    for (const repeat of this.#repeats.take(nowMs)) this.#take(this.#repeatLine(repeat));
    this.#take(line);
    return "accepted";
  }

  #take(line: Line): void {
    const text = textOf(line);
    this.#counts.take(line.level, text);
    const position = this.ring.push(line, text);
    if (weightOf(line.level) >= this.#keepWeight) this.#keeper.push(text, position);
  }

  /** Wakes who waits, saves what is to be kept, and sees to it that what is counted is told. */
  #settle(): void {
    this.ring.wake();
    this.#keeper.save();
    this.#deadlines.watch(Math.min(this.#repeats.dueMs, this.#quota.dueMs));
  }

  /** Tells what is due. @returns when the next is. */
  #tellDue(nowMs: number): number {
    for (const repeat of this.#repeats.take(nowMs)) this.#take(this.#repeatLine(repeat));
    for (const gap of this.#quota.gaps(nowMs)) this.#take(this.#gapLine(gap));
    this.ring.wake();
    this.#keeper.save();
    return Math.min(this.#repeats.dueMs, this.#quota.dueMs);
  }

  #gapLine({ service, lines, spanMs }: Gap): Line {
    const about = { level: "warn", service };
    return makeLine(this.#now(), about, {
      message: `${lines} lines were dropped: too many in a short time`,
      fields: { dropped: lines, spanMs: Math.round(spanMs) },
    });
  }

  #repeatLine({ line, count, spanMs }: Repeat): Line {
    const first = JSON.parse(line.body) as { message?: unknown; code?: unknown };
    const { message, code } = first;
    const span = spanMs < 1000 ? `${Math.round(spanMs)} ms` : `${(spanMs / 1000).toFixed(1)} s`;
    return makeLine(this.#now(), line, {
      message: `${count} times more in ${span}: ${String(message)}`,
      ...(typeof code === "string" ? { code } : {}),
      fields: { repeated: count, spanMs: Math.round(spanMs), first: line.timestamp },
    });
  }

  #tellLost(lines: number, code: string): void {
    const about = { level: "warn", service: ownService };
    const message = `${lines} lines were not kept: the store took none`;
    this.#take(makeLine(this.#now(), about, { message, code, fields: { lost: lines } }));
    this.ring.wake();
  }

  /** Tells all that is counted, and resolves when no line is on its way any more. */
  async drain(): Promise<void> {
    await this.#turn;
    this.#deadlines.stop();
    const nowMs = this.#clock.monotonicMs();
    for (const repeat of this.#repeats.take(nowMs, true)) this.#take(this.#repeatLine(repeat));
    for (const gap of this.#quota.gaps(nowMs, true)) this.#take(this.#gapLine(gap));
    this.ring.wake();
    await this.#keeper.drain();
  }

  /** Counts of lines since the start, and what each part is to write. */
  stats(): LoggerStats {
    const { lost, waiting } = this.#keeper;
    const { count, bytes } = this.ring;
    return {
      ...this.#counts.tell(),
      dropped: this.#quota.dropped,
      repeated: this.#repeats.counted,
      lost,
      waiting,
      ring: { lines: count, bytes },
      levels: this.#levels.list().levels,
    };
  }

  health(): unknown {
    const { lost, code, waiting } = this.#keeper;
    const kept = code === undefined ? "pass" : "warn";
    const reason = code === undefined ? "" : `, last by ${code}`;
    const { count, bytes } = this.ring;
    return {
      status: kept,
      checks: [
        { name: "rate", status: "pass", output: `${this.#quota.dropped} lines dropped` },
        { name: "repeats", status: "pass", output: `${this.#repeats.counted} lines counted` },
        { name: "ring", status: "pass", output: `${count} lines, ${bytes} bytes` },
        {
          name: "stream",
          status: kept,
          output: `${lost} lines not kept${reason}, ${waiting} waiting`,
        },
      ],
    };
  }
}

/** Checked by hand: a shape of the checker costs more than all else that is done with a line. */
function checkAppend(
  args: unknown,
  max: number,
): { readonly lines: readonly (string | object)[]; readonly about: unknown } {
  const { lines, process: about } = (args ?? {}) as { lines?: unknown; process?: unknown };
  if (!Array.isArray(lines)) {
    throw new PlantError("REQUEST_MALFORMED", { reason: "lines: a list of texts or objects" });
  }
  if (lines.length > max) throw new PlantError("LIMIT_REACHED", { limit: "lines", max });
  for (const [at, line] of lines.entries()) {
    if (typeof line === "string" || (typeof line === "object" && line !== null)) continue;
    throw new PlantError("REQUEST_MALFORMED", { reason: `lines.${at}: a text or an object` });
  }
  return { lines, about };
}
