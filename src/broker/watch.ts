// What time alone leads to: expiry, silent workers, heartbeats.
// It must not know sockets, clocks, or what bodies mean.
import { detach, expireQueued, refuse, removeWorker, tell, tellWorker } from "./queue.ts";
import type { Request, State, Worker } from "./state.ts";

/** Longest time until the next tick, in milliseconds. */
export function pauseMs(state: State): number {
  const { heartbeatMs } = state.settings;
  return state.queued > 0 ? Math.min(25, heartbeatMs / 4) : heartbeatMs / 4;
}

/** A sign of life for a worker. */
export function beat(state: State, worker: Worker): void {
  tell(state, worker, { kind: "heartbeat" });
}

/** Ends what has waited too long, drops silent workers, and beats to the others. */
export function watch(state: State): void {
  for (const service of state.services.values()) {
    if (service.queued > 0) expireQueued(state, service);
  }
  if (state.nowMs < state.watchMs) return;
  const { heartbeatMs, livenessMs, busyTimeoutMs } = state.settings;
  state.watchMs = state.nowMs + heartbeatMs / 4;
  for (const worker of [...state.workers.values()]) {
    const allowedMs = worker.active.size > 0 ? Math.max(busyTimeoutMs, livenessMs) : livenessMs;
    const isSilent = state.nowMs - worker.heardMs >= allowedMs;
    if (isSilent && worker.isSuspect) {
      state.counters.workersLost += 1;
      removeWorker(state, worker);
      continue;
    }
    worker.isSuspect = isSilent; // after a standstill of ours its beats are yet to be read
    for (const request of worker.active.values()) {
      if (request.client !== undefined && request.dueMs <= state.nowMs) overdue(state, request);
    }
    if (state.nowMs - worker.saidMs >= heartbeatMs) beat(state, worker);
  }
}

/** The deadline passed while a worker works: nobody waits, the worker is told. */
function overdue(state: State, request: Request): void {
  state.counters.expired += 1;
  refuse(state, request, "EXPIRED", { service: request.service.name });
  detach(state, request);
  tellWorker(state, request, { kind: "cancel" });
}
