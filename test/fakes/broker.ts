// The broker's decisions under a clock moved by hand, with peers of every dialect around them.
// It must not know sockets.
import type { Admission, BrokerSettings } from "../../src/broker/broker.ts";
import { type About, newState, type State } from "../../src/broker/state.ts";
import { type Input, step } from "../../src/broker/step.ts";
import {
  type Dialect,
  type Frames,
  type Head,
  plant,
  type ToClient,
  type ToWorker,
} from "../../src/mdp/mdp.ts";
import {
  type Answered,
  decodeFromBroker,
  enveloped,
  type ForeignPeer,
  plantd,
  rfc7,
  rfc18,
  type WorkerHeard,
} from "./foreign-peers.ts";

const text = (value: string) => Buffer.from(value);
const trace = Buffer.alloc(16, 7);

/** Small limits, so that tests reach them. */
export const smallSettings: BrokerSettings = {
  heartbeatMs: 1000,
  livenessMs: 4000,
  busyTimeoutMs: 60_000,
  requestTtlMs: 30_000,
  queueMax: 4,
  peersMax: 8,
  servicesMax: 3,
  requestsPerPeerMax: 5,
  framesMax: 4,
  messageBytesMax: 1000,
};

/** Lets everybody do everything. */
export const everybody: Admission = {
  mayServe: () => true,
  mayCall: () => "all",
  mayCallOperation: () => true,
};

export function newBroker(settings: BrokerSettings, about: Partial<About> = {}): State {
  const plain = { admits: everybody, seed: 0.25, id: "0011", version: "1.2.3", doors: [] };
  return newState(settings, { ...plain, ...about });
}

/** What the broker said to somebody, or did to a connection. */
export type Said =
  | ((ToClient | ToWorker | Answered | WorkerHeard) & { readonly to: string })
  | { readonly kind: "pause" | "resume"; readonly to: string };

const foreign: Readonly<Partial<Record<Dialect, ForeignPeer>>> = {
  rfc18,
  "rfc18-enveloped": enveloped,
  rfc7,
  plantd,
};

/** All foreign dialects with their peers. */
export const foreigners = Object.entries(foreign) as readonly (readonly [Dialect, ForeignPeer])[];

function decode(frames: Frames) {
  const header = Buffer.from(frames[0] ?? []).toString("latin1");
  if (header === "PLNC01") return plant.decodeToClient(frames);
  if (header === "PLNW01") return plant.decodeToWorker(frames);
  return decodeFromBroker(frames);
}

/** A broker with peers that are named by what they do. */
export function bench(over: Partial<BrokerSettings> = {}, about: Partial<About> = {}) {
  const state = newBroker({ ...smallSettings, ...over }, about);
  const notes: string[] = [];
  const traces: string[] = [];
  let nowMs = 0;
  const run = (input: Input): Said[] => {
    const said: Said[] = [];
    const { items, size } = step(state, input);
    for (const effect of items.slice(0, size)) {
      if (effect.kind === "send") said.push({ ...decode(effect.frames), to: effect.peer } as Said);
      else if (effect.kind === "note") {
        notes.push(`${effect.principal}:${effect.about.reason}`);
        traces.push(Buffer.from(effect.about.trace ?? []).toString("hex"));
      } else said.push({ kind: effect.kind, to: effect.peer });
    }
    return said;
  };
  /** `principal/name` comes in as that principal, by TCP as `tcp-principal/name`. */
  const doorOf = (peer: string) => {
    const [principal = ""] = peer.split("/");
    const endpoint = principal.startsWith("tcp") ? "tcp://127.0.0.1:1" : "ipc:///b";
    return { principal, endpoint };
  };
  const raw = (peer: string, frames: Frames) =>
    run({ kind: "message", peer, door: doorOf(peer), frames, nowMs });
  const workerSays = (peer: string, message: plant.FromWorker) =>
    raw(peer, plant.encodeFromWorker(message));
  const headOf = (id: number, remainingMs: number, flags = 0): Head => ({
    id,
    remainingMs,
    trace,
    flags,
  });
  const clientSays = (peer: string, kind: "cancel" | "credit", id: number, credit = 1) => {
    const about = { service: "echo", head: headOf(id, 0) };
    const message = kind === "cancel" ? { kind, ...about } : { kind, ...about, credit };
    return raw(peer, plant.encodeFromClient(message));
  };
  return {
    state,
    notes,
    /** Traces of the requests that `notes` are about, empty where there is none. */
    traces,
    raw,
    workerSays,
    headOf,
    get nowMs() {
      return nowMs;
    },
    /** Lets time pass without a tick. */
    pass(ms: number) {
      nowMs += ms;
    },
    tick(atMs: number) {
      nowMs = atMs;
      return run({ kind: "tick", nowMs });
    },
    happen: (kind: "gone" | "slow" | "drained" | "unpausable", peer: string) =>
      run({ kind, peer, nowMs }),
    gone: (peer: string) => run({ kind: "gone", peer, nowMs }),
    ready: (peer: string, service = "echo", concurrency = 1) =>
      workerSays(peer, { kind: "ready", service, concurrency }),
    beat: (peer: string) => workerSays(peer, { kind: "heartbeat" }),
    /** A request of ours, whose body is the client's name and its id. */
    ask: (peer: string, id: number, service = "echo", remainingMs = 5000, flags = 0) =>
      raw(
        peer,
        plant.encodeFromClient({
          kind: "request",
          service,
          head: headOf(id, remainingMs, flags),
          body: [text(`${peer}${id}`)],
        }),
      ),
    /** A request of ours with a body of its own. */
    send: (peer: string, id: number, body: Frames, service = "echo", flags = 0) =>
      raw(
        peer,
        plant.encodeFromClient({ kind: "request", service, head: headOf(id, 5000, flags), body }),
      ),
    reply: (peer: string, id: number, kind: "partial" | "final" = "final", words = "ok") =>
      workerSays(peer, { kind, service: "echo", head: headOf(id, 0), body: [text(words)] }),
    cancel: (peer: string, id: number) => clientSays(peer, "cancel", id),
    credit: (peer: string, id: number, credit: number) => clientSays(peer, "credit", id, credit),
    /** A question to the broker itself, and its answer as text. */
    mmi(service: string, body = "", peer = "asker") {
      const head = headOf(99, 100);
      const frames = plant.encodeFromClient({
        kind: "request",
        service,
        head,
        body: [text(body)],
      });
      return bodies(raw(peer, frames))[0] ?? "";
    },
  };
}

export type Bench = ReturnType<typeof bench>;

/** `who:what` of each. */
export const kinds = (said: readonly Said[]) => said.map(({ to, kind }) => `${to}:${kind}`);

/** First frames of bodies, as text. */
export const bodies = (said: readonly Said[]) =>
  said.map((one) => ("body" in one ? Buffer.from(one.body[0] ?? []).toString() : one.kind));

/** The broker's id of the first request among what it said, -1 where there is none. */
export function idOf(said: readonly Said[]): number {
  const order = said.find(({ kind }) => kind === "request");
  if (order === undefined) return -1;
  if ("head" in order) return order.head.id;
  return "client" in order ? Number(Buffer.from(order.client).readBigUInt64BE()) : -1;
}

/** The address of the client in a request for a foreign worker. */
export function addressOf(said: readonly Said[]): Uint8Array {
  const order = said.find(({ kind }) => kind === "request");
  return order !== undefined && "client" in order ? order.client : Buffer.alloc(0);
}

/** The error among what the broker said. */
export function errorOf(said: readonly Said[]) {
  const error = said.find(({ kind }) => kind === "error");
  if (error === undefined || !("error" in error)) return undefined;
  return JSON.parse(Buffer.from(error.error).toString()) as {
    code: string;
    detail: Record<string, unknown>;
  };
}

export const codeOf = (said: readonly Said[]) => errorOf(said)?.code;
