// Modbus devices as the kit knows devices: profiles become polls, reads and writes.
// It must not know the bus, or when anything is asked.
import type { DeviceConfig, LineConfig } from "../../src/config/config.ts";
import { PlantError } from "../../src/util/errors.ts";
import {
  characterMs,
  type DevicePlan,
  describeSerial,
  type Exchange,
  type LineAdapter,
  type LineTiming,
  makeSerialPort,
  makeTcpPort,
  type PointInfo,
  type PointValue,
  type PollGroup,
  type ReadPlan,
  type Sample,
  silenceMs,
  type Verdict,
  type WritePlan,
} from "../kit/kit.ts";
import { frameRtu, frameSocket, judgeRtu, rtuAnswerBytes, watchMbap } from "./framing.ts";
import {
  bitAt,
  decodeResponse,
  encodeRequest,
  exceptionNames,
  functionOf,
  isBitTable,
  type Request,
} from "./pdu.ts";
import { type Block, planBlocks, type RequestCost, requestOf } from "./planner.ts";
import { layoutOf, type Profile, type ProfilePoint } from "./profile.ts";
import { decodeRegisters, encodeRegisters, registersOf, roundToLayout } from "./registers.ts";

/** Lines that speak Modbus. */
export type ModbusLine = Extract<LineConfig, { kind: "modbus-rtu" | "modbus-tcp" }>;

/** Exceptions by which a gateway says that the device behind it is silent. */
const unreachable = [10, 11];

/**
 * A Modbus line, ready for `startLine`.
 * @param load finds a profile by name.
 * @throws PlantError PROFILE_UNKNOWN, PROFILE_INVALID.
 */
export function modbusAdapter(config: ModbusLine, load: (profile: string) => Profile): LineAdapter {
  const timing = timingOf(config);
  const cost = { ...timing, turnaroundMs: config.turnaroundMs };
  const devices = Object.entries(config.devices).map(([name, device]) =>
    planDevice(name, device, { profile: load(device.profile), cost }),
  );
  return {
    settings:
      config.kind === "modbus-rtu" ? describeSerial(config) : `${config.host}:${config.port}`,
    timing,
    devices,
    makePort: () => (config.kind === "modbus-rtu" ? makeSerialPort(config) : tcpPort(config)),
    exceptionWords: (exception) => exceptionNames[exception],
  };
}

function timingOf(config: ModbusLine): LineTiming {
  if (config.kind === "modbus-tcp") return { characterMs: 0, silenceMs: 0 };
  return { characterMs: characterMs(config), silenceMs: silenceMs(config) };
}

function tcpPort(config: Extract<ModbusLine, { kind: "modbus-tcp" }>) {
  return makeTcpPort(config, {
    pairsAnswers: true,
    attach(socket, events) {
      const isSound = watchMbap();
      let isOver = false;
      socket.on("data", (chunk) => {
        if (isOver || isSound(chunk)) return;
        isOver = true;
        socket.destroy(new Error("what comes in is not Modbus TCP"));
      });
      return frameSocket(socket, {
        answer: (frame) => isOver || events.bytes(frame),
        strayed: () => isOver || events.strayed(),
      });
    },
  });
}

function planDevice(
  name: string,
  device: DeviceConfig,
  { profile, cost }: { readonly profile: Profile; readonly cost: RequestCost },
): DevicePlan {
  const { unit } = device;
  const names = Object.keys(profile.points);
  const readOf = (points: readonly string[]) =>
    planBlocks(profile, points, cost).map((block) => readPlan(profile, unit, block));
  const pointNamed = (point: string): ProfilePoint => {
    const found = Object.hasOwn(profile.points, point) ? profile.points[point] : undefined;
    if (found === undefined) throw new PlantError("POINT_UNKNOWN", { device: name, point });
    return found;
  };
  const planRead = (point: string): ReadPlan => {
    pointNamed(point);
    const [read] = readOf([point]);
    if (read === undefined) throw new PlantError("POINT_UNKNOWN", { device: name, point });
    return read;
  };
  const [first] = names;
  return {
    name,
    profile: profile.id,
    unit,
    isEnabled: device.enabled,
    points: names.map((point) => infoOf(point, pointNamed(point))),
    groups: groupsOf(profile, device.intervalMs, readOf),
    ...(first === undefined ? {} : { probe: planRead(cheapest(profile)) }),
    planRead,
    planWrite(point, value) {
      const found = pointNamed(point);
      if (found.access !== "write") {
        throw new PlantError("POINT_READ_ONLY", { device: name, point });
      }
      return writePlan(profile, unit, { point: found, value });
    },
  };
}

/** The point of the fewest registers: the cheapest question the device knows. */
function cheapest(profile: Profile): string {
  const sizes = Object.entries(profile.points).map(([name, point]) => ({
    name,
    size: isBitTable(point.table) ? 1 : registersOf(point),
  }));
  return sizes.sort((a, b) => a.size - b.size)[0]?.name ?? "";
}

function groupsOf(
  profile: Profile,
  intervalMs: number,
  readOf: (points: readonly string[]) => readonly ReadPlan[],
): PollGroup[] {
  const byGroup = Map.groupBy(Object.entries(profile.points), ([, point]) => point.group ?? "");
  return [...byGroup].map(([group, points]) => ({
    name: group,
    intervalMs: intervalMs * (profile.groups[group]?.every ?? 1),
    reads: readOf(points.map(([name]) => name)),
  }));
}

function infoOf(name: string, point: ProfilePoint): PointInfo {
  const { unit } = point;
  const isWritable = point.access === "write";
  return { name, type: typeOf(point), isWritable, ...(unit === undefined ? {} : { unit }) };
}

function typeOf({ type, scale, offset }: ProfilePoint): PointInfo["type"] {
  switch (type) {
    case "bool":
      return "bool";
    case "string":
      return "text";
    case "i64":
    case "u64":
      return scale === 1 && offset === 0 ? type : "f64";
    default:
      return "f64";
  }
}

function exchangeOf<T>(
  unit: number,
  request: Request,
  rest: Pick<Exchange<T>, "lane"> & {
    readonly deadlineMs: number | undefined;
    read(data: Uint8Array): T;
  },
): Exchange<T> {
  const { lane, deadlineMs, read } = rest;
  return {
    lane,
    signature: { unit, function: functionOf(request), answerBytes: rtuAnswerBytes(request) },
    frame: frameRtu(unit, encodeRequest(request)),
    judge: (received) => judge(unit, request, { received, read }),
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
  };
}

function judge<T>(
  unit: number,
  request: Request,
  rest: { readonly received: Uint8Array; readonly read: (data: Uint8Array) => T },
): Verdict<T> {
  const framed = judgeRtu(unit, request, rest.received);
  if (framed.is !== "frame") return framed;
  const response = decodeResponse(request, framed.pdu);
  switch (response.is) {
    case "data":
      return { is: "answer", value: rest.read(response.data) };
    case "done":
      return { is: "answer", value: rest.read(new Uint8Array(0)) };
    case "exception": {
      const { exception } = response;
      return { is: "exception", exception, isUnreachable: unreachable.includes(exception) };
    }
    default:
      return response;
  }
}

function readPlan(profile: Profile, unit: number, block: Block): ReadPlan {
  const request = requestOf(block);
  return {
    points: block.points,
    exchange: (lane, deadlineMs) =>
      exchangeOf(unit, request, {
        lane,
        deadlineMs,
        read: (data) => samplesOf(profile, block, data),
      }),
  };
}

/** The samples in the data of a block's answer. */
export function samplesOf(profile: Profile, block: Block, data: Uint8Array): Sample[] {
  return block.points.flatMap((name) => {
    const point = profile.points[name];
    if (point === undefined) return [];
    const at = point.address - block.address;
    if (isBitTable(block.table)) return [{ point: name, value: bitAt(data, at), quality: "good" }];
    const bytes = data.subarray(at * 2, (at + registersOf(point)) * 2);
    return [{ point: name, ...decodeRegisters(layoutOf(profile, point), bytes) }];
  });
}

function writePlan(
  profile: Profile,
  unit: number,
  { point, value }: { readonly point: ProfilePoint; readonly value: unknown },
): WritePlan {
  const { request, value: rounded } = writeRequest(profile, point, value);
  return {
    value: rounded,
    exchange: (deadlineMs) =>
      exchangeOf(unit, request, { lane: "write", deadlineMs, read: () => undefined }),
  };
}

/**
 * One register goes by function 6, more by 16, a coil by 5; all by 16 and 15 on a device that
 * knows no others.
 */
function writeRequest(
  profile: Profile,
  point: ProfilePoint,
  value: unknown,
): { request: Request; value: PointValue } {
  const { address, min, max } = point;
  const isMultiple = profile.writes === "multiple";
  if (point.table === "coil") {
    if (typeof value !== "boolean") throw refused("true or false is needed");
    if (isMultiple) return { request: { is: "write-coils", address, values: [value] }, value };
    return { request: { is: "write-coil", address, value }, value };
  }
  const number = typeof value === "number" || typeof value === "string" ? Number(value) : NaN;
  const isBounded = min !== undefined || max !== undefined;
  if (isBounded && Number.isNaN(number)) throw refused("a number is needed");
  const unit = point.unit === undefined ? "" : ` ${point.unit}`;
  if (min !== undefined && !(number >= min)) throw refused(`it must be at least ${min}${unit}`);
  if (max !== undefined && !(number <= max)) throw refused(`it must be at most ${max}${unit}`);
  const layout = layoutOf(profile, point);
  const data = encodeRegisters(layout, value);
  const is = data.length === 2 && !isMultiple ? "write-register" : "write-registers";
  return { request: { is, address, data }, value: roundToLayout(layout, value) };
}

function refused(reason: string): PlantError {
  return new PlantError("VALUE_REFUSED", { reason });
}
