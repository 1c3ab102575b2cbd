// Who gives way where the queue of a service is full: nobody fills it against all others.
// It must not know how requests are sent, nor what bodies mean.
import { stop } from "./requests.ts";
import { countRefused, sayFailed, serviceError } from "./speech.ts";
import type { Client, Service, Share, State, Turn } from "./state.ts";

/** Clients looked at, at most, to find the one with most requests. */
const looksMax = 16;

/**
 * Makes room for one more request of a client in a full queue, by refusing the newest of another:
 * of the principal with most, while this one has less than what is set aside for it; or of a
 * client that has more than half of the queue, where this one has nothing in it.
 * @returns false where nobody gives way.
 */
export function crowdIn(state: State, client: Client, service: Service): boolean {
  const turn = turnThatGivesWay(client, service);
  const request = turn?.waiting.last;
  if (turn === undefined || request === undefined || request.attempts > 0) return false;
  service.totals.queueFull += 1;
  countRefused(state, turn.client.peer, "queue", service.name);
  sayFailed(state, request, serviceError(service, "QUEUE_FULL"));
  stop(state, request);
  return true;
}

function turnThatGivesWay(client: Client, service: Service): Turn | undefined {
  const { share } = client.peer;
  const { fullest } = service;
  const waiting = service.queuedByShare.get(share) ?? 0;
  if (waiting < setAside(service, share)) {
    const richest = richestOf(service);
    if (richest !== undefined && richest !== share) return longestOf(service, richest);
  }
  if (fullest === undefined || service.turnByClient.has(client)) return undefined;
  return 2 * fullest.count > service.policy.queueMax && fullest.count > 1 ? fullest : undefined;
}

/** Places of a queue that are set aside for a principal. */
function setAside({ policy }: Service, { reserve }: Share): number {
  return reserve === 0 ? 0 : Math.max(1, Math.floor(reserve * policy.queueMax));
}

/** The principal with most requests waiting, if that is more than is set aside for it. */
function richestOf(service: Service): Share | undefined {
  let richest: Share | undefined;
  let most = 0;
  for (const [share, count] of service.queuedByShare) {
    if (count <= most || count <= setAside(service, share)) continue;
    richest = share;
    most = count;
  }
  return richest;
}

/** Of the clients of a principal whose turn is last, the one with most requests. */
function longestOf({ turns }: Service, share: Share): Turn | undefined {
  let longest: Turn | undefined;
  let looks = 0;
  for (let turn = turns.last; turn !== undefined && looks < looksMax; turn = turn.before) {
    if (turn.client.peer.share !== share) continue;
    looks += 1;
    if (turn.count > (longest?.count ?? 0)) longest = turn;
  }
  return longest;
}
