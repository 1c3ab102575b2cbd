// A router on a stage: what it hears and is told is kept, and a test waits for what it expects.
// It must not know which transport plays.
import { systemClock as clock } from "../../src/util/clock.ts";
import { systemRandom as random } from "../../src/util/random.ts";
import type {
  DealerOptions,
  DealerSocket,
  Frames,
  Peer,
  RouterOptions,
  RouterSocket,
  Transport,
  WireRefusal,
} from "../../src/wire/wire.ts";

export const deps = { clock, random };

export const limits = {
  messageBytesMax: 2 ** 24 + 1,
  framesMax: 100,
  sendQueueMax: 4000,
  sendBytesMax: 64 * 2 ** 20,
};

export interface Heard {
  readonly peer: Peer;
  readonly frames: Frames;
}

export interface Stage extends AsyncDisposable {
  readonly router: RouterSocket;
  readonly endpoint: string;
  readonly heard: Heard[];
  readonly gone: Peer[];
  readonly slow: Peer[];
  readonly drained: Peer[];
  readonly refused: WireRefusal[];
}

/** Opens a router; `answers` makes it send back what it hears, and keeps only the numbers. */
export async function openStage(
  transport: Transport,
  endpoint: string,
  given: Partial<RouterOptions> & { readonly answers?: boolean } = {},
): Promise<Stage> {
  const told = {
    heard: [] as Heard[],
    gone: [] as Peer[],
    slow: [] as Peer[],
    drained: [] as Peer[],
    refused: [] as WireRefusal[],
  };
  const { answers = true, ...options } = given;
  const router: RouterSocket = await transport.bindRouter(deps, {
    ...limits,
    connectionsMax: 100,
    listeners: [{ principal: "admin", endpoint }],
    onMessage(peer, frames) {
      told.heard.push({ peer, frames: answers ? [] : frames });
      if (answers) router.send(peer, frames);
    },
    onGone: (peer) => told.gone.push(peer),
    onSlow: (peer) => told.slow.push(peer),
    onDrained: (peer) => told.drained.push(peer),
    onRefused: (refusal) => told.refused.push(refusal),
    ...options,
  });
  const real = router.listeners[0]?.endpoint ?? endpoint;
  return {
    ...told,
    router,
    endpoint: real,
    [Symbol.asyncDispose]: () => router[Symbol.asyncDispose](),
  };
}

export interface Player extends AsyncDisposable {
  readonly dealer: DealerSocket;
  readonly heard: Frames[];
  ups: number;
  downs: number;
}

/** A dealer of ours whose messages are kept. */
export function openPlayer(
  transport: Transport,
  endpoint: string,
  given: Partial<DealerOptions> = {},
): Player {
  const heard: Frames[] = [];
  const player: Player = {
    heard,
    ups: 0,
    downs: 0,
    dealer: transport.connectDealer(deps, {
      ...limits,
      endpoint,
      onMessage: (frames) => heard.push(frames),
      onUp: () => {
        player.ups += 1;
      },
      onDown: () => {
        player.downs += 1;
      },
      ...given,
    }),
    [Symbol.asyncDispose]: () => player.dealer[Symbol.asyncDispose](),
  };
  return player;
}
