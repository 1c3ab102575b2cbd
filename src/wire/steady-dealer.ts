// A dealer that comes back: after a loss it waits, longer each time, and connects anew.
// It must not know what travels, or when a silent peer counts as lost.
import { backoffMs } from "../util/backoff.ts";
import { asError, type Running } from "../util/running.ts";
import type {
  DealerOptions,
  DealerSocket,
  Frames,
  Transport,
  WireDeps,
  WireLimits,
} from "./socket.ts";

export interface SteadyDealerDeps extends WireDeps {
  readonly transport: Transport;
}

export interface SteadyDealerOptions extends WireLimits {
  readonly endpoint: string;
  readonly curve?: DealerOptions["curve"] | undefined;
  readonly onMessage: (frames: Frames) => void;
  /** A connection stands; `isAnew` after a loss. */
  readonly onUp: (isAnew: boolean) => void;
  /** The connection is lost; another is tried after a while. */
  readonly onLost: (reason: string) => void;
  /** After a `send` that found the queue full: there is room again. */
  readonly onDrained?: () => void;
}

/** One peer, by one connection after the other. `ended` tells a failure that is a defect. */
export interface SteadyDealer extends Running {
  readonly isUp: boolean;
  /** Number of the connection: what came by one is not answered by another. */
  readonly connection: number;
  /** Queues a message; false when there is no connection or its queue is full. */
  send(frames: Frames): boolean;
  /** Gives the connection up; `ceilingMs` bounds the wait before the next, 2,000 when absent. */
  lose(reason: string, ceilingMs?: number): void;
  /** The peer is well: after the next loss the waits begin small again. */
  prove(): void;
}

/** Waits before a new connection. */
const reconnect = { baseMs: 100, ceilingMs: 2000 };

/** Starts to connect. @throws PlantError ENDPOINT_UNUSABLE for an address that cannot be one. */
export function openSteadyDealer(
  deps: SteadyDealerDeps,
  options: SteadyDealerOptions,
): SteadyDealer {
  const { clock, random, transport } = deps;
  const { onMessage, onUp, onLost, ...reach } = options;
  const closing = new AbortController();
  const { promise: ended, resolve: end } = Promise.withResolvers<Error | undefined>();
  let socket: DealerSocket | undefined;
  let connection = 0;
  let isUp = false;
  let losses = 0;

  function connect(): void {
    connection += 1;
    const made: DealerSocket = transport.connectDealer(deps, {
      ...reach,
      onMessage: (frames) => {
        if (made === socket) onMessage(frames);
      },
      onUp: () => {
        if (made !== socket) return;
        isUp = true;
        onUp(losses > 0);
      },
      onDown: () => {
        if (made === socket) lose("the connection broke");
      },
    });
    socket = made;
    void made.ended.then((error) => {
      if (error === undefined) return;
      if (made === socket) isUp = false;
      end(error);
    });
  }

  function lose(reason: string, ceilingMs = reconnect.ceilingMs): void {
    const old = socket;
    if (old === undefined) return;
    socket = undefined;
    isUp = false;
    onLost(reason);
    comeBack(old, ceilingMs).catch((error: unknown) => end(asError(error)));
  }

  async function comeBack(old: DealerSocket, ceilingMs: number): Promise<void> {
    await old[Symbol.asyncDispose]();
    const waitMs = backoffMs({ ...reconnect, ceilingMs }, losses, random.unit());
    losses += 1;
    await clock.sleep(waitMs, closing.signal);
    if (!closing.signal.aborted) connect();
  }

  connect();
  return {
    ended,
    get isUp() {
      return isUp;
    },
    get connection() {
      return connection;
    },
    send: (frames) => socket?.send(frames) ?? false,
    lose,
    prove() {
      losses = 0;
    },
    async [Symbol.asyncDispose]() {
      closing.abort();
      await socket?.[Symbol.asyncDispose]();
      end(undefined);
    },
  };
}
