// The line of a scale as the driver kit sees it: what is asked, how bytes are judged, commands.
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseSerialProfile, serialAdapter } from "../../../drivers/serial/serial.ts";
import { parseConfig } from "../../../src/config/config.ts";
import { PlantError } from "../../../src/util/errors.ts";

function lineOf(devices: string) {
  const { lines } = parseConfig(
    `lines: { scale: { kind: serial, path: /dev/null, devices: { ${devices} } } }`,
    {},
  );
  const { scale } = lines;
  assert.ok(scale?.kind === "serial");
  return scale;
}

const adapter = serialAdapter(lineOf("scale: { profile: mettler-sics, intervalMs: 200 }"));
const [scale] = adapter.devices;
assert.ok(scale);
const bytes = (text: string) => new Uint8Array(Buffer.from(text, "latin1"));

test("a scale is asked for its weight and tare, and one of them is the probe", () => {
  assert.equal(adapter.settings, "9600 8E1");
  const [group] = scale.groups;
  assert.equal(group?.intervalMs, 200);
  const frames = group?.reads.map((read) => Buffer.from(read.exchange("poll").frame).toString());
  assert.deepEqual(frames, ["SI\r\n", "TA\r\n"]);
  assert.deepEqual(scale.probe?.points, ["weight", "status"]);
  assert.equal(adapter.listen, undefined);
});

const judged: readonly [string, string, string][] = [
  ["nothing", "", "more"],
  ["half a line", "S S     100.0", "more"],
  ["an answer", "S S     100.00 g\r\n", "answer"],
  ["an answer after another's line", "Z A\r\nS S     100.00 g\r\n", "answer"],
  ["an answer after noise with an end", "\xff\xfe\r\nS D       1.00 g\r\n", "answer"],
  ["an overload", "S +\r\n", "answer"],
  ["a line of another request", "TA A       0.00 g\r\n", "wrong malformed"],
  ["noise", "\x00\x80S S 1.00 g\r\n", "wrong malformed"],
  ["an endless line", "9".repeat(400), "wrong long"],
  ["a syntax error", "ES\r\n", "exception 1"],
  ["a logic error", "EL\r\n", "exception 3"],
];
for (const [name, received, expected] of judged) {
  test(`${name} is judged: ${expected}`, () => {
    const exchange = scale.planRead("weight").exchange("poll");
    const verdict = exchange.judge(bytes(received));
    const more = "fault" in verdict ? ` ${verdict.fault}` : "";
    const which = "exception" in verdict ? ` ${verdict.exception}` : "";
    assert.equal(`${verdict.is}${more}${which}`, expected);
  });
}

test("two requests that could answer for each other have different signatures", () => {
  const signatures = ["weight", "tare"].map((point) => {
    const { unit, function: number } = scale.planRead(point).exchange("poll").signature;
    return `${unit}/${number}`;
  });
  const commands = ["zero", "take_tare", "clear_tare"].map(
    (point) => `0/${scale.planWrite(point, true).exchange().signature.function}`,
  );
  assert.equal(new Set([...signatures, ...commands]).size, 5);
});

test("a command is sent, and its answer tells whether it was done", () => {
  const plan = scale.planWrite("tare", 12.345);
  assert.equal(plan.value, 12.35);
  const exchange = plan.exchange(99);
  assert.equal(Buffer.from(exchange.frame).toString(), "TA 12.35 g\r\n");
  assert.equal(exchange.deadlineMs, 99);
  assert.deepEqual(exchange.judge(bytes("TA A      12.35 g\r\n")).is, "answer");
  const refused = exchange.judge(bytes("TA L\r\n"));
  assert.ok(refused.is === "exception");
  assert.equal(adapter.exceptionWords?.(refused.exception), "wrong-parameter");
  assert.deepEqual(exchange.judge(bytes("S S 1.00 g\r\n")).is, "wrong");
});

const refused: readonly [string, () => unknown, string][] = [
  ["an unknown point", () => scale.planWrite("height", 1), "POINT_UNKNOWN"],
  ["a point that is only read", () => scale.planWrite("weight", 1), "POINT_READ_ONLY"],
  ["a value that is no number", () => scale.planWrite("tare", "x"), "VALUE_REFUSED"],
  ["reading a command", () => scale.planRead("zero"), "POINT_UNKNOWN"],
  ["a profile nobody has", () => serialAdapter(lineOf("a: { profile: b }")), "PROFILE_UNKNOWN"],
  [
    "a second device",
    () => serialAdapter(lineOf("a: { profile: mettler-sics }, b: { profile: mettler-sics }")),
    "LIMIT_REACHED",
  ],
];
for (const [name, act, code] of refused) {
  test(`${name} is refused with ${code}`, () => {
    assert.throws(act, (error) => error instanceof PlantError && error.code === code);
  });
}

const talker = `
name: thermometer
maker: nobody
source: this test
framing: { terminator: "\\n", lineMax: 20 }
requests: { reading: { answers: ["T={t:number}"] } }
points: { t: { type: f64, unit: Cel, read: { request: reading, field: t } } }
`;

test("a device that talks by itself is heard, line by line, and never asked", () => {
  const load = (id: string) => parseSerialProfile(id, talker);
  const listening = serialAdapter(lineOf("hot: { profile: thermometer }"), load);
  assert.deepEqual(listening.devices[0]?.groups, []);
  const heard = listening.listen?.(bytes("T=1.5\nnoise\nT=2\nT="));
  assert.equal(heard?.usedBytes, 16);
  assert.deepEqual(
    heard?.samples.flatMap(({ samples }) => samples.map(({ value }) => value)),
    [1.5, 2],
  );
  assert.deepEqual(listening.listen?.(bytes("T=")), { usedBytes: 0, samples: [] });
});
