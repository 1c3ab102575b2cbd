// A dealer of a transport that is loaded only now: what is sent meanwhile waits, within bounds.
// It must not know which library it waits for.
import { asError } from "../util/running.ts";
import { checkEndpoint } from "./endpoint.ts";
import type {
  DealerOptions,
  DealerSocket,
  Frames,
  Transport,
  WireCounters,
  WireDeps,
} from "./socket.ts";
import { newTally } from "./tally.ts";
import { wireBytes } from "./zmtp-codec.ts";

/**
 * Connects as soon as the transport is there. A library that does not load, or keys it does not
 * take, end the socket. @throws PlantError ENDPOINT_UNUSABLE
 */
export function connectLateDealer(
  load: () => Promise<Transport>,
  given: { readonly deps: WireDeps; readonly options: DealerOptions },
): DealerSocket {
  const { options } = given;
  checkEndpoint(options.endpoint);
  const tally = newTally();
  let waiting: Frames[] = [];
  let bytes = 0;
  let isClosed = false;
  let dealer: DealerSocket | undefined;

  async function open(): Promise<void> {
    const transport = await load();
    if (isClosed && waiting.length === 0) return;
    dealer = transport.connectDealer(given.deps, options);
    for (const frames of waiting) dealer.send(frames);
    waiting = [];
  }

  function keep(frames: Frames): boolean {
    const size = wireBytes(frames);
    const isFull = waiting.length > 0 && bytes + size > options.sendBytesMax;
    if (isClosed || isFull || waiting.length >= options.sendQueueMax) {
      tally.dropped += 1;
      return false;
    }
    waiting.push(frames);
    bytes += size;
    return true;
  }

  const opened = open().then(() => undefined, asError);
  const closed = Promise.withResolvers<undefined>();
  const ended = opened.then((error) => error ?? dealer?.ended ?? closed.promise);
  return {
    ended,
    get counters(): WireCounters {
      return dealer?.counters ?? tally;
    },
    send: (frames) => (dealer === undefined ? keep(frames) : dealer.send(frames)),
    async [Symbol.asyncDispose]() {
      isClosed = true;
      await opened;
      await dealer?.[Symbol.asyncDispose]();
      closed.resolve(undefined);
    },
  };
}
