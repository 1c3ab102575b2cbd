// Modbus requests and responses as protocol data units, both sides. Pure and strict.
// It must not know units, checksums or transports.
import type { Fault } from "../kit/kit.ts";

/** The four tables of a device. @see Modbus Application Protocol V1.1b3, 4.3 */
export const tables = ["coil", "discrete", "input", "holding"] as const;
export type Table = (typeof tables)[number];

/** A request a master sends. Addresses count from 0; `data` has two bytes per register. */
export type Request =
  | { readonly is: "read"; readonly table: Table; readonly address: number; readonly count: number }
  | { readonly is: "write-coil"; readonly address: number; readonly value: boolean }
  | { readonly is: "write-register"; readonly address: number; readonly data: Uint8Array }
  | { readonly is: "write-coils"; readonly address: number; readonly values: readonly boolean[] }
  | { readonly is: "write-registers"; readonly address: number; readonly data: Uint8Array };

/** What a slave answers: data of a read, an acknowledged write, or an exception. */
export type Response =
  | { readonly is: "data"; readonly data: Uint8Array }
  | { readonly is: "done" }
  | { readonly is: "exception"; readonly exception: number };

/** Exception codes in words. @see Modbus Application Protocol V1.1b3, 7 */
export const exceptionNames: Readonly<Record<number, string>> = {
  1: "illegal function",
  2: "illegal data address",
  3: "illegal data value",
  4: "server device failure",
  5: "acknowledge",
  6: "server device busy",
  7: "negative acknowledge",
  8: "memory parity error",
  10: "gateway path unavailable",
  11: "gateway target device failed to respond",
};

/** Most items of one request. @see Modbus Application Protocol V1.1b3, 6 */
export const limits = {
  readBits: 2000,
  readRegisters: 125,
  writeBits: 1968,
  writeRegisters: 123,
} as const;

const readFunctions = { coil: 1, discrete: 2, holding: 3, input: 4 } as const;
const readTables: Readonly<Record<number, Table>> = {
  1: "coil",
  2: "discrete",
  3: "holding",
  4: "input",
};

/** Whether a table holds bits. */
export function isBitTable(table: Table): boolean {
  return table === "coil" || table === "discrete";
}

/** The function code of a request. */
export function functionOf(request: Request): number {
  switch (request.is) {
    case "read":
      return readFunctions[request.table];
    case "write-coil":
      return 5;
    case "write-register":
      return 6;
    case "write-coils":
      return 15;
    case "write-registers":
      return 16;
  }
}

/** Bytes of the data of a read's answer. */
function dataBytesOf(request: Extract<Request, { is: "read" }>): number {
  return isBitTable(request.table) ? Math.ceil(request.count / 8) : request.count * 2;
}

/** Bytes of a regular answer's PDU. */
export function answerBytesOf(request: Request): number {
  return request.is === "read" ? 2 + dataBytesOf(request) : 5;
}

function head(code: number, ...words: number[]): number[] {
  return [code, ...words.flatMap((word) => [word >> 8, word & 0xff])];
}

/** Bits packed from the least significant bit of the first byte on. */
export function packBits(values: readonly boolean[]): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(values.length / 8));
  for (const [at, value] of values.entries()) {
    if (value) bytes[at >> 3] = (bytes[at >> 3] ?? 0) | (1 << (at & 7));
  }
  return bytes;
}

/** Bit `at` of packed bits. */
export function bitAt(bytes: Uint8Array, at: number): boolean {
  return (((bytes[at >> 3] ?? 0) >> (at & 7)) & 1) === 1;
}

/** The PDU of a request. */
export function encodeRequest(request: Request): Uint8Array {
  const code = functionOf(request);
  const { address } = request;
  switch (request.is) {
    case "read":
      return Uint8Array.from(head(code, address, request.count));
    case "write-coil":
      return Uint8Array.from(head(code, address, request.value ? 0xff00 : 0));
    case "write-register":
      return Uint8Array.from([...head(code, address), ...request.data]);
    case "write-coils": {
      const bits = packBits(request.values);
      return Uint8Array.from([...head(code, address, request.values.length), bits.length, ...bits]);
    }
    case "write-registers": {
      const { data } = request;
      return Uint8Array.from([...head(code, address, data.length / 2), data.length, ...data]);
    }
  }
}

/** A request as a slave reads it, or the exception code it must answer. */
export type DecodedRequest =
  | { readonly is: "request"; readonly request: Request }
  | { readonly is: "refuse"; readonly exception: number };

const illegalFunction: DecodedRequest = { is: "refuse", exception: 1 };
const illegalAddress: DecodedRequest = { is: "refuse", exception: 2 };
const illegalValue: DecodedRequest = { is: "refuse", exception: 3 };

/** Reads a request's PDU, for slaves. */
export function decodeRequest(pdu: Uint8Array): DecodedRequest {
  const view = new DataView(pdu.buffer, pdu.byteOffset, pdu.byteLength);
  const code = pdu[0] ?? 0;
  const table = readTables[code];
  if (table === undefined && ![5, 6, 15, 16].includes(code)) return illegalFunction;
  if (pdu.length < 5) return illegalValue;
  const address = view.getUint16(1);
  const word = view.getUint16(3);
  if (table !== undefined) {
    const most = isBitTable(table) ? limits.readBits : limits.readRegisters;
    if (pdu.length !== 5 || word < 1 || word > most) return illegalValue;
    if (address + word > 65_536) return illegalAddress;
    return { is: "request", request: { is: "read", table, address, count: word } };
  }
  if (code === 5) {
    if (pdu.length !== 5 || (word !== 0 && word !== 0xff00)) return illegalValue;
    return { is: "request", request: { is: "write-coil", address, value: word !== 0 } };
  }
  if (code === 6) {
    if (pdu.length !== 5) return illegalValue;
    return { is: "request", request: { is: "write-register", address, data: pdu.slice(3) } };
  }
  return decodeWriteMany(code === 15, address, word, pdu);
}

function decodeWriteMany(
  isBits: boolean,
  address: number,
  count: number,
  pdu: Uint8Array,
): DecodedRequest {
  const most = isBits ? limits.writeBits : limits.writeRegisters;
  const bytes = isBits ? Math.ceil(count / 8) : count * 2;
  if (count < 1 || count > most || pdu[5] !== bytes || pdu.length !== 6 + bytes) {
    return illegalValue;
  }
  if (address + count > 65_536) return illegalAddress;
  const data = pdu.slice(6);
  if (!isBits) return { is: "request", request: { is: "write-registers", address, data } };
  const values = Array.from({ length: count }, (_, at) => bitAt(data, at));
  return { is: "request", request: { is: "write-coils", address, values } };
}

/** The PDU of a response to a request with function code `code`. */
export function encodeResponse(code: number, request: Request | undefined, response: Response) {
  if (response.is === "exception" || request === undefined) {
    return Uint8Array.from([code | 0x80, response.is === "exception" ? response.exception : 1]);
  }
  if (response.is === "data") {
    return Uint8Array.from([code, response.data.length, ...response.data]);
  }
  return encodeRequest(request).subarray(0, 5);
}

/** What a response's PDU means for the request it should answer. */
export type DecodedResponse =
  | Response
  | { readonly is: "more" }
  | { readonly is: "wrong"; readonly fault: Fault };

/**
 * Reads a response's PDU. A regular one must match the request in function, byte count and, for
 * writes, address and value; an exception has exactly two bytes.
 */
export function decodeResponse(request: Request, pdu: Uint8Array): DecodedResponse {
  const code = functionOf(request);
  const [first, second] = pdu;
  if (first === (code | 0x80)) {
    if (pdu.length !== 2) return { is: "wrong", fault: pdu.length < 2 ? "short" : "long" };
    if (second === undefined || second === 0) return { is: "wrong", fault: "malformed" };
    return { is: "exception", exception: second };
  }
  if (first !== code) return { is: "wrong", fault: "function" };
  const expected = answerBytesOf(request);
  if (request.is === "read") {
    if (second !== expected - 2) return { is: "wrong", fault: "byte-count" };
    if (pdu.length !== expected) {
      return { is: "wrong", fault: pdu.length < expected ? "short" : "long" };
    }
    return { is: "data", data: pdu.slice(2) };
  }
  if (pdu.length !== expected) {
    return { is: "wrong", fault: pdu.length < expected ? "short" : "long" };
  }
  const echo = encodeRequest(request).subarray(0, 5);
  if (!echo.every((byte, at) => byte === pdu[at])) return { is: "wrong", fault: "address" };
  return { is: "done" };
}
