// The door of the message sockets, and which of them the runtime uses. It must not know what travels.
import type { Transport } from "./socket.ts";
import { zeromqTransport } from "./zeromq-transport.ts";

export type {
  DealerOptions,
  DealerSocket,
  Frames,
  KeyPair,
  Listener,
  Peer,
  RouterOptions,
  RouterSocket,
  Transport,
  WireCounters,
  WireDeps,
  WireLimits,
  WireRefusal,
} from "./socket.ts";
export { openSteadyDealer, type SteadyDealer } from "./steady-dealer.ts";

/** The transport of the runtime. */
export const transport: Transport = zeromqTransport;
