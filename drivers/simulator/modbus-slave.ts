// A Modbus device made from a profile: PDU in, PDU out, values from a simulated device.
// Pure but for the device. It must not know frames, ports or faults.

import { hasCode } from "../../src/util/errors.ts";
import type { PointValue } from "../kit/kit.ts";
import {
  type DecodedRequest,
  decodeRegisters,
  decodeRequest,
  encodeRegisters,
  encodeResponse,
  isBitTable,
  type Layout,
  layoutOf,
  type Profile,
  type ProfilePoint,
  packBits,
  type Request,
  type Response,
  registersOf,
  type Table,
} from "../modbus/modbus.ts";
import type { SimulatedDevice, SimulatedPoint } from "./device.ts";

/** What passed through a slave. */
export interface SlaveEvents {
  served(point: string, value: PointValue): void;
  written(point: string, value: PointValue): void;
}

/** One device on a line. */
export interface ModbusSlave {
  /** The answer to a request's PDU. */
  answer(pdu: Uint8Array): Uint8Array;
}

type Named = ProfilePoint & { readonly name: string };

/** The points of a profile as a simulated device needs them. */
export function pointsOfModbus(profile: Profile): SimulatedPoint[] {
  return Object.entries(profile.points).map(([name, point]) => ({
    name,
    type: kindOf(point),
    unit: point.unit,
    typical: point.typical,
    isWritable: point.access === "write",
    isNamed: point.values !== undefined,
  }));
}

function kindOf(point: ProfilePoint): SimulatedPoint["type"] {
  if (point.type === "bool") return "bool";
  if (point.type === "string") return "text";
  const isPlain = point.scale === 1 && point.offset === 0;
  if (/64$/.test(point.type) && point.type !== "f64" && isPlain) return "digits";
  return isPlain && /^[iu]/.test(point.type) ? "integer" : "decimal";
}

const illegalAddress: Response = { is: "exception", exception: 2 };
const illegalValue: Response = { is: "exception", exception: 3 };

/** Makes a slave. Registers of a table that no point describes read as 0. */
export function makeModbusSlave(
  profile: Profile,
  device: SimulatedDevice,
  events: SlaveEvents,
): ModbusSlave {
  const points: Named[] = Object.entries(profile.points).map(([name, point]) => ({
    name,
    ...point,
  }));
  const within = (table: Table, address: number, count: number) =>
    points.filter(
      (p) =>
        p.table === table && p.address < address + count && p.address + registersOf(p) > address,
    );
  const isMapped = (table: Table, address: number, count: number) => {
    const own = points.filter((p) => p.table === table);
    const from = Math.min(...own.map((p) => p.address));
    const to = Math.max(...own.map((p) => p.address + registersOf(p)));
    return own.length > 0 && address >= from && address + count <= to;
  };

  const readBits = (table: Table, address: number, count: number): Uint8Array => {
    const bits = new Array<boolean>(count).fill(false);
    for (const point of within(table, address, count)) {
      const value = device.read(point.name);
      bits[point.address - address] = value === true;
      events.served(point.name, value);
    }
    return packBits(bits);
  };
  const readRegisters = (table: Table, address: number, count: number): Uint8Array => {
    const data = new Uint8Array(count * 2);
    for (const point of within(table, address, count)) {
      const at = (point.address - address) * 2;
      const { bytes, value } = wireOf(layoutOf(profile, point), device.read(point.name));
      for (const [index, byte] of bytes.entries()) {
        const place = at + index;
        if (place >= 0 && place < data.length) data[place] = (data[place] ?? 0) | byte;
      }
      const isWhole = at >= 0 && at + bytes.length <= data.length;
      if (isWhole) events.served(point.name, value);
    }
    return data;
  };

  const store = (point: Named, value: PointValue): Response | undefined => {
    const { min, max } = point;
    if (typeof value === "number" && min !== undefined && value < min) return illegalValue;
    if (typeof value === "number" && max !== undefined && value > max) return illegalValue;
    device.write(point.name, value);
    events.written(point.name, value);
    return undefined;
  };
  const writeBits = (address: number, values: readonly boolean[]): Response => {
    const hit = within("coil", address, values.length);
    if (hit.length < values.length || hit.some((p) => p.access !== "write")) return illegalAddress;
    for (const point of hit) store(point, values[point.address - address] ?? false);
    return { is: "done" };
  };
  const writeRegisters = (address: number, data: Uint8Array): Response => {
    const count = data.length / 2;
    const hit = within("holding", address, count);
    const covered = hit.reduce((sum, point) => sum + registersOf(point), 0);
    const isWhole = hit.every(
      (p) => p.address >= address && p.address + registersOf(p) <= address + count,
    );
    if (!isWhole || covered !== count || hit.some((p) => p.access !== "write")) {
      return illegalAddress;
    }
    for (const point of hit) {
      const at = (point.address - address) * 2;
      const bytes = data.slice(at, at + registersOf(point) * 2);
      const { value } = decodeRegisters(layoutOf(profile, point), bytes);
      const refusal = store(point, value);
      if (refusal !== undefined) return refusal;
    }
    return { is: "done" };
  };

  const respond = (request: Request): Response => {
    switch (request.is) {
      case "read": {
        const { table, address, count } = request;
        if (!isMapped(table, address, count)) return illegalAddress;
        const read = isBitTable(table) ? readBits : readRegisters;
        return { is: "data", data: read(table, address, count) };
      }
      case "write-coil":
        return writeBits(request.address, [request.value]);
      case "write-coils":
        return writeBits(request.address, request.values);
      case "write-register":
      case "write-registers":
        return writeRegisters(request.address, request.data);
    }
  };

  return {
    answer(pdu) {
      const code = pdu[0] ?? 0;
      const decoded: DecodedRequest = decodeRequest(pdu);
      if (decoded.is === "refuse") {
        const { exception } = decoded;
        return encodeResponse(code, undefined, { is: "exception", exception });
      }
      return encodeResponse(code, decoded.request, respond(decoded.request));
    },
  };
}

/** A value as register bytes, and as the one who reads them will see it. */
function wireOf(layout: Layout, value: PointValue): { bytes: Uint8Array; value: PointValue } {
  if (layout.type === "bool") {
    const bytes = new Uint8Array(2);
    if (value === true) new DataView(bytes.buffer).setUint16(0, 1 << (layout.bit ?? 0));
    return { bytes, value };
  }
  const bytes = encodeOrNothing(layout, value);
  return { bytes, value: decodeRegisters(layout, bytes).value };
}

/** A value its registers cannot hold is shown as nothing, as a device out of range would. */
function encodeOrNothing(layout: Layout, value: PointValue): Uint8Array {
  try {
    return encodeRegisters(layout, value);
  } catch (error) {
    if (!hasCode(error, "VALUE_REFUSED")) throw error;
    return new Uint8Array(registersOf(layout) * 2);
  }
}
