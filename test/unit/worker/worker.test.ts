// What a worker makes of operations: arguments, errors, raw bodies, room, and its end.
// It must not know sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { plant } from "../../../src/mdp/mdp.ts";
import type { Code } from "../../../src/util/catalogue.ts";
import { PlantError } from "../../../src/util/errors.ts";
import { openLog } from "../../../src/util/log.ts";
import { seededRandom } from "../../../src/util/random.ts";
import { startWorker } from "../../../src/worker/worker.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { bindListener, bus, endpoint, failsWith, forever } from "../../fakes/memory-bus.ts";
import { fakeWire } from "../../fakes/wire.ts";

test("an operation's PlantError is the reply; anything else is INTERNAL", async () => {
  await using it = await bus();
  await it.serve({
    known: () => {
      throw new PlantError("NOT_ALLOWED", { principal: "p", what: "w" });
    },
    unknown: () => {
      throw new TypeError("oops");
    },
    loop: () => {
      const ring: Record<string, unknown> = {};
      ring.self = ring;
      return ring;
    },
    badDetail: () => {
      throw new PlantError("NOT_ALLOWED", { count: 1n });
    },
  });
  const client = await it.client();
  const ask = (operation: string, ...codes: Code[]) =>
    assert.rejects(it.settle(client.call("s", operation, null)), failsWith(...codes));
  await ask("known", "NOT_ALLOWED");
  await ask("unknown", "INTERNAL");
  await ask("loop", "INTERNAL");
  await ask("badDetail", "NOT_ALLOWED");
  await ask("absent", "OPERATION_UNKNOWN");
});

test("arguments that are no JSON are REQUEST_MALFORMED; none at all are undefined", async () => {
  await using it = await bus();
  await it.serve({ see: ({ args }) => ({ kind: typeof args }) });
  const client = await it.client();
  const reply = await it.settle(client.request("s", [Buffer.from("see"), Buffer.from("{")]));
  assert.equal(JSON.parse(String(reply[0])).error.code, "REQUEST_MALFORMED");
  assert.deepEqual(await it.settle(client.call("s", "see", undefined)), { kind: "undefined" });
  const three = ["see", "middle", "7"].map((word) => Buffer.from(word));
  const parsed = await it.settle(client.request("s", three));
  assert.equal(JSON.parse(String(parsed[0])).data.kind, "number");
});

test("every worker answers health, with its own words if it has some", async () => {
  await using it = await bus();
  await it.serve({});
  const client = await it.client();
  assert.deepEqual(await it.settle(client.call("s", "health", {})), { status: "pass", checks: [] });
});

test("a broker that sends more than a worker takes at once hears so", async () => {
  const clock = fakeClock();
  const wire = fakeWire();
  const log = openLog({ service: "test", level: "error", write: () => {} });
  const errors: string[] = [];
  const deps = { clock, log, random: seededRandom(5), transport: wire };
  await using router = await bindListener(deps, (peer, frames) => {
    const said = plant.decodeFromWorker(frames);
    if (said.kind === "error") errors.push(String(said.error));
    if (said.kind !== "ready") return;
    for (const id of [1, 2]) {
      const head = { id, remainingMs: 5000, trace: Buffer.alloc(16), flags: 0 };
      const body = [Buffer.from("forever")];
      router.send(peer, plant.encodeToWorker({ kind: "request", service: "s", head, body }));
    }
  });
  const worker = await startWorker(deps, { endpoint, service: "s" }, { forever });
  await clock.advance(10);
  assert.equal(worker.busy, 1);
  assert.match(errors.join(), /LIMIT_REACHED/);
  const closed = worker[Symbol.asyncDispose]();
  await clock.advance(5000);
  await closed;
});

test("disposal of a worker waits for its operations, and then says goodbye", async () => {
  await using it = await bus();
  const worker = await it.serve({ forever });
  const client = await it.client();
  const asked = client.call("s", "forever", {});
  asked.catch(() => {});
  await it.clock.advance(50);
  const closed = Promise.all([worker[Symbol.asyncDispose](), worker[Symbol.asyncDispose]()]);
  await it.settle(closed);
  assert.equal(await worker.ended, undefined);
  await assert.rejects(it.settle(asked), failsWith("CANCELLED"));
  assert.equal(it.broker().stats().workers, 0);
});
