// What the broker answers itself: the services mmi.*.
// It must not know sockets, clocks, or who may ask. @see RFC 8
import { type Frames, serviceBytesMax } from "../mdp/mdp.ts";
import type { State } from "./state.ts";

/** Whether the broker answers this name itself. */
export function isInternal(service: string): boolean {
  return service.startsWith("mmi.");
}

/** The reply body to a request for an internal service. */
export function answerInternal(state: State, service: string, body: Frames): Frames {
  switch (service) {
    case "mmi.service": {
      const name = Buffer.from(body[0] ?? []).subarray(0, serviceBytesMax + 1);
      const found = state.services.get(name.toString("latin1"));
      return [Buffer.from((found?.workers.size ?? 0) > 0 ? "200" : "404")];
    }
    case "mmi.services": {
      const names = [...state.services.values()]
        .filter(({ workers }) => workers.size > 0)
        .map(({ name }) => name)
        .sort();
      return names.length === 0 ? [Buffer.alloc(0)] : names.map((name) => Buffer.from(name));
    }
    case "mmi.workers":
      return [Buffer.from(JSON.stringify({ workers: listWorkers(state) }))];
    case "mmi.broker":
      return [Buffer.from(JSON.stringify(describe(state)))];
    default:
      return [Buffer.from("501")];
  }
}

/** Counts of what the broker knows and did. */
export function describe(state: State) {
  return {
    services: [...state.services.values()].filter(({ workers }) => workers.size > 0).length,
    workers: state.workers.size,
    clients: state.clients.size,
    queued: state.queued,
    dispatched: state.dispatched.size,
    counters: { ...state.counters },
  };
}

function listWorkers(state: State) {
  return [...state.workers.values()].map((worker) => ({
    service: worker.service.name,
    principal: worker.principal,
    dialect: worker.dialect,
    busy: worker.active.size,
    concurrency: worker.concurrency,
    silentMs: Math.round(state.nowMs - worker.heardMs),
  }));
}
