// The words of ZMTP 3.1 with the NULL mechanism: greeting, commands, frame heads; bytes to values
// and back. It must not know sockets, or what comes before or after.
import type { Frames, WireRefusal } from "./socket.ts";

/** The greeting is as long as this, always. @see RFC 37, "Version Negotiation" */
export const greetingBytes = 64;
/** Bytes of a frame's head: flags, then a length of one or of eight bytes. */
export const shortHeadBytes = 2;
export const longHeadBytes = 9;
/** Longest body with a length of one byte. */
export const shortBodyMax = 255;
/** Flags of a frame; all other bits are reserved. */
export const flag = { more: 1, long: 2, command: 4 } as const;

/** Types of sockets that we are or talk to. */
export type SocketType = "ROUTER" | "DEALER";

/** Whom a socket of ours talks to. @see RFC 28, "The ROUTER Socket Type", "The DEALER …" */
const accepted: Readonly<Record<SocketType, readonly string[]>> = {
  ROUTER: ["DEALER", "REQ", "ROUTER"],
  DEALER: ["ROUTER", "REP"],
};

/** Longest identity in READY. */
const identityBytesMax = 255;
/** Longest context of a PING, and the unit of its time to live: a tenth of a second. */
const contextBytesMax = 16;
const ttlUnitMs = 100;
/** Where in the greeting its signature ends, and versions and mechanism stand. */
const signatureEndAt = 9;
const majorAt = 10;
const minorAt = 11;
const mechanismAt = 12;
const mechanism = Buffer.alloc(20);
mechanism.write("NULL", "latin1");

/** What we open with: version 3.1, mechanism NULL, as-server 0. Never to be changed. */
export const greeting: Buffer = Buffer.alloc(greetingBytes);
greeting[0] = 0xff;
greeting[signatureEndAt] = 0x7f;
greeting[majorAt] = 3;
greeting[minorAt] = 1;
mechanism.copy(greeting, mechanismAt);

/**
 * Whether the first `count` bytes of `bytes` may begin a greeting of ours to talk with: signature,
 * version 3 or later, mechanism NULL. Padding, as-server and filler are not looked at.
 */
export function isGreetingSoFar(bytes: Uint8Array, count: number): boolean {
  if (count > 0 && bytes[0] !== 0xff) return false;
  if (count > signatureEndAt && bytes[signatureEndAt] !== 0x7f) return false;
  if (count > majorAt && (bytes[majorAt] ?? 0) < 3) return false;
  for (let at = mechanismAt; at < Math.min(count, mechanismAt + mechanism.length); at += 1) {
    if (bytes[at] !== mechanism[at - mechanismAt]) return false;
  }
  return true;
}

/** Whether the peer of a whole greeting knows PING and PONG, which came with version 3.1. */
export function knowsPing(bytes: Uint8Array): boolean {
  return bytes[majorAt] !== 3 || (bytes[minorAt] ?? 0) >= 1;
}

/** A command of a peer. */
export type Command =
  | { readonly kind: "ready"; readonly socketType: string; readonly identity: Uint8Array }
  | { readonly kind: "error"; readonly reason: string }
  | { readonly kind: "ping"; readonly ttlMs: number; readonly context: Uint8Array }
  | { readonly kind: "pong" }
  | { readonly kind: "unknown"; readonly name: string };

const none: Buffer = Buffer.alloc(0);

/** Reads the body of a command frame; nothing when it is malformed. */
export function decodeCommand(body: Uint8Array): Command | undefined {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.length);
  const nameBytes = bytes[0] ?? 0;
  if (nameBytes === 0 || bytes.length < 1 + nameBytes) return undefined;
  const name = bytes.toString("latin1", 1, 1 + nameBytes);
  const rest = bytes.subarray(1 + nameBytes);
  switch (name) {
    case "READY":
      return decodeReady(rest);
    case "ERROR":
      if (rest.length === 0 || rest.length !== 1 + (rest[0] ?? 0)) return undefined;
      return { kind: "error", reason: rest.toString("latin1", 1) };
    case "PING":
      if (rest.length < 2 || rest.length > 2 + contextBytesMax) return undefined;
      return { kind: "ping", ttlMs: rest.readUInt16BE(0) * ttlUnitMs, context: rest.subarray(2) };
    case "PONG":
      return rest.length > contextBytesMax ? undefined : { kind: "pong" };
    default:
      return { kind: "unknown", name };
  }
}

/** The properties of READY: name and value, with lengths of one and four bytes. */
function decodeReady(rest: Buffer): Command | undefined {
  let socketType: string | undefined;
  let identity: Buffer = none;
  let at = 0;
  while (at < rest.length) {
    const nameEnd = at + 1 + (rest[at] ?? 0);
    if (nameEnd === at + 1 || nameEnd + 4 > rest.length) return undefined;
    const name = rest.toString("latin1", at + 1, nameEnd).toLowerCase();
    const end = nameEnd + 4 + rest.readUInt32BE(nameEnd);
    if (end > rest.length) return undefined;
    const value = rest.subarray(nameEnd + 4, end);
    if (name === "socket-type") socketType = value.toString("latin1");
    if (name === "identity") {
      if (value.length > identityBytesMax) return undefined;
      identity = value;
    }
    at = end;
  }
  return socketType === undefined ? undefined : { kind: "ready", socketType, identity };
}

/** Whether a socket of ours of one type talks with a peer of another. */
export function mayTalk(own: SocketType, peer: string): boolean {
  return accepted[own].includes(peer);
}

/** A command as a whole frame. Its data has at most 200 bytes. */
function encodeCommand(name: string, ...data: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat([Buffer.of(name.length), Buffer.from(name, "latin1"), ...data]);
  return Buffer.concat([Buffer.of(flag.command, body.length), body]);
}

/** READY without an identity: the router names its peers itself. */
export function encodeReady(socketType: SocketType): Buffer {
  const name = Buffer.from("\u000bSocket-Type", "latin1");
  const value = Buffer.from(`\0\0\0${String.fromCharCode(socketType.length)}${socketType}`);
  return encodeCommand("READY", name, value);
}

/** @param reason at most 100 characters of ASCII. */
export function encodeError(reason: string): Buffer {
  return encodeCommand("ERROR", Buffer.of(reason.length), Buffer.from(reason, "latin1"));
}

/** PING without a context; time to live 0, since we ping only a peer that is silent. */
export function encodePing(): Buffer {
  return encodeCommand("PING", Buffer.of(0, 0));
}

/** The answer to a PING, with its context. */
export function encodePong(context: Uint8Array): Buffer {
  return encodeCommand("PONG", context);
}

/** What we tell a peer that we refuse before messages flow. */
export function reasonOf(refusal: WireRefusal): string {
  return refusal === "handshake" ? "Invalid socket type" : `Refused: ${refusal}`;
}

/** Bytes of a message on the wire. */
export function wireBytes(frames: Frames): number {
  let size = 0;
  for (let at = 0; at < frames.length; at += 1) {
    const length = frames[at]?.length ?? 0;
    size += length + (length > shortBodyMax ? longHeadBytes : shortHeadBytes);
  }
  return size;
}

/** Writes the head of a message frame; returns where its body begins. */
export function writeHead(into: Uint8Array, at: number, length: number, isLast: boolean): number {
  const more = isLast ? 0 : flag.more;
  if (length <= shortBodyMax) {
    into[at] = more;
    into[at + 1] = length;
    return at + shortHeadBytes;
  }
  const high = Math.floor(length / 2 ** 32);
  into[at] = more | flag.long;
  into[at + 1] = 0;
  into[at + 2] = 0;
  into[at + 3] = high >>> 8;
  into[at + 4] = high;
  into[at + 5] = length >>> 24;
  into[at + 6] = length >>> 16;
  into[at + 7] = length >>> 8;
  into[at + 8] = length;
  return at + longHeadBytes;
}
