// Line templates and framing: what is read, what is refused, and that both directions agree.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Framing, frameLine, readLines } from "../../../drivers/serial/framing.ts";
import {
  compileTemplate,
  matchLine,
  numberOf,
  renderLine,
  type Template,
} from "../../../drivers/serial/template.ts";

function template(text: string): Template {
  const compiled = compileTemplate(text);
  assert.ok(typeof compiled !== "string", String(compiled));
  return compiled;
}

const weight = "S {status:S|D} {weight:number:10} {unit}";

const matched: readonly [string, string, Record<string, string>][] = [
  [weight, "S S     100.00 g", { status: "S", weight: "100.00", unit: "g" }],
  [weight, "S D      -0.01 kg", { status: "D", weight: "-0.01", unit: "kg" }],
  [weight, "S S -   12.50 g", { status: "S", weight: "-   12.50", unit: "g" }],
  ["S {status:I|+|-}", "S +", { status: "+" }],
  ["I4 A {serial:quoted}", 'I4 A "B021 002593"', { serial: "B021 002593" }],
  ["{a:number},{b:number}", "+1.5,22", { a: "+1.5", b: "22" }],
];
for (const [text, line, fields] of matched) {
  test(`"${line}" is read by ${text}`, () => {
    assert.deepEqual(matchLine(template(text), line), fields);
  });
}

const foreign: readonly [string, string][] = [
  [weight, "S S     100.00"],
  [weight, "S X     100.00 g"],
  [weight, "S S     1e5 g"],
  [weight, "S S     100.00 g "],
  [weight, "xS S     100.00 g"],
  [weight, "S S     100.0.0 g"],
  [weight, ""],
  ["S {status:I|+|-}", "S *"],
  ["Z.A", "ZxA"],
];
for (const [text, line] of foreign) {
  test(`"${line}" is not read by ${text}`, () => {
    assert.equal(matchLine(template(text), line), undefined);
  });
}

const refused = [
  "",
  "S {",
  "S {weight:number:10} {weight}",
  "{a}{b}",
  "{a:number}{b:number}",
  "{Upper}",
  "{a:|b}",
  "tab\there",
];
for (const text of refused) {
  test(`the template "${text}" is refused in words`, () => {
    assert.equal(typeof compileTemplate(text), "string");
  });
}

test("a line that is rendered is read back with the same fields", () => {
  const fields = { status: "D", weight: "-12.50", unit: "kg" };
  const line = renderLine(template(weight), fields);
  assert.equal(line, "S D     -12.50 kg");
  assert.deepEqual(matchLine(template(weight), line), fields);
  assert.equal(numberOf("-  12.5"), -12.5);
});

const framing: Framing = { terminator: "\r\n", lineMax: 20, checksum: "none" };

test("bytes become lines however they are cut", () => {
  const bytes = Buffer.from("S S 1 g\r\n\r\nS D 2 g\r\nrest");
  for (let cut = 0; cut <= bytes.length; cut += 1) {
    const reader = readLines(framing);
    const lines = [...reader.push(bytes.subarray(0, cut)), ...reader.push(bytes.subarray(cut))];
    assert.deepEqual(lines, ["S S 1 g", "S D 2 g"], `cut at ${cut}`);
  }
});

test("an endless line is dropped and counted once, and the next line is whole", () => {
  const reader = readLines(framing);
  for (let round = 0; round < 1000; round += 1) {
    assert.deepEqual(reader.push(Buffer.alloc(100, "x")), []);
  }
  assert.deepEqual(reader.push(Buffer.from("tail\r")), []);
  assert.deepEqual(reader.push(Buffer.from("\nS S 1 g\r\n")), ["S S 1 g"]);
  assert.deepEqual(reader.counters, { overlong: 1, noise: 0, checksum: 0 });
});

test("a line a little too long is counted too", () => {
  const reader = readLines(framing);
  assert.deepEqual(reader.push(Buffer.from(`${"y".repeat(21)}\r\nok\r\n`)), ["ok"]);
  assert.equal(reader.counters.overlong, 1);
});

test("noise is dropped and counted; clear forgets half a line", () => {
  const reader = readLines(framing);
  assert.deepEqual(reader.push(Buffer.from([0xff, 0x00, 0x41, 13, 10])), []);
  assert.equal(reader.counters.noise, 1);
  reader.push(Buffer.from("half"));
  reader.clear();
  assert.deepEqual(reader.push(Buffer.from("whole\r\n")), ["whole"]);
});

const framings: readonly [string, Framing, string][] = [
  ["xor8", { terminator: "\r", lineMax: 20, checksum: "xor8" }, "AB03\r"],
  ["sum8", { terminator: "\n", lineMax: 20, checksum: "sum8" }, "AB83\n"],
  ["start", { terminator: "\x03", start: "\x02", lineMax: 20, checksum: "none" }, "\x02AB\x03"],
];
for (const [name, kind, wire] of framings) {
  test(`a frame with ${name} is written and read back, a broken one dropped`, () => {
    assert.equal(Buffer.from(frameLine(kind, "AB")).toString("latin1"), wire);
    const reader = readLines(kind);
    assert.deepEqual(reader.push(frameLine(kind, "AB")), ["AB"]);
    const broken = wire.replace(name === "start" ? "\x02" : "A", "C");
    assert.deepEqual(reader.push(Buffer.from(broken, "latin1")), []);
    assert.equal(reader.counters.checksum + reader.counters.noise, 1);
  });
}

test("what stands before the start character is noise, not part of the line", () => {
  const reader = readLines({ terminator: "\r", start: "\x02", lineMax: 20, checksum: "none" });
  assert.deepEqual(reader.push(Buffer.from("\xff junk\x02S S 1 g\r", "latin1")), ["S S 1 g"]);
});
