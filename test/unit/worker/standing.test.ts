// What a worker's log says of the broker: each refusal once, and again when something changes.
// It must not know sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { PlantError } from "../../../src/util/errors.ts";
import { startWorker } from "../../../src/worker/worker.ts";
import { bus, endpoint, rawRouter } from "../../fakes/memory-bus.ts";

const denied = Buffer.from(
  JSON.stringify(new PlantError("DENIED", { principal: "driver", service: "s" }).toWire()),
);

test("a worker without the right is told so once, with a next step, and asks ever less often", async () => {
  const admits = {
    mayServe: () => false,
    mayCall: () => "all" as const,
    mayCallOperation: () => true,
  };
  await using real = await bus({}, admits);
  const worker = await real.serve({});
  await real.clock.advance(600_000);
  const lines = real.lines.filter((line) => line.includes('"service":"s"'));
  const own = lines.filter((line) => line.includes('"code":'));
  assert.equal(own.length, 1, lines.join("\n"));
  const { code, fields } = JSON.parse(own[0] ?? "{}") as {
    code: string;
    fields: Record<string, string>;
  };
  assert.deepEqual([code, fields.principal], ["DENIED", "admin"]);
  assert.match(fields.next ?? "", /access\.principals/);
  const noted = lines.filter((line) => line.includes("A peer was refused"));
  assert.ok(noted.length <= 10, "the broker's own log has a line a minute");
  assert.equal(lines.filter((line) => line.includes("is lost")).length, 0);
  const { denied: times } = real.broker().stats().refused;
  assert.ok(times >= 10 && times < 80, `${times} tries in ten minutes`);
  assert.equal(worker.busy, 0);
});

test("another refusal is told anew, and so is the same one after the broker took the worker", async () => {
  const it = await rawRouter();
  const worker = await startWorker(it.deps, { endpoint, service: "s" }, {});
  const refuse = async (error: Uint8Array) => {
    it.order({ kind: "refused", error });
    it.order({ kind: "disconnect" });
    it.answers.length = 0;
    while (!it.answers.some(({ kind }) => kind === "ready")) await it.clock.advance(20);
  };
  await it.clock.advance(10);
  await refuse(denied);
  await refuse(denied);
  assert.equal(it.lines.length, 1);
  await refuse(Buffer.from("no JSON"));
  assert.match(it.lines[1] ?? "", /REMOTE_FAILED/);
  it.order({ kind: "heartbeat" });
  await it.clock.advance(10);
  await refuse(Buffer.from("no JSON"));
  assert.equal(it.lines.length, 3);
  it.order({ kind: "heartbeat" });
  await it.clock.advance(10);
  it.order({ kind: "disconnect" });
  await it.clock.advance(10);
  assert.match(it.lines[3] ?? "", /sent us away.*The broker is lost/);
  await worker[Symbol.asyncDispose]();
});
