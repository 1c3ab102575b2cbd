// The broker: routes requests between clients and workers; a thin shell around its decisions.
// It must not know what bodies mean.
import type { Clock } from "../util/clock.ts";
import type { Log } from "../util/log.ts";
import type { Random } from "../util/random.ts";
import { asError, type Running, startLoop } from "../util/running.ts";
import {
  type KeyPair,
  type Listener,
  type RouterSocket,
  type Transport,
  transport,
  type WireCounters,
} from "../wire/wire.ts";
import { describe } from "./mmi.ts";
import { type Admission, type BrokerSettings, type Effect, newState } from "./state.ts";
import { type Input, step } from "./step.ts";
import { pauseMs } from "./watch.ts";

export type {
  BrokerAnswer,
  BrokersAnswer,
  QueueAnswer,
  Refusal,
  ServiceAnswer,
  WorkersAnswer,
} from "./answers.ts";
export type { Admission, BrokerSettings } from "./state.ts";

export interface BrokerDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  /** Message sockets; those of the runtime when absent. */
  readonly transport?: Transport;
  /** Who may serve and call what; everybody everything when absent. */
  readonly admits?: Admission;
}

/** The section `broker` of the configuration, and where to listen for whom. */
export type BrokerConfig = BrokerSettings & {
  readonly listeners: readonly Listener[];
  /** The broker's own keys; needed where a listener has keys. */
  readonly curve?: KeyPair;
};

export type BrokerStats = ReturnType<typeof describe> & { readonly wire: WireCounters };

export interface Broker extends Running {
  /** The listeners with their real addresses, in the order of the configuration. */
  readonly endpoints: readonly Listener[];
  /** Grows while the broker's loop goes round; a watchdog looks at it. */
  readonly progress: number;
  stats(): BrokerStats;
}

/** Beyond the limits by this much, a message is still read, so that its sender hears why not. */
const framesHeadroom = 128;
const headroomBytes = 4096;
/** Messages waiting per peer. */
const sendQueueMax = 16_384;
/** Bytes waiting per peer. */
const sendBytesMax = 67_108_864;

/**
 * Starts a broker; when it resolves, it listens.
 * @throws PlantError ENDPOINT_UNUSABLE
 */
export async function startBroker(deps: BrokerDeps, config: BrokerConfig): Promise<Broker> {
  const { clock, log, random } = deps;
  const firstId = 1 + Math.floor(random.unit() * 2 ** 40);
  const state = newState(config, deps.admits ?? (() => true), firstId);
  let progress = 0;
  let pause = new AbortController();
  let socket: RouterSocket | undefined;

  function take(input: Input): void {
    const wasWaiting = state.queued > 0;
    const effects: Effect[] = step(state, input);
    for (const { peer, frames } of effects) socket?.send(peer, frames);
    if (!wasWaiting && state.queued > 0) {
      pause.abort();
    }
  }

  const opened = await (deps.transport ?? transport).bindRouter(
    { clock, random },
    {
      listeners: config.listeners,
      curve: config.curve,
      messageBytesMax: config.messageBytesMax + headroomBytes,
      framesMax: config.framesMax + framesHeadroom,
      sendQueueMax,
      sendBytesMax,
      connectionsMax: config.peersMax,
      onSlow() {},
      onDrained() {},
      onRefused() {},
      onMessage: (peer, frames, { principal }) =>
        take({ kind: "message", peer, principal, frames, nowMs: clock.monotonicMs() }),
      onGone: (peer) => take({ kind: "gone", peer, nowMs: clock.monotonicMs() }),
    },
  );
  socket = opened;

  const loop = startLoop({
    clock,
    async round() {
      progress += 1;
      take({ kind: "tick", nowMs: clock.monotonicMs() });
      pause = new AbortController();
      await clock.sleep(pauseMs(state), pause.signal);
    },
  });
  log.info("The broker listens", { endpoints: opened.listeners.map((one) => one.endpoint) });
  const ended = Promise.race([loop.ended, opened.ended]).then((error) => {
    if (error !== undefined) log.error("The broker ended", { error: asError(error) });
    return error;
  });
  return {
    ended,
    endpoints: opened.listeners,
    get progress() {
      return progress;
    },
    stats: () => ({ ...describe(state), wire: opened.counters }),
    async [Symbol.asyncDispose]() {
      const stopped = loop[Symbol.asyncDispose]();
      pause.abort();
      await stopped;
      await opened[Symbol.asyncDispose]();
    },
  };
}
