// Reading of one socket, stopped and begun at once, and kept up when writing fails. Node's streams
// read one portion more after `pause`, and throw away what came when a write fails; its handles do
// not. It must not know who reads.
import { Socket } from "node:net";

/**
 * What is used of a handle of Node's, which it does not document. Its property `reading` is left as
 * it is: where it is false, the stream begins to read by itself.
 */
interface Handle {
  readStart(): number;
  readStop(): number;
}

interface Handled {
  _handle?: Handle | null;
}

function handleOf(socket: Socket): Handle | undefined {
  const handle = (socket as unknown as Handled)._handle;
  return typeof handle?.readStart === "function" ? handle : undefined;
}

/** Reads nothing more, from now on. */
export function stopReading(socket: Socket): void {
  const handle = handleOf(socket);
  if (handle === undefined) socket.pause();
  else handle.readStop();
}

/** Reads what comes; nothing new for one that reads already. */
export function startReading(socket: Socket): void {
  const handle = handleOf(socket);
  if (handle === undefined) socket.resume();
  else handle.readStart();
}

/**
 * Another socket for the same connection, that only reads; to be called where the callback of a
 * write tells an error, before Node closes the connection for it. The first socket is closed
 * without harm to the connection, and the other reads. Nothing where that cannot be done.
 */
export function readingEndOf(socket: Socket): Socket | undefined {
  const handle = handleOf(socket);
  if (handle === undefined || socket.destroyed) return undefined;
  (socket as unknown as Handled)._handle = null;
  const options = { handle, allowHalfOpen: true, readable: true, writable: false };
  return new Socket(options as object);
}
