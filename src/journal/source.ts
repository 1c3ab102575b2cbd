// Who wrote what last: the numbers of each source, so that a repeated request is known again.
// Pure; it must not know the disk.
import { PlantError } from "../util/errors.ts";

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
  { first, last }: Sequences,
): SourceState {
  const request = { number, first, last };
  if (state === undefined) return { run, recent: [request] };
  if (state.run !== run) return { run, previous: state.run, recent: [request] };
  return { ...state, recent: [...state.recent.slice(1 - recentMax), request] };
}
