// The pure parts of the simulators: waveforms, rules, slaves, dialogs, faults, commands.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { PointValue } from "../../../drivers/kit/kit.ts";
import {
  decodeRegisters,
  encodeRequest,
  frameRtu,
  frameTcp,
  hasValidCrc,
  layoutOf,
  loadProfile,
  profileNames,
  type Request,
} from "../../../drivers/modbus/modbus.ts";
import {
  frameLine,
  loadSerialProfile,
  serialProfileNames,
} from "../../../drivers/serial/serial.ts";
import { rulesOf } from "../../../drivers/simulator/behaviour.ts";
import { makeDevice } from "../../../drivers/simulator/device.ts";
import { talkRtu, talkTcp } from "../../../drivers/simulator/dialog.ts";
import {
  completeFault,
  faultKinds,
  parseCommand,
  spoil,
} from "../../../drivers/simulator/fault.ts";
import { openLedger } from "../../../drivers/simulator/ledger.ts";
import { pointsOfLines, talkLines } from "../../../drivers/simulator/line-slave.ts";
import { makeModbusSlave, pointsOfModbus } from "../../../drivers/simulator/modbus-slave.ts";
import { openReplies } from "../../../drivers/simulator/replies.ts";
import { waveformAt, waveformOf } from "../../../drivers/simulator/waveform.ts";
import { fakeClock } from "../../fakes/clock.ts";

const text = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString("latin1");
const hex = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString("hex");

test("a waveform is the same for the same seed and moment, and stays within its swing", () => {
  for (const unit of ["V", "A", "Hz", "g", "bar", "1"]) {
    const waveform = waveformOf(100, unit);
    assert.ok("swing" in waveform, unit);
    const seen = new Set<number>();
    for (let second = 0; second < 500; second += 1) {
      const value = waveformAt(waveform, second, 7);
      assert.equal(value, waveformAt(waveform, second, 7));
      assert.ok(Math.abs(value - 100) <= waveform.swing + 1e-9, `${unit} ${value}`);
      seen.add(value);
    }
    assert.ok(seen.size > 10, `${unit} moves`);
  }
});

test("a counter only goes up, and a number of an unknown unit stands still", () => {
  const counter = waveformOf(1000, "kW.h");
  assert.ok(waveformAt(counter, 100, 1) > waveformAt(counter, 50, 1));
  assert.deepEqual(waveformOf(5, "furlong"), { kind: "constant", value: 5 });
});

function slaveOf(id: string) {
  const profile = loadProfile(id);
  const device = makeDevice({ name: "d", points: pointsOfModbus(profile), rules: rulesOf(id) });
  const served = new Map<string, PointValue>();
  const written: [string, PointValue][] = [];
  const slave = makeModbusSlave(profile, device, {
    served: (point, value) => served.set(point, value),
    written: (point, value) => written.push([point, value]),
  });
  const ask = (request: Request) => slave.answer(encodeRequest(request));
  return { profile, device, slave, served, written, ask };
}

for (const id of profileNames()) {
  test(`every point of ${id} can be read, and shows what the ledger says`, () => {
    const { profile, device, served, ask } = slaveOf(id);
    device.advance(3);
    for (const [name, point] of Object.entries(profile.points)) {
      const isBit = point.table === "coil" || point.table === "discrete";
      const layout = layoutOf(profile, point);
      const count = isBit ? 1 : { 16: 1, 32: 2, 64: 4 }[point.type.slice(1)];
      const { table, address } = point;
      const length = count ?? point.length ?? 1;
      const pdu = ask({ is: "read", table, address, count: length });
      assert.ok((pdu[0] ?? 0x80) < 0x80, `${name}: ${hex(pdu)}`);
      const value = isBit ? pdu[2] === 1 : decodeRegisters(layout, pdu.slice(2)).value;
      assert.deepEqual(value, served.get(name), name);
    }
  });
}

for (const id of serialProfileNames()) {
  test(`the profile ${id} is valid and has points for its simulator`, () => {
    assert.ok(pointsOfLines(loadSerialProfile(id)).length > 0);
  });
}

test("a value read in part of a block is not in the ledger, and its registers are right", () => {
  const { served, ask } = slaveOf("plantd-demo-pump");
  const whole = ask({ is: "read", table: "holding", address: 0, count: 2 });
  served.clear();
  const half = ask({ is: "read", table: "holding", address: 1, count: 1 });
  assert.equal(hex(half.slice(2)), hex(whole.slice(4)));
  assert.equal(served.has("setpoint"), false);
});

const refusals: readonly [string, Uint8Array, string][] = [
  [
    "beyond the table",
    encodeRequest({ is: "read", table: "input", address: 900, count: 1 }),
    "8402",
  ],
  ["an unknown function", Uint8Array.of(0x2b, 14, 1, 0), "ab01"],
  ["too many registers", Uint8Array.of(3, 0, 0, 0, 200), "8303"],
  ["a coil that is not one", Uint8Array.of(5, 0, 0, 0x12, 0x34), "8503"],
  ["half a value", Uint8Array.of(6, 0, 0, 0, 1), "8602"],
  ["a value out of range", Uint8Array.of(6, 0, 3, 0, 9), "8603"],
  ["a coil nobody has", Uint8Array.of(5, 0, 9, 0xff, 0), "8502"],
  ["a truncated request", Uint8Array.of(3, 0), "8303"],
];
for (const [name, pdu, answer] of refusals) {
  test(`${name} gets its exception and changes nothing`, () => {
    const { slave, written } = slaveOf("plantd-demo-pump");
    assert.equal(hex(slave.answer(pdu)), answer);
    assert.deepEqual(written, []);
  });
}

test("a pump stops, starts, counts its starts, and its pressure follows the setpoint", () => {
  const { device, written, ask } = slaveOf("plantd-demo-pump");
  const starts = Number(device.read("starts"));
  ask({ is: "write-coil", address: 0, value: false });
  assert.equal(device.read("running"), false);
  device.advance(30);
  assert.equal(device.read("speed"), 0);
  assert.equal(device.read("flow"), 0);
  assert.equal(device.read("pressure"), 0);
  ask({ is: "write-coils", address: 0, values: [true] });
  ask({ is: "write-registers", address: 0, data: Uint8Array.of(0x40, 0xc0, 0, 0) });
  assert.equal(device.read("running"), true);
  device.advance(31);
  assert.ok(Number(device.read("pressure")) < 2);
  device.advance(60);
  assert.ok(Math.abs(Number(device.read("pressure")) - 6) < 0.1);
  assert.ok(Number(device.read("speed")) > 90);
  assert.equal(device.read("starts"), starts + 1);
  assert.deepEqual(written, [
    ["run", false],
    ["run", true],
    ["setpoint", 6],
  ]);
});

test("a pump grows its 64-bit counter without losing a digit", () => {
  const { device } = slaveOf("plantd-demo-pump");
  const before = BigInt(String(device.read("energy")));
  device.advance(59);
  const grown = BigInt(String(device.read("energy"))) - before;
  assert.ok(grown >= 34n && grown <= 36n, String(grown));
});

test("requests are found on an RTU line between noise, however the bytes are cut", () => {
  const { slave } = slaveOf("plantd-demo-pump");
  const request = frameRtu(
    4,
    encodeRequest({ is: "read", table: "holding", address: 2, count: 1 }),
  );
  const foreign = frameRtu(9, encodeRequest({ is: "read", table: "coil", address: 0, count: 1 }));
  const wire = Uint8Array.from([0xff, 0, 7, ...request, ...foreign, 0x55, ...request]);
  for (let cut = 0; cut <= wire.length; cut += 1) {
    const dialog = talkRtu(new Map([[4, slave]]));
    const asked = [...dialog.feed(wire.subarray(0, cut), 1), ...dialog.feed(wire.subarray(cut), 2)];
    assert.equal(asked.length, 2, `cut at ${cut}`);
    assert.ok(asked.every(({ reply }) => reply !== undefined && hasValidCrc(reply.bytes)));
    assert.equal(dialog.droppedBytes, 4);
  }
});

test("half a request is forgotten after a silence, and noise without end stays bounded", () => {
  const { slave } = slaveOf("plantd-demo-pump");
  const dialog = talkRtu(new Map([[4, slave]]));
  const request = frameRtu(
    4,
    encodeRequest({ is: "read", table: "holding", address: 2, count: 1 }),
  );
  assert.equal(dialog.feed(request.subarray(0, 5), 10).length, 0);
  assert.equal(dialog.feed(request, 1000).length, 1);
  for (let round = 0; round < 200; round += 1) dialog.feed(new Uint8Array(1000).fill(16), 1001);
  assert.ok(dialog.droppedBytes > 190_000);
});

test("a broadcast is carried out by every device and answered by none", () => {
  const { slave, written } = slaveOf("plantd-demo-pump");
  const dialog = talkRtu(new Map([[4, slave]]));
  const request: Request = { is: "write-coil", address: 0, value: false };
  const [asked] = dialog.feed(frameRtu(0, encodeRequest(request)), 1);
  assert.equal(asked?.reply, undefined);
  assert.deepEqual(written, [["run", false]]);
});

test("a TCP stream is followed across chunks, and lost at the first header that is not Modbus", () => {
  const { slave } = slaveOf("plantd-demo-pump");
  const pdu = encodeRequest({ is: "read", table: "holding", address: 2, count: 1 });
  const wire = Uint8Array.from([...frameTcp(1, 4, pdu), ...frameTcp(2, 9, pdu)]);
  for (let cut = 0; cut <= wire.length; cut += 1) {
    const dialog = talkTcp(new Map([[4, slave]]));
    const asked = [...dialog.feed(wire.subarray(0, cut), 1), ...dialog.feed(wire.subarray(cut), 1)];
    assert.deepEqual(
      asked.map(({ reply }) => hex(reply?.bytes)),
      ["000100000005040302" + "0064", "000200000003" + "09830b"],
    );
  }
  const dialog = talkTcp(new Map([[4, slave]]));
  assert.deepEqual(dialog.feed(Buffer.from("GET / HTTP/1.1\r\n"), 1), []);
  assert.equal(dialog.isLost, true);
});

function scaleOf() {
  const profile = loadSerialProfile("mettler-sics");
  const rules = rulesOf("mettler-sics");
  const device = makeDevice({ name: "scale", points: pointsOfLines(profile), rules });
  const served: [string, PointValue][] = [];
  const dialog = talkLines(profile, device, {
    served: (point, value) => served.push([point, value]),
    written() {},
  });
  const say = (line: string) => {
    const asked = dialog.feed(frameLine(profile.framing, line), 1);
    return asked.map(({ reply }) => text(reply?.bytes).trimEnd());
  };
  return { profile, device, dialog, served, say };
}

test("a scale weighs, takes tare and zero, and refuses what it does not know", () => {
  const { device, say } = scaleOf();
  const [weight] = say("SI");
  assert.match(weight ?? "", /^S S {1,9}\d+\.\d\d g$/);
  const grams = Number(/[\d.]+/.exec(weight ?? "")?.[0]);
  assert.ok(grams > 0);
  assert.deepEqual(say("T"), [`T S ${grams.toFixed(2).padStart(10)} g`]);
  assert.deepEqual(say("SI"), ["S S       0.00 g"]);
  assert.deepEqual(say("TA"), [`TA A ${grams.toFixed(2).padStart(10)} g`]);
  assert.deepEqual(say("TAC"), ["TAC A"]);
  assert.deepEqual(say("SI"), [weight]);
  assert.deepEqual(say("Z"), ["Z A"]);
  assert.deepEqual(say("SI"), ["S S       0.00 g"]);
  assert.deepEqual(say("QQ"), ["ES"]);
  let moving = 0;
  for (let second = 0; second < 300; second += 1) {
    device.advance(second / 2);
    if (say("SI")[0]?.startsWith("S D")) moving += 1;
  }
  assert.ok(moving > 5 && moving < 150, `the load moved in ${moving} of 300 answers`);
});

const reply = {
  bytes: Uint8Array.of(1, 2, 3, 4, 5),
  corrupted: () => Uint8Array.of(9),
  misaddressed: () => Uint8Array.of(8),
  refused: (exception: number) => Uint8Array.of(0x83, exception),
};
const spoilt: Readonly<Record<(typeof faultKinds)[number], string>> = {
  late: "800 0102030405",
  silent: "nothing",
  half: "0 010203",
  crc: "0 09",
  noise: "0 00fff780fe00ff0102030405",
  exception: "0 8306",
  unit: "0 08",
  disconnect: "0  cut",
};
for (const kind of faultKinds) {
  test(`the fault ${kind} makes of a reply: ${spoilt[kind]}`, () => {
    const sending = spoil(completeFault({ kind, ms: 800, exception: 6 }), reply);
    const { afterMs, bytes, isCut } = sending ?? {};
    const seen = `${afterMs} ${hex(bytes)}${isCut === true ? " cut" : ""}`;
    assert.equal(sending === undefined ? "nothing" : seen, spoilt[kind]);
  });
}

test("without a fault a reply goes out as it is", () => {
  assert.deepEqual(spoil(undefined, reply), { afterMs: 0, bytes: reply.bytes, isCut: false });
});

test("commands are read", () => {
  assert.deepEqual(parseCommand("fault line=rs485-1 kind=late ms=800 unit=3 count=2"), {
    is: "fault",
    line: "rs485-1",
    fault: { kind: "late", ms: 800, unit: 3, count: 2 },
  });
  assert.deepEqual(parseCommand(" heal "), { is: "heal", line: undefined });
});

for (const command of [
  "",
  "break",
  "fault",
  "fault kind=odd",
  "fault kind=late ms=-1",
  "fault kind=late ms=9999999",
  "fault kind=late loud",
  "heal =x",
]) {
  test(`the command "${command}" is refused in words`, () => {
    const parsed = parseCommand(command);
    assert.ok(parsed.is === "malformed" && parsed.problem.length > 0);
  });
}

test("a fault befalls one unit, as often as told, and late replies keep their time", async () => {
  const clock = fakeClock();
  const replies = openReplies({ clock }, 0);
  const sent: string[] = [];
  const sink = { write: (bytes: Uint8Array) => void sent.push(hex(bytes)), cut() {} };
  const ask = (unit: number) => replies.send({ unit, requestBytes: 8, reply }, sink);
  replies.fault({ kind: "late", ms: 500, unit: 2, count: 1 });
  ask(1);
  ask(2);
  ask(2);
  await clock.advance(0);
  assert.equal(sent.length, 2);
  await clock.advance(500);
  assert.equal(sent.length, 3);
  assert.deepEqual(replies.counters, { requests: 3, replies: 3, spoilt: 1, refused: 0 });
  replies.fault({ kind: "silent" });
  ask(1);
  replies.heal();
  ask(1);
  await clock.advance(0);
  assert.equal(sent.length, 4);
  await replies.stop();
});

test("a paced line takes the time of its characters, and waiting replies are bounded", async () => {
  const clock = fakeClock();
  const replies = openReplies({ clock }, 1);
  const sent: number[] = [];
  const sink = { write: (bytes: Uint8Array) => void sent.push(bytes.length), cut() {} };
  const long = { ...reply, bytes: new Uint8Array(20) };
  replies.send({ unit: 1, requestBytes: 8, reply: long }, sink);
  await clock.advance(23);
  assert.deepEqual(sent, []);
  await clock.advance(1);
  assert.deepEqual(sent, [16]);
  await clock.advance(4);
  assert.deepEqual(sent, [16, 4]);
  for (let round = 0; round < 1500; round += 1) {
    replies.send({ unit: 1, requestBytes: 8, reply }, sink);
  }
  assert.equal(replies.counters.refused, 500);
  await replies.stop();
});

test("a ledger keeps the newest entries and the newest of each point", () => {
  const ledger = openLedger(100);
  for (let value = 0; value < 250; value += 1) {
    ledger.add({ device: "d", point: `p${value % 7}`, value, is: "served", atMs: value });
  }
  assert.ok(ledger.entries.length <= 100 && ledger.entries.length >= 90);
  assert.equal(ledger.entries.length + ledger.dropped, 250);
  assert.equal(ledger.latest("d", "p0")?.value, 245);
  assert.equal(ledger.latest("d", "other"), undefined);
});
