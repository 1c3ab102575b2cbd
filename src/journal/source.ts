// Who wrote what last: the numbers of each source, so that a repeated request is known again.
// Pure; it must not know the disk.
import { ByteReader, ByteWriter } from "../batch/batch.ts";
import { hasCode, PlantError } from "../util/errors.ts";

/** A request's name: unique per source and run, rising within a run. */
export interface SourceNumber {
  readonly source: string;
  /** Names one life of the source. */
  readonly run: string;
  readonly number: number;
}

/** Sequences a request got. */
export interface Sequences {
  readonly first: number;
  readonly last: number;
}

/** What is kept of a source: its run, the one before, and its newest requests, newest last. */
export interface SourceState {
  readonly run: string;
  readonly previous?: string;
  readonly recent: readonly (Sequences & { readonly number: number })[];
  /** Running time of the store at its newest request, in seconds. */
  readonly runSeconds?: number;
}

/** Requests of one source that may be in flight together. */
const recentMax = 16;

/**
 * Whether a request was carried out before, and with what result.
 * @throws PlantError SOURCE_NUMBER_OLD when it is neither new nor among those remembered.
 */
export function recall(
  state: SourceState | undefined,
  { source, run, number }: SourceNumber,
): Sequences | undefined {
  if (state === undefined) return undefined;
  const newest = state.recent.at(-1)?.number ?? 0;
  if (state.previous === run) throw new PlantError("SOURCE_NUMBER_OLD", { source, number, newest });
  if (state.run !== run) return undefined;
  const known = state.recent.find((request) => request.number === number);
  if (known !== undefined) return { first: known.first, last: known.last };
  if (number < newest) throw new PlantError("SOURCE_NUMBER_OLD", { source, number, newest });
  return undefined;
}

/** The state of a source after one more request. */
export function remember(
  state: SourceState | undefined,
  { run, number }: SourceNumber,
  { first, last, runMs }: Sequences & { readonly runMs: number },
): SourceState {
  const request = { number, first, last };
  const runSeconds = Math.floor(runMs / 1000);
  if (state === undefined) return { run, recent: [request], runSeconds };
  if (state.run !== run) return { run, previous: state.run, recent: [request], runSeconds };
  const { previous } = state;
  const recent = [...state.recent.slice(1 - recentMax), request];
  return previous === undefined
    ? { run, recent, runSeconds }
    : { run, previous, recent, runSeconds };
}

/** Version of the rows below; those before were JSON and begin with a brace. */
const version = 1;
const brace = 0x7b;

// version | running time in seconds | run | 1 and the run before, or 0 | count | per request:
// number, as a difference to the one before; first sequence; how many. Integers are LEB128.

/** The row of a source. */
export function encodeSource({ run, previous, recent, runSeconds = 0 }: SourceState): Uint8Array {
  const writer = new ByteWriter();
  writer.byte(version);
  writer.whole(runSeconds);
  writer.text(run);
  writer.byte(previous === undefined ? 0 : 1);
  if (previous !== undefined) writer.text(previous);
  writer.whole(recent.length);
  let before = 0;
  for (const { number, first, last } of recent) {
    writer.whole(number - before);
    writer.whole(first);
    writer.whole(Math.max(0, last + 1 - first));
    before = number;
  }
  return writer.taken();
}

/** A source from its row. @throws PlantError STORE_DAMAGED, STORE_FORMAT_NEWER. */
export function decodeSource(row: Uint8Array): SourceState {
  try {
    if (row[0] === brace) return JSON.parse(Buffer.from(row).toString()) as SourceState;
    return readSource(new ByteReader(row));
  } catch (error) {
    if (!(error instanceof SyntaxError) && !hasCode(error, "BATCH_MALFORMED")) throw error;
    const reason = "the row of a source cannot be read";
    throw new PlantError("STORE_DAMAGED", { reason }, { cause: error });
  }
}

function readSource(reader: ByteReader): SourceState {
  const found = reader.byte();
  if (found > version) throw new PlantError("STORE_FORMAT_NEWER", { found, known: version });
  const runSeconds = reader.whole();
  const run = reader.text();
  const previous = reader.byte() === 0 ? undefined : reader.text();
  const count = reader.whole();
  const recent: (Sequences & { number: number })[] = [];
  let number = 0;
  for (let at = 0; at < count; at += 1) {
    number += reader.whole();
    const first = reader.whole();
    recent.push({ number, first, last: first + reader.whole() - 1 });
  }
  return previous === undefined
    ? { run, recent, runSeconds }
    : { run, previous, recent, runSeconds };
}
