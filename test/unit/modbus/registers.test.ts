// Values in registers: every type in every order, both ways, and what is refused.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  decodeRegisters,
  encodeRegisters,
  type Layout,
  orders,
  roundToLayout,
} from "../../../drivers/modbus/modbus.ts";
import { hasCode } from "../../../src/util/errors.ts";

const plain: Layout = { type: "u16", order: "ABCD", scale: 1, offset: 0 };
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const bytes = (text: string) => Uint8Array.from(Buffer.from(text, "hex"));

const accepted: readonly [string, Partial<Layout>, string, unknown][] = [
  ["i16", { type: "i16" }, "fffe", -2],
  ["u16", { type: "u16" }, "fffe", 65_534],
  ["u16 swapped", { type: "u16", order: "BADC" }, "0102", 0x0201],
  ["i32 ABCD", { type: "i32" }, "fffffffe", -2],
  ["u32 ABCD", { type: "u32" }, "01020304", 0x01020304],
  ["u32 CDAB", { type: "u32", order: "CDAB" }, "03040102", 0x01020304],
  ["u32 BADC", { type: "u32", order: "BADC" }, "02010403", 0x01020304],
  ["u32 DCBA", { type: "u32", order: "DCBA" }, "04030201", 0x01020304],
  ["u64 ABCD", { type: "u64" }, "0102030405060708", "72623859790382856"],
  ["u64 CDAB", { type: "u64", order: "CDAB" }, "0708050603040102", "72623859790382856"],
  ["u64 BADC", { type: "u64", order: "BADC" }, "0201040306050807", "72623859790382856"],
  ["u64 DCBA", { type: "u64", order: "DCBA" }, "0807060504030201", "72623859790382856"],
  ["u64 top", { type: "u64" }, "ffffffffffffffff", "18446744073709551615"],
  ["i64", { type: "i64" }, "ffdfffffffffffff", "-9007199254740993"],
  ["f32", { type: "f32" }, "4366199a", 230.1],
  ["f32 CDAB", { type: "f32", order: "CDAB" }, "199a4366", 230.1],
  ["f32 least", { type: "f32" }, "00000001", 1.4013e-45],
  ["f64", { type: "f64" }, "400921fb54442d18", Math.PI],
  ["f64 DCBA", { type: "f64", order: "DCBA" }, "182d4454fb210940", Math.PI],
  ["scaled", { type: "i32", scale: 0.1 }, "000008fd", 230.1],
  ["scaled up", { type: "u16", scale: 10 }, "0017", 230],
  ["offset", { type: "u16", scale: 0.1, offset: -40 }, "0259", 20.1],
  ["string", { type: "string", length: 4 }, "50554d5020310000", "PUMP 1"],
  ["string swapped", { type: "string", length: 2, order: "BADC" }, "5550504d", "PUMP"],
];

for (const [name, layout, wire, value] of accepted) {
  test(`${name}: ${wire} reads ${String(value)} and is written back as the same bytes`, () => {
    const full = { ...plain, ...layout };
    assert.deepEqual(decodeRegisters(full, bytes(wire)), { value, quality: "good" });
    assert.equal(hex(encodeRegisters(full, value)), wire);
  });
}

const withoutValue: readonly [string, Partial<Layout>, string][] = [
  ["NaN", { type: "f32" }, "7fc00000"],
  ["infinity", { type: "f32" }, "7f800000"],
  ["NaN of 64 bits", { type: "f64" }, "7ff8000000000000"],
  ["a sentinel", { type: "i32", invalid: [0x7fffffff] }, "7fffffff"],
  ["a negative sentinel", { type: "i16", invalid: [-32_768] }, "8000"],
  ["a 64-bit sentinel", { type: "u64", invalid: ["18446744073709551615"] }, "ffffffffffffffff"],
];

for (const [name, layout, wire] of withoutValue) {
  test(`${name} is no value but a faulty sensor`, () => {
    const expected = { value: null, quality: "bad", reason: "sensor" };
    assert.deepEqual(decodeRegisters({ ...plain, ...layout }, bytes(wire)), expected);
  });
}

const refused: readonly [string, Partial<Layout>, unknown][] = [
  ["above u16", { type: "u16" }, 65_536],
  ["below u16", { type: "u16" }, -1],
  ["a fraction in an unscaled integer", { type: "u16" }, 1.5],
  ["a text for a number", { type: "u16" }, "5"],
  ["NaN", { type: "f32" }, Number.NaN],
  ["beyond f32", { type: "f32" }, 1e39],
  ["null", { type: "f64" }, null],
  ["above i64", { type: "i64" }, "9223372036854775808"],
  ["hexadecimal digits", { type: "u64" }, "0x10"],
  ["a number for a text", { type: "string", length: 2 }, 5],
  ["a text that is too long", { type: "string", length: 2 }, "PUMPS"],
  ["a text beyond Latin-1", { type: "string", length: 4 }, "5 €"],
  ["a bit of a register", { type: "bool", bit: 3 }, true],
  ["a scaled value out of range", { type: "i16", scale: 0.1 }, 3277],
];

for (const [name, layout, value] of refused) {
  test(`${name} is refused, not written as something else`, () => {
    assert.throws(
      () => encodeRegisters({ ...plain, ...layout }, value),
      (error) => hasCode(error, "VALUE_REFUSED"),
    );
  });
}

test("a bit is read from its place, swapped bytes or not", () => {
  const bit = (order: Layout["order"], at: number) =>
    decodeRegisters({ ...plain, type: "bool", order, bit: at }, bytes("0801")).value;
  assert.deepEqual([bit("ABCD", 0), bit("ABCD", 11), bit("ABCD", 3)], [true, true, false]);
  assert.deepEqual([bit("BADC", 8), bit("BADC", 3), bit("BADC", 0)], [true, true, false]);
});

test("every order survives the way there and back for every length", () => {
  for (const order of orders) {
    for (const type of ["u16", "u32", "f32", "f64"] as const) {
      assert.equal(roundToLayout({ ...plain, type, order }, 1234), 1234, `${type} ${order}`);
    }
  }
});

test("a written value is rounded to what the device can hold", () => {
  assert.equal(roundToLayout({ ...plain, type: "u16", scale: 0.1 }, 4.26), 4.3);
  assert.equal(roundToLayout({ ...plain, type: "f32" }, 4.2), 4.2);
});
