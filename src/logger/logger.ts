// The service org.plantd.Logger: lines of all parts in, a bounded ring to look at, the weighty ones
// on to the stream `log`. It must not know where that stream leads.
import type { Config } from "../config/config.ts";
import { type Clock, isoTime } from "../util/clock.ts";
import { asPlantError, PlantError } from "../util/errors.ts";
import type { Running } from "../util/running.ts";
import { check, v } from "../util/shape.ts";
import type { Operation, WorkerRequest } from "../worker/worker.ts";
import { Quota } from "./quota.ts";
import { LineRing, type LogLine, weightOf } from "./ring.ts";

export interface LoggerDeps {
  readonly clock: Clock;
  /** Keeps lines in the stream `log`; rejects when the store takes none. */
  readonly appendLines: (lines: readonly string[]) => Promise<void>;
}

/** The running logger: its operations are served by a worker of `service`. */
export interface Logger extends Running {
  readonly service: "org.plantd.Logger";
  readonly operations: Readonly<Record<string, Operation>>;
}

const lineBytesMax = 8192;
const followMs = 30_000;
/** Requests that follow at one time. */
const followersMax = 128;
/** Lines on their way into the stream; more are counted as lost to it. */
const keepingMax = 5000;
const keepBatch = 1000;

const count = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER));
const level = v.picklist(["debug", "info", "warn", "error"]);
/** The end of the year 9999: later times have another spelling. */
const lastMs = 253_402_300_799_999;
const appendShape = v.object({ lines: v.array(v.union([v.string(), v.looseObject({})])) });
const tailShape = v.object({
  limit: v.optional(count),
  level: v.optional(level),
  service: v.optional(v.pipe(v.string(), v.maxLength(255))),
  since: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(lastMs))),
});
const followShape = v.object({ after: v.optional(count) });

/** Starts the logger. Nothing it does waits for the disk. */
export function startLogger(deps: LoggerDeps, config: Config["logger"]): Promise<Logger> {
  const core = new LoggerCore(deps, config);
  const { promise, resolve } = Promise.withResolvers<Error | undefined>();
  return Promise.resolve({
    service: "org.plantd.Logger",
    operations: {
      append: ({ args }) => core.append(args),
      tail: ({ args }) => core.tail(args),
      follow: (request) => core.follow(request),
      health: () => core.health(),
    },
    ended: promise,
    async [Symbol.asyncDispose]() {
      await core.drain();
      resolve(undefined);
    },
  });
}

class LoggerCore {
  readonly #deps: LoggerDeps;
  readonly #config: Config["logger"];
  readonly #ring: LineRing;
  readonly #quota: Quota;
  readonly #keeping: string[] = [];
  #saving: Promise<void> | undefined;
  #lost = 0;
  #followers = 0;
  #lostCode: string | undefined;

  constructor(deps: LoggerDeps, config: Config["logger"]) {
    this.#deps = deps;
    this.#config = config;
    this.#ring = new LineRing(config.ringMax);
    this.#quota = new Quota(config.linesPerSecondMax);
  }

  append(args: unknown): { accepted: number; dropped: number } {
    const { lines } = check(appendShape, args);
    const max = this.#config.batchMax;
    if (lines.length > max) throw new PlantError("LIMIT_REACHED", { limit: "lines", max });
    const nowMs = this.#deps.clock.monotonicMs();
    let accepted = 0;
    for (const given of lines) {
      const line = this.#read(given);
      const missed = this.#quota.take(line.service, nowMs);
      if (missed === undefined) continue;
      if (missed > 0) this.#take(this.#gapLine(line.service, missed));
      this.#take(line);
      accepted += 1;
    }
    this.#ring.wake();
    this.#save();
    return { accepted, dropped: lines.length - accepted };
  }

  /** A line as an object with text fields; what is too long keeps its beginning. */
  #read(given: string | object): LogLine {
    const found = typeof given === "string" ? parseLine(given) : given;
    const isCut = sizeOf(found) > lineBytesMax;
    const fields = found as Record<string, unknown>;
    const word = (name: string, max: number) => {
      const value = fields[name];
      return typeof value === "string" ? value.slice(0, max) : "";
    };
    const line: LogLine = {
      ...(isCut ? { isCut } : fields),
      timestamp: word("timestamp", 40) || isoTime(this.#deps.clock.wallMs()),
      level: word("level", 10) || "info",
      service: word("service", 255) || "unknown",
      message: word("message", 2000),
    };
    return line;
  }

  #gapLine(service: string, lines: number): LogLine {
    return {
      timestamp: isoTime(this.#deps.clock.wallMs()),
      level: "warn",
      service,
      message: `${lines} lines were dropped: too many in a short time`,
      fields: { dropped: lines },
    };
  }

  #take(line: LogLine): void {
    this.#ring.push(line);
    if (weightOf(line.level) < weightOf(this.#config.keepLevel)) return;
    if (this.#keeping.length >= keepingMax) this.#lost += 1;
    else this.#keeping.push(JSON.stringify(line));
  }

  /** Hands kept lines on, one batch at a time. A store that takes none costs these lines only. */
  #save(): void {
    if (this.#saving !== undefined || this.#keeping.length === 0) return;
    const batch = this.#keeping.splice(0, keepBatch);
    this.#saving = this.#deps
      .appendLines(batch)
      .then(
        () => {
          this.#lostCode = undefined;
        },
        (error: unknown) => {
          // Said by health and not by a line: that would be one more to keep.
          this.#lost += batch.length;
          this.#lostCode = asPlantError(error).code;
        },
      )
      .finally(() => {
        this.#saving = undefined;
        this.#save();
      });
  }

  /** Resolves when no line is on its way any more. */
  async drain(): Promise<void> {
    while (this.#saving !== undefined) await this.#saving;
  }

  tail(args: unknown): { lines: readonly LogLine[] } {
    const asked = check(tailShape, args ?? {});
    const limit = Math.min(asked.limit ?? 100, this.#config.ringMax);
    const since = asked.since === undefined ? "" : isoTime(asked.since);
    const least = asked.level === undefined ? 0 : weightOf(asked.level);
    const wanted = (line: LogLine) =>
      weightOf(line.level) >= least &&
      line.timestamp >= since &&
      (asked.service === undefined || line.service === asked.service);
    return { lines: this.#ring.newest(limit, wanted) };
  }

  async follow(request: WorkerRequest): Promise<{ position: number }> {
    const { after } = check(followShape, request.args ?? {});
    if (this.#followers >= followersMax) {
      throw new PlantError("LIMIT_REACHED", { limit: "followers", max: followersMax });
    }
    this.#followers += 1;
    const over = new AbortController();
    const stop = AbortSignal.any([over.signal, request.signal]);
    const timed = this.#deps.clock.sleep(followMs, stop).then(() => over.abort());
    let position = Math.min(after ?? this.#ring.position, this.#ring.position);
    try {
      while (!stop.aborted) {
        const lines = this.#ring.after(position, this.#config.batchMax);
        if (lines.length === 0) {
          await this.#ring.grown(stop);
          continue;
        }
        // Lines that left the ring meanwhile are passed over.
        position = Math.max(position, this.#ring.first - 1) + lines.length;
        await request.partial({ lines });
      }
    } finally {
      this.#followers -= 1;
      over.abort();
      await timed;
    }
    return { position };
  }

  health(): unknown {
    const dropped = this.#quota.dropped;
    const kept = this.#lostCode === undefined ? "pass" : "warn";
    const reason = this.#lostCode === undefined ? "" : `, last by ${this.#lostCode}`;
    return {
      status: kept,
      checks: [
        { name: "rate", status: "pass", output: `${dropped} lines dropped` },
        { name: "stream", status: kept, output: `${this.#lost} lines not kept${reason}` },
      ],
    };
  }
}

/** Bytes of a line as JSON; no number is large enough for one nested too deeply to be written. */
function sizeOf(line: object): number {
  try {
    return Buffer.byteLength(JSON.stringify(line));
  } catch (error) {
    if (error instanceof RangeError) return Number.POSITIVE_INFINITY;
    throw error;
  }
}

/** A line as its writer made it; what is no JSON object is its own message. */
function parseLine(text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : { message: text };
  } catch (error) {
    if (error instanceof SyntaxError) return { message: text };
    throw error;
  }
}
