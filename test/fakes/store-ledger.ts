// What a store was given, record by record, and whether an opened one still has it or says what it
// lost. It must not know how databases break.
import { isDeepStrictEqual } from "node:util";
import { type Journal, streams } from "../../src/journal/journal.ts";
import type { State } from "../../src/state/state.ts";
import type { TestStore } from "./store.ts";

/** All that a store held. */
export interface Ledger {
  readonly epoch: string;
  readonly heads: Readonly<Record<string, number>>;
  /** Values of each point, oldest first, by `scope key`. */
  readonly values: Readonly<Record<string, readonly unknown[]>>;
  readonly records: Readonly<Record<string, Readonly<Record<number, unknown>>>>;
}

type Found = Readonly<Record<string, unknown>>;

/** Reads everything a sound store holds. */
export function ledgerOf(journal: Journal): Ledger {
  const records: Record<string, Record<number, unknown>> = {};
  const values: Record<string, unknown[]> = {};
  const names = new Map<unknown, string>();
  for (const stream of streams) {
    const kept: Record<number, unknown> = {};
    for (const record of recordsOf(journal, stream)) {
      kept[record.sequence as number] = record;
      if (record.kind === "define") names.set(record.index, `${record.scope} ${record.key}`);
      if (record.kind !== "point") continue;
      const name = names.get(record.index) ?? "";
      values[name] = [...(values[name] ?? []), record.value];
    }
    records[stream] = kept;
  }
  const heads = Object.fromEntries(streams.map((stream) => [stream, journal.head(stream)]));
  return JSON.parse(JSON.stringify({ epoch: journal.epoch, heads, values, records }));
}

function* recordsOf(journal: Journal, stream: (typeof streams)[number]): Iterable<Found> {
  const { first } = firstOf(journal, stream);
  for (let after = first - 1; after < journal.head(stream); ) {
    const page = journal.read({ stream, after, limit: 5000, bytesMax: 1e8 });
    yield* page.records;
    if (page.last === after) return;
    after = page.last;
  }
}

function firstOf(journal: Journal, stream: (typeof streams)[number]): { first: number } {
  for (const { head } of journal.blocks(stream, 0)) return { first: head.first };
  return { first: journal.head(stream) + 1 };
}

/** What the store says it lost. */
export interface Said {
  readonly restored: string;
  readonly lost: readonly { stream: string; from: number; to: number | null }[];
}

type Call = TestStore["call"];
type Name = (typeof streams)[number];

/** Everything in which an opened store differs from the ledger without having said so. */
export async function differences(
  { journal, call }: { journal: Journal; state: State; call: Call },
  ledger: Ledger,
  said: Said | undefined,
): Promise<string[]> {
  const wrong = await wrongValues(call, ledger, said);
  for (const stream of streams) wrong.push(...wrongRecords(journal, stream, ledger, said));
  return wrong;
}

async function wrongValues(call: Call, ledger: Ledger, said: Said | undefined): Promise<string[]> {
  const wrong: string[] = [];
  const isLost = said?.lost.some(({ stream }) => stream === "state") === true;
  for (const [name, values] of Object.entries(ledger.values)) {
    const [scope, key] = name.split(" ");
    const found = await call("get", { scope, key }).catch((error) => ({ code: error.code }));
    if (isDeepStrictEqual(found.value, values.at(-1))) continue;
    const isOlder = values.some((value) => isDeepStrictEqual(found.value, value));
    if (isLost && (isOlder || found.code === "STATE_NOT_FOUND")) continue;
    wrong.push(`${name} is ${JSON.stringify(found).slice(0, 80)}`);
  }
  return wrong;
}

function wrongRecords(
  journal: Journal,
  stream: Name,
  ledger: Ledger,
  said: Said | undefined,
): string[] {
  const wrong: string[] = [];
  const given = ledger.records[stream] ?? {};
  const head = ledger.heads[stream] ?? 0;
  const isSaid = (sequence: number) =>
    said?.lost.some(
      ({ from, to, ...one }) =>
        one.stream === stream && from <= sequence && sequence <= (to ?? Infinity),
    ) === true;
  const seen = new Set<number>();
  for (const record of recordsOf(journal, stream)) {
    const sequence = record.sequence as number;
    const last = record.kind === "cover" ? (record.to as number) : sequence;
    for (let at = sequence; at <= last; at += 1) seen.add(at);
    if (sequence > head || isSaid(sequence)) continue;
    const isGiven = isDeepStrictEqual(JSON.parse(JSON.stringify(record)), given[sequence]);
    if (!isGiven) wrong.push(`${stream} ${sequence} is ${JSON.stringify(record).slice(0, 80)}`);
  }
  for (let sequence = 1; sequence <= head; sequence += 1) {
    if (!seen.has(sequence) && !isSaid(sequence)) wrong.push(`${stream} ${sequence} is missing`);
  }
  return wrong;
}
