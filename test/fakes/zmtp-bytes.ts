// The bytes a ZMTP 3 peer sends, written down from RFC 37 and not with our codec, and a raw peer
// that sends them. It must not know our sockets.
import { connect, type Socket } from "node:net";

/** 64 bytes: signature, version, mechanism, as-server, filler. */
export function greetingOf(major = 3, minor = 1, mechanism = "NULL"): Buffer {
  const bytes = Buffer.alloc(64);
  bytes[0] = 0xff;
  bytes[9] = 0x7f;
  bytes[10] = major;
  bytes[11] = minor;
  bytes.write(mechanism, 12, "latin1");
  return bytes;
}

/** One frame; `isLong` takes the long length where the short one would do. */
export function frameOf(flags: number, body: Uint8Array, isLong = false): Buffer {
  if (body.length < 256 && !isLong) {
    return Buffer.concat([Buffer.of(flags, body.length), body]);
  }
  const head = Buffer.alloc(9);
  head[0] = flags | 2;
  head.writeBigUInt64BE(BigInt(body.length), 1);
  return Buffer.concat([head, body]);
}

/** A message of text or byte frames. */
export function messageOf(...frames: readonly (string | Uint8Array)[]): Buffer {
  return Buffer.concat(
    frames.map((frame, at) => frameOf(at < frames.length - 1 ? 1 : 0, Buffer.from(frame))),
  );
}

/** The body of a command. */
export function commandBody(name: string, ...data: readonly (string | Uint8Array)[]): Buffer {
  return Buffer.concat([
    Buffer.of(name.length),
    Buffer.from(name),
    ...data.map((one) => Buffer.from(one)),
  ]);
}

/** A property of READY. */
export function property(name: string, value: string | Uint8Array): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(value.length);
  return Buffer.concat([Buffer.of(name.length), Buffer.from(name), head, Buffer.from(value)]);
}

/** A command frame. */
export function commandOf(name: string, ...data: readonly (string | Uint8Array)[]): Buffer {
  return frameOf(4, commandBody(name, ...data));
}

/** READY of a socket type, with an identity. */
export function readyOf(socketType: string, identity: string | Uint8Array = ""): Buffer {
  return commandOf("READY", property("Socket-Type", socketType), property("Identity", identity));
}

/** A peer that is no more than its bytes. */
export interface RawPeer {
  readonly socket: Socket;
  /** All it got so far. */
  got(): Buffer;
  /** Resolves once it got so many bytes, or was closed. */
  until(bytes: number): Promise<Buffer>;
  /** Resolves with all it got once the other side has closed. */
  readonly closed: Promise<Buffer>;
}

/** Connects to a path and writes. */
export function openRawPeer(path: string, ...bytes: readonly Uint8Array[]): RawPeer {
  const chunks: Buffer[] = [];
  const waiting = new Set<() => void>();
  const socket = connect({ path, allowHalfOpen: true });
  const got = () => Buffer.concat(chunks);
  const tell = () => {
    for (const one of waiting) one();
  };
  socket.on("error", () => {}); // a reset is an end like another
  socket.on("data", (chunk) => {
    chunks.push(Buffer.from(chunk));
    tell();
  });
  const closed = new Promise<Buffer>((resolve) => {
    const finish = () => {
      resolve(got());
      tell();
    };
    socket.once("end", finish);
    socket.once("close", finish);
  });
  for (const one of bytes) socket.write(one);
  return {
    socket,
    got,
    closed,
    until: (count) =>
      new Promise((resolve) => {
        const look = () => {
          if (got().length < count && !socket.readableEnded && !socket.destroyed) return;
          waiting.delete(look);
          resolve(got());
        };
        waiting.add(look);
        void closed.then(look);
        look();
      }),
  };
}
