// Where a simulator meets its line: a serial port that is opened again whenever it is lost, or a
// TCP server. It must not know protocols, faults or values.
import { createServer, type Server, type Socket } from "node:net";
import type { Clock } from "../../src/util/clock.ts";
import { hasCode, PlantError } from "../../src/util/errors.ts";
import type { Log } from "../../src/util/log.ts";
import { asError, type Running, startLoop } from "../../src/util/running.ts";
import type { Port } from "../kit/kit.ts";
import type { Sink } from "./replies.ts";

/** One connection as the simulator sees it. */
export interface Connection {
  /** Takes bytes of the master; returns false when the connection must be cut. */
  bytes(data: Uint8Array): boolean;
}

/** Called for each connection. */
export type Accept = (sink: Sink) => Connection;

export interface TransportDeps {
  readonly clock: Clock;
  readonly log: Log;
}

/** A line that is served. */
export interface Transport extends Running {
  /** Device file, or host:port with the port that was taken. */
  readonly endpoint: string;
  /** The way out on a serial line, while the port is open. */
  sink(): Sink | undefined;
}

/** Time between two attempts to open a port. */
const reopenMs = 100;
/** A cable pulled by a fault stays out this long. */
const cutMs = 300;
const connectionsMax = 32;

/** Serves a serial port; one that cannot be opened yet is tried again until disposal. */
export function serveSerial(deps: TransportDeps, port: Port, accept: Accept): Transport {
  let isOpen = false;
  let wasSaid = false;
  let stillOutMs = 0;
  let wake = () => {};
  const sink: Sink = {
    async write(bytes) {
      if (!isOpen) return;
      try {
        await port.write(bytes);
      } catch (error) {
        if (!hasCode(error, "PORT_UNUSABLE")) throw error;
        deps.log.debug("reply lost with its port", { code: error.code });
      }
    },
    async cut() {
      stillOutMs = cutMs;
      isOpen = false;
      await port.close();
      wake();
    },
  };
  const round = async (signal: AbortSignal): Promise<void> => {
    const lost = new Promise<void>((resolve) => {
      wake = resolve;
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    const connection = accept(sink);
    try {
      await port.open({
        bytes: (data) => void connection.bytes(data),
        strayed() {},
        closed: () => wake(),
      });
    } catch (error) {
      if (!hasCode(error, "PORT_UNUSABLE")) throw error;
      if (!wasSaid) deps.log.info("waiting for the port", { port: port.name, code: error.code });
      wasSaid = true;
      return;
    }
    isOpen = true;
    wasSaid = false;
    deps.log.info("simulator on its port", { port: port.name });
    await lost;
    isOpen = false;
    await port.close();
    if (stillOutMs > 0) await deps.clock.sleep(stillOutMs, signal);
    stillOutMs = 0;
  };
  const loop = startLoop({ clock: deps.clock, round, pauseMs: reopenMs });
  return {
    endpoint: port.name,
    sink: () => (isOpen ? sink : undefined),
    ended: loop.ended,
    async [Symbol.asyncDispose]() {
      await loop[Symbol.asyncDispose]();
      await port.close();
    },
  };
}

/**
 * Serves TCP connections on `host`; port 0 takes a free one.
 * @throws PlantError PORT_UNUSABLE when the address cannot be listened on.
 */
export async function serveTcp(
  deps: TransportDeps,
  address: { readonly host: string; readonly port: number },
  accept: Accept,
): Promise<Transport> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.on("error", (error) => deps.log.debug("connection lost", { error }));
    const connection = accept({
      write: (bytes) => {
        if (socket.writable) socket.write(bytes);
      },
      cut: () => void socket.destroy(),
    });
    socket.on("data", (data: Buffer) => {
      if (!connection.bytes(new Uint8Array(data))) socket.destroy();
    });
  });
  server.maxConnections = connectionsMax;
  await listen(server, address);
  const bound = server.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : address.port;
  const ended = new Promise<undefined>((resolve) => {
    server.once("close", () => resolve(undefined));
  });
  return {
    endpoint: `${address.host}:${port}`,
    sink: () => undefined,
    ended,
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await ended;
    },
  };
}

function listen(server: Server, address: { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (cause: Error) => {
      const port = `${address.host}:${address.port}`;
      reject(new PlantError("PORT_UNUSABLE", { port, reason: asError(cause).message }, { cause }));
    };
    server.once("error", fail);
    server.listen(address.port, address.host, () => {
      server.off("error", fail);
      resolve();
    });
  });
}
