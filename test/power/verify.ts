// Whether a store that lost its power holds what it promised: opened with the real code and held
// against the ledger, then written again. It must not know how the store keeps anything.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { verdictOf } from "../../src/journal/inspection.ts";
import { answerInspection } from "../../src/journal/inspector.ts";
import {
  type Inspected,
  type Inspection,
  type Journal,
  openGuarded,
  openJournal,
} from "../../src/journal/journal.ts";
import { type State, startState } from "../../src/state/state.ts";
import { PlantError } from "../../src/util/errors.ts";
import { seededRandom } from "../../src/util/random.ts";
import { endlessRoom, JsonText } from "../../src/worker/worker.ts";
import { fakeClock } from "../fakes/clock.ts";
import { bootId, silentLog, storeConfig } from "../fakes/store.ts";
import { type Asked, type Book, type Ledger, placeOf, type Write } from "./ledger.ts";
import { consumer, tagOf } from "./workload.ts";

const loggedStreams = ["state", "event", "log"] as const;
type LoggedStream = (typeof loggedStreams)[number];

/** A record as `changes` shows it. */
interface LogRecord {
  readonly sequence: number;
  readonly kind: string;
  readonly [name: string]: unknown;
}

interface Lineage {
  readonly epoch: string;
  readonly parent: string | null;
  readonly cuts: Readonly<Record<string, number>>;
}

interface StreamView {
  readonly first: number;
  readonly head: number;
  readonly watermark: number;
  readonly records: readonly LogRecord[];
}

/** All a store shows of itself, read through its operations. */
interface View {
  readonly lineage: readonly Lineage[];
  readonly streams: Readonly<Record<LoggedStream, StreamView>>;
  readonly points: ReadonlyMap<string, { readonly value: unknown; readonly revision: number }>;
}

type Ask = (operation: string, args: unknown) => Promise<Record<string, unknown>>;

const settings = { ...storeConfig, mapMiB: 16 };
/** Of so many cuts one, by its seed, is opened as the real store opens, guarded. */
export const guardedEvery = 7;

/** Opens the store below `folder` and says, sentence by sentence, what is wrong with it. */
export async function verify(folder: string, ledger: Ledger, seed: number): Promise<string[]> {
  mkdirSync(folder, { recursive: true });
  const clock = fakeClock();
  const random = seededRandom(seed);
  const options = { ...settings, folder: join(folder, "s"), roomBytes: settings.mapMiB * 2 ** 20 };
  let journal: Journal;
  let state: State | undefined;
  const open = () => openJournal({ clock, random, log: silentLog }, options);
  try {
    journal = seed % guardedEvery === 0 ? await openAsGuarded(options, open) : await open();
  } catch (error) {
    return [`it does not open: ${inWords(error)}`];
  }
  try {
    const config = { ...settings, backups: join(folder, "b") };
    state = await startState({ clock, log: silentLog, random, boot: bootId, journal }, config);
    const ask = askerOf(state);
    const view = await look(ask);
    const found = ledger.books.map((book) => judge(view, book));
    const fitting = found.findIndex((flaws) => flaws.length === 0);
    const book = ledger.books[Math.max(0, fitting)];
    if (fitting < 0 || book === undefined) return found[0] ?? ["no ledger"];
    return [...(await repeat(ask, book, view)), ...(await writeAgain(ask))];
  } catch (error) {
    return [`it fails when it is read: ${inWords(error)}`];
  } finally {
    await state?.[Symbol.asyncDispose]();
    await journal[Symbol.asyncDispose]();
  }
}

/** Opens as the real store does, which has the database checked whole; nothing is to be replaced. */
async function openAsGuarded(
  { folder, roomBytes }: { readonly folder: string; readonly roomBytes: number },
  open: () => Promise<Journal>,
): Promise<Journal> {
  const look = async (asked: Inspection): Promise<Inspected> => {
    const answer = await answerInspection(asked);
    return { verdict: verdictOf(answer), answer, tookMs: 1 };
  };
  const { store, guard } = await openGuarded(
    { clock: fakeClock(), log: silentLog, inspect: look },
    { folder, roomBytes, checkMs: 60_000, quarantinesMax: 1 },
    open,
  );
  if (guard.untold === undefined) return store;
  await store[Symbol.asyncDispose]();
  throw new PlantError("STORE_DAMAGED", { reason: `it was replaced: ${guard.untold.reason}` });
}

function inWords(error: unknown): string {
  if (error instanceof PlantError) return `${error.code} ${JSON.stringify(error.detail)}`;
  return String(error instanceof Error ? error.stack : error);
}

function askerOf(state: State): Ask {
  const signal = new AbortController().signal;
  const rest = {
    body: [],
    trace: "",
    signal,
    remainingMs: () => 5000,
    partial: async () => {},
    room: endlessRoom,
  };
  return async (operation, args) => {
    const run = state.operations[operation];
    if (run === undefined) throw new Error(`no operation ${operation}`);
    const data = await run({ operation, args, ...rest });
    return (data instanceof JsonText ? data.toJSON() : data) as Record<string, unknown>;
  };
}

async function look(ask: Ask): Promise<View> {
  const { lineage, streams } = (await ask("position", { consumer })) as {
    lineage: Lineage[];
    streams: Record<string, { first: number; head: number; watermark: number }>;
  };
  const view: Partial<Record<LoggedStream, StreamView>> = {};
  for (const stream of loggedStreams) {
    const place = streams[stream] ?? { first: 1, head: 0, watermark: 0 };
    view[stream] = { ...place, records: await readAll(ask, stream, place) };
  }
  const points = new Map<string, { value: unknown; revision: number }>();
  for (let after: unknown; ; ) {
    const page = await ask("list", after === undefined ? {} : { after });
    for (const point of page.points as {
      scope: string;
      key: string;
      value: unknown;
      revision: number;
    }[]) {
      points.set(placeOf(point.scope, point.key), point);
    }
    after = page.next;
    if (after === undefined) break;
  }
  return { lineage, streams: view as View["streams"], points };
}

async function readAll(
  ask: Ask,
  stream: LoggedStream,
  { first, head }: { readonly first: number; readonly head: number },
): Promise<LogRecord[]> {
  const all: LogRecord[] = [];
  for (let after = first - 1; after < head; ) {
    const page = await ask("changes", { stream, after });
    const records = page.records as LogRecord[];
    for (const record of records) all.push({ ...record, epoch: page.epoch });
    const last = page.last as number;
    if (last <= after) throw new Error(`${stream} ends at ${after}, its head is ${head}`);
    after = last;
  }
  return all;
}

/** Everything that can be held against the ledger without a change. */
function judge(view: View, book: Book): string[] {
  const flaws: string[] = [];
  for (const stream of loggedStreams) judgeStream(view, book, stream, flaws);
  judgeLineage(view, book, flaws);
  judgeValues(view, book, flaws);
  return flaws;
}

function judgeStream(view: View, book: Book, stream: LoggedStream, flaws: string[]): void {
  const { first, head, watermark, records } = view.streams[stream];
  let expected = first;
  for (const record of records) {
    if (record.sequence !== expected) {
      flaws.push(`${stream}: ${record.sequence} stands where ${expected} should`);
    }
    expected = (record.kind === "cover" ? (record.to as number) : record.sequence) + 1;
    judgeEpoch(view.lineage, stream, record, flaws);
  }
  if (expected !== head + 1) flaws.push(`${stream}: it ends at ${expected - 1} of ${head}`);
  judgeMarks(book, stream, { first, watermark }, flaws);
  judgeRequests(book, stream, view.streams[stream], flaws);
}

/** A record is of the newest epoch whose cut lies below it. */
function judgeEpoch(
  lineage: readonly Lineage[],
  stream: LoggedStream,
  { sequence, epoch }: LogRecord,
  flaws: string[],
): void {
  const owner = lineage.findLast((entry) => (entry.cuts[stream] ?? 0) < sequence) ?? lineage[0];
  if (owner?.epoch !== epoch) flaws.push(`${stream} ${sequence}: it is of another epoch`);
}

function judgeMarks(
  book: Book,
  stream: LoggedStream,
  { first, watermark }: { readonly first: number; readonly watermark: number },
  flaws: string[],
): void {
  const acknowledged = book.marks.get(stream) ?? 0;
  const asked = [...book.open]
    .map((id) => book.asked.get(id)?.request)
    .filter((request) => request?.operation === "ack" && request.args.stream === stream)
    .map((request) => request?.args.sequence as number);
  const isFitting = watermark === acknowledged || asked.includes(watermark);
  // A watermark stands at what is kept, at least.
  if (!isFitting && watermark !== first - 1) {
    flaws.push(`${stream}: the watermark is ${watermark}, acknowledged was ${acknowledged}`);
  }
  const most = book.highestAck.get(stream) ?? 0;
  if (book.isConsumerKnown && first - 1 > most) {
    flaws.push(`${stream}: up to ${first - 1} is gone, ${most} was read`);
  }
}

/** The mark of a record that a request wrote; nothing for definitions, corrections, covers. */
function recordTag(record: LogRecord): string | undefined {
  if (record.kind === "point") return tagOf(record.value);
  if (record.kind === "line") return tagOf(record.text);
  if (record.kind !== "event") return undefined;
  const event = record.event as { kind: string; message?: string };
  return event.kind === "test" ? tagOf(event.message) : undefined;
}

/** Acknowledged requests are there once, in their place; others wholly or not at all. */
function judgeRequests(
  book: Book,
  stream: LoggedStream,
  { first, records }: StreamView,
  flaws: string[],
): void {
  const places = new Map<string, number>();
  for (const record of records) {
    const tag = recordTag(record);
    if (tag === undefined) continue;
    if (places.has(tag)) flaws.push(`${stream}: ${tag} is there twice`);
    places.set(tag, record.sequence);
  }
  let known = 0;
  for (const asked of book.asked.values()) {
    const { request, writes } = asked;
    const mine = writes.filter((write) => write.stream === stream && write.tag !== undefined);
    if (mine.length === 0) continue;
    const found = mine.filter(({ tag = "" }) => places.has(tag)).length;
    known += found;
    if (asked.data === undefined) {
      if (found !== 0 && found !== mine.length) {
        flaws.push(`${stream}: ${found} of ${mine.length} records of ${request.id} are there`);
      }
      continue;
    }
    const { from, to } = saidPlaces(asked.data);
    for (const { tag = "" } of mine) {
      const at = places.get(tag);
      const isGone = at === undefined && from >= first && !isCovered(records, from);
      // What was trimmed in part begins below what is kept.
      if (isGone || (at !== undefined && (at < from || at > to))) {
        flaws.push(`${stream}: ${tag} of ${request.id} is at ${at}, acknowledged at ${from}`);
      }
    }
  }
  if (known !== places.size) flaws.push(`${stream}: ${places.size - known} records nobody wrote`);
}

/** Where an answer says its records are; an import does not say. */
function saidPlaces(data: Readonly<Record<string, unknown>>): { from: number; to: number } {
  const { first, last, revision } = data as { first?: number; last?: number; revision?: number };
  const to = last ?? revision;
  return { from: first ?? revision ?? 0, to: to ?? Number.POSITIVE_INFINITY };
}

/** Whether a cover stands for a sequence. */
function isCovered(records: readonly LogRecord[], sequence: number): boolean {
  return records.some(
    (record) =>
      record.kind === "cover" && record.sequence <= sequence && sequence <= (record.to as number),
  );
}

function judgeLineage({ lineage }: View, book: Book, flaws: string[]): void {
  const isUnheard = book.isOpening && !book.epochs.includes(lineage.at(-2)?.epoch ?? "");
  // An opening that nobody heard the end of may have left records already, as after a restore.
  const before = lineage.slice(0, isUnheard ? -2 : -1);
  for (const [at, { parent, cuts }] of lineage.entries()) {
    const elder = lineage[at - 1];
    if (elder === undefined) continue;
    if (parent !== elder.epoch) flaws.push(`epoch ${at} has another parent`);
    for (const stream of loggedStreams) {
      if ((cuts[stream] ?? 0) < (elder.cuts[stream] ?? 0)) flaws.push(`epoch ${at} goes back`);
    }
  }
  // An epoch without a record gives way to the next; the oldest leave with their last record.
  const at = book.epochs.indexOf(before[0]?.epoch ?? "");
  const expected = book.epochs.slice(at, at + before.length).join(" ");
  if (before.length > 0 && (at < 0 || before.map(({ epoch }) => epoch).join(" ") !== expected)) {
    flaws.push(`the lineage is another: ${before.length} epochs, ${book.epochs.length} known`);
  }
  if (before.length > 0 && at + before.length < book.epochs.length - 1) {
    flaws.push(`the lineage lacks its newest of ${book.epochs.length} epochs`);
  }
}

/** Each key holds the last write of its lane: an acknowledged one, or a later nobody answered. */
function judgeValues({ points, streams }: View, book: Book, flaws: string[]): void {
  const open = openWrites(book);
  const inLog = new Map<string, number>();
  for (const record of streams.state.records) {
    const tag = recordTag(record);
    if (tag !== undefined) inLog.set(tag, record.sequence);
  }
  for (const place of new Set([...book.values.keys(), ...open.keys(), ...points.keys()])) {
    const point = points.get(place);
    const tag = point === undefined ? undefined : tagOf(point.value);
    const known = book.values.get(place);
    const later = (open.get(place) ?? []).filter(({ id }) => id > (known?.id ?? 0));
    // What nobody answered counts when it is in the log; a deletion may be there or not.
    const sure = later.findLastIndex((write) => inLog.has(write.tag ?? ""));
    const isPassing = known?.isPassing === true || later.some((write) => write.isPassing === true);
    const allowed = [
      ...(sure < 0 ? [known?.tag] : []),
      ...later.slice(Math.max(0, sure)).map((write) => write.tag),
    ];
    if (tag === undefined && isPassing) continue;
    if (!allowed.includes(tag)) {
      const what = allowed.map((one) => one ?? "nothing").join(" or ");
      flaws.push(`${place} is ${tag}, it should be ${what}; acknowledged last by ${known?.id}`);
    }
    if (point !== undefined && tag !== undefined) {
      // A value's revision is the sequence of its record, while the log has it.
      const sequence = inLog.get(tag ?? "");
      const { first, records } = streams.state;
      const isTrimmed =
        sequence === undefined && (point.revision < first || isCovered(records, point.revision));
      if (point.revision !== sequence && !isTrimmed) {
        flaws.push(`${place}: revision ${point.revision}, in the log at ${sequence}`);
      }
    }
  }
}

/** Writes that nobody answered, by place, in their order. */
function openWrites(book: Book): Map<string, Write[]> {
  const open = new Map<string, Write[]>();
  for (const id of book.open) {
    for (const write of book.asked.get(id)?.writes ?? []) {
      if (write.place === undefined) continue;
      open.set(write.place, [...(open.get(write.place) ?? []), write]);
    }
  }
  return open;
}

/** The newest acknowledged request of each lane is known again, and leaves nothing behind. */
async function repeat(ask: Ask, book: Book, view: View): Promise<string[]> {
  const newest = new Map<string, Asked>();
  for (const asked of book.asked.values()) {
    if (asked.request.args.source === undefined || asked.data === undefined) continue;
    newest.set(asked.request.lane, asked);
  }
  const flaws: string[] = [];
  const open = [...book.open].map((id) => book.asked.get(id)?.request);
  for (const { request, data } of newest.values()) {
    // A later run of the same source may have begun, unanswered: it ends the runs before the last.
    const { lane, args } = request;
    if (open.some((other) => other?.lane === lane && other.args.run !== args.run)) continue;
    const answer = await ask(request.operation, request.args);
    const isSame = answer.first === data?.first && answer.last === data?.last;
    if (answer.repeated !== true || !isSame) {
      flaws.push(`${request.id} was done again: ${JSON.stringify([answer, data])}`);
    }
  }
  const { streams } = (await ask("position", { consumer })) as {
    streams: Record<string, { head: number }>;
  };
  for (const stream of loggedStreams) {
    const { head } = view.streams[stream];
    const added = await readAll(ask, stream, {
      first: head + 1,
      head: streams[stream]?.head ?? 0,
    });
    // Points go when their time is over, whatever is asked meanwhile.
    if (added.some(({ kind, source }) => kind !== "delete" || source !== "ttl")) {
      flaws.push(`${stream}: repeated requests made records`);
    }
  }
  return flaws;
}

async function writeAgain(ask: Ask): Promise<string[]> {
  const point = { scope: "after", key: "cut", value: "power is back" };
  const args = { source: "after", run: "r", number: 1, flush: "now", points: [point] };
  const { first, last } = (await ask("set-many", args)) as { first: number; last: number };
  const { value, revision } = await ask("get", { scope: "after", key: "cut" });
  if (value === point.value && revision === last && first <= last) return [];
  return ["what is written after the cut is not there"];
}
