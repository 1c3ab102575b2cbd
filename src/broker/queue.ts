// Where requests wait: at each service the clients take turns, each with its own in order.
// It must not know how a request is served, or how it ends.
import { assert } from "../util/assert.ts";
import { LinkedList } from "./linked-list.ts";
import { holdBytes, settle } from "./room.ts";
import type { Request, State, Turn } from "./state.ts";
import { slotEndMs } from "./timing-wheel.ts";

/** Queues a request; what it holds is accounted for. */
export function enqueue(state: State, request: Request): void {
  const turn = turnOf(request);
  turn.waiting.append(request);
  wait(state, request, turn);
}

/** The turn of a request's client at its service, in the list of turns. */
function turnOf(request: Request): Turn {
  const { service, client } = request;
  assert(client !== undefined, "a request that waits has a client");
  let turn = service.turnByClient.get(client);
  if (turn === undefined) {
    turn = {
      client,
      waiting: new LinkedList(),
      count: 0,
      before: undefined,
      after: undefined,
      isLinked: false,
    };
    service.turnByClient.set(client, turn);
    service.turns.append(turn);
  }
  request.turn = turn;
  return turn;
}

function wait(state: State, request: Request, turn: Turn): void {
  const { service, dueMs, size, heldBytes } = request;
  const { share } = turn.client.peer;
  turn.count += 1;
  if (2 * turn.count > service.policy.queueMax) service.fullest = turn;
  service.queuedByShare.set(share, (service.queuedByShare.get(share) ?? 0) + 1);
  const { queueTtlMs } = service.policy;
  const isForAll = dueMs === Number.POSITIVE_INFINITY && queueTtlMs === Number.POSITIVE_INFINITY;
  const ttlMs = isForAll ? state.settings.requestTtlMs : queueTtlMs;
  holdBytes(state, request, size - heldBytes);
  watchOver(state, request, Math.min(dueMs, state.nowMs + ttlMs));
  service.queued += 1;
  state.queued += 1;
  if (service.queued === 1 && service.workers.size === 0) settle(state, service);
}

/** Sees to it that a request is looked at when it is due. */
export function watchOver(state: State, request: Request, dueMs: number): void {
  if (request.slot >= 0 && request.wakeMs === dueMs) return;
  state.wheel.remove(request);
  state.wheel.insert(request, dueMs);
  const wakeMs = slotEndMs(dueMs);
  if (wakeMs < state.wakeMs) state.wakeMs = wakeMs;
}

/** Takes a waiting request out of its queue. */
export function leaveQueue(state: State, request: Request): void {
  const { service, turn } = request;
  if (turn === undefined) return;
  const { share } = turn.client.peer;
  turn.waiting.remove(request);
  turn.count -= 1;
  request.turn = undefined;
  if (turn.waiting.first === undefined) {
    service.turns.remove(turn);
    service.turnByClient.delete(turn.client);
    if (service.fullest === turn) service.fullest = undefined;
  }
  service.queuedByShare.set(share, (service.queuedByShare.get(share) ?? 1) - 1);
  service.queued -= 1;
  state.queued -= 1;
  if (service.queued === 0 && service.workers.size === 0) settle(state, service);
}

/** Puts a request back in front of its client's others, and its client in front. */
export function putBack(state: State, request: Request): void {
  const { service } = request;
  request.stream = undefined;
  const turn = turnOf(request);
  turn.waiting.prepend(request);
  service.turns.remove(turn);
  service.turns.prepend(turn);
  wait(state, request, turn);
}
