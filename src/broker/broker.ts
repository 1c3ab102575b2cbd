// The broker: routes requests between clients and workers; a thin shell around its decisions.
// It must not know what bodies mean.
import type { Admission } from "../access/access.ts";
import type { Clock } from "../util/clock.ts";
import type { Log } from "../util/log.ts";
import type { Random } from "../util/random.ts";
import { asError, type Running, startLoop } from "../util/running.ts";
import {
  type KeyPair,
  type Listener,
  type RouterOptions,
  type RouterSocket,
  type Transport,
  transport,
  type WireCounters,
} from "../wire/wire.ts";
import type { BrokerAnswer } from "./answers.ts";
import { describe } from "./mmi.ts";
import type { BrokerSettings } from "./policy.ts";
import { isNoted } from "./speech.ts";
import {
  type Effect,
  newState,
  type RefusalNote,
  type State,
  sendBytesMax,
  sendQueueMax,
} from "./state.ts";
import { type Input, type Message, step } from "./step.ts";

export type { Admission } from "../access/access.ts";
export type {
  BrokerAnswer,
  BrokersAnswer,
  QueueAnswer,
  Refusal,
  ServiceAnswer,
  WorkersAnswer,
} from "./answers.ts";
export type { BrokerSettings, Policy, PolicySettings } from "./policy.ts";

export interface BrokerDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  /** Message sockets; those of the runtime when absent. */
  readonly transport?: Transport;
  /** Who may serve and call what; everybody everything when absent. */
  readonly admits?: Admission;
  /** Told by `mmi.broker`. */
  readonly version?: string;
}

/** The section `broker` of the configuration, and where to listen for whom. */
export type BrokerConfig = BrokerSettings & {
  readonly listeners: readonly Listener[];
  /** The broker's keys, where a listener lets in by key. */
  readonly curve?: KeyPair | undefined;
};

export type BrokerStats = BrokerAnswer & { readonly wire: WireCounters };

export interface Broker extends Running {
  /** The listeners with their real addresses, in the order of the configuration. */
  readonly endpoints: readonly Listener[];
  /** Grows while the broker's loop goes round; a watchdog looks at it. */
  readonly progress: number;
  stats(): BrokerStats;
}

const everybody: Admission = {
  mayServe: () => true,
  mayCall: () => "all",
  mayCallOperation: () => true,
};

/** Beyond the limits by this much, a message is still read, so that its sender hears why not. */
const framesHeadroom = 128;
const headroomBytes = 4096;
/** Messages of one turn of the process that share a look at the clock. */
const messagesPerLook = 64;

/**
 * Starts a broker; when it resolves, it listens.
 * @throws PlantError ENDPOINT_UNUSABLE
 */
export async function startBroker(deps: BrokerDeps, config: BrokerConfig): Promise<Broker> {
  const { clock, log, random } = deps;
  const now = openLook(clock);
  let endpoints = config.listeners;
  const state = newState(
    config,
    {
      admits: deps.admits ?? everybody,
      seed: random.unit(),
      id: Buffer.from(random.bytes(8)).toString("hex"),
      version: deps.version ?? "",
      get doors() {
        return endpoints;
      },
      wire: () => opened.counters,
    },
    clock.monotonicMs(),
  );
  const core = openCore(state, log, now);
  const opened = await (deps.transport ?? transport).bindRouter(
    { clock, random },
    {
      listeners: config.listeners,
      messageBytesMax: config.messageBytesMax + headroomBytes,
      framesMax: config.framesMax + framesHeadroom,
      sendQueueMax,
      sendBytesMax,
      sendBytesTotalMax: config.sendBytesTotalMax,
      receiveBytesTotalMax: config.receiveBytesTotalMax,
      connectionsMax: config.connectionsMax ?? config.peersMax,
      curve: config.curve,
      onMessage: core.hear,
      onGone: (peer) => core.take({ kind: "gone", peer, nowMs: now() }),
      onSlow: (peer) => core.take({ kind: "slow", peer, nowMs: now() }),
      onDrained: (peer) => core.take({ kind: "drained", peer, nowMs: now() }),
      onRefused: noteRefusals(log, now),
    },
  );
  endpoints = opened.listeners;
  core.open(opened);
  const heart = startHeart(clock, core, state);
  log.info("The broker listens", { endpoints: endpoints.map((one) => one.endpoint) });
  const ended = Promise.race([heart.ended, opened.ended]).then((error) => {
    if (error !== undefined) log.error("The broker ended", { error: asError(error) });
    return error;
  });
  return {
    ended,
    endpoints,
    get progress() {
      return heart.progress;
    },
    stats() {
      state.nowMs = clock.monotonicMs();
      return { ...describe(state), wire: opened.counters };
    },
    async [Symbol.asyncDispose]() {
      await heart[Symbol.asyncDispose]();
      await opened[Symbol.asyncDispose]();
    },
  };
}

/** Tells the log what the sockets refuse, once per peer, reason and minute. */
function noteRefusals(log: Log, now: () => number): RouterOptions["onRefused"] {
  const notes = { noted: new Map<string, Map<string, number>>(), nowMs: 0 };
  return (reason, { principal, endpoint }, peer) => {
    notes.nowMs = now();
    if (isNoted(notes, principal, `${reason} ${endpoint} ${peer ?? ""}`)) return;
    log.warn("The sockets refused a peer", { reason, principal, endpoint });
  };
}

/** A look at the clock that the messages of one turn share. */
function openLook(clock: Clock): () => number {
  let nowMs = 0;
  let left = 0;
  let isAwaited = false;
  const renew = () => {
    left = 0;
    isAwaited = false;
  };
  return () => {
    if (left > 0) {
      left -= 1;
      return nowMs;
    }
    left = messagesPerLook;
    nowMs = clock.monotonicMs();
    if (!isAwaited) {
      isAwaited = true;
      queueMicrotask(renew);
    }
    return nowMs;
  };
}

interface Core {
  /** Lets the broker decide, and does what it says; in turn where that leads to more. */
  take(input: Input): void;
  /** The same of a message. */
  readonly hear: RouterOptions["onMessage"];
  open(socket: RouterSocket): void;
  /** Told when a tick is wanted sooner than it was. */
  onSooner: () => void;
}

function openCore(state: State, log: Log, now: () => number): Core {
  let socket: RouterSocket | undefined;
  let isBusy = false;
  const later: Input[] = [];
  let message: Message | undefined; // the same one each time
  const apply = (effect: Effect) => {
    switch (effect.kind) {
      case "send":
        socket?.send(effect.peer, effect.frames);
        return;
      case "pause":
        if (socket?.pause(effect.peer) === false) {
          later.push({ kind: "unpausable", peer: effect.peer, nowMs: state.nowMs });
        }
        return;
      case "resume":
        socket?.resume(effect.peer);
        return;
      case "note":
        noteRefusal(log, effect.principal, effect.about);
    }
  };
  const core: Core = {
    onSooner() {},
    open(opened) {
      socket = opened;
    },
    hear(peer, frames, door) {
      const nowMs = now();
      if (isBusy || message === undefined) {
        const next: Message = { kind: "message", peer, door, frames, nowMs };
        message ??= next;
        core.take(next);
        return;
      }
      message.peer = peer;
      message.door = door;
      message.frames = frames;
      message.nowMs = nowMs;
      core.take(message);
    },
    take(input) {
      if (isBusy) {
        later.push(input);
        return;
      }
      isBusy = true;
      const dueMs = state.wakeMs;
      for (let next: Input | undefined = input; next !== undefined; next = later.shift()) {
        const { items, size } = step(state, next);
        for (let at = 0; at < size; at += 1) apply(items[at] as Effect);
      }
      isBusy = false;
      if (state.wakeMs < dueMs) core.onSooner();
    },
  };
  return core;
}

function noteRefusal(log: Log, principal: string, { trace, ...about }: RefusalNote): void {
  const facts = { principal, ...about };
  if (trace === undefined) log.warn("A peer was refused", facts);
  else log.warn("A peer was refused", { ...facts, trace: Buffer.from(trace).toString("hex") });
}

/** Ticks as the decisions want it. */
function startHeart(clock: Clock, core: Core, state: State): Running & { progress: number } {
  let progress = 0;
  let pause = new AbortController();
  core.onSooner = () => pause.abort();
  const loop = startLoop({
    clock,
    async round() {
      progress += 1;
      core.take({ kind: "tick", nowMs: clock.monotonicMs() });
      pause = new AbortController();
      await clock.sleep(Math.max(1, state.wakeMs - clock.monotonicMs()), pause.signal);
    },
  });
  return {
    get progress() {
      return progress;
    },
    ended: loop.ended,
    async [Symbol.asyncDispose]() {
      const stopped = loop[Symbol.asyncDispose]();
      pause.abort();
      await stopped;
    },
  };
}
