// A TCP connection to a device or converter as a port. It must not know any protocol.
import { connect, type Socket } from "node:net";
import { PlantError } from "../../src/util/errors.ts";
import type { Port, PortEvents } from "./port.ts";

export interface TcpSettings {
  readonly host: string;
  readonly port: number;
  readonly connectTimeoutMs: number;
}

/** How frames lie in the stream; without one, bytes go as they are. */
export interface SocketFraming {
  /** Takes over a connected socket; what it reads becomes `bytes` and `strayed`. */
  attach(socket: Socket, events: PortEvents): { send(frame: Uint8Array): void };
  readonly pairsAnswers: boolean;
}

/** Unanswered requests in a row after which the connection counts as dead. */
const timeoutsMax = 3;
/** First probe of an idle connection by the kernel. */
const keepAliveMs = 15_000;

/** What the system's codes mean to who stands before the device. */
const systemWords: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens on that port (ECONNREFUSED)",
  ECONNRESET: "the device broke the connection off (ECONNRESET)",
  EHOSTUNREACH: "there is no way to that address (EHOSTUNREACH)",
  ENETUNREACH: "there is no network to that address (ENETUNREACH)",
  ENOTFOUND: "the name of the host is not known (ENOTFOUND)",
  EAI_AGAIN: "the name server does not answer (EAI_AGAIN)",
};

const rawFraming: SocketFraming = {
  pairsAnswers: false,
  attach(socket, events) {
    socket.on("data", (data) => events.bytes(new Uint8Array(data)));
    return { send: (frame) => void socket.write(frame) };
  },
};

/** A port on a TCP client connection. */
export function makeTcpPort(settings: TcpSettings, framing: SocketFraming = rawFraming): Port {
  const { host, port, connectTimeoutMs } = settings;
  const name = `${host}:${port}`;
  let current: { socket: Socket; send(frame: Uint8Array): void } | undefined;
  const unusable = (reason: string, cause?: unknown) =>
    new PlantError("PORT_UNUSABLE", { port: name, reason }, { cause });

  return {
    name,
    pairsAnswers: framing.pairsAnswers,
    timeoutsMax,
    async open(events) {
      const socket = connect({ host, port, noDelay: true, timeout: connectTimeoutMs });
      let reason = "the device closed the connection";
      socket.on("error", (error) => {
        const code = (error as NodeJS.ErrnoException).code ?? error.message;
        reason = systemWords[code] ?? code;
      });
      await new Promise<void>((resolve, reject) => {
        const fail = (why: string) => {
          socket.destroy();
          reject(unusable(why));
        };
        socket.once("timeout", () => fail(`no connection within ${connectTimeoutMs} ms`));
        socket.once("close", () => fail(reason));
        socket.once("connect", resolve);
      });
      socket.removeAllListeners("timeout");
      socket.removeAllListeners("close");
      socket.setTimeout(0);
      socket.setKeepAlive(true, keepAliveMs);
      const { send } = framing.attach(socket, events);
      current = { socket, send };
      socket.once("close", () => {
        if (current?.socket !== socket) return;
        current = undefined;
        events.closed(unusable(reason));
      });
    },
    async write(data) {
      if (current === undefined) throw unusable("it is not open");
      current.send(data);
    },
    async dropInput() {},
    async close() {
      const socket = current?.socket;
      current = undefined;
      socket?.destroy();
    },
  };
}
