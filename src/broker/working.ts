// What workers say: READY, replies, signs of life, farewell.
// It must not know sockets, clocks, or what bodies mean.
import { abilities, type Frames, type FromWorker, plant } from "../mdp/mdp.ts";
import { leave, letLeave, takeBack } from "./leaving.ts";
import { ban, refusePeer, register } from "./peers.ts";
import { release, requestAt } from "./requests.ts";
import { noteLatency } from "./room.ts";
import { limitError, reply, sayFailed } from "./speech.ts";
import type { Peer, Request, State } from "./state.ts";
import { joinedBody, passPart } from "./streams.ts";

/** Takes what a worker says. */
export function hearWorker(state: State, peer: Peer, message: FromWorker): void {
  const { worker } = peer;
  if (worker !== undefined) {
    worker.heardMs = state.nowMs;
    worker.isSuspect = false;
  }
  switch (message.kind) {
    case "ready":
      register(state, peer, message);
      return;
    case "disconnect":
      ban(state, peer);
      return;
    case "heartbeat":
      if (worker === undefined) refusePeer(state, peer, { reason: "place" });
      return;
    case "leave":
      if (worker === undefined || worker.isLeaving) refusePeer(state, peer, { reason: "place" });
      else leave(state, worker);
      return;
    case "returned":
      if (worker?.isLeaving !== true) refusePeer(state, peer, { reason: "place" });
      else hearReply(state, peer, message);
      return;
    case "partial":
    case "final":
    case "error":
      hearReply(state, peer, message);
  }
}

function hearReply(
  state: State,
  peer: Peer,
  message: Extract<FromWorker, { kind: "partial" | "final" | "error" | "returned" }>,
): void {
  const { worker } = peer;
  if (worker === undefined || worker.active.length === 0) {
    refusePeer(state, peer, { reason: "place" });
    return;
  }
  const request = requestAt(state, worker, message.id);
  if (request === undefined) {
    state.counters.lateReplies += 1;
    return;
  }
  if (message.kind === "partial") {
    passPart(state, request, message.body);
    return;
  }
  if (message.kind === "returned") {
    takeBack(state, request, message.body);
    letLeave(state, worker);
    return;
  }
  if (request.client === undefined) state.counters.lateReplies += 1;
  else if (message.kind === "error") fail(state, request, message.error);
  else conclude(state, request, message.body);
  release(state, worker, request);
  letLeave(state, worker);
}

/** The last reply goes out. */
function conclude(state: State, request: Request, body: Frames): void {
  const whole = joinedBody(state, request, body);
  if (whole === undefined) {
    const { messageBytesMax } = state.settings;
    state.counters.streamsCut += 1;
    sayFailed(state, request, limitError(state, "bytes of a joined reply", messageBytesMax));
    return;
  }
  count(state, request);
  reply(state, request, { kind: "final", body: whole });
}

/** A worker's refusal: an error where the client knows them, a last reply of that shape elsewhere. */
function fail(state: State, request: Request, error: Uint8Array): void {
  const { client } = request;
  if (client === undefined) return;
  count(state, request);
  if (abilities[client.peer.dialect].errors) {
    sayFailed(state, request, error);
    return;
  }
  const parts = [Buffer.from('{"success":false,"error":'), error, Buffer.from("}")];
  reply(state, request, { kind: "final", body: [Buffer.concat(parts)] });
}

function count(state: State, request: Request): void {
  const { service, arrivedMs } = request;
  state.counters.replies += 1;
  service.totals.replies += 1;
  if (!isStream(request)) noteLatency(service, state.nowMs - arrivedMs);
}

/** How long somebody watches says nothing of how fast the service is. */
function isStream({ hasParts, flags, client }: Request): boolean {
  if (hasParts) return true;
  const isAsked = (flags & plant.flag.partials) !== 0;
  // Other dialects have no word by which a client could say that it wants no parts.
  return isAsked && (client === undefined || abilities[client.peer.dialect].credit);
}
