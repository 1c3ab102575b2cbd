// Peers as they come, fall out of line and go. It must not know sockets or what bodies mean.
import { abilities, encodeToClient, type FromPeer, type ToWorker } from "../mdp/mdp.ts";
import type { Refusal } from "./answers.ts";
import { answerUnmet } from "./asking.ts";
import { isInternal } from "./mmi.ts";
import { abandon, expire, loseWork, pump } from "./requests.ts";
import { forgetPeer, handOver, makeRoomForPeer, serviceFor, settle, shareOf } from "./room.ts";
import {
  answeredHead,
  countRefusal,
  countRefused,
  errorOf,
  limitError,
  sendAway,
  tell,
} from "./speech.ts";
import type { Client, Door, Peer, Right, Service, State, Worker } from "./state.ts";

const noRight: Right = {
  name: "",
  isInternal: false,
  reach: "none",
  operations: undefined,
  service: undefined,
  denied: undefined,
};
const heartbeat: ToWorker = { kind: "heartbeat" };

/** Remembers a peer by its first message; nothing where there is no room for it. */
export function meet(
  state: State,
  from: { readonly peer: string; readonly door: Door },
  heard: FromPeer,
): Peer | undefined {
  const { dialect, side } = heard;
  const { principal, endpoint } = from.door;
  const share = shareOf(state, principal);
  if (!makeRoomForPeer(state, share)) {
    if (!answerUnmet(state, { name: from.peer, dialect }, heard)) refuseUnmet(state, from, heard);
    return undefined;
  }
  const peer: Peer = {
    name: from.peer,
    share,
    isTold: !endpoint.startsWith("tcp:"),
    dialect,
    side,
    client: undefined,
    worker: undefined,
    bannedUntilMs: 0,
  };
  if (side === "client") {
    peer.client = newClient(peer);
    state.clients += 1;
  }
  state.peers.set(peer.name, peer);
  share.peers += 1;
  return peer;
}

function newClient(peer: Peer): Client {
  return {
    peer,
    open: [],
    byId: abilities[peer.dialect].cancel ? new Map() : undefined,
    right: noRight,
    rights: undefined,
    bytes: 0,
    isSlow: false,
    slowBytes: 0,
    slowMessages: 0,
  };
}

/** There is no room for a peer; it hears so where its dialect has words. */
function refuseUnmet(
  state: State,
  from: { readonly peer: string; readonly door: Door },
  { dialect, side, message }: FromPeer,
): void {
  const about = { reason: "peers", dialect, service: undefined, trace: undefined } as const;
  countRefusal(state, from.door, about);
  const error = limitError(state, "peers", state.settings.peersMax);
  if (side === "worker") {
    sendAway(state, { name: from.peer, dialect }, error);
    return;
  }
  if (message.kind !== "request") return;
  const { service } = message;
  const head = answeredHead(message.head);
  const frames = encodeToClient(dialect, { kind: "error", service, head, error });
  if (frames !== undefined) state.effects.send(from.peer, frames);
}

/**
 * A peer is out: what it was doing is over, and nothing it says is heard while its connection
 * stands. Where nobody tells when that is over, it ends after the liveness of a worker.
 */
export function ban(state: State, peer: Peer): void {
  if (peer.worker !== undefined) removeWorker(state, peer.worker);
  const { client } = peer;
  if (client !== undefined) {
    dropClient(state, client);
    peer.client = undefined;
    state.clients -= 1;
  }
  const { livenessMs } = state.settings;
  peer.bannedUntilMs = peer.isTold ? Number.POSITIVE_INFINITY : state.nowMs + livenessMs;
}

/** A command out of its place, or one that is refused: DISCONNECT, and silence. */
export function refusePeer(
  state: State,
  peer: Peer,
  about: { readonly reason: Refusal; readonly service?: string; readonly error?: Uint8Array },
): void {
  countRefused(state, peer, about.reason, about.service);
  ban(state, peer);
  if (peer.side === "worker") sendAway(state, peer, about.error);
}

/** A peer that speaks otherwise than before: it is out, in the words it used as a worker. */
export function refuseChange(state: State, peer: Peer, heard: FromPeer): void {
  refusePeer(state, peer, { reason: "place" });
  if (peer.side === "worker" || heard.side === "client") return;
  sendAway(state, { name: peer.name, dialect: heard.dialect });
}

/** A worker offers a service. */
export function register(
  state: State,
  peer: Peer,
  ready: { readonly service: string; readonly concurrency: number },
): void {
  const { service: name, concurrency } = ready;
  if (peer.worker !== undefined) {
    refusePeer(state, peer, { reason: "place", service: name });
    return;
  }
  const { principal } = peer.share;
  const isOurs = isInternal(name);
  if (isOurs || !state.about.admits.mayServe(principal, name)) {
    const error = errorOf("DENIED", { principal, service: name, to: "serve" });
    refusePeer(state, peer, { reason: isOurs ? "place" : "denied", service: name, error });
    return;
  }
  const giveUp = (service: Service) => giveUpService(state, service);
  const service = serviceFor(state, peer.share, { name, giveUp });
  if (service === undefined) {
    const error = limitError(state, "services", state.settings.servicesMax);
    refusePeer(state, peer, { reason: "services", service: name, error });
    return;
  }
  const worker = newWorker(peer, service, concurrency);
  worker.heardMs = state.nowMs;
  peer.worker = worker;
  state.workers.add(worker);
  service.workers.add(worker);
  service.idle.append(worker);
  service.wasServed = true;
  handOver(service, peer.share);
  settle(state, service);
  beat(state, worker);
  watchSooner(state);
  pump(state, service);
}

/** A worker is new: it is looked at as often as it must, also where there was none before. */
function watchSooner(state: State): void {
  const atMs = state.nowMs + state.settings.heartbeatMs / 4;
  state.watchMs = Math.min(state.watchMs, atMs);
  state.wakeMs = Math.min(state.wakeMs, atMs);
}

function newWorker(peer: Peer, service: Service, concurrency: number): Worker {
  return {
    peer,
    service,
    concurrency,
    active: [],
    abandoned: 0,
    heardMs: 0,
    saidMs: 0,
    workingMs: 0,
    isSuspect: false,
    isLeaving: false,
    isSlow: false,
    holds: 0,
    heldMs: 0,
    canPause: true,
    before: undefined,
    after: undefined,
    isLinked: false,
  };
}

/** A sign of life for a worker. */
export function beat(state: State, worker: Worker): void {
  tell(state, worker, heartbeat);
}

/** Ends all that waits for a service nobody serves. */
function giveUpService(state: State, service: Service): void {
  for (const turn of service.turns) {
    for (const request of turn.waiting) expire(state, request);
  }
}

/** A worker serves no more; what it was working on goes to another or is lost. */
function removeWorker(state: State, worker: Worker): void {
  const { service, peer } = worker;
  peer.worker = undefined;
  state.workers.delete(worker);
  service.workers.delete(worker);
  service.idle.remove(worker);
  loseWork(state, worker);
  if (service.workers.size === 0) settle(state, service);
}

/** A worker that is gone or silent; its peer may come again. */
export function loseWorker(state: State, worker: Worker): void {
  state.counters.workersLost += 1;
  removeWorker(state, worker);
  forgetPeer(state, worker.peer);
}

/** Nobody waits for what a client asked. */
export function dropClient(state: State, client: Client): void {
  for (let request = client.open[0]; request !== undefined; request = client.open[0]) {
    abandon(state, request);
  }
}
