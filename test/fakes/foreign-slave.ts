// A Modbus slave of another make for tests: values by chance, encoded by Python, told back when
// they are written. It must not know what reads them.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { orders, type Profile, types } from "../../drivers/modbus/modbus.ts";
import { systemClock as clock } from "../../src/util/clock.ts";
import type { Random } from "../../src/util/random.ts";
import { within } from "../../src/util/running.ts";

/** What a slave holds at a point, before scale and offset; integers as digits. */
export interface Held {
  readonly name: string;
  readonly table: string;
  readonly address: number;
  readonly type: string;
  readonly order: string;
  readonly length?: number | undefined;
  readonly bit?: number | undefined;
  readonly raw: string | number | boolean;
}

/** A profile with every type in every order, in both register tables, and every bit. */
export const everything = writeEverything();

function writeEverything(): string {
  const lines = ["name: everything", "maker: the tests", "source: this file", "points:"];
  for (const table of ["holding", "input"]) {
    let address = 3;
    for (const type of types.filter((name) => name !== "bool")) {
      for (const order of orders) {
        const access = table === "holding" ? ", access: write" : "";
        const length = type === "string" ? ", length: 5" : "";
        const words = `{ table: ${table}, address: ${address}, type: ${type}, order: ${order}`;
        lines.push(`  ${table}_${type}_${order}: ${words}${length}${access} }`);
        address += 5;
      }
    }
    for (let bit = 0; bit < 16; bit += 1) {
      lines.push(
        `  ${table}_bit_${bit}: { table: ${table}, address: ${address}, type: bool, bit: ${bit} }`,
      );
    }
  }
  for (let at = 0; at < 20; at += 1) {
    lines.push(`  coil_${at}: { table: coil, address: ${at * 3}, type: bool, access: write }`);
    lines.push(`  discrete_${at}: { table: discrete, address: ${at * 5 + 7}, type: bool }`);
  }
  return lines.join("\n");
}

/** A device that knows functions 15 and 16 only. */
export const multiple = `
name: multiple
maker: the tests
source: this file
writes: multiple
points:
  coil: { table: coil, address: 4, type: bool, access: write }
  register: { table: holding, address: 9, type: u16, access: write }
`;
/** A value of a type by chance, as the slave is told it. */
export function rawValue(random: Random, type: string, length: number): string | number | boolean {
  const word = () => BigInt(Math.floor(random.unit() * 2 ** 32));
  const bits = (word() << 32n) | word();
  switch (type) {
    case "bool":
      return random.unit() < 0.5;
    case "string":
      return Array.from({ length: length * 2 }, () =>
        String.fromCharCode(33 + Math.floor(random.unit() * 93)),
      ).join("");
    case "f32":
      return Math.fround((random.unit() - 0.5) * 10 ** Math.floor(random.unit() * 12 - 4));
    case "f64":
      return (random.unit() - 0.5) * 10 ** Math.floor(random.unit() * 200 - 100);
    default: {
      const width = Number(type.slice(1));
      return String(type[0] === "i" ? BigInt.asIntN(width, bits) : BigInt.asUintN(width, bits));
    }
  }
}

/** A value for every point of a profile. */
export function holdings(random: Random, profile: Profile): Held[] {
  return Object.entries(profile.points).map(([name, point]) => ({
    name,
    table: point.table,
    address: point.address,
    type: point.type,
    order: point.order ?? profile.order,
    length: point.length,
    bit: point.bit,
    raw: rawValue(random, point.type, point.length ?? 1),
  }));
}

/** Whether a reported value is what the slave holds, scaled as the profile says. */
export function isWhatIsHeld(profile: Profile, held: Held, value: unknown): boolean {
  const point = profile.points[held.name];
  if (point === undefined) return false;
  const { raw, type } = held;
  if (point.invalid?.some((sentinel) => String(sentinel) === String(raw))) return value === null;
  if (typeof raw === "boolean" || type === "string") return value === raw;
  const isPlain = point.scale === 1 && point.offset === 0;
  if (/^[iu]64$/.test(type) && isPlain) return value === raw;
  const number = Number(value);
  if (type === "f32" && isPlain) return Math.fround(number) === raw;
  if (isPlain) return number === Number(raw);
  const wanted = Number(raw) * point.scale + point.offset;
  return Math.abs(number - wanted) <= Math.abs(wanted) * 1e-9 + 1e-12;
}

export interface Written {
  readonly written: string;
  readonly unit: number;
  readonly function: number;
  readonly value: unknown;
}

export interface ForeignSlave extends AsyncDisposable {
  readonly ready: string | number;
  readonly writes: readonly Written[];
}

/** Starts the slave of another implementation. */
export async function startForeignSlave(
  where: { readonly path: string; readonly baud: number } | object,
  units: Readonly<Record<string, readonly Held[]>>,
): Promise<ForeignSlave> {
  const script = fileURLToPath(new URL("./pymodbus-slave.py", import.meta.url));
  const child = spawn("/usr/bin/python3", [script], { stdio: ["pipe", "pipe", "pipe"] });
  const writes: Written[] = [];
  let complaint = "";
  child.stderr.on("data", (data: Buffer) => {
    complaint = `${complaint}${data}`.slice(-2000);
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const ready = new Promise<string | number | undefined>((resolve) => {
    void ended.then(() => resolve(undefined));
    createInterface(child.stdout).on("line", (line) => {
      const told = JSON.parse(line);
      if ("ready" in told) resolve(told.ready);
      else writes.push(told);
    });
  });
  child.stdin.end(JSON.stringify({ ...where, units }));
  const answer = await within(clock, 20_000, ready);
  assert.ok(answer !== undefined, complaint);
  return {
    ready: answer,
    writes,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}
