// A TCP relay that can be cut: the uplink's wire of the demo. It must not know what passes.
import { connect, createServer, type Server, type Socket } from "node:net";
import type { Random } from "../util/random.ts";

/** A wire between whoever connects and one target. */
export interface Relay extends AsyncDisposable {
  readonly isCut: boolean;
  /** Ends every connection; new ones are refused until `restore`. */
  cut(): void;
  restore(): void;
}

/** Listens on `port` of loopback and joins what comes with `target`. */
export async function startRelay(port: number, target: number): Promise<Relay> {
  const sockets = new Set<Socket>();
  let isCut = false;
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => sockets.delete(socket));
  };
  const server: Server = createServer((near) => {
    keep(near);
    if (isCut) {
      near.destroy();
      return;
    }
    const far = connect(target, "127.0.0.1");
    keep(far);
    near.pipe(far);
    far.pipe(near);
    near.on("close", () => far.destroy());
    far.on("close", () => near.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve());
  });
  const drop = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    get isCut() {
      return isCut;
    },
    cut() {
      isCut = true;
      drop();
    },
    restore() {
      isCut = false;
    },
    async [Symbol.asyncDispose]() {
      drop();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}

/** Ports below those the kernel gives to outgoing connections, which could take one meanwhile. */
const lowestPort = 20_000;
const highestPort = 32_000;
const attemptsMax = 100;

/**
 * Ports of loopback, free at this moment and all different.
 * @param wanted one preferred port for each; 0 for any.
 */
export async function freePorts(wanted: readonly number[], random: Random): Promise<number[]> {
  const found: number[] = [];
  for (const preferred of wanted) {
    let port = preferred;
    for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
      if (port !== 0 && !found.includes(port) && (await isFree(port))) break;
      port = lowestPort + Math.floor(random.unit() * (highestPort - lowestPort));
    }
    found.push(port);
  }
  return found;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}
