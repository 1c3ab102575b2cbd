// Requests of a client against the real broker over wires in memory: there and back, limits, ends.
// It must not know sockets.
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { startClient } from "../../../src/client/client.ts";
import { watchDeadlines } from "../../../src/util/deadlines.ts";
import { hasCode, PlantError } from "../../../src/util/errors.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { bus, endpoint, failsWith, forever, rawRouter } from "../../fakes/memory-bus.ts";

test("a call carries arguments, trace and deadline there, and data back", async () => {
  await using it = await bus();
  const seen: unknown[] = [];
  await it.serve({
    add: (request) => {
      const { a, b } = request.args as { a: number; b: number };
      seen.push(request.trace, request.remainingMs(), request.operation, request.body.length);
      return { sum: a + b };
    },
  });
  const client = await it.client();
  const trace = "ab".repeat(16);
  const sum = await it.settle(client.call("s", "add", { a: 2, b: 3 }, { deadlineMs: 1000, trace }));
  assert.deepEqual(sum, { sum: 5 });
  assert.deepEqual(seen, [trace, 900, "add", 2]);
});

test("replies find their requests among many in flight", async () => {
  await using it = await bus();
  await it.serve(
    {
      later: async ({ args }) => {
        await it.clock.sleep(1000 - (args as number) * 10);
        return args;
      },
    },
    { concurrency: 100 },
  );
  const client = await it.client();
  const all = Array.from({ length: 100 }, (_, at) => client.call("s", "later", at));
  assert.deepEqual(
    await it.settle(Promise.all(all)),
    all.map((_, at) => at),
  );
});

test("a deadline ends the request, and the operation is told by its signal", async () => {
  await using it = await bus();
  let reason: unknown;
  await it.serve({
    hang: ({ signal }) =>
      new Promise((resolve) =>
        signal.addEventListener("abort", () => {
          reason = signal.reason;
          resolve(it.clock.sleep(5000));
        }),
      ),
  });
  const client = await it.client();
  const asked = client.call("s", "hang", {}, { deadlineMs: 300 });
  await assert.rejects(it.settle(asked), failsWith("TIME_RAN_OUT", "EXPIRED"));
  assert.ok(hasCode(reason, "TIME_RAN_OUT"));
});

test("an aborted signal cancels the request at both ends, at once", async () => {
  await using it = await bus();
  const worker = await it.serve({ forever });
  const client = await it.client();
  const stop = new AbortController();
  const asked = client.call("s", "forever", {}, { signal: stop.signal });
  asked.catch(() => {});
  await it.clock.advance(50);
  assert.equal(worker.busy, 1);
  stop.abort();
  await assert.rejects(asked, failsWith("CANCELLED"));
  await it.clock.advance(0);
  assert.equal(worker.busy, 0);
  await assert.rejects(
    client.call("s", "forever", {}, { signal: stop.signal }),
    failsWith("CANCELLED"),
  );
});

test("requests above the client's limit are refused, and none is lost by it", async () => {
  await using it = await bus();
  await it.serve({ echo: ({ args }) => args });
  const client = await it.client({ requestsMax: 2 });
  const two = [client.call("s", "echo", 1), client.call("s", "echo", 2)];
  await assert.rejects(client.call("s", "echo", 3), failsWith("LIMIT_REACHED"));
  assert.deepEqual(await it.settle(Promise.all(two)), [1, 2]);
});

test("a request or reply too large is an error, not a silence", async () => {
  await using it = await bus({ messageBytesMax: 2000 });
  await it.serve({ big: () => "x".repeat(5000) }, { messageBytesMax: 2000 });
  const client = await it.client({ messageBytesMax: 2000 });
  await assert.rejects(client.call("s", "x".repeat(3000), {}), failsWith("MESSAGE_TOO_LARGE"));
  await assert.rejects(it.settle(client.call("s", "big", {})), failsWith("MESSAGE_TOO_LARGE"));
  const careless = await it.client();
  await assert.rejects(
    it.settle(careless.call("s", "big", "x".repeat(3000))),
    failsWith("MESSAGE_TOO_LARGE"),
  );
});

test("a deadline that is none is refused", async () => {
  await using it = await bus();
  const client = await it.client();
  for (const deadlineMs of [0, -1, Number.NaN]) {
    await assert.rejects(client.call("s", "x", {}, { deadlineMs }), failsWith("REQUEST_MALFORMED"));
  }
});

test("a service name or trace that cannot be one is refused before it leaves", async () => {
  await using it = await bus();
  const client = await it.client();
  for (const service of ["", "a b", "x".repeat(256), "ä"]) {
    await assert.rejects(client.call(service, "x", {}), failsWith("REQUEST_MALFORMED"));
  }
  await assert.rejects(
    client.call("s", "x", {}, { trace: "nonsense" }),
    failsWith("REQUEST_MALFORMED"),
  );
});

test("a request nobody serves is NO_SERVICE", async () => {
  await using it = await bus();
  const client = await it.client();
  await assert.rejects(
    it.settle(client.call("nobody", "x", {}, { deadlineMs: 1000 })),
    failsWith("NO_SERVICE"),
  );
});

test("disposal of a client cancels what it asked", async () => {
  await using it = await bus();
  await it.serve({ forever });
  const client = await it.client();
  const asked = client.call("s", "forever", {});
  asked.catch(() => {});
  await client[Symbol.asyncDispose]();
  await assert.rejects(asked, failsWith("CANCELLED"));
  assert.equal(await client.ended, undefined);
  await assert.rejects(client.call("s", "forever", {}), failsWith("CANCELLED"));
});

test("deadlines are met in any order they are set, with one sleeper", async () => {
  const clock = fakeClock();
  const from = clock.monotonicMs();
  const left = new Set([500, 100, 300].map((ms) => from + ms));
  const met: number[] = [];
  const deadlines = watchDeadlines(clock, (nowMs) => {
    for (const due of left) {
      if (due > nowMs) continue;
      met.push(due - from);
      left.delete(due);
    }
    return Math.min(...left);
  });
  for (const due of left) deadlines.watch(due);
  await clock.advance(0);
  assert.equal(clock.waiting, 1);
  await clock.advance(1000);
  assert.deepEqual(met, [100, 300, 500]);
  deadlines.stop();
});

test("requests of one client have traces that belong together, told to the worker and in errors", async () => {
  await using it = await bus();
  const seen: string[] = [];
  await it.serve({
    fail: ({ trace }) => {
      seen.push(trace);
      throw new PlantError("VALUE_REFUSED", { reason: "r" });
    },
    hang: forever,
  });
  const client = await it.client();
  for (const _ of [1, 2]) await assert.rejects(it.settle(client.call("s", "fail", {})));
  assert.match(seen[0] ?? "", /^[0-9a-f]{16}0{15}1$/);
  assert.equal(seen[0]?.slice(0, 16), seen[1]?.slice(0, 16));
  assert.notEqual(seen[0], seen[1]);
  const other = await it.client();
  await assert.rejects(it.settle(other.call("s", "fail", {})));
  assert.notEqual(seen[2]?.slice(0, 16), seen[0]?.slice(0, 16));
  const lost = client.call("nobody", "x", {}, { deadlineMs: 1000 });
  await assert.rejects(it.settle(lost), (error) => {
    const { trace, service } = (error as PlantError).detail;
    return trace === `${seen[0]?.slice(0, 16)}0000000000000003` && service === "nobody";
  });
  const trace = "Ab".repeat(16);
  const stop = new AbortController();
  const cancelled = client.call("s", "hang", {}, { trace, signal: stop.signal });
  stop.abort();
  await assert.rejects(cancelled, (error) => (error as PlantError).detail.trace === trace);
});

test("every message about a request carries its trace", async () => {
  const it = await rawRouter();
  await using client = await startClient(it.deps, { endpoint });
  await it.clock.advance(0);
  const own = client.streamRaw("s", [Buffer.of(1)]);
  const given = client.streamRaw("s", [Buffer.of(1)], { trace: "12".repeat(16) });
  for (const stream of [own, given]) {
    void stream.next();
    await it.clock.advance(0);
    const about = it.requests.at(-1);
    assert.ok(about !== undefined);
    for (let at = 0; at < 128; at += 1) it.say({ ...about, kind: "partial", body: [Buffer.of(1)] });
    await it.clock.advance(0);
    for (let at = 1; at < 128; at += 1) await stream.next();
    await stream.return([]);
    await it.clock.advance(0);
  }
  const traces = it.requests.map(({ head }) => Buffer.from(head.trace).toString("hex"));
  assert.deepEqual(
    it.requests.map(({ kind }) => kind),
    ["request", "credit", "cancel", "request", "credit", "cancel"],
  );
  assert.equal(new Set(traces.slice(0, 3)).size, 1);
  assert.deepEqual(traces.slice(3), Array(3).fill("12".repeat(16)));
});

test("arguments that have no JSON fail the call and set nothing out", async () => {
  await using it = await bus();
  const client = await it.client({ requestsMax: 1 });
  await assert.rejects(client.call("s", "x", 1n), TypeError);
  assert.throws(() => client.stream("s", "x", 1n), TypeError);
  await assert.rejects(it.settle(client.call("s", "x", 1)), failsWith("NO_SERVICE"));
});

test("each of many deadlines ends its own request, soon after it has passed", async () => {
  await using it = await bus();
  await it.serve({ forever }, { concurrency: 500 });
  const client = await it.client();
  const from = it.clock.monotonicMs();
  const late: number[] = [];
  const all = Array.from({ length: 500 }, async (_, at) => {
    const deadlineMs = 1000 + ((at * 7) % 500) * 10;
    await assert.rejects(client.call("s", "forever", {}, { deadlineMs }));
    late.push(it.clock.monotonicMs() - from - deadlineMs);
  });
  await it.settle(Promise.all(all));
  assert.equal(late.length, 500);
  assert.ok(Math.max(...late) <= 22, "the fake clock goes in steps of 20 ms");
});

test("a request that is over leaves no listener on its signal", async () => {
  await using it = await bus();
  await it.serve({ echo: ({ args }) => args });
  const client = await it.client();
  const { signal } = new AbortController();
  await it.settle(client.call("s", "echo", 1, { signal }));
  await assert.rejects(it.settle(client.call("s", "nothing", 1, { signal })));
  assert.equal(getEventListeners(signal, "abort").length, 0);
});
