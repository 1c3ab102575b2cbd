// Profiles: the ones that come along, and every way one can be wrong, with line and column.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  encodeRegisters,
  isBitTable,
  layoutOf,
  loadProfile,
  type ProfileFlaw,
  parseProfile,
  profileNames,
} from "../../../drivers/modbus/modbus.ts";
import { hasCode, PlantError } from "../../../src/util/errors.ts";

test("the profiles that come along can be read, and name their source", () => {
  assert.deepEqual(profileNames(), ["carlo-gavazzi-em340", "eastron-sdm630", "plantd-demo-pump"]);
  for (const name of profileNames()) {
    const profile = loadProfile(name);
    assert.ok(profile.source.length > 10, name);
    for (const [key, point] of Object.entries(profile.points)) {
      const { typical } = point;
      assert.notEqual(typical, undefined, `${name} ${key} has a typical value`);
      if (isBitTable(point.table) || point.type === "bool") {
        assert.equal(typeof typical, "boolean", `${name} ${key}`);
      } else assert.doesNotThrow(() => encodeRegisters(layoutOf(profile, point), typical), key);
    }
  }
});

test("the registers of the meters are those of their makers' sheets", () => {
  const sdm = loadProfile("eastron-sdm630").points;
  const { table, address, type } = sdm.power_total ?? assert.fail();
  assert.deepEqual({ table, address, type }, { table: "input", address: 0x34, type: "f32" });
  assert.equal(sdm.frequency?.address, 0x46);
  assert.equal(sdm.energy_total?.address, 0x156);
  const em = loadProfile("carlo-gavazzi-em340");
  assert.equal(em.points.frequency?.address, 0x33);
  assert.equal(em.points.energy_import?.address, 0x34);
  assert.equal(em.order, "CDAB");
});

const frame = (points: string, more = "") =>
  `name: Meter\nmaker: Maker\nsource: "a sheet"\n${more}points:\n${points}`;

function flawsOf(text: string): readonly ProfileFlaw[] {
  try {
    parseProfile("meter", text);
  } catch (error) {
    assert.ok(hasCode(error, "PROFILE_INVALID"));
    return error.detail.flaws as ProfileFlaw[];
  }
  return [];
}

const rejected: readonly [string, string, string][] = [
  [
    "an unknown key",
    "  a: { table: input, address: 0, type: u16, colour: red }",
    "points.a.colour",
  ],
  ["an unknown table", "  a: { table: inputs, address: 0, type: u16 }", "points.a.table"],
  ["an unknown type", "  a: { table: input, address: 0, type: int }", "points.a.type"],
  [
    "an unknown order",
    "  a: { table: input, address: 0, type: u32, order: ACBD }",
    "points.a.order",
  ],
  [
    "an address out of range",
    "  a: { table: input, address: 65536, type: u16 }",
    "points.a.address",
  ],
  [
    "a range beyond the table",
    "  a: { table: input, address: 65535, type: u32 }",
    "points.a.address",
  ],
  ["a number in a coil", "  a: { table: coil, address: 0, type: u16 }", "points.a.type"],
  ["a bit of a coil", "  a: { table: coil, address: 0, type: bool, bit: 1 }", "points.a.bit"],
  ["a bool without a bit", "  a: { table: input, address: 0, type: bool }", "points.a.type"],
  ["a bit of a number", "  a: { table: input, address: 0, type: u16, bit: 1 }", "points.a.bit"],
  ["bit 16", "  a: { table: input, address: 0, type: bool, bit: 16 }", "points.a.bit"],
  ["a text without a length", "  a: { table: input, address: 0, type: string }", "points.a.type"],
  [
    "a number with a length",
    "  a: { table: input, address: 0, type: u16, length: 2 }",
    "points.a.length",
  ],
  ["scale 0", "  a: { table: input, address: 0, type: u16, scale: 0 }", "points.a.scale"],
  [
    "a written input",
    "  a: { table: input, address: 0, type: u16, access: write }",
    "points.a.access",
  ],
  [
    "a written bit",
    "  a: { table: holding, address: 0, type: bool, bit: 1, access: write }",
    "points.a.access",
  ],
  [
    "min above max",
    "  a: { table: holding, address: 0, type: u16, min: 2, max: 1 }",
    "points.a.min",
  ],
  [
    "an unknown group",
    "  a: { table: input, address: 0, type: u16, group: slow }",
    "points.a.group",
  ],
  [
    "a sentinel of a float",
    "  a: { table: input, address: 0, type: f32, invalid: [1] }",
    "points.a.invalid",
  ],
  ["no points", "  {}", "points"],
  ["a name with a blank", "  a b: { table: input, address: 0, type: u16 }", "points.a b"],
];

for (const [name, points, setting] of rejected) {
  test(`a profile with ${name} is refused at its place`, () => {
    const flaws = flawsOf(frame(points));
    assert.deepEqual(
      flaws.map((flaw) => flaw.setting),
      [setting],
    );
    assert.ok((flaws[0]?.line ?? 0) >= 4);
    assert.ok((flaws[0]?.column ?? 0) >= 1);
  });
}

test("all flaws of a profile are told at once, each with line and column", () => {
  const flaws = flawsOf(
    frame(
      "  a: { table: input, address: 70000, type: u16 }\n" +
        "  b: { table: coil, address: 0, type: u16 }\n" +
        "  c: { table: holding, address: 0, type: u16, min: 3, max: 2, bit: 1 }",
      "colour: red\n",
    ),
  );
  assert.deepEqual(flaws.map(({ setting, line }) => `${setting} ${line}`).sort(), [
    "colour 4",
    "points.a.address 6",
    "points.b.type 7",
    "points.c.bit 8",
    "points.c.min 8",
  ]);
});

test("text that is not YAML is refused with its place, and an unknown profile by name", () => {
  assert.equal(flawsOf("name: [\n")[0]?.line !== undefined, true);
  assert.ok(flawsOf("just words").length > 0);
  assert.throws(
    () => loadProfile("../../etc/passwd"),
    (error) => error instanceof PlantError && error.code === "PROFILE_UNKNOWN",
  );
});
