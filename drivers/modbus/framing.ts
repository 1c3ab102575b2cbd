// Frames around a PDU: RTU with its checksum, TCP with its MBAP header, both sides. The only
// importer of modbus-serial. It must not know what a PDU says, and opens nothing.
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
// @ts-expect-error the package has no types for this file
import TcpPort from "modbus-serial/ports/tcpport.js";
// @ts-expect-error the package has no types for this file
import crc16 from "modbus-serial/utils/crc16.js";
import type { Fault } from "../kit/kit.ts";
import { answerBytesOf, functionOf, type Request } from "./pdu.ts";

const checksum: (bytes: Uint8Array) => number = crc16;

/** An RTU frame: unit, PDU, CRC with its low byte first. */
export function frameRtu(unit: number, pdu: Uint8Array): Uint8Array {
  const frame = new Uint8Array(pdu.length + 3);
  frame[0] = unit;
  frame.set(pdu, 1);
  const crc = checksum(frame.subarray(0, -2));
  frame[frame.length - 2] = crc & 0xff;
  frame[frame.length - 1] = crc >> 8;
  return frame;
}

/** Whether the last two bytes are the CRC of those before. */
export function hasValidCrc(frame: Uint8Array): boolean {
  if (frame.length < 4) return false;
  const crc = checksum(frame.subarray(0, -2));
  return frame[frame.length - 2] === (crc & 0xff) && frame[frame.length - 1] === crc >> 8;
}

/** Bytes of the regular answer's RTU frame. */
export function rtuAnswerBytes(request: Request): number {
  return answerBytesOf(request) + 3;
}

/** Bytes of an exception's RTU frame. */
const exceptionBytes = 5;

/**
 * Judges what a master has received after a request: a whole frame with a valid CRC, the beginning
 * of one, or neither. The first bytes that cannot belong to the answer end it.
 */
export function judgeRtu(
  unit: number,
  request: Request,
  received: Uint8Array,
):
  | { readonly is: "more" }
  | { readonly is: "frame"; readonly pdu: Uint8Array }
  | { readonly is: "wrong"; readonly fault: Fault } {
  const [first, code, count] = received;
  const expected = functionOf(request);
  if (first === undefined) return { is: "more" };
  if (first !== unit) return { is: "wrong", fault: "unit" };
  if (code === undefined) return { is: "more" };
  const isException = code === (expected | 0x80);
  if (code !== expected && !isException) return { is: "wrong", fault: "function" };
  const length = isException ? exceptionBytes : rtuAnswerBytes(request);
  if (!isException && request.is === "read" && count !== undefined && count !== length - 5) {
    return { is: "wrong", fault: "byte-count" };
  }
  if (received.length < length) return { is: "more" };
  if (received.length > length) return { is: "wrong", fault: "long" };
  if (!hasValidCrc(received)) return { is: "wrong", fault: "crc" };
  return { is: "frame", pdu: received.subarray(1, -2) };
}

/**
 * Length of the request frame that begins with these bytes, for slaves; `undefined` while more are
 * needed to tell. A function we do not know counts as 8 bytes.
 */
export function requestBytesOf(received: Uint8Array): number | undefined {
  const code = received[1];
  if (code === undefined) return undefined;
  if (code !== 15 && code !== 16) return 8;
  const count = received[6];
  return count === undefined ? undefined : 9 + count;
}

/** The header of Modbus TCP. `length` counts unit and PDU. @see Modbus TCP/IP Guide V1.0b, 3.1 */
export interface Mbap {
  readonly transaction: number;
  readonly protocol: number;
  readonly length: number;
}

const mbapBytes = 6;
/** Unit and PDU of the largest frame. */
const lengthMax = 254;

/** Reads a header; `undefined` while fewer than six bytes are there. */
export function readMbap(bytes: Uint8Array): Mbap | undefined {
  if (bytes.length < mbapBytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { transaction: view.getUint16(0), protocol: view.getUint16(2), length: view.getUint16(4) };
}

/** Whether a header can be Modbus: protocol 0 and a length that holds a function code. */
export function isMbapValid({ protocol, length }: Mbap): boolean {
  return protocol === 0 && length >= 3 && length <= lengthMax;
}

/** A Modbus TCP frame. */
export function frameTcp(transaction: number, unit: number, pdu: Uint8Array): Uint8Array {
  const frame = new Uint8Array(mbapBytes + 1 + pdu.length);
  const view = new DataView(frame.buffer);
  view.setUint16(0, transaction);
  view.setUint16(4, 1 + pdu.length);
  frame[mbapBytes] = unit;
  frame.set(pdu, mbapBytes + 1);
  return frame;
}

/**
 * Watches a stream of Modbus TCP frames go by, across chunks of any size. Returns false from the
 * first header that is not Modbus on: nothing after it can be trusted to begin where a frame does.
 */
export function watchMbap(): (chunk: Uint8Array) => boolean {
  let header: number[] = [];
  let bodyLeft = 0;
  let isSound = true;
  return (chunk) => {
    for (let at = 0; at < chunk.length && isSound; ) {
      if (bodyLeft > 0) {
        const step = Math.min(bodyLeft, chunk.length - at);
        bodyLeft -= step;
        at += step;
        continue;
      }
      header.push(chunk[at] ?? 0);
      at += 1;
      if (header.length < mbapBytes) continue;
      const mbap = readMbap(Uint8Array.from(header));
      header = [];
      if (mbap === undefined || !isMbapValid(mbap)) isSound = false;
      else bodyLeft = mbap.length;
    }
    return isSound;
  };
}

/** What modbus-serial's TCP client has that is used here. */
interface PackagedTcpPort {
  on(event: "data", listener: (frame: Buffer) => void): void;
  write(frame: Buffer): void;
  readonly _transactionIdWrite: number;
  readonly _transactionIdRead: number;
}

/** Modbus TCP on a connected socket, with RTU frames at its near side. */
export interface TcpFramer {
  /** Sends one RTU frame as a TCP frame with the next transaction identifier. */
  send(frame: Uint8Array): void;
}

/** What comes in: an answer to the last request sent, or one that belongs to an earlier request. */
export interface TcpFramerEvents {
  answer(frame: Uint8Array): void;
  strayed(): void;
}

/**
 * Puts modbus-serial's TCP client on a connected socket: it splits the stream, carries transaction
 * identifiers and gives frames in RTU form. Pairing is ours: only the last request's answer counts.
 */
export function frameSocket(socket: Socket, events: TcpFramerEvents): TcpFramer {
  const port: PackagedTcpPort = new TcpPort({ socket });
  let awaited = -1;
  port.on("data", (frame) => {
    if (port._transactionIdRead !== awaited) {
      events.strayed();
      return;
    }
    awaited = -1;
    events.answer(new Uint8Array(frame));
  });
  return {
    send(frame) {
      awaited = port._transactionIdWrite;
      port.write(Buffer.from(frame));
    },
  };
}
