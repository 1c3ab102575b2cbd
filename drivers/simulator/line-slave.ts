// A line-framed device made from a profile: lines in, lines out, values from a simulated device.
// It must not know ports or faults in force.

import type { PointValue } from "../kit/kit.ts";
import {
  answerLine,
  type Fields,
  frameLine,
  matchLine,
  numberOf,
  readLines,
  renderLine,
  type SerialPoint,
  type SerialProfile,
  type SerialRequest,
  type Template,
} from "../serial/serial.ts";
import type { SimulatedDevice, SimulatedPoint } from "./device.ts";
import type { Asked, Dialog } from "./dialog.ts";
import type { Reply } from "./fault.ts";
import type { SlaveEvents } from "./modbus-slave.ts";

/** A dialog with a device that may also speak by itself. */
export interface LineDialog extends Dialog {
  /** The lines the device sends without being asked; empty when it has none. */
  speak(): Asked[];
}

/** The points of a profile as a simulated device needs them. */
export function pointsOfLines(profile: SerialProfile): SimulatedPoint[] {
  return profile.points.map((point) => ({
    name: point.name,
    type: point.type === "f64" ? "decimal" : point.type,
    unit: point.unit,
    typical: point.typical,
    isWritable: point.write !== undefined,
  }));
}

/** The side of the device on a line of its own. */
export function talkLines(
  profile: SerialProfile,
  device: SimulatedDevice,
  events: SlaveEvents,
): LineDialog {
  const reader = readLines(profile.framing);
  const { counters } = reader;
  const refusal = [...profile.refusals.keys()][0];
  const replyOf = (line: string): Reply => ({
    bytes: frameLine(profile.framing, line),
    corrupted() {
      const wrong = frameLine(profile.framing, line);
      const middle = wrong.length >> 1;
      wrong[middle] = (wrong[middle] ?? 0) | 0x80;
      return wrong;
    },
    misaddressed: () => frameLine(profile.framing, "?? 0"),
    refused: () => frameLine(profile.framing, refusal ?? "?"),
  });
  const asked = (line: string, reply: string | undefined): Asked => ({
    unit: 1,
    requestBytes: line.length + profile.framing.terminator.length,
    reply: reply === undefined ? undefined : replyOf(reply),
  });

  const answer = (name: string, request: SerialRequest): string | undefined => {
    const points = profile.points.filter(({ read }) => read?.request === name);
    for (const point of points) events.served(point.name, device.read(point.name));
    return answerLine(request, fieldsOf(points, device, request));
  };
  const take = (line: string): string | undefined => {
    for (const [name, request] of profile.requests) {
      if (request.send === line) return answer(name, request);
    }
    for (const point of profile.points) {
      const fields = point.write === undefined ? undefined : matchLine(point.write.send, line);
      if (point.write === undefined || fields === undefined) continue;
      const value = writtenValue(point, fields.value);
      device.write(point.name, value);
      events.written(point.name, value);
      const done = point.write.done[0];
      if (done === undefined) return undefined;
      return renderLine(done, doneFields(profile, done, fields, device));
    }
    return refusal;
  };

  return {
    isLost: false,
    get droppedBytes() {
      return counters.noise + counters.overlong + counters.checksum;
    },
    feed: (bytes) => reader.push(bytes).map((line) => asked(line, take(line))),
    speak() {
      const unasked = [...profile.requests].filter(([, request]) => request.send === undefined);
      return unasked.map(([name, request]) => asked("", answer(name, request)));
    },
  };
}

function writtenValue(point: SerialPoint, field: string | undefined): PointValue {
  if (point.type === "bool") return true;
  if (point.type === "text") return field ?? "";
  return numberOf(field ?? "0") * point.scale;
}

/** The unit in which the number stands in the line as it is. */
function plainUnit(point: SerialPoint): string {
  for (const [unit, factor] of point.units?.factors ?? []) if (factor === 1) return unit;
  return point.unit ?? "";
}

function numberField(point: SerialPoint, value: PointValue): string {
  return (Number(value) / point.scale).toFixed(point.decimals);
}

/** Every field of an answer that the device's points tell. */
function fieldsOf(
  points: readonly SerialPoint[],
  device: SimulatedDevice,
  request: SerialRequest,
): Record<string, string> {
  const fields: Record<string, string> = {};
  const first = request.answers[0];
  for (const part of first?.parts ?? []) {
    if (part.kind === "choice") fields[part.name] = part.options[0] ?? "";
  }
  for (const point of points) {
    const { name, read, units, quality, words } = point;
    const value = device.read(name);
    if (units !== undefined) fields[units.field] = plainUnit(point);
    if (quality !== undefined && device.isMoving(name)) {
      const unsure = [...quality.uncertain.keys()][0];
      if (unsure !== undefined) fields[quality.field] = unsure;
    }
    if (read === undefined || fields[read.field] !== undefined) continue;
    const word = [...(words ?? [])].find(([, meaning]) => meaning === value)?.[0];
    fields[read.field] = word ?? (point.type === "f64" ? numberField(point, value) : `${value}`);
  }
  return fields;
}

/** Fields of the line that confirms a command: what was sent, else what the device shows. */
function doneFields(
  profile: SerialProfile,
  done: Template,
  sent: Fields,
  device: SimulatedDevice,
): Fields {
  const fields = done.fields.map((name) => {
    const shown = profile.points.find(({ read }) => read?.field === name);
    const inUnits = profile.points.find(({ units }) => units?.field === name);
    if (sent[name] !== undefined) return [name, sent[name]];
    if (shown !== undefined) return [name, numberField(shown, device.read(shown.name))];
    return [name, inUnits === undefined ? "" : plainUnit(inUnits)];
  });
  return Object.fromEntries(fields);
}
