// One side of a conversation: bytes of a master in, replies of the devices of a line out, with all
// that can go wrong with them. It must not know ports, clocks or faults in force.
import {
  frameRtu,
  frameTcp,
  hasValidCrc,
  isMbapValid,
  readMbap,
  requestBytesOf,
} from "../modbus/modbus.ts";
import type { Reply } from "./fault.ts";
import type { ModbusSlave } from "./modbus-slave.ts";

/** A request that was understood: whom it asked, and the reply; none to a broadcast. */
export interface Asked {
  readonly unit: number;
  readonly requestBytes: number;
  readonly reply: Reply | undefined;
}

/** Takes the bytes of one connection. */
export interface Dialog {
  /** Adds bytes that came at `atMs`; returns the requests they complete. */
  feed(bytes: Uint8Array, atMs: number): Asked[];
  /** Bytes that belonged to no request. */
  readonly droppedBytes: number;
  /** Whether the stream cannot be followed any more and must be cut. */
  readonly isLost: boolean;
}

type Slaves = ReadonlyMap<number, ModbusSlave>;

/** What is half received is forgotten after this silence. */
const stalledMs = 200;
const bytesMax = 4096;

/** The side of the slaves on a Modbus RTU line. */
export function talkRtu(slaves: Slaves): Dialog {
  let held: Uint8Array = new Uint8Array(0);
  let lastMs = 0;
  let droppedBytes = 0;
  const drop = (count: number) => {
    droppedBytes += count;
    held = held.subarray(count);
  };
  return {
    isLost: false,
    get droppedBytes() {
      return droppedBytes;
    },
    feed(bytes, atMs) {
      if (atMs - lastMs > stalledMs) drop(held.length);
      lastMs = atMs;
      held = joined(held, bytes);
      const asked: Asked[] = [];
      for (;;) {
        const length = requestBytesOf(held);
        if (length === undefined || held.length < length) break;
        const frame = held.slice(0, length);
        if (!hasValidCrc(frame)) {
          drop(1);
          continue;
        }
        held = held.subarray(length);
        asked.push(...answerRtu(slaves, frame));
      }
      if (held.length > bytesMax) drop(held.length - bytesMax);
      return asked;
    },
  };
}

function joined(held: Uint8Array, bytes: Uint8Array): Uint8Array {
  return held.length === 0 ? bytes.slice() : Uint8Array.from([...held, ...bytes]);
}

function answerRtu(slaves: Slaves, frame: Uint8Array): Asked[] {
  const unit = frame[0] ?? 0;
  const pdu = frame.subarray(1, -2);
  const requestBytes = frame.length;
  if (unit === 0) {
    for (const slave of slaves.values()) slave.answer(pdu);
    return [{ unit, requestBytes, reply: undefined }];
  }
  const answer = slaves.get(unit)?.answer(pdu);
  if (answer === undefined) return [];
  const reply: Reply = {
    bytes: frameRtu(unit, answer),
    corrupted() {
      const wrong = frameRtu(unit, answer);
      wrong[wrong.length - 1] = (wrong.at(-1) ?? 0) ^ 0x5a;
      return wrong;
    },
    misaddressed: () => frameRtu((unit % 247) + 1, answer),
    refused: (exception) => frameRtu(unit, refusal(pdu, exception)),
  };
  return [{ unit, requestBytes, reply }];
}

function refusal(pdu: Uint8Array, exception: number): Uint8Array {
  return Uint8Array.of((pdu[0] ?? 0) | 0x80, exception);
}

/** The side of a Modbus TCP server on one connection. A unit nobody has gets exception 11. */
export function talkTcp(slaves: Slaves): Dialog {
  let held: Uint8Array = new Uint8Array(0);
  const state = { isLost: false, droppedBytes: 0 };
  return {
    get isLost() {
      return state.isLost;
    },
    get droppedBytes() {
      return state.droppedBytes;
    },
    feed(bytes) {
      held = joined(held, bytes);
      const asked: Asked[] = [];
      while (!state.isLost) {
        const header = readMbap(held);
        if (header === undefined) break;
        if (!isMbapValid(header)) {
          state.isLost = true;
          state.droppedBytes += held.length;
          break;
        }
        const end = 6 + header.length;
        if (held.length < end) break;
        asked.push(answerTcp(slaves, header.transaction, held.slice(6, end)));
        held = held.subarray(end);
      }
      return asked;
    },
  };
}

function answerTcp(slaves: Slaves, transaction: number, body: Uint8Array): Asked {
  const unit = body[0] ?? 0;
  const pdu = body.subarray(1);
  const answer = slaves.get(unit)?.answer(pdu) ?? refusal(pdu, 11);
  const reply: Reply = {
    bytes: frameTcp(transaction, unit, answer),
    // TCP has no checksum of its own: what guards a reply is its transaction identifier.
    corrupted: () => frameTcp((transaction + 7) & 0xffff, unit, answer),
    misaddressed: () => frameTcp(transaction, (unit + 1) & 0xff, answer),
    refused: (exception) => frameTcp(transaction, unit, refusal(pdu, exception)),
  };
  return { unit, requestBytes: body.length + 6, reply };
}
