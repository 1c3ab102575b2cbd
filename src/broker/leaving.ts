// How a worker of ours leaves: it gets nothing more, answers what it has begun, gives back the rest.
// It must not know sockets, clocks, or what bodies mean.
import { type Frames, sizeOf } from "../mdp/mdp.ts";
import { letGo } from "./pauses.ts";
import { ban } from "./peers.ts";
import { putBack } from "./queue.ts";
import { detach, end, leaveWorker, lose, own, pump } from "./requests.ts";
import { bytesRefusal } from "./room.ts";
import { countRefused, limitError, sayFailed, sendAway } from "./speech.ts";
import type { Request, State, Worker } from "./state.ts";

/** A worker takes no more; what it has, it still answers or gives back. */
export function leave(state: State, worker: Worker): void {
  worker.isLeaving = true;
  worker.service.idle.remove(worker);
  letLeave(state, worker);
}

/** Lets a leaving worker go that has nothing more to do: all it said has been heard. */
export function letLeave(state: State, worker: Worker): void {
  if (!worker.isLeaving || worker.active.length > 0) return;
  sendAway(state, worker.peer);
  ban(state, worker.peer);
}

/**
 * A leaving worker gives a request back that it never began, with its body: it waits again, in
 * front, and goes to another as if this one had never had it.
 */
export function takeBack(state: State, request: Request, body: Frames): void {
  const { client, worker, service, size, hasParts, heldBytes } = request;
  if (worker === undefined) return;
  letGo(state, request);
  leaveWorker(state, worker, request);
  if (client === undefined) {
    end(state, request);
    return;
  }
  if (hasParts || sizeOf(body) !== size) {
    lose(state, request); // it did begin, or this is another request
    return;
  }
  const over =
    heldBytes > 0 || service.idle.first !== undefined
      ? undefined
      : bytesRefusal(state, client, size);
  if (over !== undefined) {
    countRefused(state, client.peer, "bytes", service.name);
    sayFailed(state, request, limitError(state, over.limit, over.max));
    end(state, request);
    detach(state, request);
    return;
  }
  state.counters.returned += 1;
  request.attempts -= 1;
  if (heldBytes === 0) request.body = body.map(own);
  putBack(state, request);
  pump(state, service);
}
