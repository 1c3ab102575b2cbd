// Opening the protocol: close, ask the store where it stands, greet, take the welcome. Pure.
// It must not know how batches flow once it is open.
import { type Body, lineageFingerprint, type Stream, streams } from "../batch/batch.ts";
import { type StorePosition, standing } from "./lineage.ts";
import { acknowledge, freshStream, rewind, type StreamState } from "./stream-state.ts";
import type { Doing, SyncEffect, SyncState } from "./sync-state.ts";

/** Nonces of one opening that answers may still name. */
const noncesMax = 16;
/** Least time between two greetings. */
const helloLeastMs = 1000;
/** Longest time between two greetings that are not answered. */
const helloWaitMaxMs = 60_000;

/** Moves the watermark, both ways, and has the store remember it; a welcome is told always. */
export function moveWatermark(
  stream: StreamState,
  move: { readonly name: Stream; readonly stands: number; readonly effects: SyncEffect[] },
  isWelcome = false,
): void {
  if (move.stands === stream.watermark && !isWelcome) return;
  stream.watermark = move.stands;
  move.effects.push({ kind: "watermark", stream: move.name, sequence: move.stands, isWelcome });
  for (const sequence of stream.coveredAt.keys()) {
    if (sequence <= move.stands) stream.coveredAt.delete(sequence);
  }
}

/** Rule 1: nothing goes up, and nothing from the centre counts, before the next welcome. */
export function close(state: SyncState, effects: SyncEffect[]): void {
  state.isWelcome = false;
  state.isAsking = false;
  state.isPositioned = false;
  state.nonces = [];
  state.helloTries = 0;
  for (const stream of Object.values(state.streams)) rewind(stream, stream.watermark);
  effects.push({ kind: "cancel-reads" });
}

/** Closes, and greets again after a while. */
export function reopen(state: SyncState, doing: Doing, afterMs = helloLeastMs): void {
  close(state, doing.effects);
  state.helloAtMs = doing.moment.nowMs + afterMs;
}

/** The store's position, asked before each greeting: it may have restarted or been restored. */
export function takePosition(state: SyncState, position: StorePosition, doing: Doing): void {
  if (!state.isAsking) return;
  state.isAsking = false;
  const newest = position.lineage.at(-1)?.epoch;
  if (newest === undefined) return;
  const isAnother = newest !== state.lineage?.at(-1)?.epoch;
  if (isAnother) {
    state.isHeadKnown = false;
    close(state, doing.effects);
  }
  state.lineage = position.lineage;
  for (const name of streams) {
    const stood = position.streams[name] ?? { first: 1, head: 0, watermark: 0 };
    const stream = state.streams[name];
    if (state.isWelcome) {
      stream.first = stood.first;
      stream.head = Math.max(stream.head, stood.head);
    } else {
      // A restored store gives numbers out again: what was refused under one says nothing now.
      const covered = isAnother ? undefined : stream.coveredAt;
      state.streams[name] = freshStream(stood, state.settings.batchRecordsMax, covered);
    }
  }
  state.helloAtMs = doing.moment.nowMs;
  state.isPositioned = true;
}

/** Rule 1: greets each opening, again every few minutes, and again when no welcome comes. */
export function greet(state: SyncState, doing: Doing): void {
  const { effects, moment } = doing;
  const { nowMs } = moment;
  if (!state.isConnected || state.isAsking || nowMs < state.helloAtMs) return;
  if (!state.isPositioned || state.lineage === undefined) {
    state.isAsking = true;
    state.helloAtMs = nowMs + helloLeastMs;
    effects.push({ kind: "ask-position" });
    return;
  }
  state.isPositioned = false;
  const nonce = moment.nonce();
  state.nonces = [...state.nonces, nonce].slice(-noncesMax);
  const wait = Math.min(helloWaitMaxMs, state.settings.resendMs * 2 ** state.helloTries);
  state.helloTries = Math.min(state.helloTries + 1, 16);
  state.helloAtMs = nowMs + Math.max(helloLeastMs, wait);
  const standings = streams.map((name) => {
    const { first, head, watermark } = state.streams[name];
    return [name, { first, last: head, watermark }] as const;
  });
  const body: Body<"hello"> = {
    ...(state.centre === undefined ? {} : { centre: state.centre }),
    version: state.settings.version,
    lineage: [...state.lineage],
    streams: Object.fromEntries(standings),
    generation: state.generation,
    keySet: state.keySet,
  };
  effects.push({ kind: "hello", nonce, body });
}

/** Rules 1, 2 and 5: the centre's generations and positions; the gate opens. */
export function takeWelcome(state: SyncState, body: Body<"welcome">, doing: Doing): void {
  const { effects, moment } = doing;
  const { lineage } = state;
  const newest = lineage?.at(-1)?.epoch;
  const head = newest === undefined ? undefined : body.generations[newest];
  if (lineage === undefined || newest === undefined || head === undefined) {
    effects.push({ kind: "ignored", reason: "the welcome knows not all epochs" });
    return;
  }
  if (lineage.some(({ epoch }) => body.generations[epoch] === undefined)) {
    effects.push({ kind: "ignored", reason: "the welcome knows not all epochs" });
    return;
  }
  if (state.centre !== undefined && body.centre !== state.centre) {
    effects.push({ kind: "ignored", reason: "the centre is another: greeting again" });
    state.centre = body.centre;
    reopen(state, doing);
    return;
  }
  state.centre = body.centre;
  effects.push({ kind: "confirm" });
  const highest = Math.max(state.generation, ...Object.values(body.generations));
  if (highest > state.generation) {
    state.generation = highest;
    effects.push({ kind: "generation", generation: highest, centre: body.centre });
  }
  if (state.generations[newest] !== head) state.isHeadKnown = false;
  state.generations = body.generations;
  state.helloTries = 0;
  state.helloAtMs = moment.nowMs + state.settings.helloMs;
  const isFirst = !state.isWelcome;
  state.isWelcome = true;
  for (const name of streams) {
    const stream = state.streams[name];
    const stands = Math.min(standing(lineage, body.positions, name), stream.head);
    if (isFirst) {
      rewind(stream, stands);
      stream.sentTo = Math.max(stream.sentTo, stands);
    } else if (stands < stream.watermark) rewind(stream, stands);
    else acknowledge(stream, { position: stands, nowMs: moment.nowMs }, state.pace);
    moveWatermark(stream, { name, stands, effects }, true);
  }
  announce(state, { newest, head }, doing);
}

/** Rule 2: an empty batch makes a new epoch the head when nothing waits that would. */
function announce(
  state: SyncState,
  epoch: { readonly newest: string; readonly head: number },
  doing: Doing,
): void {
  const isWaiting = Object.values(state.streams).some((stream) => stream.next <= stream.head);
  const nonce = state.nonces.at(-1);
  if (state.isHeadKnown || isWaiting || nonce === undefined || state.lineage === undefined) return;
  const { next } = state.streams.state;
  doing.effects.push({
    kind: "batch",
    batch: {
      nonce,
      epoch: epoch.newest,
      generation: epoch.head,
      head: epoch.head,
      stream: "state",
      first: next,
      last: next - 1,
      lineage: lineageFingerprint(state.lineage),
      records: [],
    },
  });
}
