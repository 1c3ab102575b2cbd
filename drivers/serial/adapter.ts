// A serial line with one line-framed device, as the driver kit runs it: requests, commands, and
// lines the device sends by itself. It must not know queues, timeouts or the bus.
import type { LineConfig } from "../../src/config/config.ts";
import { PlantError } from "../../src/util/errors.ts";
import {
  characterMs,
  type DevicePlan,
  describeSerial,
  type Exchange,
  type Heard,
  type LineAdapter,
  makeSerialPort,
  type PointInfo,
  type ReadPlan,
  type Sample,
  type Verdict,
  type WritePlan,
} from "../kit/kit.ts";
import { type Answer, commandLine, readAnswer, readVerdict } from "./answer.ts";
import { frameLine, readLines } from "./framing.ts";
import { loadSerialProfile, type SerialPoint, type SerialProfile } from "./profile.ts";

/** A line of kind `serial`. */
export type SerialLineConfig = Extract<LineConfig, { readonly kind: "serial" }>;

/** Function numbers of a line without any: requests from 1, commands from 1001. */
const firstCommand = 1001;

/**
 * Makes the adapter of a line. Such devices have no address: a line holds one of them.
 * @throws PlantError PROFILE_UNKNOWN, PROFILE_INVALID; LIMIT_REACHED for a second device.
 */
export function serialAdapter(
  config: SerialLineConfig,
  load: (id: string) => SerialProfile = loadSerialProfile,
): LineAdapter {
  const devices = Object.entries(config.devices);
  if (devices.length > 1) {
    throw new PlantError("LIMIT_REACHED", { limit: "devices on a serial line", max: 1 });
  }
  const entries = devices.map(([name, device]) => ({
    name,
    device,
    profile: load(device.profile),
  }));
  const talkers = entries.filter(
    ({ device, profile }) => device.enabled && requestsUnasked(profile).length > 0,
  );
  return {
    settings: describeSerial(config),
    timing: { characterMs: characterMs(config), silenceMs: 0 },
    devices: entries.map(({ name, device, profile }) => planDevice(name, device, profile)),
    makePort: () => makeSerialPort(config),
    exceptionWords: (exception) => reasonsOf(entries[0]?.profile)[exception - 1],
    ...(talkers.length === 0 ? {} : { listen: (received) => hear(talkers, received) }),
  };
}

function requestsUnasked(profile: SerialProfile): string[] {
  return [...profile.requests].flatMap(([name, { send }]) => (send === undefined ? [name] : []));
}

function planDevice(
  name: string,
  device: SerialLineConfig["devices"][string],
  profile: SerialProfile,
): DevicePlan {
  const asked = [...profile.requests].filter(([, { send }]) => send !== undefined);
  const reads = new Map(
    asked.map(([request], at) => [request, planRequest(profile, request, at + 1)]),
  );
  const pointNamed = (point: string) => {
    const found = profile.points.find((item) => item.name === point);
    if (found === undefined) throw new PlantError("POINT_UNKNOWN", { device: name, point });
    return found;
  };
  const [probe] = reads.values();
  return {
    name,
    profile: profile.id,
    unit: device.unit,
    isEnabled: device.enabled,
    points: profile.points.map(infoOf),
    groups:
      reads.size === 0
        ? []
        : [{ name: "all", intervalMs: device.intervalMs, reads: [...reads.values()] }],
    ...(probe === undefined ? {} : { probe }),
    planRead(point) {
      const plan = reads.get(pointNamed(point).read?.request ?? "");
      if (plan === undefined) throw new PlantError("POINT_UNKNOWN", { device: name, point });
      return plan;
    },
    planWrite: (point, value) =>
      planCommand(profile, { device: name, ...pointNamed(point) }, value),
  };
}

function infoOf(point: SerialPoint): PointInfo {
  const { name, type, unit } = point;
  const isWritable = point.write !== undefined;
  return { name, type, isWritable, ...(unit === undefined ? {} : { unit }) };
}

function planRequest(profile: SerialProfile, request: string, number: number): ReadPlan {
  const points = profile.points.filter(({ read }) => read?.request === request);
  const send = profile.requests.get(request)?.send ?? "";
  return {
    points: points.map(({ name }) => name),
    exchange: (lane, deadlineMs): Exchange<readonly Sample[]> => ({
      lane,
      signature: { unit: 0, function: number, answerBytes: 0 },
      frame: frameLine(profile.framing, send),
      judge: (received) => judge(profile, received, (line) => readAnswer(profile, request, line)),
      ...(deadlineMs === undefined ? {} : { deadlineMs }),
    }),
  };
}

/** The first line among the bytes that decides; lines of others before it are passed over. */
function judge(
  profile: SerialProfile,
  received: Uint8Array,
  read: (line: string) => Answer,
): Verdict<readonly Sample[]> {
  const reader = readLines(profile.framing);
  const lines = reader.push(received);
  for (const line of lines) {
    const answer = read(line);
    if (answer.kind === "readings") return { is: "answer", value: answer.readings };
    if (answer.kind === "refused") return refusal(profile, answer.reason);
  }
  const { noise, overlong, checksum } = reader.counters;
  if (checksum > 0) return { is: "wrong", fault: "crc" };
  if (overlong > 0) return { is: "wrong", fault: "long" };
  return noise > 0 || lines.length > 0 ? { is: "wrong", fault: "malformed" } : { is: "more" };
}

/** Every reason for which the device may refuse, those of commands last. */
function reasonsOf(profile: SerialProfile | undefined): readonly string[] {
  if (profile === undefined) return [];
  const ofCommands = profile.points.flatMap(({ write }) => [...(write?.refused.values() ?? [])]);
  return [...new Set([...profile.refusals.values(), ...ofCommands])];
}

/** A refusal by the place of its reason, from 1. */
function refusal(profile: SerialProfile, reason: string): Verdict<never> {
  return { is: "exception", exception: reasonsOf(profile).indexOf(reason) + 1 };
}

function planCommand(
  profile: SerialProfile,
  point: SerialPoint & { readonly device: string },
  value: unknown,
): WritePlan {
  const { device, name, write } = point;
  if (write === undefined) throw new PlantError("POINT_READ_ONLY", { device, point: name });
  const line = commandLine(point, value);
  if (typeof line !== "string") throw new PlantError("VALUE_REFUSED", { reason: line.problem });
  const number = profile.points.findIndex((item) => item.name === name) + firstCommand;
  const read = (answer: string): Answer => {
    const verdict = readVerdict(profile, write, answer);
    return verdict.kind === "done" ? { kind: "readings", readings: [] } : verdict;
  };
  return {
    value: settledValue(point, value),
    exchange: (deadlineMs): Exchange<undefined> => ({
      lane: "write",
      signature: { unit: 0, function: number, answerBytes: 0 },
      frame: frameLine(profile.framing, line),
      judge(received) {
        const verdict = judge(profile, received, read);
        return verdict.is === "answer" ? { is: "answer", value: undefined } : verdict;
      },
      ...(write.timeoutMs === undefined ? {} : { timeoutMs: write.timeoutMs }),
      ...(deadlineMs === undefined ? {} : { deadlineMs }),
    }),
  };
}

/** A value as the device holds it: rounded to the decimals of its line. */
function settledValue(point: SerialPoint, value: unknown): number | string | boolean {
  if (typeof value !== "number") return value === true || String(value);
  return Number((value / point.scale).toFixed(point.decimals)) * point.scale;
}

/** Reads whole lines of a device that talks by itself; what is begun waits for its end. */
function hear(
  talkers: readonly { readonly name: string; readonly profile: SerialProfile }[],
  received: Uint8Array,
): Heard {
  const samples: { device: string; samples: readonly Sample[] }[] = [];
  let usedBytes = 0;
  for (const { name, profile } of talkers) {
    const { terminator } = profile.framing;
    const end = Buffer.from(received).lastIndexOf(terminator, undefined, "latin1");
    if (end < 0) continue;
    usedBytes = end + terminator.length;
    const lines = readLines(profile.framing).push(received.subarray(0, usedBytes));
    const readings = lines.flatMap((line) => readUnasked(profile, line));
    if (readings.length > 0) samples.push({ device: name, samples: readings });
  }
  return { usedBytes, samples };
}

function readUnasked(profile: SerialProfile, line: string): readonly Sample[] {
  for (const request of requestsUnasked(profile)) {
    const answer = readAnswer(profile, request, line);
    if (answer.kind === "readings") return answer.readings;
  }
  return [];
}
