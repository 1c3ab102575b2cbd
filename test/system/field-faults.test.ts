// Lines that go wrong: every fault of the simulators, cables pulled and put back. A clear code, no
// wrong value, and the line goes on.
import assert from "node:assert/strict";
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { after, test } from "node:test";
import { makeSerialPort } from "../../drivers/kit/kit.ts";
import {
  type FaultKind,
  faultKinds,
  type Simulator,
  startPtyPair,
  startSimulator,
} from "../../drivers/simulator/simulator.ts";
import { systemClock as clock } from "../../src/util/clock.ts";
import { asPlantError } from "../../src/util/errors.ts";
import {
  type FieldLine,
  fieldFolder,
  lineConfig,
  silentLog,
  startFieldLine,
} from "../fakes/field-line.ts";
import { until } from "../fakes/patience.ts";

const folder = fieldFolder();
after(() => folder[Symbol.dispose]());

const timeoutMs = 100;
const pump = "{ pump: { profile: plantd-demo-pump, unit: 7, intervalMs: 100 } }";
const deps = { clock, log: silentLog };

function simulate(text: string): Promise<Simulator> {
  return startSimulator(deps, { name: "line", config: lineConfig(text) });
}

/** Reads or writes once; the code of what went wrong, or `ok`. */
async function codeOf(act: () => Promise<unknown>): Promise<string> {
  try {
    const result = await act();
    const { result: verdict, code } = result as { result?: string; code?: string };
    return verdict === undefined || verdict === "ok" ? "ok" : `${code}`;
  } catch (error) {
    return asPlantError(error).code;
  }
}

/** One point for each function code that reads, and one write for each that writes. */
const acts: Readonly<Record<string, (line: FieldLine) => Promise<unknown>>> = {
  "function 1": (line) => line.read("pump", "run"),
  "function 2": (line) => line.read("pump", "running"),
  "function 3": (line) => line.read("pump", "setpoint"),
  "function 4": (line) => line.read("pump", "pressure"),
  "function 5": (line) => line.write("pump", "run", true),
  "function 6": (line) => line.write("pump", "speed_limit", 80),
  "function 16": (line) => line.write("pump", "setpoint", 4.5),
};

/** Codes a fault may lead to. A stream that can not be followed is cut, which may show first. */
const rtuCodes: Readonly<Record<FaultKind, readonly string[]>> = {
  late: ["BUS_NO_ANSWER"],
  silent: ["BUS_NO_ANSWER"],
  half: ["BUS_FAULTY"],
  crc: ["BUS_FAULTY"],
  noise: ["BUS_FAULTY"],
  exception: ["BUS_EXCEPTION"],
  unit: ["BUS_FAULTY"],
  disconnect: ["BUS_NO_ANSWER"],
};
const tcpCodes: Readonly<Record<FaultKind, readonly string[]>> = {
  late: ["BUS_NO_ANSWER", "PORT_UNUSABLE"],
  silent: ["BUS_NO_ANSWER", "PORT_UNUSABLE"],
  half: ["BUS_NO_ANSWER", "PORT_UNUSABLE"],
  crc: ["BUS_NO_ANSWER", "PORT_UNUSABLE"],
  noise: ["BUS_NO_ANSWER", "PORT_UNUSABLE"],
  exception: ["BUS_EXCEPTION"],
  unit: ["BUS_FAULTY"],
  disconnect: ["BUS_NO_ANSWER", "PORT_UNUSABLE"],
};

/** Every value reported as good was served by the device, at that point, with that value. */
function assertServed(line: FieldLine, simulator: Simulator): void {
  const served = new Set(
    simulator.ledger.entries.map(
      ({ device, point, value }) => `device/${device}/${point}=${value}`,
    ),
  );
  for (const { scope, key, value, quality } of line.history) {
    if (quality !== "good") continue;
    assert.ok(
      served.has(`${scope}/${key}=${value}`),
      `${scope}/${key} = ${value} was never served`,
    );
  }
}

async function sufferAll(
  line: FieldLine,
  simulator: Simulator,
  codes: Readonly<Record<FaultKind, readonly string[]>>,
): Promise<void> {
  const isHealthy = async () => (await line.status()).devices[0]?.state === "ok";
  for (const kind of faultKinds) {
    await until("the device is well", isHealthy, { seen: () => line.status() });
    simulator.fault({ kind, ms: 2 * timeoutMs, exception: 4 });
    for (const [name, act] of Object.entries(acts)) {
      let code = await codeOf(() => act(line));
      if (kind === "exception") {
        // Shortly after other faults an exception may be a late one: faulty, until that is ruled out.
        await until(`${name} is refused`, async () => {
          code = await codeOf(() => act(line));
          assert.ok(["BUS_EXCEPTION", "BUS_FAULTY"].includes(code), `${name}: ${code}`);
          return code === "BUS_EXCEPTION";
        });
      }
      const states = JSON.stringify(await line.status());
      assert.ok(codes[kind].includes(code), `${kind}, ${name}: ${code} ${states}`);
    }
    simulator.heal();
    await until(
      "the fault is over",
      async () => (await codeOf(() => line.read("pump", "speed_limit"))) === "ok",
    );
  }
  await until("the device is well", isHealthy);
  for (const [name, act] of Object.entries(acts)) {
    assert.equal(await codeOf(() => act(line)), "ok", name);
  }
  assert.equal(simulator.ledger.latest("pump", "setpoint")?.value, 4.5);
  assertServed(line, simulator);
}

test("on RTU every fault of every function code has its code, and nothing wrong is accepted", async () => {
  const ends = [folder.path("fa"), folder.path("fb")] as const;
  await using _cable = await startPtyPair({ clock }, ends);
  const settings = "baud: 115200, turnaroundMs: 0";
  const text = (path: string) =>
    `{ kind: modbus-rtu, path: ${path}, ${settings}, timeoutMs: ${timeoutMs}, devices: ${pump} }`;
  await using simulator = await simulate(text(ends[1]));
  await using line = startFieldLine(lineConfig(text(ends[0])));
  await sufferAll(line, simulator, rtuCodes);
});

test("on TCP every fault of every function code has its code, and nothing wrong is accepted", async () => {
  const text = (port: string) =>
    `{ kind: modbus-tcp, host: 127.0.0.1, port: ${port}, timeoutMs: ${timeoutMs}, devices: ${pump} }`;
  await using simulator = await simulate(text("0"));
  const port = simulator.endpoint.split(":")[1] ?? "";
  await using line = startFieldLine(lineConfig(text(port)));
  await sufferAll(line, simulator, tcpCodes);
});

const scale = "{ scale: { profile: mettler-sics, intervalMs: 100 } }";
const scaleLine = (path: string) =>
  `{ kind: serial, path: ${path}, baud: 9600, turnaroundMs: 0, timeoutMs: ${timeoutMs}, devices: ${scale} }`;
const scaleCodes: Readonly<Record<FaultKind, string>> = {
  late: "BUS_NO_ANSWER",
  silent: "BUS_NO_ANSWER",
  half: "BUS_FAULTY",
  crc: "BUS_FAULTY",
  noise: "BUS_FAULTY",
  exception: "BUS_EXCEPTION",
  unit: "BUS_FAULTY",
  disconnect: "BUS_NO_ANSWER",
};

test("a scale weighs, is zeroed and tared, and every fault of its line has its code", async () => {
  const ends = [folder.path("sa"), folder.path("sb")] as const;
  await using _cable = await startPtyPair({ clock }, ends);
  await using simulator = await simulate(scaleLine(ends[1]));
  await using line = startFieldLine(lineConfig(scaleLine(ends[0])));
  const weight = () => line.points.get("scale/weight");
  await until("the scale weighs", () => typeof weight()?.value === "number");
  assert.equal((await line.write("scale", "zero", true)).result, "ok");
  assert.equal((await line.write("scale", "take_tare", true)).result, "ok");
  const tared = await line.write("scale", "tare", 12.5, { verify: true });
  assert.deepEqual({ result: tared.result, after: tared.after }, { result: "ok", after: 12.5 });
  assert.equal(simulator.ledger.latest("scale", "tare")?.value, 12.5);
  assert.equal(await codeOf(() => line.write("scale", "weight", 1)), "POINT_READ_ONLY");
  assert.equal(
    await codeOf(() => line.write("scale", "zero", true, { verify: true })),
    "POINT_UNKNOWN",
  );
  const isHealthy = async () => (await line.status()).devices[0]?.state === "ok";
  for (const kind of faultKinds) {
    await until("the scale is well", isHealthy, { seen: () => line.status() });
    simulator.fault({ kind, ms: 2 * timeoutMs });
    const code = await codeOf(() => line.read("scale", "weight"));
    assert.equal(code, scaleCodes[kind], kind);
    simulator.heal();
    await until(
      "the fault is over",
      async () => (await codeOf(() => line.read("scale", "weight"))) === "ok",
    );
  }
  await until("the scale is well", isHealthy);
});

test("a cable that is pulled shows as bad values, and put back the line is right again", async () => {
  const ends = [folder.path("ua"), folder.path("ub")] as const;
  const text = (path: string) =>
    `{ kind: modbus-rtu, path: ${path}, baud: 115200, turnaroundMs: 0, timeoutMs: ${timeoutMs}, devices: ${pump} }`;
  await using simulator = await simulate(text(ends[1]));
  await using line = startFieldLine(lineConfig(text(ends[0])));
  const pressure = () => line.points.get("pump/pressure");
  const state = async () => (await line.status()).state;
  await until("the port is missing", async () => (await state()) === "failed");
  for (let round = 0; round < 3; round += 1) {
    {
      await using _cable = await startPtyPair({ clock }, ends);
      await until("the line is right", () => pressure()?.quality === "good", {
        seen: () => line.status(),
      });
      assert.equal(await state(), "open");
    }
    await until("the cable is missed", () => pressure()?.quality === "bad", {
      seen: () => line.status(),
    });
    await until("the port is lost", async () => (await state()) === "failed");
    const code = await codeOf(() => line.read("pump", "pressure"));
    assert.equal(code, "PORT_UNUSABLE");
  }
  assertServed(line, simulator);
});

test("a port that only listens notices a cable pulled in the middle of traffic", async () => {
  const ends = [folder.path("la"), folder.path("lb")] as const;
  for (let round = 0; round < 5; round += 1) {
    const cable = await startPtyPair({ clock }, ends);
    const port = makeSerialPort({
      path: ends[1],
      baud: 9600,
      parity: "none",
      dataBits: 8,
      stopBits: 1,
    });
    let received = 0;
    let loss: unknown;
    await port.open({
      bytes: (data) => {
        received += data.length;
      },
      strayed() {},
      closed: (error) => {
        loss = error;
      },
    });
    const { O_RDWR, O_NOCTTY, O_NONBLOCK } = constants;
    const other = openSync(ends[0], O_RDWR | O_NOCTTY | O_NONBLOCK);
    let isPulled = false;
    const talk = (async () => {
      while (!isPulled) {
        try {
          writeSync(other, "12.50 kg\r\n");
        } catch (error) {
          const { code = "" } = error as NodeJS.ErrnoException;
          assert.ok(["EAGAIN", "EIO"].includes(code), code);
        }
        await new Promise((done) => setImmediate(done));
      }
    })();
    await until("bytes come", () => received > 500);
    await cable[Symbol.asyncDispose]();
    isPulled = true;
    await talk;
    closeSync(other);
    await until("the loss is told", () => loss !== undefined);
    await port.close();
  }
});
