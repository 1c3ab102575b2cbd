// Doors of configuration, profiles and field devices: YAML, Modbus of both sides, lines of serial
// devices. It must not know how inputs are damaged.
import assert from "node:assert/strict";
import { watchMbap } from "../../drivers/modbus/framing.ts";
import {
  decodeRegisters,
  decodeRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  frameRtu,
  frameTcp,
  judgeRtu,
  loadProfile,
  orders,
  parseProfile,
  type Request,
  registersOf,
  types,
} from "../../drivers/modbus/modbus.ts";
import {
  compileTemplate,
  type Framing,
  frameLine,
  loadSerialProfile,
  parseSerialProfile,
  readAnswer,
  readLines,
} from "../../drivers/serial/serial.ts";
import { rulesOf } from "../../drivers/simulator/behaviour.ts";
import { makeDevice } from "../../drivers/simulator/device.ts";
import { talkRtu, talkTcp } from "../../drivers/simulator/dialog.ts";
import { parseCommand } from "../../drivers/simulator/fault.ts";
import { makeModbusSlave, pointsOfModbus } from "../../drivers/simulator/modbus-slave.ts";
import { parseConfig } from "../../src/config/config.ts";
import type { Door } from "./fuzz.ts";
import type { Input } from "./mutation.ts";

const text = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString();
const one = (words: string): Input => [Buffer.from(words)];
const none = new Uint8Array();

const config = `
http:
  port: 8080
store: { flushMaxMs: 50 }
lines:
  rs485-1:
    kind: modbus-rtu
    path: /dev/ttyS1
    baud: 9600
    devices:
      meter: { profile: eastron-sdm630, unit: 1 }
`;
const modbusProfile = `
name: A meter
maker: Somebody
source: "page 3"
order: ABCD
points:
  voltage: { table: input, address: 0, type: f32, unit: V }
  level: { table: input, address: 4, type: u16, scale: 0.1, invalid: [65535] }
  flags: { table: holding, address: 8, type: bool, bit: 3 }
  setpoint: { table: holding, address: 9, type: u16, access: write, min: 0, max: 10 }
`;
const serialProfile = `
name: A scale
maker: Somebody
source: "page 3"
framing: { terminator: "\\r\\n", lineMax: 80 }
requests:
  weight: { send: SI, answers: ["S {status:S|D} {weight:number:10} {unit}"] }
points:
  weight:
    type: f64
    unit: g
    read: { request: weight, field: weight }
    units: { field: unit, factors: { g: 1, kg: 1000 } }
`;

function textDoors(): Door[] {
  return [
    {
      name: "configuration",
      weight: 0.2,
      shape: "text",
      samples: [one(config)],
      enter: ([b]) => parseConfig(text(b), { file: "plantd.yaml" }),
    },
    {
      name: "modbus profile",
      weight: 0.2,
      shape: "text",
      samples: [one(modbusProfile)],
      enter: ([b]) => parseProfile("p", text(b)),
    },
    {
      name: "serial profile",
      weight: 0.2,
      shape: "text",
      samples: [one(serialProfile)],
      enter: ([b]) => parseSerialProfile("p", text(b)),
    },
    {
      name: "line template",
      shape: "text",
      samples: [one("S {status:S|D} {weight:number:10} {unit}"), one("{value}")],
      enter: ([b]) => compileTemplate(text(b)),
    },
    {
      name: "command of the simulator",
      shape: "text",
      samples: [one("fault line=rs485-1 kind=late ms=800"), one("heal line=a")],
      enter: ([b]) => parseCommand(text(b)),
    },
  ];
}

const requests: readonly Request[] = [
  { is: "read", table: "holding", address: 10, count: 4 },
  { is: "read", table: "coil", address: 0, count: 19 },
  { is: "write-coil", address: 3, value: true },
  { is: "write-register", address: 7, data: Uint8Array.of(1, 2) },
  { is: "write-coils", address: 0, values: [true, false, true] },
  { is: "write-registers", address: 2, data: Uint8Array.of(1, 2, 3, 4) },
];
/** The answer a slave gives to each request. */
const answers = requests.map((request) => {
  const bytes = request.is === "read" ? (request.table === "coil" ? 3 : 8) : 0;
  const data = Uint8Array.from({ length: bytes }, (_, at) => at * 17);
  const response =
    request.is === "read" ? ({ is: "data", data } as const) : ({ is: "done" } as const);
  return encodeResponse(encodeRequest(request)[0] ?? 0, request, response);
});
const layouts = types.flatMap((type) =>
  orders.map((order) => ({ type, order, length: 4, bit: 3, scale: 0.1, offset: 1 })),
);

/** Both sides of Modbus; the first byte of an input says to which request it is the answer. */
function modbusDoors(): Door[] {
  const chosen = (bytes: Uint8Array) => (bytes[0] ?? 0) % requests.length;
  const asked = (bytes: Uint8Array) => requests[chosen(bytes)] as Request;
  const marked = (make: (pdu: Uint8Array) => Uint8Array) =>
    answers.map((pdu, at): Input => [Buffer.concat([Buffer.of(at), make(pdu)])]);
  return [
    {
      name: "modbus request",
      weight: 2,
      shape: "bytes",
      samples: requests.map((request) => [encodeRequest(request)]),
      enter: ([pdu = none]) => decodeRequest(pdu),
    },
    {
      name: "modbus answer",
      weight: 2,
      shape: "bytes",
      samples: marked((pdu) => pdu),
      enter: ([b = none]) => decodeResponse(asked(b), b.subarray(1)),
    },
    {
      name: "modbus rtu answer",
      weight: 2,
      shape: "bytes",
      samples: marked((pdu) => frameRtu(5, pdu)),
      enter([b = none]) {
        const judged = judgeRtu(5, asked(b), b.subarray(1));
        if (judged.is === "frame") decodeResponse(asked(b), judged.pdu);
      },
    },
    {
      name: "modbus tcp stream",
      shape: "bytes",
      samples: answers.map((pdu) => [frameTcp(1, 5, pdu)]),
      enter([b = none]) {
        const watch = watchMbap();
        for (let at = 0; at < b.length; at += 7) watch(b.subarray(at, at + 7));
      },
    },
    {
      name: "registers",
      shape: "bytes",
      samples: [[Buffer.alloc(9, 1)]],
      enter([b = none]) {
        const layout = layouts[(b[0] ?? 0) % layouts.length];
        assert.ok(layout);
        const wire = Buffer.alloc(registersOf(layout) * 2);
        wire.set(b.subarray(1, 1 + wire.length));
        return decodeRegisters(layout, wire);
      },
    },
  ];
}

/** The simulated devices, asked by anybody. */
function slaveDoors(): Door[] {
  const profile = loadProfile("plantd-demo-pump");
  const points = pointsOfModbus(profile);
  const device = makeDevice({ name: "d", points, rules: rulesOf("plantd-demo-pump") });
  const slave = makeModbusSlave(profile, device, { served() {}, written() {} });
  const slaves = new Map([[5, slave]]);
  return [
    {
      name: "simulator rtu",
      weight: 0.5,
      shape: "bytes",
      samples: requests.map((request) => [frameRtu(5, encodeRequest(request))]),
      enter: ([b = none]) => talkRtu(slaves).feed(b, 0),
    },
    {
      name: "simulator tcp",
      weight: 0.5,
      shape: "bytes",
      samples: requests.map((request) => [frameTcp(9, 5, encodeRequest(request))]),
      enter: ([b = none]) => talkTcp(slaves).feed(b, 0),
    },
    {
      name: "simulator pdu",
      weight: 0.5,
      shape: "bytes",
      samples: requests.map((request) => [encodeRequest(request)]),
      enter: ([pdu = none]) => slave.answer(pdu),
    },
  ];
}

function lineDoors(): Door[] {
  const scale = loadSerialProfile("mettler-sics");
  const framings: readonly Framing[] = [
    scale.framing,
    { terminator: "\r", start: "\x02", lineMax: 20, checksum: "xor8" },
    { terminator: "\n", lineMax: 20, checksum: "sum8" },
  ];
  const lines = ["S S     100.00 g", "S I", "TA A      1.00 kg", "ES"];
  return [
    {
      name: "bytes of a serial line",
      weight: 2,
      shape: "bytes",
      samples: framings.map((framing, at) => [
        Buffer.concat([Buffer.of(at), ...lines.map((line) => frameLine(framing, line))]),
      ]),
      enter([b = none]) {
        const reader = readLines(framings[(b[0] ?? 0) % framings.length] ?? scale.framing);
        for (let at = 1; at < b.length; at += 5) reader.push(b.subarray(at, at + 5));
      },
    },
    {
      name: "line of a serial device",
      weight: 2,
      shape: "text",
      samples: lines.map(one),
      enter: ([b]) => [...scale.requests.keys()].map((name) => readAnswer(scale, name, text(b))),
    },
  ];
}

/** All doors of this file. */
export function fieldDoors(): Door[] {
  return [...textDoors(), ...modbusDoors(), ...slaveDoors(), ...lineDoors()];
}
