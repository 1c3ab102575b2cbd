// A slave that answers late, on a real line: no request ever gets the answer of another one.
// Each register's value names its own unit, table and address.
import assert from "node:assert/strict";
import { createServer } from "node:net";
import { after, test } from "node:test";
import { startBusOwner } from "../../drivers/kit/bus-owner.ts";
import { type Exchange, makeSerialPort, type Port } from "../../drivers/kit/kit.ts";
import {
  decodeRequest,
  encodeResponse,
  frameRtu,
  frameTcp,
  hasValidCrc,
  modbusAdapter,
  parseProfile,
  readMbap,
} from "../../drivers/modbus/modbus.ts";
import { startPtyPair } from "../../drivers/simulator/simulator.ts";
import { systemClock as clock } from "../../src/util/clock.ts";
import { type Random, seededRandom, systemRandom } from "../../src/util/random.ts";
import { fieldFolder, lineConfig, silentLog } from "../fakes/field-line.ts";

const folder = fieldFolder();
after(() => folder[Symbol.dispose]());
const seed = Number(process.env.SEED ?? (Math.random() * 2 ** 32) >>> 0);

const timeoutMs = 40;
/** What a slave may do with a request, and how often in a thousand. */
const manners = { late: 12, silent: 3, half: 2 } as const;

/** The value of a register: no two registers of a line have the same. */
function valueAt(unit: number, code: number, address: number): number {
  return unit * 0x2000 + code * 0x800 + address;
}

/** Answers a PDU with values that name their registers. */
function answer(unit: number, pdu: Uint8Array): Uint8Array {
  const decoded = decodeRequest(pdu);
  assert.ok(decoded.is === "request" && decoded.request.is === "read");
  const code = pdu[0] ?? 0;
  const { address, count } = decoded.request;
  const data = new Uint8Array(count * 2);
  const view = new DataView(data.buffer);
  for (let at = 0; at < count; at += 1) view.setUint16(at * 2, valueAt(unit, code, address + at));
  return encodeResponse(code, decoded.request, { is: "data", data });
}

/** Sends an answer in the manner that chance picks: at once, late, halved, or never. */
function misbehave(random: Random, bytes: Uint8Array, send: (bytes: Uint8Array) => void): void {
  const later = (ms: number, what: Uint8Array) => void clock.sleep(ms).then(() => send(what));
  let dice = random.unit() * 1000;
  const is = (part: number) => {
    dice -= part;
    return dice < 0;
  };
  const lateMs = timeoutMs * (1.05 + random.unit() * 0.9);
  if (is(manners.late)) later(lateMs, bytes);
  else if (is(manners.silent)) return;
  else if (is(manners.half)) send(bytes.subarray(0, 4));
  else send(bytes);
}

/** A slave for every unit on a serial port. Requests are 8 bytes: only reads are asked. */
async function startRtuSlave(path: string, random: Random): Promise<AsyncDisposable> {
  const port = makeSerialPort({ path, baud: 115_200, parity: "none", dataBits: 8, stopBits: 1 });
  let held: Uint8Array = new Uint8Array(0);
  await port.open({
    bytes(data) {
      held = Uint8Array.from([...held, ...data]);
      while (held.length >= 8) {
        const frame = held.slice(0, 8);
        held = held.subarray(hasValidCrc(frame) ? 8 : 1);
        if (!hasValidCrc(frame)) continue;
        const unit = frame[0] ?? 0;
        const reply = frameRtu(unit, answer(unit, frame.subarray(1, 6)));
        misbehave(random, reply, (bytes) => void port.write(bytes).catch(() => {}));
      }
    },
    strayed() {},
    closed() {},
  });
  return { [Symbol.asyncDispose]: () => port.close() };
}

async function startTcpSlave(random: Random): Promise<AsyncDisposable & { port: number }> {
  const server = createServer({ noDelay: true }, (socket) => {
    let held: Uint8Array = new Uint8Array(0);
    socket.on("error", () => {});
    socket.on("data", (data) => {
      held = Uint8Array.from([...held, ...data]);
      for (;;) {
        const header = readMbap(held);
        if (header === undefined || held.length < 6 + header.length) break;
        const unit = held[6] ?? 0;
        const pdu = held.slice(7, 6 + header.length);
        held = held.subarray(6 + header.length);
        misbehave(random, frameTcp(header.transaction, unit, answer(unit, pdu)), (bytes) => {
          if (socket.writable) socket.write(bytes);
        });
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return {
    port: address.port,
    [Symbol.asyncDispose]: () => new Promise((resolve) => void server.close(() => resolve())),
  };
}

/** A device with single registers and pairs in two tables: requests of several lengths. */
const profile = parseProfile(
  "named",
  `
name: named registers
maker: the tests
source: this file
points:
${["holding", "input"]
  .flatMap((table) =>
    Array.from({ length: 40 }, (_, at) => {
      const type = at % 4 < 3 ? "u16" : "u32";
      return `  ${table}_${at}: { table: ${table}, address: ${at * 3}, type: ${type} }`;
    }),
  )
  .join("\n")}
`,
);

interface Tally {
  right: number;
  wrong: string[];
  unanswered: number;
  late: number;
}

/** Asks `count` random points, four requests waiting at any time, and checks each value. */
async function askMany(text: string, count: number, random: Random): Promise<Tally> {
  const config = lineConfig(text);
  assert.ok(config.kind !== "serial");
  const adapter = modbusAdapter(config, () => profile);
  const port: Port = adapter.makePort();
  let isOpen = () => {};
  const opened = new Promise<void>((resolve) => {
    isOpen = resolve;
  });
  await using bus = startBusOwner(
    { clock, log: silentLog, random: systemRandom, boot: "0".repeat(32), clockSync: () => "none" },
    {
      port,
      timing: adapter.timing,
      timeoutMs,
      turnaroundMs: 0,
      queueMax: 64,
      lateTimeouts: config.lateTimeouts,
      onState: ({ state }) => {
        if (state === "open") isOpen();
      },
    },
  );
  await opened;
  const tally: Tally = { right: 0, wrong: [], unanswered: 0, late: 0 };
  const names = Object.keys(profile.points);
  let asked = 0;
  const ask = async (): Promise<void> => {
    while (asked < count) {
      asked += 1;
      const device = adapter.devices[Math.floor(random.unit() * adapter.devices.length)];
      const name = names[Math.floor(random.unit() * names.length)] ?? "";
      const point = profile.points[name];
      assert.ok(device !== undefined && point !== undefined);
      const exchange: Exchange<unknown> = device.planRead(name).exchange("poll");
      const outcome = await bus.request(exchange);
      if (outcome.is !== "ok") {
        tally.unanswered += 1;
        if (outcome.is === "unsent") await clock.sleep(20);
        continue;
      }
      const code = point.table === "holding" ? 3 : 4;
      const first = valueAt(device.unit, code, point.address);
      const wanted = point.type === "u16" ? first : first * 65_536 + first + 1;
      const [sample] = outcome.value as { value: unknown }[];
      if (sample?.value === wanted) tally.right += 1;
      else tally.wrong.push(`${device.name}/${name}: ${sample?.value} instead of ${wanted}`);
    }
  };
  await Promise.all([ask(), ask(), ask(), ask()]);
  tally.late = bus.report().counters.late;
  return tally;
}

const units =
  "u1: { profile: named, unit: 1 }, u2: { profile: named, unit: 2 }, u3: { profile: named, unit: 3 }";

test(`10,000 requests to slaves that answer late get no wrong value (seed ${seed})`, async (t) => {
  const ends = [folder.path("a"), folder.path("b")] as const;
  await using _cable = await startPtyPair({ clock }, ends);
  await using _rtu = await startRtuSlave(ends[1], seededRandom(seed));
  await using tcp = await startTcpSlave(seededRandom(seed + 1));
  const rtuText = `{ kind: modbus-rtu, path: ${ends[0]}, baud: 115200, parity: none, devices: { ${units} } }`;
  const tcpText = `{ kind: modbus-tcp, host: 127.0.0.1, port: ${tcp.port}, devices: { ${units} } }`;
  const tallies = await Promise.all([
    askMany(rtuText, 5000, seededRandom(seed + 2)),
    askMany(tcpText, 5000, seededRandom(seed + 3)),
  ]);
  for (const [at, name] of ["RTU", "TCP"].entries()) {
    const tally = tallies[at];
    assert.ok(tally);
    const { right, wrong, unanswered, late } = tally;
    t.diagnostic(
      `${name}: ${right} right, ${wrong.length} wrong, ${unanswered} unanswered, ${late} late`,
    );
    assert.deepEqual(wrong, []);
    assert.equal(right + unanswered, 5000);
    assert.ok(right > 4000, `${name}: only ${right} were answered`);
    assert.ok(late > 20, `${name}: only ${late} late answers were seen`);
  }
});
