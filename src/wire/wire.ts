// The door of the message sockets, and which of them the runtime uses: ours on unix sockets, and
// libzmq, loaded only where it is needed, for what comes over a network. It must not know what
// travels.
import { connectLateDealer } from "./late-dealer.ts";
import { bindMixedRouter } from "./mixed-router.ts";
import type { Transport } from "./socket.ts";
import { connectZmtpDealer } from "./zmtp-dealer.ts";
import { bindZmtpRouter } from "./zmtp-router.ts";

export {
  ensureKeyPair,
  type PeerKeys,
  readKeyPair,
  readPeerKeys,
  writeNewKeyPair,
} from "./key-file.ts";
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
export { slowPart } from "./socket.ts";
export { openSteadyDealer, type SteadyDealer } from "./steady-dealer.ts";

/** Names of the transports, as the setting `broker.transport` has them. */
export type TransportName = "zmtp" | "zeromq";

function isIpc({ endpoint }: { readonly endpoint: string }): boolean {
  return endpoint.startsWith("ipc://");
}

async function loadZeromq(): Promise<Transport> {
  const { zeromqTransport } = await import("./zeromq-transport.ts");
  return zeromqTransport;
}

/** The transport of the runtime: ours for `ipc://`, libzmq for `tcp://`. */
export const transport: Transport = {
  async bindRouter(deps, options) {
    if (options.listeners.every(isIpc)) return bindZmtpRouter(deps, options);
    const zeromq = await loadZeromq();
    if (!options.listeners.some(isIpc)) return zeromq.bindRouter(deps, options);
    return bindMixedRouter(deps, options, (listener) =>
      isIpc(listener) ? bindZmtpRouter : zeromq.bindRouter,
    );
  },
  connectDealer: (deps, options) =>
    isIpc(options)
      ? connectZmtpDealer(deps, options)
      : connectLateDealer(loadZeromq, { deps, options }),
};

/** libzmq for everything, loaded when the first socket is made. */
const zeromqAlone: Transport = {
  bindRouter: async (deps, options) => (await loadZeromq()).bindRouter(deps, options),
  connectDealer: (deps, options) => connectLateDealer(loadZeromq, { deps, options }),
};

/** The transport of a name: `zmtp` is the runtime's own, `zeromq` puts libzmq under IPC too. */
export function transportNamed(name: TransportName): Transport {
  return name === "zmtp" ? transport : zeromqAlone;
}
