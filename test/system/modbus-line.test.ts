// A Modbus line over real sockets and a real pair of terminals: values, lateness, rubbish, unplugging.
// It must not know the rest of the gateway.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type Line, makeSerialPort, startLine } from "../../drivers/kit/kit.ts";
import {
  frameRtu,
  frameTcp,
  type ModbusLine,
  modbusAdapter,
  parseProfile,
  readMbap,
} from "../../drivers/modbus/modbus.ts";
import { systemClock } from "../../src/util/clock.ts";
import { openLog } from "../../src/util/log.ts";
import { systemRandom } from "../../src/util/random.ts";
import type { WorkerRequest } from "../../src/worker/worker.ts";
import { fakeBus } from "../fakes/bus.ts";
import { answerRtu, nameValue } from "../fakes/modbus-slaves.ts";
import { until } from "../fakes/patience.ts";

const clock = systemClock;
const log = openLog({ service: "test", level: "error", write: () => {} });
const limits = { timeout: 60_000 };

const profile = parseProfile(
  "thing",
  `
name: Thing
maker: Nobody
source: this test
points:
  a: { table: holding, address: 10, type: u16, access: write }
  b: { table: input, address: 500, type: u16 }
`,
);

const timing = {
  timeoutMs: 150,
  turnaroundMs: 0,
  queueMax: 64,
  lateTimeouts: 3,
  recordMaxMs: 60_000,
  devices: { d1: { profile: "thing", unit: 7, intervalMs: 50, enabled: true } },
};

interface Told {
  readonly key: string;
  readonly value: unknown;
  readonly quality: string;
}

function open(config: ModbusLine): { line: Line; told: Told[] } {
  const told: Told[] = [];
  const bus = fakeBus();
  bus.serve("org.plantd.State", {
    "set-many": ({ args }) => {
      told.push(...(args as { points: Told[] }).points);
      return { first: 1, last: 1, repeated: false };
    },
    "append-event": () => ({ first: 1, last: 1, repeated: false }),
  });
  const line = startLine(
    { clock, log, random: systemRandom, boot: "b".repeat(32), client: bus.client() },
    { name: "l1", config },
    modbusAdapter(config, () => profile),
  );
  return { line, told };
}

async function call(line: Line, operation: string, args: unknown = {}) {
  const run = line.operations[operation] ?? assert.fail();
  const request = { operation, args, remainingMs: () => 5000 } as WorkerRequest;
  return (await run(request)) as Record<string, unknown>;
}

/** Checks everything told so far: good values are the right ones. */
function assertRight(told: readonly Told[]): void {
  for (const { key, value, quality } of told) {
    if (quality !== "good") continue;
    const right = key === "a" ? nameValue(7, "holding", 10) : nameValue(7, "input", 500);
    assert.equal(value, right, key);
  }
}

type Answer = (frame: { transaction: number; unit: number; pdu: Uint8Array }, to: Socket) => void;

/** A TCP slave that answers as the test says. */
async function serve(answer: Answer): Promise<{ server: Server; port: number; sockets: Socket[] }> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    let kept = Buffer.alloc(0);
    socket.on("data", (data) => {
      kept = Buffer.concat([kept, data]);
      for (;;) {
        const header = readMbap(kept);
        if (header === undefined || kept.length < 6 + header.length) return;
        const body = kept.subarray(6, 6 + header.length);
        const { transaction } = header;
        answer({ transaction, unit: body[0] ?? 0, pdu: Uint8Array.from(body.subarray(1)) }, socket);
        kept = kept.subarray(6 + header.length);
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return { server, port: address.port, sockets };
}

function reply(unit: number, pdu: Uint8Array, transaction: number): Uint8Array {
  const frame = answerRtu(frameRtu(unit, pdu)) ?? assert.fail();
  return frameTcp(transaction, unit, frame.subarray(1, -2));
}

function tcpLine(port: number): ModbusLine {
  return { kind: "modbus-tcp", host: "127.0.0.1", port, connectTimeoutMs: 1000, ...timing };
}

async function close(line: Line, { server, sockets }: { server: Server; sockets: Socket[] }) {
  await line[Symbol.asyncDispose]();
  for (const socket of sockets) socket.destroy();
  server.close();
}

test("over TCP values come in, in pieces too, and a write goes out", limits, async () => {
  const slave = await serve(({ transaction, unit, pdu }, to) => {
    const bytes = reply(unit, pdu, transaction);
    to.write(bytes.subarray(0, 5));
    setImmediate(() => to.write(bytes.subarray(5)));
  });
  const { line, told } = open(tcpLine(slave.port));
  await until("both points", () => told.length >= 2);
  assertRight(told);
  assert.deepEqual(
    told.map(({ quality }) => quality),
    ["good", "good"],
  );
  const written = await call(line, "write", { device: "d1", point: "a", value: 5 });
  assert.deepEqual(written, { result: "ok" });
  await close(line, slave);
});

test("over TCP a late answer is never taken for the next request's", limits, async () => {
  let count = 0;
  const slave = await serve(({ transaction, unit, pdu }, to) => {
    count += 1;
    const bytes = reply(unit, pdu, transaction);
    if (count % 3 !== 0) to.write(bytes);
    else void clock.sleep(timing.timeoutMs + 30).then(() => to.write(bytes));
  });
  const { line, told } = open(tcpLine(slave.port));
  await until("sixty requests", () => count > 60);
  assertRight(told);
  const { counters } = (await call(line, "status")) as { counters: Record<string, number> };
  assert.ok((counters.late ?? 0) > 5, JSON.stringify(counters));
  await close(line, slave);
});

const rubbish: Readonly<Record<string, (right: Uint8Array) => Uint8Array>> = {
  "no Modbus at all": () => Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n"),
  "another protocol number": (right) => right.with(3, 1),
  "a length of nothing": (right) => right.with(5, 0),
  "a length beyond all frames": (right) => right.with(4, 0xff),
  "another transaction": (right) => right.with(1, (right[1] ?? 0) ^ 0x55),
  "another unit": (right) => right.with(6, 99),
  "another function": (right) => right.with(7, 1),
  "half a frame": (right) => right.subarray(0, 8),
};

for (const [name, spoil] of Object.entries(rubbish)) {
  test(
    `over TCP ${name} gives no value, and the line is right again after it`,
    limits,
    async () => {
      let isSpoilt = true;
      let count = 0;
      const slave = await serve(({ transaction, unit, pdu }, to) => {
        count += 1;
        const right = reply(unit, pdu, transaction);
        to.write(isSpoilt ? spoil(right) : right);
      });
      const { line, told } = open(tcpLine(slave.port));
      await until("three requests", () => count >= 3);
      assert.equal(told.filter(({ quality }) => quality === "good").length, 0);
      isSpoilt = false;
      await until(
        "good values",
        () => told.filter(({ quality }) => quality === "good").length >= 2,
      );
      assertRight(told);
      await close(line, slave);
    },
  );
}

/** A pair of terminals joined by socat. */
async function joinTerminals(folder: string): Promise<ChildProcess> {
  const ends = ["near", "far"].map((name) => `pty,raw,echo=0,link=${join(folder, name)}`);
  const child = spawn("socat", ends, { stdio: "ignore" });
  await until("ptys", () => existsSync(join(folder, "near")) && existsSync(join(folder, "far")));
  return child;
}

async function serveTerminal(path: string) {
  const port = makeSerialPort({ path, baud: 115_200, parity: "none", dataBits: 8, stopBits: 1 });
  let kept = new Uint8Array(0);
  await port.open({
    bytes(data) {
      kept = Buffer.concat([kept, data]);
      if (kept.length < 8) return;
      const answer = answerRtu(kept.subarray(0, 8));
      kept = new Uint8Array(0);
      if (answer !== undefined) port.write(answer).catch(() => {});
    },
    strayed() {},
    closed() {},
  });
  return port;
}

test("over a serial line values come in, and again after a replug", limits, async () => {
  const folder = mkdtempSync(join(tmpdir(), "pe-"));
  let socat = await joinTerminals(folder);
  let far = await serveTerminal(join(folder, "far"));
  const { line, told } = open({
    kind: "modbus-rtu",
    ...{ path: join(folder, "near"), baud: 115_200, parity: "none", dataBits: 8, stopBits: 1 },
    ...timing,
  });
  await until("both points", () => told.length >= 2);
  assertRight(told);
  socat.kill("SIGKILL");
  await until("bad points", () => told.filter(({ quality }) => quality === "bad").length >= 2);
  assert.notEqual((await call(line, "status")).state, "open");
  await far.close();
  for (const name of ["near", "far"]) rmSync(join(folder, name), { force: true });
  socat = await joinTerminals(folder);
  far = await serveTerminal(join(folder, "far"));
  await until("good points", () => told.filter(({ quality }) => quality === "good").length >= 4);
  assertRight(told);
  await line[Symbol.asyncDispose]();
  await far.close();
  socat.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});
