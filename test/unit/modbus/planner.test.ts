// The merge planner: fewest requests, gaps by the speed of the line, limits of the device.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  gapMax,
  loadProfile,
  parseProfile,
  planBlocks,
  type RequestCost,
  registersOf,
} from "../../../drivers/modbus/modbus.ts";

const at = (baud: number): RequestCost => {
  const characterMs = 11_000 / baud;
  return { characterMs, silenceMs: baud > 19_200 ? 1.75 : 3.5 * characterMs, turnaroundMs: 10 };
};
const tcp: RequestCost = { characterMs: 0, silenceMs: 0, turnaroundMs: 0 };

test("a gap is read along while that is quicker than a second request", () => {
  assert.equal(gapMax(at(9600)), 14);
  assert.equal(gapMax(at(19_200)), 18);
  assert.equal(gapMax(at(115_200)), 77);
  assert.ok(gapMax(tcp) > 16);
});

function profileOf(points: readonly (readonly [string, string, number, string?])[], more = "") {
  const rows = points.map(
    ([name, table, address, type = "u16"]) =>
      `  ${name}: { table: ${table}, address: ${address}, type: ${type} }`,
  );
  return parseProfile("x", `name: X\nmaker: X\nsource: X\n${more}points:\n${rows.join("\n")}`);
}

const plan = (profile: ReturnType<typeof profileOf>, cost: RequestCost) =>
  planBlocks(profile, Object.keys(profile.points), cost).map(
    ({ table, address, count }) => `${table} ${address}+${count}`,
  );

test("neighbours, overlaps and small gaps become one request, tables and wide gaps do not", () => {
  const rows = [
    ["d", "input", 40],
    ["a", "input", 0, "f32"],
    ["b", "input", 1],
    ["c", "input", 10],
    ["e", "holding", 2],
    ["f", "coil", 3, "bool"],
    ["g", "coil", 30, "bool"],
  ] as const;
  assert.deepEqual(plan(profileOf(rows), at(9600)), [
    "coil 3+28",
    "holding 2+1",
    "input 0+11",
    "input 40+1",
  ]);
});

test("a device's own limits hold, and no point is divided", () => {
  const rows = [
    ["a", "input", 0, "f64"],
    ["b", "input", 4, "f64"],
    ["c", "input", 8, "f64"],
  ] as const;
  assert.deepEqual(plan(profileOf(rows, "limits: { registers: 9 }\n"), tcp), [
    "input 0+8",
    "input 8+4",
  ]);
  const apart = [
    ["a", "input", 0],
    ["b", "input", 2],
  ] as const;
  assert.deepEqual(plan(profileOf(apart, "limits: { gap: 0 }\n"), tcp), ["input 0+1", "input 2+1"]);
});

test("every point of every profile lies whole in exactly one block within the limits", () => {
  for (const name of ["eastron-sdm630", "carlo-gavazzi-em340", "plantd-demo-pump"]) {
    const profile = loadProfile(name);
    for (const cost of [at(9600), at(115_200), tcp]) {
      const blocks = planBlocks(profile, Object.keys(profile.points), cost);
      const seen = blocks.flatMap((block) => block.points);
      assert.deepEqual([...seen].sort(), Object.keys(profile.points).sort());
      for (const block of blocks) {
        assert.ok(block.count <= (profile.limits.registers ?? 125), `${name} ${block.count}`);
        for (const key of block.points) {
          const point = profile.points[key] ?? assert.fail();
          assert.ok(point.address >= block.address);
          assert.ok(point.address + registersOf(point) <= block.address + block.count);
        }
      }
    }
  }
});
