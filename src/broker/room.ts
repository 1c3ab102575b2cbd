// Who may take how much of the broker's room: peers, services, bytes that are held.
// It must not know messages.
import { Latency } from "./latency.ts";
import { LinkedList } from "./linked-list.ts";
import {
  type Client,
  newShare,
  type Peer,
  placesMax,
  type Request,
  type Service,
  type Share,
  type State,
} from "./state.ts";

/** What all requests may hold, in messages of the largest size; one client may hold one. */
const largestHeldMax = 4;
/** Peers or services looked at, at most, to find one that makes room. */
const looksMax = 16;
/** Open requests of all clients, where the limits of one client or queue are no higher. */
const openMax = 65_536;

type Kind = "peers" | "services" | "requests" | "bytes";

/** The share of a principal. */
export function shareOf(state: State, principal: string): Share {
  let share = state.shares.get(principal);
  if (share === undefined) {
    share = newShare(principal, 0);
    state.shares.set(principal, share);
  }
  return share;
}

/** What there is of a kind in all. */
export function roomOf(state: State, kind: Kind): number {
  const { peersMax, servicesMax, messageBytesMax, requestsPerPeerMax, queueMax } = state.settings;
  switch (kind) {
    case "peers":
      return peersMax;
    case "services":
      return servicesMax;
    case "requests":
      return Math.min(placesMax, Math.max(openMax, 2 * requestsPerPeerMax, 2 * queueMax));
    case "bytes":
      return largestHeldMax * messageBytesMax;
  }
}

function usedOf(state: State, kind: Kind): number {
  switch (kind) {
    case "peers":
      return state.peers.size;
    case "services":
      return state.services.size;
    case "requests":
      return state.open;
    case "bytes":
      return state.bytes;
  }
}

/** Whether a principal may take so much more: nobody takes what is set aside for others. */
function hasRoom(state: State, share: Share, want: { kind: Kind; more: number }): boolean {
  const { kind, more } = want;
  const room = roomOf(state, kind);
  const wanted = usedOf(state, kind) + more;
  if (wanted > room) return false;
  if (wanted <= room / 2 || isWithin(share, { kind, more }, room)) return true;
  let kept = 0;
  for (const other of state.shares.values()) {
    if (other !== share) kept += Math.max(0, Math.floor(other.reserve * room) - other[kind]);
  }
  return wanted + kept <= room;
}

function isWithin(share: Share, { kind, more }: { kind: Kind; more: number }, room: number) {
  return share[kind] + more <= Math.floor(share.reserve * room);
}

/** Whether something of another's may go to make room for this principal. */
function mayGoFor(state: State, share: Share, kind: Kind, owner: Share): boolean {
  return owner === share || !isWithin(owner, { kind, more: 0 }, roomOf(state, kind));
}

/** Makes room for a peer by forgetting one that wants nothing; false where there is none. */
export function makeRoomForPeer(state: State, share: Share): boolean {
  let looks = 0;
  while (!hasRoom(state, share, { kind: "peers", more: 1 })) {
    const [peer] = state.peers.values();
    looks += 1;
    if (peer === undefined || looks > looksMax) return false;
    const isIdle = peer.bannedUntilMs > 0 || peer.client?.open.length === 0;
    if (isIdle && mayGoFor(state, share, "peers", peer.share)) forgetPeer(state, peer);
    else {
      state.peers.delete(peer.name);
      state.peers.set(peer.name, peer);
    }
  }
  return true;
}

/** Remembers a peer no longer. */
export function forgetPeer(state: State, peer: Peer): void {
  if (!state.peers.delete(peer.name)) return;
  peer.share.peers -= 1;
  if (peer.client !== undefined) state.clients -= 1;
}

/**
 * A service by name, made when absent; nothing when there is no room for another.
 * @param giveUp what to do with a service nobody serves but some wait for, to make room.
 */
export function serviceFor(
  state: State,
  share: Share,
  want: { readonly name: string; readonly giveUp?: (service: Service) => void },
): Service | undefined {
  const known = state.services.get(want.name);
  if (known !== undefined) return known;
  if (!makeRoomForService(state, share, want.giveUp)) return undefined;
  const service = newService(state, share, want.name);
  state.services.set(service.name, service);
  share.services += 1;
  settle(state, service);
  return service;
}

function makeRoomForService(
  state: State,
  share: Share,
  giveUp: ((service: Service) => void) | undefined,
): boolean {
  const hasSome = () => hasRoom(state, share, { kind: "services", more: 1 });
  const drop = (candidates: Set<Service>) => {
    let looks = 0;
    for (const service of candidates) {
      looks += 1;
      if (looks > looksMax || hasSome()) return;
      if (!mayGoFor(state, share, "services", service.share)) continue;
      giveUp?.(service);
      forgetService(state, service);
    }
  };
  if (!hasSome()) drop(state.unused);
  if (!hasSome() && giveUp !== undefined) drop(state.unserved);
  return hasSome();
}

function newService(state: State, share: Share, name: string): Service {
  return {
    name,
    policy: state.policyOf(name),
    share,
    workers: new Set(),
    idle: new LinkedList(),
    turns: new LinkedList(),
    turnByClient: new Map(),
    fullest: undefined,
    queued: 0,
    queuedByShare: new Map(),
    busy: 0,
    wasServed: false,
    isForgotten: false,
    latency: undefined,
    errors: new Map(),
    totals: {
      requests: 0,
      replies: 0,
      partials: 0,
      retries: 0,
      expired: 0,
      lost: 0,
      cancelled: 0,
      queueFull: 0,
    },
  };
}

function forgetService(state: State, service: Service): void {
  service.isForgotten = true;
  service.share.services -= 1;
  state.services.delete(service.name);
  state.unserved.delete(service);
  state.unused.delete(service);
}

/** Whoever serves a service answers for its place. */
export function handOver(service: Service, share: Share): void {
  service.share.services -= 1;
  service.share = share;
  share.services += 1;
}

/** Notes whether a service is served and waited for. */
export function settle(state: State, service: Service): void {
  const isServed = service.workers.size > 0;
  if (isServed) state.unserved.delete(service);
  else state.unserved.add(service);
  if (isServed || service.queued > 0) state.unused.delete(service);
  else state.unused.add(service);
}

/** Notes how long a request took. */
export function noteLatency(service: Service, ms: number): void {
  service.latency ??= new Latency();
  service.latency.note(ms);
}

/** The bound of open requests that one more of a principal would break; 0 for none. */
export function requestsRefusal(state: State, share: Share): number {
  const isRoomy = hasRoom(state, share, { kind: "requests", more: 1 });
  if (isRoomy && state.dispatched + state.queued < placesMax) return 0;
  return roomOf(state, "requests");
}

/** Which bound of held bytes one more body would break, or nothing. */
export function bytesRefusal(
  state: State,
  client: Client,
  size: number,
): { readonly limit: string; readonly max: number } | undefined {
  const { messageBytesMax } = state.settings;
  if (client.bytes + size > messageBytesMax) {
    return { limit: "bytes of the open requests of a client", max: messageBytesMax };
  }
  if (hasRoom(state, client.peer.share, { kind: "bytes", more: size })) return undefined;
  return { limit: "bytes of all open requests", max: roomOf(state, "bytes") };
}

/** Accounts for bytes a request holds. */
export function holdBytes(state: State, request: Request, bytes: number): void {
  const { client } = request;
  request.heldBytes += bytes;
  state.bytes += bytes;
  if (client === undefined) return;
  client.bytes += bytes;
  client.peer.share.bytes += bytes;
}

/** Gives back all bytes a request holds. */
export function freeBytes(state: State, request: Request): void {
  if (request.heldBytes > 0) holdBytes(state, request, -request.heldBytes);
}
