// The scale's table: what its lines mean, what its commands are, and what is wrong with a table.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  answerLine,
  commandLine,
  type Reading,
  readAnswer,
  readVerdict,
} from "../../../drivers/serial/answer.ts";
import { parseSerialProfile } from "../../../drivers/serial/profile.ts";
import { PlantError } from "../../../src/util/errors.ts";

const path = new URL("../../../drivers/serial/profiles/mettler-sics.yaml", import.meta.url);
const text = readFileSync(path, "utf8");
const scale = parseSerialProfile("mettler-sics", text);

function point(name: string) {
  const found = scale.points.find((item) => item.name === name);
  assert.ok(found);
  return found;
}

const status = (value: string): Reading => ({ point: "status", value, quality: "good" });
const bad = (reason: string): Reading => ({ point: "weight", value: null, quality: "bad", reason });
const answers: readonly [string, Reading[]][] = [
  ["S S     100.00 g", [{ point: "weight", value: 100, quality: "good" }, status("stable")]],
  [
    "S D      99.95 g",
    [
      { point: "weight", value: 99.95, quality: "uncertain", reason: "unstable" },
      status("dynamic"),
    ],
  ],
  ["S S      0.107 kg", [{ point: "weight", value: 107, quality: "good" }, status("stable")]],
  ["S S      -0.30 g", [{ point: "weight", value: -0.3, quality: "good" }, status("stable")]],
  ["S S     100.00 lb", [bad("unknown-unit"), status("stable")]],
  ["S I", [bad("busy"), status("busy")]],
  ["S +", [bad("out-of-range"), status("overload")]],
  ["S -", [bad("out-of-range"), status("underload")]],
];
for (const [line, readings] of answers) {
  test(`the scale's "${line}" becomes points with their quality`, () => {
    assert.deepEqual(readAnswer(scale, "weight", line), { kind: "readings", readings });
  });
}

for (const line of ["", "S", "S S", "T S 100.00 g", "TA A 1.00 g", "S S 100.00 g x", "s s 1 g"]) {
  test(`"${line}" is not taken for a weight`, () => {
    assert.deepEqual(readAnswer(scale, "weight", line), { kind: "foreign" });
  });
}

for (const [line, reason] of [
  ["ES", "syntax"],
  ["ET", "transmission"],
  ["EL", "logic"],
] as const) {
  test(`"${line}" refuses any request with the reason ${reason}`, () => {
    assert.deepEqual(readAnswer(scale, "weight", line), { kind: "refused", reason });
    const { write } = point("zero");
    assert.ok(write);
    assert.deepEqual(readVerdict(scale, write, line), { kind: "refused", reason });
  });
}

const verdicts: readonly [string, unknown, string, string, object][] = [
  ["zero", true, "Z", "Z A", { kind: "done" }],
  ["zero", true, "Z", "Z I", { kind: "refused", reason: "busy" }],
  ["zero", true, "Z", "Z +", { kind: "refused", reason: "above zero range" }],
  ["zero", true, "Z", "S S 0.00 g", { kind: "foreign" }],
  ["take_tare", true, "T", "T S     100.00 g", { kind: "done" }],
  ["take_tare", true, "T", "T -", { kind: "refused", reason: "below tare range" }],
  ["clear_tare", true, "TAC", "TAC A", { kind: "done" }],
  ["tare", 12.5, "TA 12.50 g", "TA A      12.50 g", { kind: "done" }],
  ["tare", 1, "TA 1.00 g", "TA L", { kind: "refused", reason: "wrong-parameter" }],
];
for (const [name, value, command, line, verdict] of verdicts) {
  test(`writing ${value} to ${name} sends "${command}", and "${line}" decides it`, () => {
    const item = point(name);
    assert.equal(commandLine(item, value), command);
    assert.ok(item.write);
    assert.deepEqual(readVerdict(scale, item.write, line), verdict);
  });
}

const unwritable: readonly [string, unknown][] = [
  ["weight", 1],
  ["zero", false],
  ["zero", 1],
  ["tare", "12"],
  ["tare", Number.NaN],
  ["tare", 1e20],
];
for (const [name, value] of unwritable) {
  test(`writing ${String(value)} to ${name} is refused before anything is sent`, () => {
    assert.equal(typeof commandLine(point(name), value), "object");
  });
}

test("a simulator answers from the same table", () => {
  const weight = scale.requests.get("weight");
  assert.ok(weight);
  assert.equal(
    answerLine(weight, { status: "S", weight: "100.00", unit: "g" }),
    "S S     100.00 g",
  );
  assert.equal(answerLine(weight, { status: "+", weight: "100.00", unit: "g" }), "S +");
  assert.equal(answerLine(weight, {}), undefined);
});

/** Changes to the table, the setting they break, and the text the flaw must point at. */
const broken: readonly [from: string, to: string, setting: string, pointsAt: string][] = [
  ["lineMax: 80", "lineMax: 1", "framing.lineMax", "lineMax: 1"],
  ['terminator: "\\r\\n"', "terminator: x", "framing.terminator", "terminator: x"],
  ["maker: Mettler-Toledo", "maker: 5", "maker", "maker: 5"],
  ["send: Z\n", "send: Z {other}\n", "points.zero.write.send", "send: Z {other}"],
  ["weight, field: status }", "weight, field: x }", "points.status.read.field", "field: x }"],
  ["{ request: tare,", "{ request: t,", "points.tare.read.request", "request: t,"],
  ["mg: 0.001,", "mg: 0,", "points.weight.units.factors.mg", "mg: 0,"],
  ["TA {state:I|L}", "TA {state:|}", "requests.tare.answers.1", "TA {state:|}"],
  ["decimals: 2", "decimal: 2", "points.weight.decimal", "decimal: 2"],
];
for (const [from, to, setting, pointsAt] of broken) {
  test(`a table with "${to.trim()}" is refused where ${setting} stands`, () => {
    assert.ok(text.includes(from));
    const changed = text.replace(from, to);
    const before = changed.slice(0, changed.indexOf(pointsAt)).split("\n");
    const place = { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
    assert.throws(
      () => parseSerialProfile("broken", changed),
      (error) => {
        assert.ok(error instanceof PlantError && error.code === "PROFILE_INVALID");
        const flaws = error.detail.flaws as { setting: string; line: number; column: number }[];
        const flaw = flaws.find((item) => item.setting === setting);
        assert.ok(flaw, JSON.stringify(flaws));
        assert.deepEqual({ line: flaw.line, column: flaw.column }, place);
        return true;
      },
    );
  });
}

test("all flaws of a table are named at once, and text that is not YAML is one of them", () => {
  const changed = text.replace("lineMax: 80", "lineMax: 0").replace("type: text", "type: words");
  assert.throws(
    () => parseSerialProfile("broken", changed),
    (error) => error instanceof PlantError && error.detail.count === 2,
  );
  assert.throws(
    () => parseSerialProfile("broken", "kind: [\n"),
    (error) => error instanceof PlantError && error.code === "PROFILE_INVALID",
  );
});
