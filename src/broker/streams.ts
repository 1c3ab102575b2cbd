// Replies in parts: passed on or joined, and paced so that a slow reader slows its own stream only.
// It must not know sockets, clocks, or what parts mean.
import { abilities, type Frames, plant, sizeOf } from "../mdp/mdp.ts";
import { slowPart } from "../wire/wire.ts";
import { holdWorker, letGo } from "./pauses.ts";
import { letBodyGo, own, stop } from "./requests.ts";
import { bytesRefusal, holdBytes } from "./room.ts";
import { headOf, limitError, reply, sayFailed, tell } from "./speech.ts";
import {
  type Client,
  type Request,
  type State,
  type Stream,
  sendBytesMax,
  sendQueueMax,
} from "./state.ts";

const window = plant.creditAtStart;
/** Parts beyond a client's credit that are passed on where a worker cannot be paused. */
const excessMax = 4 * window;
/** What a frame that is kept to be joined counts beside its bytes: it costs time to send, too. */
const frameBytes = 1024;
/** Part of the queue of a client that may still be filled once it is slow, */
const restPart = 1 - slowPart;
/** and what is kept of it for last words. */
const sparePart = 1 / 8;

/** Passes a part on, if anybody wants it. */
export function passPart(state: State, request: Request, body: Frames): void {
  const { client, service, flags } = request;
  if (client === undefined || (flags & plant.flag.partials) === 0) return;
  request.stream ??= newStream();
  const { stream } = request;
  state.counters.partials += 1;
  service.totals.partials += 1;
  if (abilities[client.peer.dialect].partials) {
    if (!request.hasParts) {
      request.hasParts = true;
      letBodyGo(state, request);
    }
    reply(state, request, { kind: "partial", body });
    stream.credit -= 1;
    stream.bytes += sizeOf(body);
  } else if (!join(state, request, stream, body)) {
    cut(state, request, state.settings.messageBytesMax);
    return;
  }
  pace(state, request, stream);
}

function newStream(): Stream {
  return { credit: window, owed: 0, bytes: 0, isHolding: false, joined: undefined, joinedBytes: 0 };
}

/** Keeps a part to be joined into the last reply; false where there is no room. */
function join(state: State, request: Request, stream: Stream, body: Frames): boolean {
  const { client } = request;
  const size = sizeOf(body) + frameBytes * body.length;
  if (client === undefined || bytesRefusal(state, client, size) !== undefined) return false;
  stream.joined ??= [];
  for (const frame of body) stream.joined.push(own(frame));
  stream.joinedBytes += size;
  stream.bytes += size;
  holdBytes(state, request, size);
  return true;
}

/** The last reply with the parts before it; nothing where it is too large. */
export function joinedBody(state: State, request: Request, body: Frames): Frames | undefined {
  const { stream } = request;
  if (stream?.joined === undefined) return body;
  const size = stream.joinedBytes + sizeOf(body);
  if (size > state.settings.messageBytesMax) return undefined;
  return [...stream.joined, ...body];
}

/** Whether the client says how many parts it takes. */
function grants({ client, flags }: Request): boolean {
  if (client === undefined || (flags & plant.flag.credit) === 0) return false;
  return abilities[client.peer.dialect].credit;
}

/** Whether the worker sends no more than it is granted. */
function isPaced({ worker }: Request): boolean {
  return worker !== undefined && abilities[worker.peer.dialect].credit;
}

function pace(state: State, request: Request, stream: Stream): void {
  const { client, worker } = request;
  if (client === undefined || worker === undefined) return;
  if (isPaced(request) && !grants(request)) {
    stream.owed += 1;
    grantOwed(state, request, stream);
  }
  if (mustHold(request, client, stream)) holdWorker(state, request, stream);
  else if (isPaced(request) && overflows(state, client)) cut(state, request, sendQueueMax);
  if (!stream.isHolding) return;
  const isOverdrawn = !worker.canPause && grants(request) && stream.credit < -excessMax;
  if (isOverdrawn) cut(state, request, excessMax);
  else if (overflows(state, client)) cut(state, request, sendQueueMax);
}

/**
 * Grants what is owed, while the client reads: for a client that cannot grant, in halves of what a
 * stream starts with.
 */
function grantOwed(state: State, request: Request, stream: Stream): void {
  const { client, worker, service } = request;
  if (worker === undefined || client?.isSlow !== false || stream.owed === 0) return;
  const isLittle = stream.owed < window / 2 && stream.bytes < plant.creditBytes / 2;
  if (isLittle && !grants(request)) return;
  const credit = stream.owed;
  stream.owed = 0;
  stream.bytes = 0;
  tell(state, worker, {
    kind: "credit",
    service: service.name,
    head: headOf(state, request),
    credit,
  });
}

/**
 * Whether no more parts should come for now. A worker of ours serves others meanwhile, so it is
 * held only if it does not wait for credit itself.
 */
function mustHold(request: Request, client: Client, stream: Stream): boolean {
  if (isPaced(request)) return grants(request) && stream.credit < 0;
  if (client.isSlow) return true;
  return grants(request) && (stream.credit < 1 || stream.bytes >= plant.creditBytes);
}

/** Whether the next message for a client that does not read may find no room. */
export function overflows({ settings }: State, client: Client): boolean {
  if (!client.isSlow) return false;
  const { slowMessages, slowBytes } = client;
  const restBytes = restPart * sendBytesMax - settings.messageBytesMax;
  const roomBytes = Math.max(sparePart * sendBytesMax, restBytes);
  return slowMessages > (restPart - sparePart) * sendQueueMax || slowBytes > roomBytes;
}

/** Ends a stream nobody reads: the client hears why, the worker is told to stop. */
export function cut(state: State, request: Request, max: number): void {
  state.counters.streamsCut += 1;
  sayFailed(state, request, limitError(state, "parts of a stream that are not read", max));
  stop(state, request);
}

/**
 * The client takes more parts: not more than it was sent, so that one who grants and never reads
 * has no more on its way than any other.
 */
export function credit(state: State, request: Request, more: number): void {
  const { client, stream } = request;
  if (client === undefined || stream === undefined || !grants(request)) return;
  const granted = Math.min(more, window - stream.credit);
  if (granted <= 0) return;
  stream.credit += granted;
  stream.owed += granted;
  if (isPaced(request)) grantOwed(state, request, stream);
  else stream.bytes = 0;
  if (stream.isHolding && !mustHold(request, client, stream)) letGo(state, request);
}

/** Much waits to be sent to a client. */
export function slowDown(client: Client): void {
  client.isSlow = true;
  client.slowBytes = 0;
  client.slowMessages = 0;
}

/** Little waits for a client any more: its streams go on. */
export function speedUp(state: State, client: Client): void {
  client.isSlow = false;
  for (const request of client.open) {
    const { stream } = request;
    if (stream === undefined) continue;
    if (isPaced(request)) grantOwed(state, request, stream);
    if (stream.isHolding && !mustHold(request, client, stream)) letGo(state, request);
  }
}

/** Ends the streams for which a worker was held too long. */
export function cutHeld(state: State, held: readonly Request[]): void {
  for (const request of [...held]) {
    if (request.stream?.isHolding === true) cut(state, request, window);
  }
}
