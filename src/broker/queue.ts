// The life of a request inside the broker: queue, dispatch, reply, expiry, loss.
// It must not know sockets, clocks, or what bodies mean.
import {
  abilities,
  encodeToClient,
  encodeToWorker,
  type Frames,
  type Head,
  plant,
  type ToWorker,
} from "../mdp/mdp.ts";
import type { Code } from "../util/catalogue.ts";
import { type Detail, PlantError } from "../util/errors.ts";
import type { Request, Service, State, Worker } from "./state.ts";

/** Queues a request or hands it to a worker at once. */
export function enqueue(state: State, request: Request): void {
  const { service } = request;
  const key = request.client?.peer ?? "";
  const queue = service.queues.get(key);
  if (queue === undefined) service.queues.set(key, [request]);
  else queue.push(request);
  service.queued += 1;
  state.queued += 1;
  service.nearestMs = Math.min(service.nearestMs, request.queueDueMs);
  pump(state, service);
}

/** Gives waiting requests to idle workers: clients take turns, the longest idle worker first. */
export function pump(state: State, service: Service): void {
  while (service.queued > 0) {
    const [worker] = service.idle;
    if (worker === undefined) return;
    const request = takeNext(state, service);
    if (request === undefined) return;
    dispatch(state, worker, request);
  }
}

function takeNext(state: State, service: Service): Request | undefined {
  for (const [key, queue] of service.queues) {
    service.queues.delete(key);
    const request = queue.shift();
    if (request === undefined) continue;
    if (queue.length > 0) service.queues.set(key, queue);
    service.queued -= 1;
    state.queued -= 1;
    return request;
  }
  return undefined;
}

function dispatch(state: State, worker: Worker, request: Request): void {
  const { idle } = worker.service;
  idle.delete(worker);
  worker.active.set(request.id, request);
  if (worker.active.size < worker.concurrency) idle.add(worker);
  request.worker = worker;
  state.dispatched.set(request.id, request);
  const { service, head } = aboutOf(state, request);
  tell(state, worker, { kind: "request", service, head, body: request.body });
}

function aboutOf(state: State, request: Request): { service: string; head: Head } {
  const { id, trace, flags, dueMs, service } = request;
  const leftMs = Math.max(0, Math.floor(dueMs - state.nowMs));
  const remainingMs = Math.min(plant.noDeadline, leftMs);
  return { service: service.name, head: { id, remainingMs, trace, flags } };
}

/** Sends to a worker and notes that it heard from us. */
export function tell(state: State, worker: Worker, message: ToWorker): void {
  const frames = encodeToWorker(worker.dialect, message);
  if (frames === undefined) return;
  worker.saidMs = state.nowMs;
  state.effects.push({ peer: worker.peer, frames });
}

/** Tells a worker of ours to stop or to go on with a request. */
export function tellWorker(
  state: State,
  request: Request,
  news: { kind: "cancel" } | { kind: "credit"; credit: number },
): void {
  const { worker } = request;
  if (worker === undefined) return;
  tell(state, worker, { ...news, ...aboutOf(state, request) });
}

/** Passes a part or the last reply on to the client, in the client's dialect. */
export function answer(
  state: State,
  request: Request,
  reply: { readonly kind: "partial" | "final"; readonly body: Frames },
): void {
  const { client, service, key, trace, flags } = request;
  if (client === undefined) return;
  const isPartial = reply.kind === "partial";
  if (isPartial && (flags & plant.flag.partials) === 0) return;
  state.counters.replies += 1;
  const head = { id: key, remainingMs: 0, trace, flags };
  const message = { kind: reply.kind, service: service.name, head, body: reply.body };
  const frames = encodeToClient(request.dialect, message);
  if (frames !== undefined) state.effects.push({ peer: client.peer, frames });
}

/** Tells a client what went wrong; where its dialect knows no errors, it hears nothing. */
export function refuse(state: State, request: Request, code: Code, detail: Detail): void {
  const { client, service, key, trace, flags } = request;
  if (client === undefined || !abilities[request.dialect].errors) return;
  const error = Buffer.from(JSON.stringify(new PlantError(code, detail).toWire()));
  const head = { id: key, remainingMs: 0, trace, flags };
  const message = { kind: "error", service: service.name, head, error } as const;
  const frames = encodeToClient(request.dialect, message);
  if (frames !== undefined) state.effects.push({ peer: client.peer, frames });
}

/** The client is done with the request, whatever its worker does. */
export function detach(state: State, request: Request): void {
  const { client } = request;
  if (client === undefined) return;
  request.client = undefined;
  client.open.delete(request.key);
  client.bytes -= request.bytes;
  if (client.open.size === 0) state.clients.delete(client.peer);
}

/** The request is over, and what it held is free. */
function end(state: State, request: Request): void {
  if (!request.isOver) state.bytes -= request.bytes;
  request.isOver = true;
}

/** The worker is done with the request and may have the next one. */
export function release(state: State, worker: Worker, request: Request): void {
  worker.active.delete(request.id);
  state.dispatched.delete(request.id);
  end(state, request);
  detach(state, request);
  worker.service.idle.add(worker);
  pump(state, worker.service);
}

/** Takes a request that still waits out of its queue. */
export function withdraw(state: State, request: Request): void {
  const { service } = request;
  const key = request.client?.peer ?? "";
  const queue = service.queues.get(key);
  const at = queue?.indexOf(request) ?? -1;
  if (queue === undefined || at < 0) return;
  queue.splice(at, 1);
  if (queue.length === 0) service.queues.delete(key);
  service.queued -= 1;
  state.queued -= 1;
  end(state, request);
  detach(state, request);
}

/** Ends what has waited too long. */
export function expireQueued(state: State, service: Service): void {
  if (service.nearestMs > state.nowMs) return;
  const waiting = [...service.queues.values()].flat();
  service.nearestMs = Number.POSITIVE_INFINITY;
  for (const request of waiting) {
    if (request.queueDueMs > state.nowMs) {
      service.nearestMs = Math.min(service.nearestMs, request.queueDueMs);
      continue;
    }
    giveUp(state, request);
  }
}

function giveUp(state: State, request: Request): void {
  const { name, wasServed } = request.service;
  if (wasServed) state.counters.expired += 1;
  else state.counters.noService += 1;
  refuse(state, request, wasServed ? "EXPIRED" : "NO_SERVICE", { service: name });
  withdraw(state, request);
}

/** Makes room for a service that has a worker by giving up one that only has requests. */
export function makeRoomForService(state: State): void {
  if (state.services.size < state.settings.servicesMax) return;
  for (const service of state.services.values()) {
    if (service.workers.size > 0) continue;
    for (const request of [...service.queues.values()].flat()) giveUp(state, request);
    state.services.delete(service.name);
    return;
  }
}

/** Removes a worker; what it was working on is lost, and its clients are told. */
export function removeWorker(state: State, worker: Worker): void {
  const { service } = worker;
  state.workers.delete(worker.peer);
  service.workers.delete(worker);
  service.idle.delete(worker);
  for (const request of worker.active.values()) {
    state.dispatched.delete(request.id);
    end(state, request);
    state.counters.requestsLost += 1;
    refuse(state, request, "WORKER_LOST", { service: service.name });
    detach(state, request);
  }
  worker.active.clear();
}
