// Which of the requests that wait go into the next commit: what is urgent before what is not, each
// writer's own in the order they came. Pure; it must not know what requests hold.
import type { Stream } from "./head.ts";

/** A request that waits, as far as its turn depends on it. */
export interface Candidate {
  readonly stream: Stream;
  readonly source?: { readonly source: string };
  readonly flush: "now" | "group";
  readonly room?: "urgent";
  readonly recordsMax: number;
}

export interface PickOptions {
  /** The most records and requests of one commit. */
  readonly recordsMax: number;
  readonly requestsMax: number;
  /** Whether the last commit found no room: then only those that may use the same go together. */
  readonly isFull: boolean;
}

/** Records that go along with what is urgent: more of them would keep it waiting. */
const companionsMax = 500;

/**
 * Places in `waiting` of the requests of the next commit, rising; the first always is among those
 * that could be. Where something is to be flushed now it goes, with what its writer asked for
 * before and a few of the others, oldest first; else as many as fit, oldest first.
 */
export function pick(waiting: readonly Candidate[], options: PickOptions): number[] {
  const needed = neededNow(waiting);
  const { recordsMax, requestsMax, isFull } = options;
  const picked: number[] = [];
  let companions = needed.size === 0 ? recordsMax : companionsMax;
  let room: Candidate["room"] | null = null;
  let records = 0;
  for (const [at, request] of waiting.entries()) {
    const isNeeded = needed.has(at);
    if (!isNeeded && request.recordsMax > companions) companions = 0;
    if (!isNeeded && companions === 0) {
      if (needed.size === 0) break;
      continue;
    }
    const isOver = records + request.recordsMax > recordsMax || picked.length >= requestsMax;
    // While room is short, what may use more goes without what may not.
    const isApart = isFull && room !== null && request.room !== room;
    if (isOver || isApart) break;
    picked.push(at);
    room = request.room;
    records += request.recordsMax;
    if (!isNeeded) companions -= request.recordsMax;
  }
  return picked;
}

/** Those to be flushed now, and what each of their writers asked for before. */
function neededNow(waiting: readonly Candidate[]): ReadonlySet<number> {
  const needed = new Set<number>();
  const writers = new Set<string>();
  for (let at = waiting.length - 1; at >= 0; at -= 1) {
    const request = waiting[at];
    if (request === undefined) continue;
    const writer = writerOf(request);
    if (request.flush === "now") writers.add(writer);
    if (writers.has(writer)) needed.add(at);
  }
  return needed;
}

/** Requests without a source keep the order of their stream. */
function writerOf({ source, stream }: Candidate): string {
  return source === undefined ? `stream ${stream}` : `source ${source.source}`;
}
