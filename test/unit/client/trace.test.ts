// What counts as a trace id, and how a client makes its own.
// It must not know sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { openTraces } from "../../../src/client/trace.ts";
import { PlantError } from "../../../src/util/errors.ts";
import { seededRandom } from "../../../src/util/random.ts";

const traces = openTraces(seededRandom(7));

test("a trace has 32 hexadecimal digits, no more, no less, and nothing beside them", () => {
  for (const one of ["0".repeat(32), "0123456789abcdef".repeat(2), "ABCDEF00".repeat(4)]) {
    assert.ok(traces.isOne(one), one);
  }
  const others = {
    empty: "",
    "a digit short": "a".repeat(31),
    "a byte short": "a".repeat(30),
    "a digit more": "a".repeat(33),
    "a byte more": "a".repeat(34),
    "no digit": `${"a".repeat(31)}g`,
    "a space before": ` ${"a".repeat(32)}`,
    "a line after": `${"a".repeat(32)}\n`,
  };
  for (const [name, text] of Object.entries(others)) assert.ok(!traces.isOne(text), name);
});

test("a trace of the client's own is 16 bytes: its start, then the id, in bytes and in errors", () => {
  for (const id of [1, 2 ** 32 - 1, 2 ** 32, 2 ** 48]) {
    const traced = { id, about: { options: {} } };
    const bytes = Buffer.from(traces.bytesOf(traced));
    assert.equal(bytes.length, 16);
    assert.equal(Number(bytes.readBigUInt64BE(8)), id);
    const { detail } = traces.withTrace(new PlantError("CANCELLED"), traced);
    assert.equal(detail.trace, bytes.toString("hex"));
  }
});

test("a trace that was given is passed on as it is", () => {
  const trace = "0123456789abcdeF".repeat(2);
  const traced = { id: 3, about: { options: { trace } } };
  assert.equal(Buffer.from(traces.bytesOf(traced)).toString("hex"), trace.toLowerCase());
  const { detail } = traces.withTrace(new PlantError("CANCELLED", { reason: "r" }), traced);
  assert.deepEqual(detail, { reason: "r", trace });
});
