// The broker's decisions: what each message, loss and moment of time leads to.
// It must not know sockets, clocks, or what bodies mean.
import {
  type Dialect,
  decodeFromPeer,
  encodeToClient,
  encodeToWorker,
  type Frames,
  type FromClient,
  type FromWorker,
  type Head,
  plant,
  sizeOf,
} from "../mdp/mdp.ts";
import type { Code } from "../util/catalogue.ts";
import { type Detail, hasCode } from "../util/errors.ts";
import { answerInternal, isInternal } from "./mmi.ts";
import {
  answer,
  detach,
  enqueue,
  makeRoomForService,
  pump,
  refuse,
  release,
  removeWorker,
  tellWorker,
  withdraw,
} from "./queue.ts";
import {
  bytesRefusal,
  type Client,
  type Effect,
  hasRoomForPeer,
  type Request,
  type Service,
  type State,
  serviceNamed,
  type Worker,
} from "./state.ts";
import { beat, watch } from "./watch.ts";

/** What happens to the broker; times are monotonic. */
export type Input =
  | {
      readonly kind: "message";
      readonly peer: string;
      /** Who comes in by the peer's listener. */
      readonly principal: string;
      readonly frames: Frames;
      readonly nowMs: number;
    }
  | { readonly kind: "gone"; readonly peer: string; readonly nowMs: number }
  | { readonly kind: "tick"; readonly nowMs: number };

type Message = Extract<Input, { kind: "message" }>;

/** Changes the state and returns what is to be sent, in order. Never throws for any input. */
export function step(state: State, input: Input): Effect[] {
  state.nowMs = input.nowMs;
  state.effects = [];
  switch (input.kind) {
    case "message":
      receive(state, input);
      break;
    case "gone":
      forget(state, input.peer);
      break;
    case "tick":
      watch(state);
  }
  return state.effects;
}

function receive(state: State, input: Message): void {
  const { peer, frames } = input;
  state.counters.messages += 1;
  const worker = state.workers.get(peer);
  if (worker !== undefined) {
    worker.heardMs = state.nowMs;
    worker.isSuspect = false;
  }
  try {
    const heard = decodeFromPeer(frames);
    const { dialect } = heard;
    if (heard.side === "client") hearClient(state, input, dialect, heard.message);
    else hearWorker(state, input, { worker, dialect, message: heard.message });
  } catch (error) {
    if (!hasCode(error, "FRAME_MALFORMED")) throw error;
    state.counters.malformed += 1;
  }
}

interface Asking {
  readonly dialect: Dialect;
  readonly key: number;
  readonly service: string;
  readonly body: Frames;
  readonly head: Head;
}

function hearClient(state: State, input: Message, dialect: Dialect, message: FromClient): void {
  const { head, service } = message;
  if (message.kind === "request") {
    const key = dialect === "plant" ? head.id : -state.nextId;
    ask(state, input, { dialect, key, service, body: message.body, head });
    return;
  }
  const request = state.clients.get(input.peer)?.open.get(head.id);
  if (request === undefined) return;
  if (message.kind === "credit") tellWorker(state, request, message);
  else abandon(state, request);
}

/** The client gave up: a waiting request goes, a running one is told to stop. */
function abandon(state: State, request: Request): void {
  state.counters.cancelled += 1;
  if (request.worker === undefined) {
    withdraw(state, request);
    return;
  }
  detach(state, request);
  tellWorker(state, request, { kind: "cancel" });
}

const nobody: Service = {
  name: "",
  workers: new Set(),
  idle: new Set(),
  queues: new Map(),
  queued: 0,
  nearestMs: Number.POSITIVE_INFINITY,
  wasServed: false,
};

function ask(state: State, input: Message, asking: Asking): void {
  const { settings, counters } = state;
  counters.requests += 1;
  const client = state.clients.get(input.peer) ?? {
    peer: input.peer,
    open: new Map(),
    bytes: 0,
  };
  if (client.open.has(asking.key)) {
    counters.outOfPlace += 1;
    return;
  }
  const internal = isInternal(asking.service);
  const request = requestOf(state, client, asking, { ...nobody, name: asking.service });
  const refusal = refusalOf(state, input, asking, client);
  if (refusal !== undefined) {
    refuse(state, request, ...refusal);
    return;
  }
  if (internal) {
    answer(state, request, {
      kind: "final",
      body: answerInternal(state, asking.service, asking.body),
    });
    return;
  }
  const service = serviceNamed(state, asking.service);
  if (service === undefined) {
    counters.limited += 1;
    refuse(state, request, "LIMIT_REACHED", { limit: "services", max: settings.servicesMax });
    return;
  }
  if (service.queued >= settings.queueMax) {
    counters.queueFull += 1;
    const detail = { service: service.name, max: settings.queueMax };
    refuse(state, request, "QUEUE_FULL", detail);
    return;
  }
  const accepted = requestOf(state, client, asking, service);
  state.nextId += 1;
  client.open.set(asking.key, accepted);
  client.bytes += accepted.bytes;
  state.bytes += accepted.bytes;
  state.clients.set(client.peer, client);
  enqueue(state, accepted);
}

function requestOf(state: State, client: Client, asking: Asking, service: Service): Request {
  const { head, dialect, key, body } = asking;
  const { nowMs, settings } = state;
  const hasDeadline = head.remainingMs !== plant.noDeadline;
  const dueMs = hasDeadline ? nowMs + head.remainingMs : Number.POSITIVE_INFINITY;
  return {
    id: state.nextId,
    client,
    key,
    dialect,
    service,
    body,
    bytes: sizeOf(body),
    trace: head.trace,
    flags: head.flags,
    dueMs,
    queueDueMs: hasDeadline ? dueMs : nowMs + settings.requestTtlMs,
    worker: undefined,
    isOver: false,
  };
}

function refusalOf(
  state: State,
  input: Message,
  asking: Asking,
  client: Client,
): [Code, Detail] | undefined {
  const { settings, counters } = state;
  const size = sizeOf(asking.body);
  if (size > settings.messageBytesMax) {
    counters.limited += 1;
    return ["MESSAGE_TOO_LARGE", { size, max: settings.messageBytesMax }];
  }
  if (asking.body.length > settings.framesMax) {
    counters.limited += 1;
    return ["LIMIT_REACHED", { limit: "frames in a message", max: settings.framesMax }];
  }
  if (client.open.size >= settings.requestsPerPeerMax) {
    counters.limited += 1;
    return ["LIMIT_REACHED", { limit: "open requests", max: settings.requestsPerPeerMax }];
  }
  if (client.open.size === 0 && !hasRoomForPeer(state)) {
    counters.limited += 1;
    return ["LIMIT_REACHED", { limit: "peers", max: settings.peersMax }];
  }
  const tooMuch = bytesRefusal(state, client, size);
  if (tooMuch !== undefined) {
    counters.limited += 1;
    return ["LIMIT_REACHED", tooMuch];
  }
  const { principal } = input;
  if (!isInternal(asking.service) && !state.admits(principal, "call", asking.service)) {
    counters.denied += 1;
    return ["DENIED", { principal, service: asking.service }];
  }
  return undefined;
}

interface WorkerSaid {
  readonly worker: Worker | undefined;
  readonly dialect: Dialect;
  readonly message: FromWorker;
}

function hearWorker(state: State, input: Message, said: WorkerSaid): void {
  const { worker, dialect, message } = said;
  switch (message.kind) {
    case "ready":
      register(state, input, message, dialect);
      return;
    case "disconnect":
      if (worker !== undefined) removeWorker(state, worker);
      return;
    case "heartbeat":
      if (worker?.dialect !== dialect) sendAway(state, input, dialect);
      return;
    case "partial":
    case "final": {
      const request = belonging(state, input, said, message.id);
      if (request !== undefined) conclude(state, request, message);
      return;
    }
    case "error": {
      const request = belonging(state, input, said, message.id);
      if (request !== undefined) fail(state, request, message.error);
    }
  }
}

function register(
  state: State,
  input: Message,
  ready: { readonly service: string; readonly concurrency: number },
  dialect: Dialect,
): void {
  const { peer, principal } = input;
  const { service: name, concurrency } = ready;
  if (state.workers.has(peer) || isInternal(name)) {
    sendAway(state, input, dialect);
    return;
  }
  if (!state.admits(principal, "serve", name)) {
    state.counters.denied += 1;
    sendAway(state, input, dialect);
    return;
  }
  const hasRoom = hasRoomForPeer(state);
  if (hasRoom && !state.services.has(name)) makeRoomForService(state);
  const service = hasRoom ? serviceNamed(state, name) : undefined;
  if (service === undefined) {
    state.counters.limited += 1;
    sendAway(state, input, dialect);
    return;
  }
  const { nowMs } = state;
  const worker: Worker = {
    peer,
    principal,
    dialect,
    service,
    concurrency,
    active: new Map(),
    heardMs: nowMs,
    saidMs: nowMs,
    isSuspect: false,
  };
  state.workers.set(peer, worker);
  service.workers.add(worker);
  service.idle.add(worker);
  service.wasServed = true;
  beat(state, worker);
  pump(state, service);
}

/** A valid command out of its place: DISCONNECT, and whatever the peer was doing is over. */
function sendAway(state: State, input: Message, dialect: Dialect): void {
  const { peer } = input;
  state.counters.outOfPlace += 1;
  const worker = state.workers.get(peer);
  if (worker !== undefined) removeWorker(state, worker);
  const frames = encodeToWorker(dialect, { kind: "disconnect" });
  if (frames !== undefined) state.effects.push({ peer, frames });
}

/** The request a reply is for: it must be one this very worker is working on. */
function belonging(
  state: State,
  input: Message,
  { worker, dialect }: WorkerSaid,
  id: number,
): Request | undefined {
  if (worker === undefined || worker.active.size === 0) {
    sendAway(state, input, dialect);
    return undefined;
  }
  const request = worker.active.get(id);
  if (request === undefined) state.counters.lateReplies += 1;
  return request;
}

function conclude(
  state: State,
  request: Request,
  reply: { readonly kind: "partial" | "final"; readonly body: Frames },
): void {
  const { worker } = request;
  answer(state, request, { kind: reply.kind, body: reply.body });
  if (reply.kind === "final" && worker !== undefined) release(state, worker, request);
}

/** A worker's refusal: an error for our clients, a last reply of that shape for others. */
function fail(state: State, request: Request, error: Uint8Array): void {
  const { client, service, key, trace, flags, worker } = request;
  if (request.dialect !== "plant") {
    const body = [Buffer.from('{"success":false,"error":'), error, Buffer.from("}")];
    answer(state, request, { kind: "final", body: [Buffer.concat(body)] });
  } else if (client !== undefined) {
    const head = { id: key, remainingMs: 0, trace, flags };
    const message = { kind: "error", service: service.name, head, error } as const;
    const frames = encodeToClient(request.dialect, message);
    if (frames !== undefined) state.effects.push({ peer: client.peer, frames });
  }
  if (worker !== undefined) release(state, worker, request);
}

/** A peer is gone: its service is one worker poorer, and nobody waits for what it asked. */
function forget(state: State, peer: string): void {
  const worker = state.workers.get(peer);
  if (worker !== undefined) {
    state.counters.workersLost += 1;
    removeWorker(state, worker);
  }
  const client = state.clients.get(peer);
  if (client === undefined) return;
  for (const request of [...client.open.values()]) abandon(state, request);
}
