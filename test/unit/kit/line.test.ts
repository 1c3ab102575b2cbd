// A whole line in virtual time: Modbus profiles, slaves that die and come back, a store that does
// not answer, people who write.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Line, type LineAdapter, startLine } from "../../../drivers/kit/kit.ts";
import { type ModbusLine, modbusAdapter, parseProfile } from "../../../drivers/modbus/modbus.ts";
import { PlantError } from "../../../src/util/errors.ts";
import { openLog } from "../../../src/util/log.ts";
import { seededRandom } from "../../../src/util/random.ts";
import type { WorkerRequest } from "../../../src/worker/worker.ts";
import { fakeBus } from "../../fakes/bus.ts";
import { nameValue } from "../../fakes/modbus-slaves.ts";
import { fakePort, type Piece } from "../../fakes/port.ts";
import { racingClock } from "../../fakes/racing-clock.ts";
import { slaveMemory } from "../../fakes/slave-memory.ts";

const log = openLog({ service: "test", level: "error", write: () => {} });

const profile = parseProfile(
  "thing",
  `
name: Thing
maker: Nobody
source: this test
points:
  level: { table: holding, address: 10, type: u16, access: write, min: 0, max: 60000 }
  label: { table: holding, address: 11, type: u16 }
  far: { table: input, address: 500, type: u16 }
  run: { table: coil, address: 3, type: bool, access: write }
  gone: { table: input, address: 5000, type: u16 }
`,
);

interface PointArgs {
  readonly scope: string;
  readonly key: string;
  readonly value: unknown;
  readonly quality: string;
  readonly reason?: string;
}

interface SetMany {
  readonly source: string;
  readonly run: string;
  readonly number: number;
  readonly flush: string;
  readonly points: readonly PointArgs[];
}

interface Rig extends AsyncDisposable {
  readonly clock: ReturnType<typeof racingClock>;
  readonly line: Line;
  readonly memory: ReturnType<typeof slaveMemory>;
  readonly port: ReturnType<typeof fakePort>;
  /** Units that do not answer. */
  readonly dead: Set<number>;
  /** What the store does with the next requests; accepts when empty. */
  readonly refusals: PlantError[];
  /** Accepted requests. */
  readonly stored: SetMany[];
  readonly events: { kind: string; message: string }[];
  readonly attempts: () => SetMany[];
  points(): PointArgs[];
  call(operation: string, args: unknown): Promise<Record<string, unknown>>;
}

function rig(devices: number, more: Partial<ModbusLine> = {}): Rig {
  const clock = racingClock();
  const memory = slaveMemory();
  const dead = new Set<number>();
  const port = fakePort({
    clock,
    answer: (frame): Piece[] => {
      const answer = dead.has(frame[0] ?? 0) ? undefined : memory.answer(frame);
      return answer === undefined ? [] : [{ afterMs: 8, bytes: answer }];
    },
  });
  const config: ModbusLine = {
    kind: "modbus-rtu",
    path: "/dev/null",
    baud: 19_200,
    parity: "even",
    dataBits: 8,
    stopBits: 1,
    timeoutMs: 200,
    turnaroundMs: 0,
    queueMax: 64,
    lateTimeouts: 3,
    recordMaxMs: 60_000,
    devices: Object.fromEntries(
      Array.from({ length: devices }, (_, at) => [
        `d${at + 1}`,
        { profile: "thing", unit: at + 1, intervalMs: 1000, enabled: true },
      ]),
    ),
    ...more,
  } as ModbusLine;
  const adapter: LineAdapter = { ...modbusAdapter(config, () => profile), makePort: () => port };
  const bus = fakeBus();
  const refusals: PlantError[] = [];
  const stored: SetMany[] = [];
  const events: Rig["events"] = [];
  bus.serve("org.plantd.State", {
    "set-many": ({ args }) => {
      const refusal = refusals.shift();
      if (refusal !== undefined) throw refusal;
      stored.push(args as SetMany);
      return { first: 1, last: 1, repeated: false };
    },
    "append-event": ({ args }) => {
      events.push(...(args as { events: Rig["events"] }).events);
      return { first: 1, last: 1, repeated: false };
    },
  });
  const line = startLine(
    { clock, log, random: seededRandom(5), boot: "b".repeat(32), client: bus.client() },
    { name: "l1", config, samplesMax: 300 },
    adapter,
  );
  return {
    clock,
    line,
    memory,
    port,
    dead,
    refusals,
    stored,
    events,
    attempts: () =>
      bus.calls.filter((call) => call.operation === "set-many").map(({ args }) => args as SetMany),
    points: () => stored.flatMap(({ points }) => points),
    async call(operation, args) {
      const run = line.operations[operation] ?? assert.fail();
      const request = { operation, args, remainingMs: () => 5000 } as WorkerRequest;
      const result = Promise.resolve().then(() => run(request));
      return (await clock.run(result)) as Record<string, unknown>;
    },
    [Symbol.asyncDispose]: async () => {
      await clock.run(Promise.resolve(line[Symbol.asyncDispose]()));
    },
  };
}

const brief = ({ scope, key, value, quality, reason }: PointArgs) =>
  [`${scope.slice(7)}/${key}`, value, quality, reason].join(" ").trim();

test("every point is recorded once while nothing changes, with its quality", async () => {
  await using at = rig(1);
  await at.clock.pass(30_000);
  assert.deepEqual(at.points().map(brief).sort(), [
    `d1/far ${nameValue(1, "input", 500)} good`,
    "d1/gone  bad exception-2",
    `d1/label ${nameValue(1, "holding", 11)} good`,
    `d1/level ${nameValue(1, "holding", 10)} good`,
    "d1/run false good",
  ]);
  const status = await at.call("status", {});
  const [device] = status.devices as Record<string, unknown>[];
  assert.equal(device?.state, "faulty");
  assert.equal(device?.code, "BUS_EXCEPTION");
  assert.equal(status.state, "open");
});

test("an unchanged good value is recorded again after the longest silence, a bad one never", async () => {
  await using at = rig(1);
  await at.clock.pass(130_000);
  const count = (key: string) => at.points().filter((point) => point.key === key).length;
  assert.equal(count("level"), 3);
  assert.equal(count("gone"), 1);
});

test("one dead unit of ten leaves the others at least 95 % of their polls", async () => {
  await using at = rig(10);
  at.dead.add(4);
  await at.clock.pass(120_000);
  const polls = new Map<number, number>();
  for (const { bytes } of at.port.written) {
    const isFirst = bytes[1] === 3;
    if (isFirst) polls.set(bytes[0] ?? 0, (polls.get(bytes[0] ?? 0) ?? 0) + 1);
  }
  for (let unit = 1; unit <= 10; unit += 1) {
    const count = polls.get(unit) ?? 0;
    if (unit === 4) assert.ok(count < 10, `the dead unit was asked ${count} times`);
    else assert.ok(count >= 0.95 * 120, `unit ${unit}: ${count} of 120`);
  }
  const bad = at
    .points()
    .filter(({ scope, quality }) => scope === "device/d4" && quality === "bad");
  assert.equal(bad.length, 5, "each point of the dead unit turned bad once");
  assert.equal(at.events.filter(({ message }) => message === "d4 does not answer").length, 1);
});

test("a device that comes back is good again with its next probe", async () => {
  await using at = rig(2);
  await at.clock.pass(3000);
  at.dead.add(1);
  await at.clock.pass(20_000);
  at.dead.delete(1);
  await at.clock.pass(31_000);
  const level = at.points().filter(({ scope, key }) => scope === "device/d1" && key === "level");
  assert.deepEqual(
    level.map(({ quality }) => quality),
    ["good", "bad", "good"],
  );
  assert.deepEqual(
    at.events.map(({ message }) => message),
    ["d1 does not answer", "d1 answers again"],
  );
});

test("an unplugged line turns its points bad once, and all is good again after the plug", async () => {
  await using at = rig(2);
  await at.clock.pass(3000);
  at.port.unplug();
  await at.clock.pass(20_000);
  assert.equal((await at.call("status", {})).state, "failed");
  assert.equal((await at.call("health", {})).status, "fail");
  at.port.plug();
  await at.clock.pass(5000);
  const level = at.points().filter(({ scope, key }) => scope === "device/d2" && key === "level");
  assert.deepEqual(
    level.map(({ quality }) => quality),
    ["good", "bad", "good"],
  );
});

test("a report is repeated with the same number until the store answers", async () => {
  await using at = rig(1);
  const gone = new PlantError("NO_SERVICE", { service: "org.plantd.State" });
  const lost = new PlantError("WORKER_LOST", { service: "org.plantd.State" });
  at.refusals.push(gone, lost, new PlantError("TIME_RAN_OUT", { waitedMs: 1 }));
  await at.clock.pass(30_000);
  at.memory.shift();
  await at.clock.pass(2000);
  const attempts = at.attempts();
  const [first, second, third, fourth, next] = attempts;
  assert.deepEqual(
    [first, second, third, fourth].map((one) => one?.number),
    [1, 1, 1, 1],
  );
  assert.deepEqual(fourth, first);
  assert.equal(next?.number, 2);
  assert.equal(new Set(attempts.map(({ run }) => run)).size, 1);
  assert.equal(first?.source, "driver.l1");
  assert.match(first?.run ?? "", /^[0-9a-f]{16}$/);
});

test("what the store calls malformed is not repeated for ever", async () => {
  await using at = rig(1);
  at.refusals.push(new PlantError("REQUEST_MALFORMED", { reason: "x" }));
  await at.clock.pass(10_000);
  assert.equal(at.attempts().filter(({ number }) => number === 1).length, 1);
  const status = await at.call("status", {});
  assert.equal((status.reports as { refused: number }).refused, 1);
});

test("a write goes out once, is read back, and its result is an event", async () => {
  await using at = rig(1);
  await at.clock.pass(2000);
  const write = { device: "d1", point: "level", value: 1234, verify: true };
  assert.deepEqual(await at.call("write", write), { result: "ok", after: 1234 });
  assert.equal(at.memory.writes.length, 1);
  assert.deepEqual(await at.call("write", { ...write, point: "run", value: true }), {
    result: "ok",
    after: true,
  });
  await at.clock.pass(1000);
  assert.deepEqual(
    at.events.map(({ message }) => message),
    ["d1/level = 1234: ok", "d1/run = true: ok"],
  );
  assert.ok(at.stored.some(({ flush, points }) => flush === "now" && points[0]?.value === 1234));
});

test("a written device is polled at once, however seldom its turn comes", async () => {
  const devices = { d1: { profile: "thing", unit: 1, intervalMs: 600_000, enabled: true } };
  await using at = rig(1, { devices });
  await at.clock.pass(700_000);
  await at.call("write", { device: "d1", point: "level", value: 77 });
  await at.clock.pass(1000);
  assert.ok(at.points().some(({ key, value }) => key === "level" && value === 77));
});

test("a device that does not answer one read of a cycle is not asked the others", async () => {
  await using at = rig(1);
  at.dead.add(1);
  await at.clock.pass(900);
  assert.equal(at.port.written.length, 1);
});

test("a guarded write is not made when the value is another", async () => {
  await using at = rig(1);
  await at.clock.pass(2000);
  const before = nameValue(1, "holding", 10);
  const write = { device: "d1", point: "level", value: 5, expect: 77 };
  assert.deepEqual(await at.call("write", write), {
    result: "failed",
    code: "WRITE_GUARDED",
    before,
  });
  assert.equal(at.memory.writes.length, 0);
  assert.deepEqual(await at.call("write", { ...write, expect: before }), { result: "ok", before });
});

test("a write that is not answered is unknown, never ok, and is not repeated", async () => {
  await using at = rig(1);
  await at.clock.pass(2000);
  at.memory.muteWrites();
  const write = { device: "d1", point: "level", value: 9 };
  assert.deepEqual(await at.call("write", write), { result: "unknown", code: "BUS_NO_ANSWER" });
  await at.clock.pass(20_000);
  assert.equal(at.memory.writes.length, 1);
});

test("a device that limits what is written fails the verification", async () => {
  await using at = rig(1);
  await at.clock.pass(2000);
  at.memory.limitWrites(100);
  const write = { device: "d1", point: "level", value: 500, verify: true };
  const expected = { result: "failed", code: "WRITE_UNVERIFIED", after: 100 };
  assert.deepEqual(await at.call("write", write), expected);
});

test("what still waits when the line ends is told first, unless the store stays away", async () => {
  const at = rig(1);
  await at.clock.pass(2000);
  at.refusals.push(new PlantError("TIME_RAN_OUT", { waitedMs: 1 }));
  at.memory.shift();
  const read = await at.call("read", { device: "d1", point: "level" });
  await at[Symbol.asyncDispose]();
  assert.ok(at.points().some(({ value }) => value === read.value));
  const other = rig(1);
  const away = new PlantError("NO_SERVICE", { service: "org.plantd.State" });
  other.refusals.push(...Array.from({ length: 1000 }, () => away));
  await other.clock.pass(2000);
  const endMs = other.clock.monotonicMs() + 1500;
  await other[Symbol.asyncDispose]();
  assert.ok(other.clock.monotonicMs() < endMs);
});

const refusedWrites: readonly [string, unknown, string][] = [
  ["an unknown device", { device: "x", point: "level", value: 1 }, "DEVICE_UNKNOWN"],
  ["an unknown point", { device: "d1", point: "x", value: 1 }, "POINT_UNKNOWN"],
  ["a name of every object", { device: "d1", point: "constructor", value: 1 }, "POINT_UNKNOWN"],
  ["a point that is only read", { device: "d1", point: "label", value: 1 }, "POINT_READ_ONLY"],
  ["a value above its maximum", { device: "d1", point: "level", value: 60_001 }, "VALUE_REFUSED"],
  ["a value of another type", { device: "d1", point: "level", value: "x" }, "VALUE_REFUSED"],
  ["a number for a coil", { device: "d1", point: "run", value: 1 }, "VALUE_REFUSED"],
  ["no value", { device: "d1", point: "level" }, "REQUEST_MALFORMED"],
  ["no arguments", undefined, "REQUEST_MALFORMED"],
];

for (const [name, args, code] of refusedWrites) {
  test(`a write with ${name} is refused and nothing goes out`, async () => {
    await using at = rig(1);
    await at.clock.pass(500);
    await assert.rejects(at.call("write", args), { code });
    assert.equal(at.memory.writes.length, 0);
  });
}

test("a read asks the device now; a device that refuses or is silent is an error in words", async () => {
  await using at = rig(1);
  await at.clock.pass(500);
  const read = { device: "d1", point: "level" };
  const point = await at.call("read", read);
  assert.equal(point.value, nameValue(1, "holding", 10));
  assert.equal(point.scope, "device/d1");
  await assert.rejects(at.call("read", { device: "d1", point: "gone" }), {
    code: "BUS_EXCEPTION",
    message: "d1 refused with exception 2 (illegal data address): the wire is good",
  });
  at.dead.add(1);
  await assert.rejects(at.call("read", read), { code: "BUS_NO_ANSWER" });
  at.port.unplug();
  await assert.rejects(at.call("read", read), { code: "PORT_UNUSABLE" });
});

test("a disabled device is neither polled nor written", async () => {
  await using at = rig(1, {
    devices: { d1: { profile: "thing", unit: 1, intervalMs: 1000, enabled: false } },
  });
  await at.clock.pass(5000);
  assert.equal(at.port.written.length, 0);
  const write = { device: "d1", point: "level", value: 1 };
  await assert.rejects(at.call("write", write), { code: "DEVICE_DISABLED" });
  const [device] = (await at.call("status", {})).devices as Record<string, unknown>[];
  assert.equal(device?.state, "disabled");
});

test("the line polls on while the store is away, and the loss shows as quality", async () => {
  await using at = rig(10);
  await at.clock.pass(500);
  const away = new PlantError("NO_SERVICE", { service: "org.plantd.State" });
  at.refusals.push(...Array.from({ length: 3000 }, () => away));
  const before = at.port.written.length;
  for (let round = 0; round < 30; round += 1) {
    at.memory.shift();
    await at.clock.pass(1000);
  }
  assert.ok(at.port.written.length - before > 30 * 10 * 2);
  at.refusals.length = 0;
  await at.clock.pass(10_000);
  const { reports } = await at.call("status", {});
  const { lost, waiting } = reports as { lost: { samples: number }; waiting: number };
  assert.ok(lost.samples > 100, `${lost.samples}`);
  assert.equal(waiting, 0);
  const overrun = at.points().filter(({ reason }) => reason === "overrun");
  assert.ok(overrun.length >= 10);
  assert.ok(overrun.every(({ quality }) => quality === "uncertain"));
  const last = new Map(at.points().map((point) => [`${point.scope}/${point.key}`, point]));
  assert.equal(last.get("device/d3/level")?.value, at.memory.read(3, "holding", 10));
  assert.equal(last.get("device/d3/level")?.quality, "good");
});
