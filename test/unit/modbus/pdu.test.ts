// Requests and responses byte by byte: what is accepted, and everything that is not.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  decodeRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  frameRtu,
  functionOf,
  hasValidCrc,
  type Request,
  requestBytesOf,
} from "../../../drivers/modbus/modbus.ts";

const bytes = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));
const hex = (data: Uint8Array) => Buffer.from(data).toString("hex");

/** Examples of the Modbus Application Protocol V1.1b3, section 6, and neighbours. */
const requests: Readonly<Record<string, readonly [Request, string]>> = {
  "read coils": [{ is: "read", table: "coil", address: 0x13, count: 0x13 }, "0100130013"],
  "read discrete inputs": [
    { is: "read", table: "discrete", address: 0xc4, count: 22 },
    "0200c40016",
  ],
  "read holding registers": [
    { is: "read", table: "holding", address: 0x6b, count: 3 },
    "03006b0003",
  ],
  "read input registers": [{ is: "read", table: "input", address: 8, count: 1 }, "0400080001"],
  "write coil": [{ is: "write-coil", address: 0xac, value: true }, "0500acff00"],
  "clear coil": [{ is: "write-coil", address: 0xac, value: false }, "0500ac0000"],
  "write register": [{ is: "write-register", address: 1, data: bytes("0003") }, "0600010003"],
  "write coils": [
    {
      is: "write-coils",
      address: 0x13,
      values: [true, false, true, true, false, false, true, true, true, false],
    },
    "0f0013000a02cd01",
  ],
  "write registers": [
    { is: "write-registers", address: 1, data: bytes("000a0102") },
    "100001000204000a0102",
  ],
};

for (const [name, [request, wire]] of Object.entries(requests)) {
  test(`${name} has the bytes of the standard and reads back as itself`, () => {
    assert.equal(hex(encodeRequest(request)), wire);
    assert.deepEqual(decodeRequest(bytes(wire)), { is: "request", request });
    const frame = frameRtu(17, bytes(wire));
    assert.equal(requestBytesOf(frame), frame.length);
    assert.ok(hasValidCrc(frame));
  });
}

const refusedRequests: Readonly<Record<string, readonly [string, number]>> = {
  "an unknown function": ["4100000001", 1],
  "nothing after the function": ["03", 3],
  "no registers": ["0300000000", 3],
  "126 registers": ["030000007e", 3],
  "2001 bits": ["01000007d1", 3],
  "a read beyond the last address": ["03ffff0002", 2],
  "a coil that is neither on nor off": ["0500000001", 3],
  "a byte too many": ["030000000100", 3],
  "a byte count that does not fit": ["100001000203000a0102", 3],
  "fewer bytes than announced": ["100001000204000a01", 3],
  "a write beyond the last address": ["10ffff000204000a0102", 2],
};

for (const [name, [wire, exception]] of Object.entries(refusedRequests)) {
  test(`a slave answers ${name} with exception ${exception}`, () => {
    assert.deepEqual(decodeRequest(bytes(wire)), { is: "refuse", exception });
  });
}

const read: Request = { is: "read", table: "holding", address: 0, count: 2 };
const write: Request = { is: "write-registers", address: 1, data: bytes("000a0102") };
const coil: Request = { is: "write-coil", address: 0xac, value: true };
const bits: Request = { is: "read", table: "coil", address: 0, count: 9 };

const responses: readonly [string, Request, string, unknown][] = [
  ["data", read, "0304 00010002", { is: "data", data: bytes("00010002") }],
  ["bits", bits, "0102 ff01", { is: "data", data: bytes("ff01") }],
  ["an exception", read, "8302", { is: "exception", exception: 2 }],
  ["an exception to a write", write, "9004", { is: "exception", exception: 4 }],
  ["a written range", write, "1000010002", { is: "done" }],
  ["a written coil", coil, "0500acff00", { is: "done" }],
  ["another function", read, "0404 00010002", { is: "wrong", fault: "function" }],
  ["an exception to another function", read, "8402", { is: "wrong", fault: "function" }],
  ["another byte count", read, "0302 0001", { is: "wrong", fault: "byte-count" }],
  ["an odd byte count", read, "0303 000100", { is: "wrong", fault: "byte-count" }],
  ["fewer bytes than counted", read, "0304 000100", { is: "wrong", fault: "short" }],
  ["more bytes than counted", read, "0304 0001000200", { is: "wrong", fault: "long" }],
  ["nothing", read, "", { is: "wrong", fault: "function" }],
  ["an exception without a code", read, "83", { is: "wrong", fault: "short" }],
  ["an exception with more", read, "830200", { is: "wrong", fault: "long" }],
  ["exception 0", read, "8300", { is: "wrong", fault: "malformed" }],
  ["another written address", write, "1000020002", { is: "wrong", fault: "address" }],
  ["another written count", write, "1000010003", { is: "wrong", fault: "address" }],
  ["a coil written otherwise", coil, "0500ac0000", { is: "wrong", fault: "address" }],
  ["a cut acknowledgement", write, "10000100", { is: "wrong", fault: "short" }],
];

for (const [name, request, wire, expected] of responses) {
  test(`a response with ${name} is judged as what it is`, () => {
    assert.deepEqual(decodeResponse(request, bytes(wire)), expected);
  });
}

test("a slave's responses are what a master accepts", () => {
  for (const request of [read, write, coil, bits]) {
    const response = request.is === "read" ? { is: "data" as const, data: dataOf(request) } : done;
    const pdu = encodeResponse(functionOf(request), request, response);
    assert.deepEqual(decodeResponse(request, pdu), response);
    const refusal = encodeResponse(functionOf(request), request, { is: "exception", exception: 6 });
    assert.deepEqual(decodeResponse(request, refusal), { is: "exception", exception: 6 });
  }
});

const done = { is: "done" as const };
const dataOf = (request: Request) =>
  request.is === "read" && request.table === "coil" ? bytes("ff01") : bytes("00010002");

test("the CRC is that of the standard, and one flipped bit anywhere breaks it", () => {
  const frame = frameRtu(0x02, bytes("07"));
  assert.equal(hex(frame), "02074112", "Modbus over Serial Line V1.02, 6.2.2");
  const longer = frameRtu(1, bytes("030000000a"));
  assert.equal(hex(longer), "01030000000ac5cd");
  for (let bit = 0; bit < longer.length * 8; bit += 1) {
    const broken = Uint8Array.from(longer);
    broken[bit >> 3] = (broken[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert.equal(hasValidCrc(broken), false, `bit ${bit}`);
  }
});
