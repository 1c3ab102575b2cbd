// The life of a request inside the broker: arrival, dispatch, end, loss.
// It must not know sockets, clocks, or what bodies mean.
import { abilities, type Frames, type Head, plant, sizeOf } from "../mdp/mdp.ts";
import { letGo } from "./pauses.ts";
import { leaveQueue, putBack, watchOver } from "./queue.ts";
import { freeBytes, holdBytes } from "./room.ts";
import { headOf, sayFailed, serviceError, tell } from "./speech.ts";
import {
  type Client,
  generations,
  placesMax,
  type Request,
  type Service,
  type State,
  type Worker,
} from "./state.ts";

const nothing: Frames = [];
const noBytes = new Uint8Array(0);
/** Records of requests that are over, kept for the next ones. */
const spareMax = 1024;
/** Requests of lost workers that are dealt with in one go. */
const lostMax = 1000;
/** Cancelled requests that may stay unanswered: always, by one worker, by all of a principal. */
const abandonedMax = { few: 64, worker: 1024, share: 16_384 } as const;

/** A record of no request: all that `newRequest` does not set is as it must be then. */
function blankRequest(service: Service): Request {
  return {
    order: 0,
    service,
    key: 0,
    flags: 0,
    dueMs: Number.POSITIVE_INFINITY,
    arrivedMs: 0,
    trace: noBytes,
    client: undefined,
    atClient: 0,
    body: nothing,
    size: 0,
    heldBytes: 0,
    id: 0,
    worker: undefined,
    atWorker: -1,
    attempts: 0,
    hasParts: false,
    stream: undefined,
    turn: undefined,
    isAbandoned: false,
    isOver: false,
    isFresh: false,
    newer: undefined,
    older: undefined,
    before: undefined,
    after: undefined,
    isLinked: false,
    wakeMs: 0,
    slot: -1,
    sooner: undefined,
    later: undefined,
  };
}

/**
 * Keeps the record of a request for another one. Only for one that is over and that stands in no
 * list: its client, its worker, its place, the wheel and its neighbours know it no more.
 */
function recycle(state: State, request: Request): void {
  if (state.spare.length >= spareMax) return;
  request.trace = noBytes;
  request.atWorker = -1;
  request.attempts = 0;
  request.hasParts = false;
  request.stream = undefined;
  request.isAbandoned = false;
  request.isOver = false;
  state.spare.push(request);
}

/** A request that came in: in the client's list, not yet waiting nor with a worker. */
export function newRequest(
  state: State,
  client: Client,
  asked: { readonly service: Service; readonly head: Head; readonly body: Frames },
): Request {
  const { service, head, body } = asked;
  const { nowMs } = state;
  state.order += 1;
  const dueMs =
    head.remainingMs === plant.noDeadline ? Number.POSITIVE_INFINITY : nowMs + head.remainingMs;
  const request = state.spare.pop() ?? blankRequest(service);
  request.order = state.order;
  request.service = service;
  request.key = head.id;
  request.flags = head.flags;
  request.dueMs = dueMs;
  request.arrivedMs = nowMs;
  request.trace = plant.traceOf(head);
  request.client = client;
  request.atClient = client.open.length;
  request.body = body;
  request.size = sizeOf(body);
  request.isFresh = true;
  request.older = state.fresh;
  client.open.push(request);
  client.peer.share.requests += 1;
  state.open += 1;
  client.byId?.set(request.key, request);
  if (state.fresh !== undefined) state.fresh.newer = request;
  state.fresh = request;
  return request;
}

/** Copies what is still needed out of what the transport read, which small views keep alive. */
export function copyFresh(state: State): void {
  let request = state.fresh;
  state.fresh = undefined;
  while (request !== undefined) {
    const { older } = request;
    request.isFresh = false;
    request.newer = undefined;
    request.older = undefined;
    request.trace = own(request.trace);
    if (request.body.length > 0) request.body = request.body.map(own);
    request = older;
  }
}

/** A request is over. */
export function end(state: State, request: Request): void {
  request.isOver = true;
  if (!request.isFresh) return;
  const { newer, older } = request;
  if (newer === undefined) state.fresh = older;
  else newer.older = older;
  if (older !== undefined) older.newer = newer;
  request.isFresh = false;
  request.newer = undefined;
  request.older = undefined;
}

/** The bytes in memory of their own, unless they are most of what they lie in. */
export function own(frame: Uint8Array): Uint8Array {
  return 2 * frame.length >= frame.buffer.byteLength ? frame : new Uint8Array(frame);
}

/** Whether the body must be kept for another worker. */
function mayRepeat({ service, attempts }: Request): boolean {
  return service.policy.retry === "if-lost" && attempts < service.policy.attemptsMax;
}

/** Gives waiting requests to idle workers: clients take turns, the longest idle worker first. */
export function pump(state: State, service: Service): void {
  while (service.queued > 0) {
    const worker = service.idle.first;
    const turn = service.turns.first;
    const request = turn?.waiting.first;
    if (worker === undefined || turn === undefined || request === undefined) return;
    leaveQueue(state, request);
    if (turn.isLinked) {
      service.turns.remove(turn);
      service.turns.append(turn);
    }
    if (request.slot >= 0 && request.wakeMs <= state.nowMs) expire(state, request);
    else dispatch(state, worker, request);
  }
}

/** Hands a request that does not wait to a worker with room. */
export function dispatch(state: State, worker: Worker, request: Request): void {
  const { service } = request;
  request.worker = worker;
  request.attempts += 1;
  takePlace(state, request);
  request.atWorker = worker.active.push(request) - 1;
  service.idle.remove(worker);
  if (worker.active.length < worker.concurrency && !isStuck(worker)) service.idle.append(worker);
  if (worker.active.length === 1) worker.workingMs = state.nowMs;
  service.busy += 1;
  state.dispatched += 1;
  watchOver(state, request, request.dueMs);
  const { body } = request;
  const head = headOf(state, request);
  const isPaced = abilities[worker.peer.dialect].credit && (head.flags & plant.flag.partials) !== 0;
  tell(state, worker, {
    kind: "request",
    service: service.name,
    head: isPaced ? { ...head, flags: head.flags | plant.flag.credit } : head,
    body,
  });
  if (mayRepeat(request)) {
    holdBytes(state, request, request.size - request.heldBytes);
    return;
  }
  letBodyGo(state, request);
}

/** Gives the request an id that no reply to another dispatch can have. */
function takePlace(state: State, request: Request): void {
  const place = state.freePlaces.pop() ?? state.places.length;
  state.places[place] = request;
  request.id = state.generation * placesMax + place;
  state.generation = (state.generation + 1) % generations || 1;
}

function leavePlace(state: State, request: Request): void {
  const place = request.id & (placesMax - 1);
  state.places[place] = undefined;
  state.freePlaces.push(place);
  request.id = 0;
}

/** The request a worker means by an id; nothing where that dispatch is over or not its own. */
export function requestAt(state: State, worker: Worker, id: number): Request | undefined {
  const request = id > 0 ? state.places[id & (placesMax - 1)] : undefined;
  return request?.id === id && request.worker === worker ? request : undefined;
}

/** The body is not needed again. */
export function letBodyGo(state: State, request: Request): void {
  freeBytes(state, request);
  request.body = nothing;
}

/** The client is done with the request, whatever its worker does. */
export function detach(state: State, request: Request): void {
  const { client, atClient } = request;
  if (client === undefined) return;
  letGo(state, request);
  letBodyGo(state, request);
  client.peer.share.requests -= 1;
  state.open -= 1;
  request.client = undefined;
  state.wheel.remove(request);
  client.byId?.delete(request.key);
  const last = client.open.pop();
  if (last !== undefined && last !== request) {
    client.open[atClient] = last;
    last.atClient = atClient;
  }
}

/** Takes a request from its worker's list, which may have other work or none from here on. */
export function leaveWorker(state: State, worker: Worker, request: Request): void {
  leavePlace(state, request);
  if (request.isAbandoned) countAbandoned(worker, -1);
  const last = worker.active.pop();
  if (last !== undefined && last !== request) {
    worker.active[request.atWorker] = last;
    last.atWorker = request.atWorker;
  }
  request.worker = undefined;
  worker.service.busy -= 1;
  state.dispatched -= 1;
}

/** The worker is done with the request, which is no more, and may have the next one. */
export function release(state: State, worker: Worker, request: Request): void {
  detach(state, request);
  leaveWorker(state, worker, request);
  end(state, request);
  recycle(state, request);
  offer(state, worker);
}

/** Puts a worker among those with room, if it has any, and gives it what waits. */
export function offer(state: State, worker: Worker): void {
  const { service } = worker;
  if (worker.isLinked || worker.isSlow || worker.isLeaving) return;
  if (worker.active.length >= worker.concurrency || isStuck(worker)) return;
  service.idle.append(worker);
  if (service.queued > 0) pump(state, service);
}

/** The client gave up: a waiting request goes, a running one is told to stop. */
export function abandon(state: State, request: Request): void {
  state.counters.cancelled += 1;
  request.service.totals.cancelled += 1;
  stop(state, request);
}

/** Nobody waits any more: a waiting request goes, a running one is told to stop. */
export function stop(state: State, request: Request): void {
  const { worker, service } = request;
  detach(state, request);
  if (worker === undefined) {
    leaveQueue(state, request);
    end(state, request);
    return;
  }
  request.isAbandoned = true;
  countAbandoned(worker, 1);
  if (isStuck(worker)) service.idle.remove(worker);
  tell(state, worker, { kind: "cancel", service: service.name, head: headOf(state, request) });
}

function countAbandoned(worker: Worker, change: number): void {
  worker.abandoned += change;
  worker.peer.share.abandoned += change;
}

/** Whether a worker leaves so many cancelled requests unanswered that it gets no more. */
function isStuck({ abandoned, peer }: Worker): boolean {
  if (abandoned < abandonedMax.few) return false;
  return abandoned >= abandonedMax.worker || peer.share.abandoned >= abandonedMax.share;
}

/** Time is up: the client hears of it, and a worker is told to stop. */
export function expire(state: State, request: Request): void {
  const { service, worker } = request;
  service.totals.expired += 1;
  if (worker !== undefined || service.wasServed) {
    state.counters.expired += 1;
    sayFailed(state, request, serviceError(service, "EXPIRED"));
  } else {
    state.counters.noService += 1;
    sayFailed(state, request, serviceError(service, "NO_SERVICE"));
  }
  stop(state, request);
}

/** A worker is out: what it was working on goes to another, or its clients are told. */
export function loseWork(state: State, worker: Worker): void {
  const { service } = worker;
  const lost = [...worker.active].sort((a, b) => a.order - b.order);
  for (const request of lost) {
    letGo(state, request);
    leaveWorker(state, worker, request);
    if (request.client === undefined) end(state, request);
    else state.lost.push(request);
  }
  endLost(state);
  pump(state, service);
}

/** Deals with requests whose worker is out, the newest first; a part of them where it is many. */
export function endLost(state: State): void {
  const { lost } = state;
  const served = new Set<Service>();
  for (let count = 0; count < lostMax; count += 1) {
    const request = lost.pop();
    if (request === undefined) break;
    const { service } = request;
    if (request.isOver) continue;
    if (!request.hasParts && mayRepeat(request)) {
      repeat(state, request);
      served.add(service);
      continue;
    }
    if (request.client === undefined) end(state, request);
    else lose(state, request);
  }
  for (const service of served) pump(state, service);
  if (lost.length > 0) state.wakeMs = state.nowMs;
}

/** A request is lost with its worker: its client is told. */
export function lose(state: State, request: Request): void {
  const { service } = request;
  state.counters.requestsLost += 1;
  service.totals.lost += 1;
  sayFailed(state, request, serviceError(service, "WORKER_LOST"));
  end(state, request);
  detach(state, request);
}

function repeat(state: State, request: Request): void {
  state.counters.retries += 1;
  request.service.totals.retries += 1;
  putBack(state, request);
}
