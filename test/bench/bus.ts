// Bench of a line's owner: polls of 100 registers per second over TCP and over a pseudo terminal,
// against a slave in C on libmodbus, beside the clients of modbus-serial and libmodbus.
// It must not know the owner's insides.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { default as modbusSerial } from "modbus-serial";
import {
  type BusOwner,
  type Exchange,
  type LineTiming,
  type Port,
  startBusOwner,
} from "../../drivers/kit/kit.ts";
import {
  decodeResponse,
  encodeRequest,
  frameRtu,
  functionOf,
  judgeRtu,
  modbusAdapter,
  type Request,
} from "../../drivers/modbus/modbus.ts";
import { startPtyPair } from "../../drivers/simulator/simulator.ts";
import { parseConfig } from "../../src/config/config.ts";
import { installTools, mayInstall } from "../../src/main/tools.ts";
import { systemClock as clock, readBootId } from "../../src/util/clock.ts";
import { openLog } from "../../src/util/log.ts";
import { systemRandom as random } from "../../src/util/random.ts";
import { freePort } from "../fakes/patience.ts";
import { type BenchContext, compare, type Row, readPeer, startPeer } from "./harness.ts";

const ModbusClient = modbusSerial.default;
const unit = 1;
const count = 100;
const baud = 115_200;
const log = openLog({ service: "bench", level: "error" });
const request: Request = { is: "read", table: "holding", address: 0, count };

/** A poll as the driver makes it; its answer is the register bytes. */
const poll: Exchange<Uint8Array> = {
  lane: "poll",
  signature: { unit, function: functionOf(request), answerBytes: 5 + 2 * count },
  frame: frameRtu(unit, encodeRequest(request)),
  judge(received) {
    const framed = judgeRtu(unit, request, received);
    if (framed.is !== "frame") return framed;
    const response = decodeResponse(request, framed.pdu);
    if (response.is === "data") return { is: "answer", value: response.data };
    return { is: "wrong", fault: "malformed" };
  },
};

/** Compiles the peers in C, with libmodbus's headers installed if need be. */
function buildC(context: BenchContext): string | undefined {
  if (!existsSync("/usr/include/modbus/modbus.h") && mayInstall()) {
    context.say("Installing libmodbus-dev …");
    installTools([{ name: "libmodbus-dev", debian: "libmodbus-dev gcc libc6-dev" }]);
  }
  const source = fileURLToPath(new URL("./modbus.c", import.meta.url));
  const program = join(context.folder, "modbus");
  const words = ["-O2", "-I/usr/include/modbus", "-o", program, source, "-lmodbus"];
  return spawnSync("gcc", words, { stdio: "ignore" }).status === 0 ? program : undefined;
}

async function startOwner(port: Port, timing: LineTiming): Promise<BusOwner> {
  const opened = Promise.withResolvers<void>();
  const owner = startBusOwner(
    { clock, log, random, boot: readBootId(), clockSync: () => "none" },
    {
      ...{ port, timing, timeoutMs: 1000, turnaroundMs: 0, queueMax: 64, lateTimeouts: 3 },
      onState: ({ state }) => {
        if (state === "open") opened.resolve();
      },
    },
  );
  await opened.promise;
  return owner;
}

/** Asks again and again, one request at a time, and counts the answers that are right. */
async function pollFor(ms: number, ask: () => Promise<number>): Promise<number> {
  const from = clock.monotonicMs();
  let done = 0;
  while (clock.monotonicMs() - from < ms) {
    if ((await ask()) !== 7) throw new Error("a register came back wrong");
    done += 1;
  }
  return (1000 * done) / (clock.monotonicMs() - from);
}

async function pollOurs(port: Port, timing: LineTiming, ms: number): Promise<number> {
  const owner = await startOwner(port, timing);
  try {
    return await pollFor(ms, async () => {
      const outcome = await owner.request(poll);
      if (outcome.is !== "ok") throw new Error(`a poll ended with ${outcome.is}`);
      return (outcome.value[2] ?? 0) * 256 + (outcome.value[3] ?? 0);
    });
  } finally {
    await owner[Symbol.asyncDispose]();
  }
}

async function pollPackage(
  ms: number,
  connect: (client: InstanceType<typeof ModbusClient>) => Promise<void>,
): Promise<number> {
  const client = new ModbusClient();
  await connect(client);
  client.setID(unit);
  client.setTimeout(1000);
  const rate = await pollFor(ms, async () => {
    const { data } = await client.readHoldingRegisters(0, count);
    return data[1] ?? 0;
  });
  await new Promise<void>((resolve) => client.close(() => resolve()));
  return rate;
}

async function pollC(words: readonly [string, ...string[]]): Promise<number> {
  const { count: done, ms } = (await readPeer(words)) as { count: number; ms: number };
  return (1000 * done) / ms;
}

/** A way we poll. */
interface Rhythm {
  readonly job: string;
  /** Keeps silences the peers do not keep: no goal beside them. */
  readonly isKeeping?: boolean;
  run(ms: number): Promise<number>;
}

/** One kind of line and its three masters, by rounds. */
interface Place {
  readonly name: string;
  readonly ours: readonly Rhythm[];
  package(ms: number): Promise<number>;
  c(ms: number): Promise<number>;
}

async function tcpPlace(context: BenchContext, program: string): Promise<Place> {
  const port = await freePort();
  await startPeer(context, [program, "serve-tcp", String(port)]);
  const text = `lines: { l: { kind: modbus-tcp, host: 127.0.0.1, port: ${port}, devices: {} } }`;
  const { lines } = parseConfig(text, {});
  const line = lines.l;
  if (line?.kind !== "modbus-tcp") throw new Error("the line is another");
  const make = () => modbusAdapter(line, () => Promise.reject() as never).makePort();
  const run = (ms: number) => pollOurs(make(), { characterMs: 0, silenceMs: 0 }, ms);
  return {
    name: "TCP",
    ours: [{ job: "Modbus TCP, polls of 100 registers", run }],
    package: (ms) => pollPackage(ms, (client) => client.connectTCP("127.0.0.1", { port })),
    c: (ms) => pollC([program, "poll-tcp", String(port), String(ms), String(count)]),
  };
}

async function ptyPlace(context: BenchContext, program: string): Promise<Place> {
  const ends = [join(context.folder, "a"), join(context.folder, "b")] as const;
  const cable = await startPtyPair({ clock }, ends);
  context.defer(() => cable[Symbol.asyncDispose]());
  await startPeer(context, [program, "serve-rtu", ends[1]]);
  const text = `lines: { l: { kind: modbus-rtu, path: ${ends[0]}, baud: ${baud}, parity: none, devices: {} } }`;
  const { lines } = parseConfig(text, {});
  const line = lines.l;
  if (line?.kind !== "modbus-rtu") throw new Error("the line is another");
  const adapter = modbusAdapter(line, () => Promise.reject() as never);
  const run = (timing: LineTiming) => (ms: number) => pollOurs(adapter.makePort(), timing, ms);
  const hurried = { characterMs: 0, silenceMs: 0 };
  return {
    name: "pty",
    ours: [
      { job: "Modbus RTU over a pty, no silence between frames", run: run(hurried) },
      {
        job: "Modbus RTU over a pty, the silence the standard asks for",
        isKeeping: true,
        run: run(adapter.timing),
      },
    ],
    package: (ms) =>
      pollPackage(ms, (client) => client.connectRTUBuffered(ends[0], { baudRate: baud })),
    c: (ms) => pollC([program, "poll-rtu", ends[0], String(ms), String(count)]),
  };
}

async function measure(context: BenchContext, place: Place): Promise<Row[]> {
  const [ms, rounds] = context.isQuick ? [1000, 3] : [4000, 5];
  const ours = place.ours.map((): number[] => []);
  const packaged: number[] = [];
  const c: number[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    for (const [at, { run }] of place.ours.entries()) ours[at]?.push(await run(ms));
    packaged.push(await place.package(ms));
    c.push(await place.c(ms));
    context.say(`${place.name}, round ${round} of ${rounds}`);
  }
  return place.ours.flatMap(({ job, isKeeping = false }, at) => {
    const shared = { unit: "polls/s", ours: ours[at] ?? [] };
    const rows = [
      compare({ ...shared, job: `${job}; peer: modbus-serial's client`, peer: packaged, goal: 1 }),
      compare({ ...shared, job: `${job}; peer: libmodbus in C`, peer: c, goal: 0.4 }),
    ];
    return isKeeping ? rows.map((row) => ({ ...row, goal: null })) : rows;
  });
}

/** Runs the bench. */
export async function run(context: BenchContext): Promise<readonly Row[]> {
  const program = buildC(context);
  if (program === undefined) {
    context.say("No C compiler or no libmodbus-dev: there is no slave to poll.");
    return [];
  }
  const tcp = await measure(context, await tcpPlace(context, program));
  return [...tcp, ...(await measure(context, await ptyPlace(context, program)))];
}
