// Workers that are not read from while a client of theirs reads too slowly.
// It must not know when that is so.
import type { Request, State, Stream } from "./state.ts";

/** Reads nothing more from the worker of a stream, where the transport can do so. */
export function holdWorker(state: State, request: Request, stream: Stream): void {
  const { worker } = request;
  if (worker === undefined || stream.isHolding) return;
  stream.isHolding = true;
  worker.holds += 1;
  if (worker.holds > 1) return;
  worker.heldMs = state.nowMs;
  if (worker.canPause) state.effects.push({ kind: "pause", peer: worker.peer.name });
}

/** The worker need not wait for this stream any more. */
export function letGo(state: State, request: Request): void {
  const { worker, stream } = request;
  if (worker === undefined || stream?.isHolding !== true) return;
  stream.isHolding = false;
  worker.holds -= 1;
  if (worker.holds > 0) return;
  worker.heardMs = state.nowMs; // what it said meanwhile is yet to be read
  worker.isSuspect = false;
  if (worker.canPause) state.effects.push({ kind: "resume", peer: worker.peer.name });
}
