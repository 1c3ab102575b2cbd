// Message sockets on libzmq, for both ipc and tcp. It must not know what travels.
import type { Transport } from "./socket.ts";
import { connectDealer } from "./zeromq-dealer.ts";
import { bindRouter } from "./zeromq-router.ts";

/** Sockets of libzmq. */
export const zeromqTransport: Transport = { bindRouter, connectDealer };
