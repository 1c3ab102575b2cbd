// The one queue of commits: requests wait for companions, are built in order, flushed together and
// answered after the flush. It must not know what the records mean.
import { type Disk, type Room, type Write, writesMax } from "../disk/disk.ts";
import type { Clock } from "../util/clock.ts";
import { hasCode, PlantError } from "../util/errors.ts";
import { turn } from "../util/slices.ts";
import type { Appended, AppendRequest, FailedCommits, Flushed } from "./append.ts";
import { encodeBlocks } from "./block.ts";
import { FlushBudget } from "./flush-budget.ts";
import { FlushTimes } from "./flush-times.ts";
import { type Format, type JournalRecord, lastOfRecord, type Stream } from "./head.ts";
import { pick } from "./pick.ts";
import { Recent } from "./recent.ts";
import { roomOf } from "./sizes.ts";
import { recall, remember, type SourceState } from "./source.ts";
import { blockKey, logTable, sourceWrite } from "./tables.ts";

interface QueueDeps {
  readonly clock: Clock;
  readonly disk: Disk;
  readonly format: Format;
  readonly epoch: string;
  /** Running time of the store in milliseconds. */
  readonly runMs: () => number;
  readonly heads: Record<Stream, number>;
  readonly sources: Map<string, SourceState>;
  readonly flushed: (flushed: Flushed) => void;
}

interface QueueOptions {
  readonly flushMaxMs: number;
  readonly recordsPerCommitMax: number;
  /** Groups wait longer when there would be more flushes in an hour; any number when absent. */
  readonly flushesPerHourMax?: number;
}

interface Waiting {
  readonly request: AppendRequest;
  /** Monotonic time of its arrival. */
  readonly atMs: number;
  readonly resolve: (appended: Appended) => void;
  readonly reject: (error: unknown) => void;
}

/** One commit being put together. */
interface Batch {
  readonly heads: Record<Stream, number>;
  readonly records: Map<Stream, JournalRecord[]>;
  readonly sources: Map<string, SourceState>;
  readonly built: { readonly waiting: Waiting; readonly appended: Appended }[];
  readonly bytes: Partial<Record<Stream, number>>;
}

/** Work in one turn of the loop, so that others have theirs. */
const turnMs = 3;
/** Requests in one commit: each may write a row of its source. */
const requestsPerCommit = 700;
/** Commits' worth of records that may wait. */
const commitsWaitingMax = 5;
/** Sources known at one time; the one longest silent is forgotten. */
const sourcesMax = 4096;

export class CommitQueue {
  readonly #deps: QueueDeps;
  readonly #options: QueueOptions;
  readonly #stop = new AbortController();
  #waiting: Waiting[] = [];
  #records = 0;
  /** Whether a request waits that is to be flushed now. */
  #isUrgent = false;
  /** Whether all that waits has waited long enough. */
  #isDue = false;
  #isTimed = false;
  /** Whether the last commit found no room. */
  #isFull = false;
  #running: Promise<void> | undefined;
  #refusal: PlantError | undefined;
  readonly #times = new FlushTimes();
  #appended = 0;
  readonly #failed = new Recent();
  /** Monotonic time of the last commit that went well. */
  #doneMs = Number.NEGATIVE_INFINITY;
  readonly #budget: FlushBudget;
  readonly #written: Record<Stream, number> = { state: 0, event: 0, log: 0, metric: 0 };

  constructor(deps: QueueDeps, options: QueueOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#budget = new FlushBudget(options.flushesPerHourMax ?? 0, options.flushMaxMs);
  }

  /** Last flushed sequence per stream. */
  get heads(): Readonly<Record<Stream, number>> {
    return this.#deps.heads;
  }

  /** Bytes of blocks put since opening. */
  get written(): Readonly<Record<Stream, number>> {
    return this.#written;
  }

  append(request: AppendRequest): Promise<Appended> {
    if (this.#refusal !== undefined) return Promise.reject(this.#refusal);
    const { recordsPerCommitMax, flushMaxMs } = this.#options;
    if (request.recordsMax > recordsPerCommitMax) {
      const detail = { limit: "records of one request", max: recordsPerCommitMax };
      return Promise.reject(new PlantError("LIMIT_REACHED", detail));
    }
    const max = recordsPerCommitMax * commitsWaitingMax;
    if (this.#records + request.recordsMax > max) {
      const reason = `${this.#records} records wait for the disk, of ${max} at most`;
      return Promise.reject(new PlantError("STORE_BUSY", { reason }));
    }
    const { promise, resolve, reject } = Promise.withResolvers<Appended>();
    this.#waiting.push({ request, atMs: this.#deps.clock.monotonicMs(), resolve, reject });
    this.#records += request.recordsMax;
    if (request.flush === "now") this.#isUrgent = true;
    if (flushMaxMs === 0 || this.#records >= recordsPerCommitMax) this.#isDue = true;
    if (this.#isUrgent || this.#isDue) this.#run();
    else this.#time();
    return promise;
  }

  /** Flushes what waits when the first request has waited `flushMaxMs`, or when budget allows. */
  #time(): void {
    const [first] = this.#waiting;
    if (first === undefined || this.#isTimed || this.#running !== undefined) return;
    this.#isTimed = true;
    const { clock } = this.#deps;
    const startMs = clock.monotonicMs();
    const waitMs = this.#budget.dueMs(first.atMs, startMs) - startMs;
    void clock.sleep(waitMs, this.#stop.signal).then(() => {
      this.#isTimed = false;
      const [next] = this.#waiting;
      if (next === undefined) return;
      // Another commit may have taken along what was waited for.
      const nowMs = clock.monotonicMs();
      if (next.atMs > first.atMs && nowMs < this.#budget.dueMs(next.atMs, nowMs)) {
        this.#time();
        return;
      }
      this.#isDue = true;
      this.#run();
    });
  }

  #run(): void {
    if (this.#running !== undefined) return;
    this.#running = this.#flush().finally(() => {
      this.#running = undefined;
      if (this.#waiting.length === 0) return;
      if (this.#isUrgent || this.#isDue) this.#run();
      else this.#time();
    });
  }

  async #flush(): Promise<void> {
    // What arrives in this turn of the loop shares the flush.
    await turn();
    while (this.#waiting.length > 0 && (this.#isUrgent || this.#isDue)) {
      const isUrgent = this.#isUrgent;
      const taken = this.#take();
      // What did not fit has waited long enough; what did not go along with something urgent waits.
      if (!isUrgent || this.#waiting.length === 0) this.#isDue = this.#waiting.length > 0;
      await this.#commit(taken, isUrgent);
    }
  }

  #take(): Waiting[] {
    const requests = this.#waiting.map(({ request }) => request);
    const places = pick(requests, {
      recordsMax: this.#options.recordsPerCommitMax,
      requestsMax: requestsPerCommit,
      isFull: this.#isFull,
    });
    const picked = new Set(places);
    const taken: Waiting[] = [];
    const left: Waiting[] = [];
    for (const [at, waiting] of this.#waiting.entries()) {
      (picked.has(at) ? taken : left).push(waiting);
    }
    for (const { request } of taken) this.#records -= request.recordsMax;
    this.#setWaiting(left);
    return taken;
  }

  #setWaiting(waiting: Waiting[]): void {
    this.#waiting = waiting;
    this.#isUrgent = waiting.some(({ request }) => request.flush === "now");
  }

  /** Puts requests back before all others. */
  #putBack(back: readonly Waiting[]): void {
    for (const { request } of back) this.#records += request.recordsMax;
    this.#setWaiting([...back, ...this.#waiting]);
    this.#isDue = true;
  }

  async #commit(taken: readonly Waiting[], isUrgent: boolean): Promise<void> {
    const { clock, disk, heads, sources, flushed } = this.#deps;
    const batch = await this.#buildAll(taken, isUrgent);
    const from = clock.monotonicMs();
    this.#budget.spend(from);
    try {
      const { writes, forgotten } = await this.#writesOf(batch);
      await disk.commit(writes, roomFor(batch.built));
      for (const source of forgotten) sources.delete(source);
    } catch (error) {
      this.#failed.note(clock.monotonicMs());
      this.#giveUp(batch, error);
      return;
    }
    this.#isFull = false;
    const doneMs = clock.monotonicMs();
    this.#times.note(doneMs - from, doneMs);
    this.#doneMs = doneMs;
    for (const records of batch.records.values()) this.#appended += records.length;
    await this.#settle(batch);
    // Only now: values may be newer than the head says, never older.
    Object.assign(heads, batch.heads);
    for (const [source, state] of batch.sources) {
      sources.delete(source);
      sources.set(source, state);
    }
    for (const { waiting, appended } of batch.built) waiting.resolve(appended);
    flushed({ streams: [...batch.records.keys()], bytes: batch.bytes });
  }

  async #settle({ built }: Batch): Promise<void> {
    const { clock } = this.#deps;
    let since = clock.monotonicMs();
    for (const { waiting, appended } of built) {
      if (appended.repeated) continue;
      waiting.request.settle?.(true);
      if (clock.monotonicMs() - since < turnMs) continue;
      await turn();
      since = clock.monotonicMs();
    }
  }

  /** Where the common part of the room is full, what may use more is tried again without the rest. */
  #giveUp(batch: Batch, error: unknown): void {
    for (const { waiting, appended } of batch.built) {
      if (!appended.repeated) waiting.request.settle?.(false);
    }
    const isFull = hasCode(error, "STORE_FULL");
    const urgent = batch.built.filter(({ waiting }) => waiting.request.room === "urgent");
    const isMixed = urgent.length > 0 && urgent.length < batch.built.length;
    for (const { waiting } of batch.built) {
      const isAgain = isFull && isMixed && waiting.request.room === "urgent";
      if (!isAgain) waiting.reject(error);
    }
    this.#isFull = isFull;
    if (!isFull || !isMixed) return;
    this.#putBack(urgent.map(({ waiting }) => waiting));
  }

  /** Builds what can be built; what refuses itself halfway has the others built anew without it. */
  async #buildAll(taken: readonly Waiting[], isUrgent: boolean): Promise<Batch> {
    let asked = taken;
    for (;;) {
      const batch: Batch = {
        heads: { ...this.#deps.heads },
        records: new Map(),
        sources: new Map(),
        built: [],
        bytes: {},
      };
      const spoiler = await this.#buildSlices(batch, asked, isUrgent);
      if (spoiler === undefined) return batch;
      // What it staged is forgotten with all that was staged beside it.
      for (const { waiting, appended } of batch.built) {
        if (!appended.repeated) waiting.request.settle?.(false);
      }
      spoiler.request.settle?.(false);
      const built = batch.built.map(({ waiting }) => waiting);
      asked = [...built, ...asked.slice(asked.indexOf(spoiler) + 1)];
    }
  }

  /**
   * Builds requests until one spoils the others; a group stops where something urgent came, which
   * goes next. @returns what spoilt it.
   */
  async #buildSlices(
    batch: Batch,
    asked: readonly Waiting[],
    isUrgent: boolean,
  ): Promise<Waiting | undefined> {
    const { clock } = this.#deps;
    let since = clock.monotonicMs();
    for (const [at, waiting] of asked.entries()) {
      if (!this.#build(batch, waiting)) return waiting;
      if (clock.monotonicMs() - since < turnMs) continue;
      await turn();
      since = clock.monotonicMs();
      if (isUrgent || !this.#isUrgent) continue;
      this.#putBack(asked.slice(at + 1));
      return undefined;
    }
    return undefined;
  }

  /** @returns false when the request was refused after its records were staged. */
  #build(batch: Batch, waiting: Waiting): boolean {
    const { request } = waiting;
    const { source, stream } = request;
    let isStaged = false;
    try {
      if (source !== undefined) {
        const known = this.#sourceState(batch, source.source);
        const before = recall(known, source);
        if (before !== undefined) {
          batch.built.push({ waiting, appended: { ...before, repeated: true } });
          return true;
        }
      }
      const first = batch.heads[stream] + 1;
      const built = request.build(first);
      isStaged = true;
      const audit = request.audit?.() ?? [];
      const last = this.#add(batch, stream, built);
      this.#add(batch, "event", audit);
      if (source !== undefined) {
        const known = this.#sourceState(batch, source.source);
        const runMs = this.#deps.runMs();
        batch.sources.set(source.source, remember(known, source, { first, last, runMs }));
      }
      batch.built.push({ waiting, appended: { first, last, repeated: false } });
    } catch (error) {
      waiting.reject(error);
      return !isStaged;
    }
    return true;
  }

  /** Adds records to a commit. @returns the last sequence they stand for. */
  #add(batch: Batch, stream: Stream, added: readonly JournalRecord[]): number {
    if (added.length === 0) return batch.heads[stream];
    const records = batch.records.get(stream) ?? [];
    let last = batch.heads[stream];
    for (const record of added) {
      records.push(record);
      last = lastOfRecord(record, last + 1);
    }
    batch.records.set(stream, records);
    batch.heads[stream] = last;
    return last;
  }

  #sourceState(batch: Batch, source: string): SourceState | undefined {
    return batch.sources.get(source) ?? this.#deps.sources.get(source);
  }

  /** What a commit writes, and the sources it forgets; long work is cut into turns of the loop. */
  async #writesOf(batch: Batch): Promise<{ writes: Write[]; forgotten: string[] }> {
    const { epoch, format, clock, heads, sources } = this.#deps;
    const writes: Write[] = [];
    const runMs = this.#deps.runMs();
    const wallMs = clock.wallMs();
    let since = clock.monotonicMs();
    for (const [stream, records] of batch.records) {
      const head = { stream, epoch, first: heads[stream] + 1, wallMs, runMs };
      for (const { first, bytes } of encodeBlocks(head, records, format)) {
        writes.push({ table: logTable, key: blockKey(stream, first), value: bytes });
        this.#written[stream] += bytes.length;
        batch.bytes[stream] = (batch.bytes[stream] ?? 0) + roomOf(bytes);
        if (clock.monotonicMs() - since < turnMs) continue;
        await turn();
        since = clock.monotonicMs();
      }
    }
    for (const [source, state] of batch.sources) writes.push(sourceWrite(source, state, format));
    const forgotten: string[] = [];
    let count = sources.size - sourcesMax;
    for (const source of batch.sources.keys()) if (!sources.has(source)) count += 1;
    for (const source of sources.keys()) {
      if (count <= 0 || writes.length >= writesMax) break;
      count -= 1;
      if (batch.sources.has(source)) continue;
      forgotten.push(source);
      writes.push(sourceWrite(source, undefined, format));
    }
    return { writes, forgotten };
  }

  /** Resolves when all that waits is flushed. */
  async drain(): Promise<void> {
    while (this.#waiting.length > 0 || this.#running !== undefined) {
      this.#isDue = true;
      this.#run();
      await this.#running;
    }
  }

  /** Flushes what waits; everything after is refused with `refusal`. */
  async close(refusal: PlantError): Promise<void> {
    this.#refusal = refusal;
    await this.drain();
    this.#stop.abort();
  }

  stats(): Readonly<Record<string, number>> {
    return {
      waiting: this.#records,
      records: this.#appended,
      failedCommits: this.#failed.count,
      ...this.#times.tell(this.#deps.clock.monotonicMs()),
      sources: this.#deps.sources.size,
    };
  }

  /** Commits that failed, and whether the last one did. */
  failed(): FailedCommits {
    const told = this.#failed.tell(this.#deps.clock.monotonicMs());
    return { ...told, isLast: this.#failed.lastMs > this.#doneMs };
  }
}

/** What all of them may use. */
function roomFor(built: Batch["built"]): Room {
  return built.every(({ waiting }) => waiting.request.room === "urgent") ? "urgent" : "common";
}
