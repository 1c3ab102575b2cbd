// What the broker answers itself: the services mmi.*.
// It must not know sockets, clocks, or who may ask. @see RFC 8
import { type Frames, serviceBytesMax, sizeOf } from "../mdp/mdp.ts";
import type {
  BrokerAnswer,
  BrokersAnswer,
  QueueAnswer,
  ServiceAnswer,
  WorkersAnswer,
} from "./answers.ts";
import { noLatency } from "./latency.ts";
import type { Service, State } from "./state.ts";

/** Entries of one answer. */
const listedMax = 1000;
/**
 * So often in such a time an answer is made anew, unless so many bytes of it were made before; then
 * the last one is told again.
 */
const madeMax = 8;
const madeBytesMax = 65_536;
const periodMs = 250;

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
      return [Buffer.from(found !== undefined && isServed(found) ? "200" : "404")];
    }
    case "mmi.services":
      return told(state, service, () => nameServices(state));
    case "mmi.workers":
      return told(state, service, () => json(listWorkers(state)));
    case "mmi.queue":
      return told(state, service, () => json(listServices(state)));
    case "mmi.broker":
      return told(state, service, () => json({ ...describe(state), wire: state.about.wire?.() }));
    case "mmi.brokers":
      return told(state, service, () => json(listBrokers(state)));
    default:
      return [Buffer.from("501")];
  }
}

/** An answer, made anew only so often: whoever asks and asks costs nobody else much. */
function told(state: State, name: string, make: () => Frames): Frames {
  let known = state.told.get(name);
  if (known === undefined || state.nowMs >= known.sinceMs + periodMs) {
    known = { sinceMs: state.nowMs, made: 0, madeBytes: 0, frames: [] };
    state.told.set(name, known);
  }
  if (known.made < madeMax && known.madeBytes < madeBytesMax) {
    known.made += 1;
    known.frames = make();
    known.madeBytes += sizeOf(known.frames);
  }
  return known.frames;
}

function nameServices(state: State): Frames {
  const names = [...state.services.values()]
    .filter(isServed)
    .map(({ name }) => name)
    .sort();
  return names.length === 0 ? [Buffer.alloc(0)] : names.map((name) => Buffer.from(name));
}

/** Whether a worker is registered that stays. */
function isServed({ workers }: Service): boolean {
  for (const { isLeaving } of workers) if (!isLeaving) return true;
  return false;
}

function json(
  value: BrokerAnswer | BrokersAnswer | QueueAnswer | WorkersAnswer | undefined,
): Frames {
  return [Buffer.from(JSON.stringify(value))];
}

/** Counts of what the broker knows and did. */
export function describe(state: State): BrokerAnswer {
  const { id, version } = state.about;
  return {
    id,
    version,
    uptimeMs: Math.round(state.nowMs - state.startedMs),
    services: state.services.size - state.unserved.size,
    workers: state.workers.size,
    clients: state.clients,
    peers: state.peers.size,
    queued: state.queued,
    dispatched: state.dispatched,
    bytesHeld: state.bytes,
    counters: { ...state.counters },
    refused: { ...state.refused },
  };
}

function listBrokers({ about: { id, version, doors } }: State): BrokersAnswer {
  const listeners = doors.map(({ principal, endpoint }) => ({ principal, endpoint }));
  return { brokers: [{ id, version, self: true, listeners }] };
}

function listWorkers(state: State): WorkersAnswer {
  const workers = [...state.workers].slice(0, listedMax).map((worker) => ({
    service: worker.service.name,
    principal: worker.peer.share.principal,
    dialect: worker.peer.dialect,
    busy: worker.active.length,
    concurrency: worker.concurrency,
    silentMs: Math.round(state.nowMs - worker.heardMs),
    paused: worker.holds > 0,
    leaving: worker.isLeaving,
  }));
  return { workers, more: state.workers.size - workers.length };
}

function listServices(state: State): QueueAnswer {
  const all = [...state.services.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  const services = all.slice(0, listedMax).map((service) => describeService(state, service));
  return { services, more: all.length - services.length };
}

function describeService(state: State, service: Service): ServiceAnswer {
  const { name, workers, busy, queued, policy, totals, latency } = service;
  let concurrency = 0;
  for (const one of workers) concurrency += one.isLeaving ? one.active.length : one.concurrency;
  let oldestMs = 0;
  for (const { waiting } of service.turns) {
    oldestMs = Math.max(oldestMs, state.nowMs - (waiting.first?.arrivedMs ?? state.nowMs));
  }
  const isCapped = policy.queueTtlMs !== Number.POSITIVE_INFINITY;
  const queueTtlMs = isCapped ? policy.queueTtlMs : state.settings.requestTtlMs;
  return {
    service: name,
    workers: workers.size,
    busy,
    concurrency,
    queued,
    oldestMs: Math.round(oldestMs),
    policy: { ...policy, queueTtlMs },
    totals: { ...totals },
    latency: latency?.answer() ?? noLatency,
  };
}
