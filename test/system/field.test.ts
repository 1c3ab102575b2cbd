// Field devices and masters that are not ours, on real lines: what an independent slave holds is
// what the driver reports, and what an independent master reads is what the simulator served.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, test } from "node:test";
import { promisify } from "node:util";
import { startBusOwner } from "../../drivers/kit/bus-owner.ts";
import {
  decodeResponse,
  encodeRequest,
  frameRtu,
  hasValidCrc,
  loadProfile,
  modbusAdapter,
  type Profile,
  parseProfile,
  profileNames,
  type Request,
} from "../../drivers/modbus/modbus.ts";
import { type Simulator, startPtyPair, startSimulator } from "../../drivers/simulator/simulator.ts";
import { systemClock as clock } from "../../src/util/clock.ts";
import { seededRandom, systemRandom } from "../../src/util/random.ts";
import {
  type FieldLine,
  fieldFolder,
  lineConfig,
  silentLog,
  startFieldLine,
} from "../fakes/field-line.ts";
import {
  everything,
  type ForeignSlave,
  holdings,
  isWhatIsHeld,
  multiple,
  rawValue,
  startForeignSlave,
} from "../fakes/foreign-slave.ts";
import { until } from "../fakes/patience.ts";

const folder = fieldFolder();
after(() => folder[Symbol.dispose]());
const seed = Number(process.env.SEED ?? (Math.random() * 2 ** 32) >>> 0);
const random = seededRandom(seed);

const profiles: Readonly<Record<string, Profile>> = {
  everything: parseProfile("everything", everything),
  multiple: parseProfile("multiple", multiple),
};
const ids = [...profileNames(), "everything", "multiple"];
const profileOf = (id: string) => profiles[id] ?? loadProfile(id);
const held = Object.fromEntries(ids.map((id) => [id, holdings(random, profileOf(id))]));
const units = Object.fromEntries(ids.map((id, at) => [String(at + 1), held[id] ?? []]));
const devices = ids
  .map((id, at) => `${id}: { profile: ${id}, unit: ${at + 1}, intervalMs: 200 }`)
  .join(", ");

function isAnswered(line: FieldLine, point: string): boolean {
  const stored = line.points.get(point);
  return stored !== undefined && stored.reason !== "no-answer";
}

/** Compares every point of every profile with what the foreign slave holds. */
async function compareAll(line: FieldLine): Promise<number> {
  const wanted = ids.flatMap((id) => (held[id] ?? []).map((item) => ({ id, item })));
  await until(
    "every point was reported",
    () => wanted.every(({ id, item }) => isAnswered(line, `${id}/${item.name}`)),
    { seen: () => wanted.filter(({ id, item }) => !isAnswered(line, `${id}/${item.name}`)).length },
  );
  for (const { id, item } of wanted) {
    const point = line.points.get(`${id}/${item.name}`);
    const isRight = isWhatIsHeld(profileOf(id), item, point?.value);
    const words = `seed ${seed}: ${id}/${item.name} holds ${item.raw}, read ${point?.value}`;
    assert.ok(isRight, words);
  }
  return wanted.length;
}

/** Writes a new value to every writable point and compares what arrived. */
async function writeAll(line: FieldLine, slave: ForeignSlave): Promise<void> {
  const functions = new Set<number>();
  const writable = ids.flatMap((id, at) =>
    Object.entries(profileOf(id).points)
      .filter(([, point]) => point.access === "write")
      .map(([name, point]) => ({ id, unit: at + 1, name, point })),
  );
  for (const { id, unit, name, point } of writable) {
    const isBounded = point.min !== undefined;
    const raw = isBounded ? point.max : rawValue(random, point.type, point.length ?? 1);
    const isNumber = /^([iu](16|32)|f\d\d)$/.test(point.type);
    const value = isNumber ? Number(raw) : raw;
    const before = slave.writes.length;
    const result = await line.write(id, name, value, { verify: true });
    const words = `seed ${seed}: ${id}/${name} = ${value}: ${JSON.stringify(result)}`;
    assert.equal(result.result, "ok", words);
    const arrived = slave.writes.slice(before);
    assert.equal(arrived.length, 1, words);
    const [seen] = arrived;
    assert.equal(seen?.written, name, words);
    assert.equal(seen.unit, unit, words);
    assert.deepEqual(isNumber ? Number(seen.value) : seen.value, value, words);
    functions.add(seen.function);
  }
  assert.deepEqual(
    [...functions].sort((a, b) => a - b),
    [5, 6, 15, 16],
  );
}

/** Writes many coils by one request, which no profile needs, and compares what arrived. */
async function writeCoils(text: string, slave: ForeignSlave): Promise<void> {
  const config = lineConfig(text);
  assert.ok(config.kind === "modbus-tcp");
  const adapter = modbusAdapter(config, profileOf);
  let isOpen = false;
  await using bus = startBusOwner(
    { clock, log: silentLog, random: systemRandom, boot: "0".repeat(32), clockSync: () => "none" },
    {
      ...config,
      port: adapter.makePort(),
      timing: adapter.timing,
      onState: ({ state }) => {
        isOpen = state === "open";
      },
    },
  );
  await until("the port is open", () => isOpen);
  const unit = ids.indexOf("everything") + 1;
  const values = Array.from({ length: 30 }, () => random.unit() < 0.5);
  const request: Request = { is: "write-coils", address: 0, values };
  const before = slave.writes.length;
  const outcome = await bus.request({
    lane: "write",
    signature: { unit, function: 15, answerBytes: 8 },
    frame: frameRtu(unit, encodeRequest(request)),
    judge(received) {
      if (received.length < 8 || !hasValidCrc(received)) return { is: "more" };
      const response = decodeResponse(request, received.subarray(1, -2));
      return response.is === "done"
        ? { is: "answer", value: true }
        : { is: "wrong", fault: "long" };
    },
  });
  assert.equal(outcome.is, "ok");
  const arrived = slave.writes.slice(before);
  assert.equal(arrived.length, 10);
  for (const [at, seen] of arrived.entries()) {
    assert.deepEqual([seen.function, seen.written, seen.value], [15, `coil_${at}`, values[at * 3]]);
  }
}

test(`a foreign slave on RTU holds what is reported, in every type and order (seed ${seed})`, async () => {
  const ends = [folder.path("ra"), folder.path("rb")] as const;
  await using _cable = await startPtyPair({ clock }, ends);
  await using slave = await startForeignSlave({ path: ends[1], baud: 115_200 }, units);
  const config = `{ kind: modbus-rtu, path: ${ends[0]}, baud: 115200, turnaroundMs: 0, timeoutMs: 2000, devices: { ${devices} } }`;
  await using line = startFieldLine(lineConfig(config), profiles);
  assert.ok((await compareAll(line)) > 150);
  await writeAll(line, slave);
});

test(`a foreign slave on TCP holds what is reported, in every type and order (seed ${seed})`, async () => {
  await using slave = await startForeignSlave({}, units);
  const config = `{ kind: modbus-tcp, host: 127.0.0.1, port: ${slave.ready}, timeoutMs: 2000, devices: { ${devices} } }`;
  await using line = startFieldLine(lineConfig(config), profiles);
  assert.ok((await compareAll(line)) > 150);
  await writeAll(line, slave);
  await writeCoils(config, slave);
});

const run = promisify(execFile);

/** A Modbus master we did not write, on a simulator of ours. */
function masterOf(target: string, how: readonly string[], unit: number) {
  const words = [...how, "-a", String(unit), "-0", "-1", "-o", "2"];
  return {
    /** Values by address, as mbpoll prints them. */
    async read(address: number, type: string, more: readonly string[] = []) {
      const all = [...words, "-r", String(address), "-t", type, ...more, target];
      const { stdout } = await run("mbpoll", all, { timeout: 20_000 });
      const found = stdout.matchAll(/^\[(\d+)\]:\s+(\S+)/gm);
      return new Map([...found].map(([, at, value]) => [Number(at), value ?? ""]));
    },
    async write(
      address: number,
      type: string,
      values: readonly (number | string)[],
      more: readonly string[] = [],
    ) {
      const all = [...words, "-r", String(address), "-t", type, ...more, target];
      await run("mbpoll", [...all, ...values.map(String)], { timeout: 20_000 });
    },
  };
}

async function talkAsMaster(
  simulator: Simulator,
  target: string,
  how: readonly string[],
): Promise<void> {
  const served = (device: string, point: string) => simulator.ledger.latest(device, point)?.value;
  const meter = masterOf(target, how, 1);
  for (let round = 0; round < 3; round += 1) {
    const floats = await meter.read(0, "3:float", ["-B", "-c", "6"]);
    for (const [at, name] of ["voltage_l1", "voltage_l2", "voltage_l3", "current_l1"].entries()) {
      // It prints six digits, cut from more than ours: the last one may differ by one.
      const wanted = Number(served("meter", name));
      const seen = Number(floats.get(at * 2));
      assert.ok(Math.abs(seen - wanted) <= Math.abs(wanted) * 1e-5, `${name}: ${seen}, ${wanted}`);
    }
  }
  const other = masterOf(target, how, 2);
  const words = await other.read(0, "4:int", ["-c", "3"]);
  for (const [at, name] of ["voltage_l1", "voltage_l2", "voltage_l3"].entries()) {
    assert.equal(Number(words.get(at * 2)), Math.round(Number(served("scaled", name)) * 10), name);
  }
  const pump = masterOf(target, how, 3);
  assert.equal((await pump.read(0, "0")).get(0), "1");
  await pump.write(0, "0", [0]);
  assert.equal(served("pump", "run"), false);
  assert.equal((await pump.read(0, "1")).get(0), "0");
  await pump.write(0, "0", [1, 0]);
  assert.equal(served("pump", "run"), true);
  await pump.write(0, "4:float", [6.5], ["-B"]);
  assert.equal(served("pump", "setpoint"), 6.5);
  assert.equal(Number((await pump.read(0, "4:float", ["-B"])).get(0)), 6.5);
  await pump.write(2, "4", [55]);
  assert.equal(served("pump", "speed_limit"), 55);
  await assert.rejects(pump.write(2, "4", [7]), /value/i);
  await assert.rejects(pump.read(500, "4"), /address/i);
}

const simulated =
  "{ meter: { profile: eastron-sdm630, unit: 1 }, scaled: { profile: carlo-gavazzi-em340, unit: 2 }, pump: { profile: plantd-demo-pump, unit: 3 } }";

test("a foreign master on RTU reads what the simulator served, and writes what it holds", async () => {
  const ends = [folder.path("ma"), folder.path("mb")] as const;
  await using _cable = await startPtyPair({ clock }, ends);
  const text = `{ kind: modbus-rtu, path: ${ends[0]}, baud: 19200, devices: ${simulated} }`;
  await using simulator = await startSimulator(
    { clock, log: silentLog },
    { name: "line", config: lineConfig(text) },
  );
  await talkAsMaster(simulator, ends[1], ["-m", "rtu", "-b", "19200", "-P", "even"]);
});

test("a foreign master on TCP reads what the simulator served, and writes what it holds", async () => {
  const text = `{ kind: modbus-tcp, host: 127.0.0.1, port: 0, devices: ${simulated} }`;
  await using simulator = await startSimulator(
    { clock, log: silentLog },
    { name: "line", config: lineConfig(text) },
  );
  const port = simulator.endpoint.split(":")[1] ?? "";
  await talkAsMaster(simulator, "127.0.0.1", ["-m", "tcp", "-p", port]);
});
