// What those who look at lines get: the newest that match, page by page back into the stream, and
// lines as they come. It must not know how lines get in.
import type { Clock } from "../util/clock.ts";
import { PlantError } from "../util/errors.ts";
import { weightOf } from "../util/log-levels.ts";
import { check, v } from "../util/shape.ts";
import { inSlices, turn } from "../util/slices.ts";
import type { WorkerRequest } from "../worker/worker.ts";
import { type Filter, filterEntries, makeFilter, type Seen } from "./filter.ts";
import { sliceMs } from "./line.ts";
import type { LineRing } from "./ring.ts";

/** Lines kept in the stream `log`. */
export interface KeptLines {
  /** Number of the last. */
  head(): number;
  /**
   * Lines with numbers above `after`, in order, at most `limit` of them; fewer where some are no
   * longer kept. @throws PlantError STORE_DAMAGED, STORE_CLOSED.
   */
  read(
    after: number,
    limit: number,
  ): readonly { readonly sequence: number; readonly text: string }[];
  /** Number of the oldest that is kept. */
  first(): number;
}

export interface ReadingDeps {
  readonly clock: Clock;
  readonly ring: LineRing;
  readonly kept: KeptLines | undefined;
  /** Names this run: positions are its own. */
  readonly run: string;
}

const followMs = 30_000;
/** Requests that follow at one time. */
export const followersMax = 128;
/** Lines of one answer, and their characters. */
const pageLinesMax = 5000;
const pageCharactersMax = 1_048_576;
/** Records of the stream read at once, and at most for one answer. */
const windowRecords = 1000;
const windowsMax = 20;

const count = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER));
const tailShape = v.object({
  ...filterEntries,
  limit: v.optional(count),
  before: v.optional(v.pipe(v.string(), v.regex(/^(?:ring|log):\d{1,16}:\d{1,16}$/))),
});
const followShape = v.object({
  ...filterEntries,
  after: v.optional(count),
  run: v.optional(v.pipe(v.string(), v.maxLength(64))),
  lines: v.optional(v.pipe(count, v.minValue(1), v.maxValue(pageLinesMax))),
});

/** Where a look back goes on. */
interface Place {
  readonly where: "ring" | "log";
  /** Position or number of the line after it. */
  readonly before: number;
  /** Number of the last record of the stream that was older than the ring when it began. */
  readonly stream: number;
}

/** A page that is being filled, newest first. */
class Page {
  readonly texts: string[] = [];
  #characters = 0;
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get isFull(): boolean {
    return this.texts.length >= this.#limit || this.#characters >= pageCharactersMax;
  }

  add(text: string): void {
    this.texts.push(text);
    this.#characters += text.length;
  }
}

export class Reading {
  readonly #deps: ReadingDeps;
  /** Head of the stream when nothing of this run was in it. */
  readonly #headBefore: number;
  #followers = 0;

  constructor(deps: ReadingDeps) {
    this.#deps = deps;
    this.#headBefore = deps.kept?.head() ?? 0;
  }

  /**
   * The newest lines that match, newest last; `next` goes into `before` for older ones. With
   * `since` it goes on in the stream where the ring ends.
   */
  async tail(request: WorkerRequest): Promise<unknown> {
    const asked = check(tailShape, request.args ?? {});
    using _room = await request.room();
    const { ring, run } = this.#deps;
    const { position } = ring;
    const page = new Page(Math.min(asked.limit ?? 100, pageLinesMax));
    const wanted = makeFilter(asked);
    const isDeep = asked.since !== undefined && this.#deps.kept !== undefined;
    let place: Place | undefined =
      asked.before === undefined
        ? { where: "ring", before: position + 1, stream: ring.streamBefore(this.#headBefore) }
        : parsePlace(asked.before);
    if (place.where === "ring") place = await this.#fromRing(page, place, wanted, isDeep);
    if (place?.where === "log" && !page.isFull) {
      const since = asked.since ?? 0;
      place = await this.#fromStream(page, place, wanted, since);
    }
    const lines = page.texts.reverse().map((text): unknown => JSON.parse(text));
    const next = place === undefined ? {} : { next: spell(place) };
    return { lines, run, position, ...next };
  }

  async #fromRing(
    page: Page,
    from: Place,
    wanted: Filter,
    isDeep: boolean,
  ): Promise<Place | undefined> {
    const { ring, clock } = this.#deps;
    const pause = inSlices(clock, sliceMs);
    let { before } = from;
    for (; before - 1 >= ring.first && !page.isFull; before -= 1) {
      const line = ring.at(before - 1);
      if (line !== undefined && wanted(line)) page.add(line.text);
      await pause();
    }
    if (before - 1 >= ring.first) return { ...from, before };
    return isDeep ? { where: "log", before: from.stream + 1, stream: from.stream } : undefined;
  }

  async #fromStream(
    page: Page,
    from: Place,
    wanted: Filter,
    sinceMs: number,
  ): Promise<Place | undefined> {
    const { kept } = this.#deps;
    if (kept === undefined) return undefined;
    const young = makeFilter({ since: sinceMs });
    let { before } = from;
    for (let window = 0; window < windowsMax && !page.isFull; window += 1) {
      const first = kept.first();
      if (before <= first) return undefined;
      const after = Math.max(first - 1, before - 1 - windowRecords);
      const found = kept
        .read(after, before - 1 - after)
        .filter(({ sequence }) => sequence < before);
      let isYoung = found.length === 0;
      for (let at = found.length - 1; at >= 0 && !page.isFull; at -= 1) {
        const { sequence, text } = found[at] ?? { sequence: 0, text: "" };
        const line = see(text);
        before = sequence;
        if (!young(line)) continue;
        isYoung = true;
        if (wanted(line)) page.add(line.text);
      }
      if (page.isFull) break;
      // Clocks were set now and then: only where a whole window is older does the look end.
      if (!isYoung) return undefined;
      before = after + 1;
      await turn();
    }
    return before <= kept.first() ? undefined : { ...from, where: "log", before };
  }

  /** Lines after a position as they come; ends with the position to go on from. */
  async follow(request: WorkerRequest): Promise<unknown> {
    const asked = check(followShape, request.args ?? {});
    if (this.#followers >= followersMax) {
      throw new PlantError("LIMIT_REACHED", { limit: "followers", max: followersMax });
    }
    this.#followers += 1;
    const over = new AbortController();
    const stop = AbortSignal.any([over.signal, request.signal]);
    const timed = this.#deps.clock.sleep(followMs, stop).then(() => over.abort());
    try {
      return await this.#tell(asked, request, stop);
    } finally {
      this.#followers -= 1;
      over.abort();
      await timed;
    }
  }

  async #tell(
    asked: v.InferOutput<typeof followShape>,
    request: WorkerRequest,
    stop: AbortSignal,
  ): Promise<unknown> {
    const { ring, run, clock } = this.#deps;
    const wanted = makeFilter(asked);
    const pause = inSlices(clock, sliceMs);
    // A position of another run says nothing here: all lines of this one are new.
    const isOther = asked.run !== undefined && asked.run !== run;
    let position = Math.min(isOther ? 0 : (asked.after ?? ring.position), ring.position);
    while (!stop.aborted) {
      const page = new Page(asked.lines ?? 500);
      const missed = Math.max(0, ring.first - 1 - position);
      position += missed;
      for (; position < ring.position && !page.isFull; position += 1) {
        const line = ring.at(position + 1);
        if (line !== undefined && wanted(line)) page.add(line.text);
        await pause();
      }
      if (page.texts.length > 0 || missed > 0) {
        using _room = await request.room();
        const lines = page.texts.map((text): unknown => JSON.parse(text));
        await request.partial({ lines, run, position, ...(missed > 0 ? { missed } : {}) });
      } else if (position === ring.position) await ring.grown(stop);
    }
    return { run, position };
  }
}

/** A line of the stream, as the filter looks at it. */
function see(text: string): Seen {
  const line = JSON.parse(text) as Record<string, unknown>;
  const word = (name: string) => (typeof line[name] === "string" ? line[name] : "");
  return {
    timestamp: word("timestamp"),
    weight: weightOf(word("level")),
    service: word("service"),
    context: word("context"),
    text,
  };
}

function spell({ where, before, stream }: Place): string {
  return `${where}:${before}:${stream}`;
}

function parsePlace(text: string): Place {
  const [where, before, stream] = text.split(":");
  return {
    where: where === "log" ? "log" : "ring",
    before: Number(before),
    stream: Number(stream),
  };
}
