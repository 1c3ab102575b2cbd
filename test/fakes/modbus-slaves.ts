// Slaves on one line whose every register tells its own unit, table and address, so that a value
// taken for another's is seen at once. It must not know the driver's polling.
import {
  decodeRequest,
  encodeResponse,
  frameRtu,
  hasValidCrc,
  type Request,
} from "../../drivers/modbus/modbus.ts";

/** The value of a register: 16 bits that name it. */
export function nameValue(unit: number, table: "holding" | "input", address: number): number {
  return ((unit & 0x1f) << 11) | ((table === "input" ? 1 : 0) << 10) | (address & 0x3ff);
}

/** The right answer to an RTU request frame; `undefined` for what is no valid frame. */
export function answerRtu(frame: Uint8Array): Uint8Array | undefined {
  const [unit, code] = frame;
  if (unit === undefined || code === undefined || !hasValidCrc(frame)) return undefined;
  const decoded = decodeRequest(frame.subarray(1, -2));
  if (decoded.is === "refuse") {
    const { exception } = decoded;
    return frameRtu(unit, encodeResponse(code, undefined, { is: "exception", exception }));
  }
  const { request } = decoded;
  const response =
    request.is === "read"
      ? { is: "data" as const, data: dataOf(unit, request) }
      : { is: "done" as const };
  return frameRtu(unit, encodeResponse(code, request, response));
}

function dataOf(unit: number, request: Extract<Request, { is: "read" }>): Uint8Array {
  const { table, address, count } = request;
  if (table === "coil" || table === "discrete") return new Uint8Array(Math.ceil(count / 8));
  const words = Array.from({ length: count }, (_, at) => nameValue(unit, table, address + at));
  return Uint8Array.from(words.flatMap((word) => [word >> 8, word & 0xff]));
}
