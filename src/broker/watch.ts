// What time alone leads to: expiry, silent workers, heartbeats.
// It must not know sockets, clocks, or what bodies mean.
import { beat, loseWorker } from "./peers.ts";
import { copyFresh, endLost, expire } from "./requests.ts";
import type { State, Worker } from "./state.ts";
import { cutHeld } from "./streams.ts";

/** Requests that end in one tick at most: whatever else there is to do comes in between. */
const dueMax = 1000;
/** Longest time between two looks where nobody is to be looked at. */
const idleMsMax = 5000;

/** Ends what has waited too long, drops silent workers, and beats to the others. */
export function watch(state: State): void {
  copyFresh(state);
  const due = state.wheel.takeDue(state.nowMs, dueMax);
  for (const request of due) {
    if (!request.isOver) expire(state, request);
  }
  const periodMs = periodOf(state);
  if (state.nowMs >= state.watchMs) {
    state.watchMs = state.nowMs + periodMs;
    for (const worker of state.workers) watchWorker(state, worker);
  }
  const wakeMs = Math.min(state.watchMs, state.wheel.nextMs(state.nowMs, periodMs));
  state.wakeMs = due.length < dueMax ? wakeMs : state.nowMs;
  if (state.lost.length > 0) endLost(state);
}

/** Time between two looks at the workers; without any there is less to look at. */
function periodOf({ settings, workers }: State): number {
  const { heartbeatMs } = settings;
  const isIdle = workers.size === 0 && heartbeatMs <= idleMsMax;
  return isIdle ? heartbeatMs : heartbeatMs / 4;
}

function watchWorker(state: State, worker: Worker): void {
  const { heartbeatMs, livenessMs } = state.settings;
  const { busyTimeoutMs } = worker.service.policy;
  if (worker.holds > 0) {
    if (state.nowMs - worker.heldMs >= busyTimeoutMs) cutHeld(state, worker.active);
  } else {
    const isBusy = worker.active.length > 0;
    const sinceMs = isBusy ? Math.max(worker.heardMs, worker.workingMs) : worker.heardMs;
    const isSilent = state.nowMs - sinceMs >= (isBusy ? busyTimeoutMs : livenessMs);
    if (isSilent && worker.isSuspect) {
      loseWorker(state, worker);
      return;
    }
    worker.isSuspect = isSilent; // after a standstill of ours its beats are yet to be read
  }
  if (state.nowMs - worker.saidMs >= heartbeatMs) beat(state, worker);
}
