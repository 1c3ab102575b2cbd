// Slaves on one line that keep what is written to them. Registers start as the value that names
// them; addresses from 4096 on do not exist. It must not know the driver's polling.
import {
  decodeRequest,
  encodeResponse,
  frameRtu,
  hasValidCrc,
  packBits,
  type Request,
  type Response,
} from "../../drivers/modbus/modbus.ts";
import { nameValue } from "./modbus-slaves.ts";

const addressesMax = 4096;

export function slaveMemory() {
  const registers = new Map<string, number>();
  const writes: Request[] = [];
  let isMute = false;
  let most = 65_535;
  let shiftedBy = 0;

  const read = (unit: number, table: "holding" | "input", address: number) =>
    registers.get(`${unit} ${table} ${address}`) ??
    (nameValue(unit, table, address) + shiftedBy) % 65_536;

  function respond(unit: number, request: Request): Response {
    const { address } = request;
    const count = request.is === "read" ? request.count : 1;
    if (address + count > addressesMax) return { is: "exception", exception: 2 };
    if (request.is === "read") {
      const { table } = request;
      const at = Array.from({ length: count }, (_, offset) => address + offset);
      if (table === "coil" || table === "discrete") {
        const bits = at.map((one) => registers.get(`${unit} ${table} ${one}`) === 1);
        return { is: "data", data: packBits(bits) };
      }
      const words = at.map((one) => read(unit, table, one));
      return { is: "data", data: Uint8Array.from(words.flatMap((w) => [w >> 8, w & 0xff])) };
    }
    writes.push(request);
    if (request.is === "write-coil") {
      registers.set(`${unit} coil ${address}`, request.value ? 1 : 0);
    } else if (request.is === "write-register") {
      const [high = 0, low = 0] = request.data;
      registers.set(`${unit} holding ${address}`, Math.min(most, high * 256 + low));
    }
    return { is: "done" };
  }

  return {
    writes,
    read,
    /** From now on writes are carried out and not answered. */
    muteWrites() {
      isMute = true;
    },
    /** From now on a register takes at most this value. */
    limitWrites(value: number) {
      most = value;
    },
    /** Changes all values that were not written. */
    shift() {
      shiftedBy += 1;
    },
    answer(frame: Uint8Array): Uint8Array | undefined {
      const [unit, code] = frame;
      if (unit === undefined || code === undefined || !hasValidCrc(frame)) return undefined;
      const decoded = decodeRequest(frame.subarray(1, -2));
      if (decoded.is === "refuse") {
        const { exception } = decoded;
        return frameRtu(unit, encodeResponse(code, undefined, { is: "exception", exception }));
      }
      const response = respond(unit, decoded.request);
      if (isMute && decoded.request.is !== "read") return undefined;
      return frameRtu(unit, encodeResponse(code, decoded.request, response));
    },
  };
}
