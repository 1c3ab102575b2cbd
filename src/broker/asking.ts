// What clients say: requests, the checks they pass, cancelling, credit.
// It must not know sockets, clocks, or what bodies mean beside the name of an operation.
import {
  abilities,
  type Dialect,
  encodeToClient,
  type Frames,
  type FromClient,
  type FromPeer,
  sizeOf,
} from "../mdp/mdp.ts";
import type { Refusal } from "./answers.ts";
import { crowdIn } from "./crowding.ts";
import { answerInternal, isInternal } from "./mmi.ts";
import { enqueue } from "./queue.ts";
import { abandon, dispatch, newRequest } from "./requests.ts";
import { bytesRefusal, requestsRefusal, serviceFor } from "./room.ts";
import {
  answeredHead,
  countRefusal,
  countRefused,
  errorOf,
  limitError,
  sayError,
  serviceError,
} from "./speech.ts";
import { type Client, type Right, type Service, type State, sendQueueMax } from "./state.ts";
import { credit, overflows } from "./streams.ts";

type Asked = Extract<FromClient, { kind: "request" }>;

/** Services a client is remembered to have asked. */
const rightsMax = 64;
/** Longest name of an operation that rights may depend on. */
const operationBytesMax = 255;

/** Takes what a client says. */
export function hearClient(state: State, client: Client, message: FromClient): void {
  if (message.kind === "request") {
    ask(state, client, message);
    return;
  }
  const request = client.byId?.get(message.head.id);
  if (request === undefined) return;
  if (message.kind === "credit") credit(state, request, message.credit);
  else abandon(state, request);
}

function ask(state: State, client: Client, asked: Asked): void {
  state.counters.requests += 1;
  const { service: name, head, body } = asked;
  if (client.byId?.has(head.id) === true) {
    countRefused(state, client.peer, "place", name);
    return;
  }
  const right = rightOf(state, client, name);
  if (right.isInternal) {
    answer(state, client.peer, asked);
    return;
  }
  if (!mayCall(state, client, right, body)) {
    right.denied ??= errorOf("DENIED", { principal: client.peer.share.principal, service: name });
    refuse(state, client, asked, { reason: "denied", error: right.denied });
    return;
  }
  const size = sizeOf(body);
  state.counters.bytesIn += size;
  if (!isWithinLimits(state, client, asked, size)) return;
  const service = serviceOf(state, client, right);
  if (service === undefined) {
    const error = limitError(state, "services", state.settings.servicesMax);
    refuse(state, client, asked, { reason: "services", error });
    return;
  }
  service.totals.requests += 1;
  admit(state, client, { asked, service, size });
}

/** The right of a client at a service, asked for once. */
function rightOf(state: State, client: Client, name: string): Right {
  if (client.right.name === name) return client.right;
  let right = client.rights?.get(name);
  if (right === undefined) {
    right = newRight(state, client, name);
    if (client.right.name !== "") {
      if (client.rights === undefined || client.rights.size >= rightsMax) {
        client.rights = new Map([[client.right.name, client.right]]);
      }
      client.rights.set(name, right);
    }
  }
  client.right = right;
  return right;
}

function newRight(state: State, client: Client, name: string): Right {
  const internal = isInternal(name);
  const { admits } = state.about;
  return {
    name,
    isInternal: internal,
    reach: internal ? "all" : admits.mayCall(client.peer.share.principal, name),
    operations: undefined,
    service: undefined,
    denied: undefined,
  };
}

function mayCall(state: State, client: Client, right: Right, body: Frames): boolean {
  if (right.reach !== "some") return right.reach === "all";
  const operation = operationOf(body[0]);
  if (right.operations?.has(operation) === true) return true;
  const { admits } = state.about;
  if (!admits.mayCallOperation(client.peer.share.principal, right.name, operation)) return false;
  right.operations ??= new Set(); // of those that may be called, which are few
  right.operations.add(operation);
  return true;
}

/** The first frame of a body as text, where it can be the name of an operation. */
function operationOf(frame: Uint8Array | undefined): string {
  if (frame === undefined || frame.length > operationBytesMax) return "";
  for (const byte of frame) if (byte < 0x20 || byte > 0x7e) return "";
  return Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength).toString("latin1");
}

/** Whether a request keeps the bounds of one message and one client; if not, it is refused. */
function isWithinLimits(state: State, client: Client, asked: Asked, size: number): boolean {
  const { messageBytesMax, framesMax, requestsPerPeerMax } = state.settings;
  if (size > messageBytesMax) {
    const error = errorOf("MESSAGE_TOO_LARGE", { size, max: messageBytesMax });
    return refuse(state, client, asked, { reason: "size", error });
  }
  if (asked.body.length > framesMax) {
    const error = limitError(state, "frames in a message", framesMax);
    return refuse(state, client, asked, { reason: "frames", error });
  }
  if (client.open.length >= requestsPerPeerMax) {
    const error = limitError(state, "open requests", requestsPerPeerMax);
    return refuse(state, client, asked, { reason: "requests", error });
  }
  if (overflows(state, client)) {
    const error = limitError(state, "messages a client has not read", sendQueueMax);
    return refuse(state, client, asked, { reason: "requests", error });
  }
  const openMax = requestsRefusal(state, client.peer.share);
  if (openMax > 0) {
    const error = limitError(state, "open requests of all clients", openMax);
    return refuse(state, client, asked, { reason: "requests", error });
  }
  return true;
}

function serviceOf(state: State, client: Client, right: Right): Service | undefined {
  const { service } = right;
  if (service !== undefined && !service.isForgotten) return service;
  right.service = serviceFor(state, client.peer.share, { name: right.name });
  return right.service;
}

/** Hands the request to a worker at once, or lets it wait where there is room for it. */
function admit(
  state: State,
  client: Client,
  about: { readonly asked: Asked; readonly service: Service; readonly size: number },
): void {
  const { asked, service, size } = about;
  const { head } = asked;
  if (head.remainingMs === 0) {
    state.counters.expired += 1;
    service.totals.expired += 1;
    sayError(state, client, {
      service: service.name,
      head,
      error: serviceError(service, "EXPIRED"),
    });
    return;
  }
  const worker = service.queued === 0 ? service.idle.first : undefined;
  const isFull = worker === undefined && service.queued >= service.policy.queueMax;
  if (isFull && !crowdIn(state, client, service)) {
    service.totals.queueFull += 1;
    const error = serviceError(service, "QUEUE_FULL");
    refuse(state, client, asked, { reason: "queue", error });
    return;
  }
  if (worker === undefined || service.policy.retry === "if-lost") {
    const over = bytesRefusal(state, client, size);
    if (over !== undefined) {
      const error = limitError(state, over.limit, over.max);
      refuse(state, client, asked, { reason: "bytes", error });
      return;
    }
  }
  const request = newRequest(state, client, { service, head, body: asked.body });
  if (worker === undefined) enqueue(state, request);
  else dispatch(state, worker, request);
}

function refuse(
  state: State,
  client: Client,
  { service, head }: Asked,
  about: { readonly reason: Refusal; readonly error: Uint8Array },
): false {
  const { dialect, share } = client.peer;
  const trace = abilities[dialect].errors ? head.trace : undefined;
  countRefusal(state, share, { reason: about.reason, dialect, service, trace });
  sayError(state, client, { service, head, error: about.error });
  return false;
}

/**
 * Answers a question to the broker itself by a peer there may be no room for.
 * @returns false where it asks something else.
 */
export function answerUnmet(
  state: State,
  { name, dialect }: { readonly name: string; readonly dialect: Dialect },
  { message }: FromPeer,
): boolean {
  if (message.kind !== "request" || !isInternal(message.service)) return false;
  state.counters.requests += 1;
  answer(state, { name, dialect }, message);
  return true;
}

/** Answers a question to the broker itself. */
function answer(
  state: State,
  { name, dialect }: { readonly name: string; readonly dialect: Dialect },
  { service, head, body }: Asked,
): void {
  const answered = answeredHead(head);
  const frames = encodeToClient(dialect, {
    kind: "final",
    service,
    head: answered,
    body: answerInternal(state, service, body),
  });
  state.counters.replies += 1;
  if (frames !== undefined) state.effects.send(name, frames);
}
