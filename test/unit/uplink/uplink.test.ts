// When the link connects again, what its failures are called, and its bounded places and inbox.
import assert from "node:assert/strict";
import { test } from "node:test";
import { openInbox } from "../../../src/uplink/inbox.ts";
import { afterOutcome, disconnectError, linkError } from "../../../src/uplink/reconnect.ts";
import { openSlots } from "../../../src/uplink/slots.ts";
import { PlantError } from "../../../src/util/errors.ts";
import { openLog } from "../../../src/util/log.ts";

const range = { baseMs: 1000, ceilingMs: 300_000 };
const reason = new PlantError("LINK_CLOSED", { address: "a", reason: "r" });
const kicked = new PlantError("LINK_TAKEN_OVER", { address: "a" });

const outcomes = {
  "never up": { upMs: 0, isConfirmed: false, reason, failures: 4 },
  "kicked within a minute": { upMs: 59_999, isConfirmed: true, reason, failures: 4 },
  "longer, not yet stable": { upMs: 60_000, isConfirmed: true, reason, failures: 3 },
  "stable without a confirmation": { upMs: 9e9, isConfirmed: false, reason, failures: 3 },
  "stable and confirmed": { upMs: 120_000, isConfirmed: true, reason, failures: 0 },
} as const;

for (const [name, { failures, ...outcome }] of Object.entries(outcomes)) {
  test(`failures counted after a connection ${name}: ${failures}`, () => {
    assert.equal(afterOutcome(3, outcome, { range, unit: 0.5 }).failures, failures);
  });
}

test("waits grow to the ceiling with full jitter", () => {
  const outcome = { upMs: 0, isConfirmed: false, reason };
  const wait = (failures: number, unit: number) =>
    afterOutcome(failures, outcome, { range, unit }).waitMs;
  assert.equal(wait(0, 0), 1000);
  assert.equal(wait(3, 0), 8000);
  assert.equal(wait(3, 0.5), 4000);
  assert.equal(wait(40, 0), 300_000);
  assert.ok(wait(40, 0.999_999) >= 1);
});

test("a client with our name elsewhere makes us wait long", () => {
  const outcome = { upMs: 500_000, isConfirmed: true, reason: kicked };
  assert.ok(afterOutcome(0, outcome, { range, unit: 0.99 }).waitMs >= 150_000);
});

test("failures of a connection have codes", () => {
  const coded = (code: string | number) => linkError("a", Object.assign(new Error("e"), { code }));
  assert.equal(coded("ECONNREFUSED").code, "LINK_UNREACHABLE");
  assert.equal(coded("DEPTH_ZERO_SELF_SIGNED_CERT").code, "LINK_TLS_FAILED");
  assert.equal(coded("CERT_HAS_EXPIRED").code, "LINK_TLS_FAILED");
  assert.equal(coded("ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED").code, "LINK_TLS_FAILED");
  assert.equal(coded(135).code, "LINK_REFUSED");
  assert.equal(coded(142).code, "LINK_TAKEN_OVER");
  assert.equal(linkError("a", "words").code, "LINK_UNREACHABLE");
  assert.equal(disconnectError("a", 142).code, "LINK_TAKEN_OVER");
  assert.equal(disconnectError("a", 139).code, "LINK_CLOSED");
});

test("places are taken in turn, no more than there are, and those who wait are bounded", async () => {
  const slots = openSlots(1, 2);
  const full = () => new PlantError("LINK_BUSY", { address: "a", max: 2 });
  const taken: string[] = [];
  const take = (name: string) => slots.take(full).then(() => taken.push(name));
  await take("first");
  const second = take("second");
  const third = take("third");
  await assert.rejects(take("fourth"), { code: "LINK_BUSY" });
  assert.deepEqual(taken, ["first"]);
  slots.give();
  await second;
  assert.deepEqual(taken, ["first", "second"]);
  slots.close(reason);
  await assert.rejects(third, { code: "LINK_CLOSED" });
});

test("an inbox drops what its listeners cannot follow, and survives a listener that throws", async () => {
  const lines: string[] = [];
  const log = openLog({ service: "test", level: "info", write: (line) => lines.push(line) });
  const inbox = openInbox({ messagesMax: 3, bytesMax: 100 }, log);
  const seen: string[] = [];
  const { promise: gate, resolve: openGate } = Promise.withResolvers<void>();
  inbox.listen(async ({ topic }) => {
    await gate;
    seen.push(topic);
    if (topic === "1") throw new Error("no");
  });
  const push = (topic: string, size = 1) =>
    inbox.push({ topic, payload: new Uint8Array(size), retain: false });
  for (const topic of ["0", "1", "2", "3", "4"]) push(topic);
  push("large", 200);
  assert.equal(inbox.dropped, 2);
  openGate();
  await new Promise((done) => setImmediate(done));
  assert.deepEqual(seen, ["0", "1", "2", "3"]);
  assert.equal(lines.length, 1);
});

test("bytes that were delivered make room for others", async () => {
  const log = openLog({ service: "test", level: "error", write: () => {} });
  const inbox = openInbox({ messagesMax: 9, bytesMax: 100 }, log);
  const seen: string[] = [];
  inbox.listen(({ topic }) => void seen.push(topic));
  for (const topic of ["0", "1", "2", "3"]) {
    inbox.push({ topic, payload: new Uint8Array(60), retain: false });
    await new Promise((done) => setImmediate(done));
  }
  assert.deepEqual(seen, ["0", "1", "2", "3"]);
  assert.equal(inbox.dropped, 0);
});
