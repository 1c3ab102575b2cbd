// Streams of parts: order, credit, leaving early, slow readers, workers that cannot wait.
// It must not know sockets.
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { startClient } from "../../../src/client/client.ts";
import { plant } from "../../../src/mdp/mdp.ts";
import { PlantError } from "../../../src/util/errors.ts";
import type { RawOperation } from "../../../src/worker/worker.ts";
import { bus, endpoint, failsWith, forever, rawRouter } from "../../fakes/memory-bus.ts";

test("a stream yields its parts in order and returns its end", async () => {
  await using it = await bus();
  await it.serve({
    count: async (request) => {
      for (let at = 0; at < 100; at += 1) await request.partial(at);
      return "end";
    },
  });
  const client = await it.client();
  const stream = client.stream("s", "count", {});
  const seen: unknown[] = [];
  for (;;) {
    const next = await it.settle(stream.next());
    if (next.done === true) {
      assert.equal(next.value, "end");
      break;
    }
    seen.push(next.value);
  }
  assert.deepEqual(
    seen,
    Array.from({ length: 100 }, (_, at) => at),
  );
});

test("a worker sends no more parts than the client takes, and stops when it leaves", async () => {
  await using it = await bus();
  let sent = 0;
  const worker = await it.serve({
    flood: async (request) => {
      for (;;) {
        await request.partial(sent);
        sent += 1;
      }
    },
  });
  const client = await it.client();
  const stream = client.stream("s", "flood", {});
  await it.settle(stream.next());
  await it.clock.advance(1000);
  assert.equal(sent, plant.creditAtStart);
  const half = plant.creditAtStart / 2;
  for (let taken = 1; taken < half; taken += 1) await stream.next();
  await it.clock.advance(1000);
  assert.equal(sent, plant.creditAtStart + half, "credit comes back in halves");
  await stream.return(undefined);
  await it.clock.advance(0);
  assert.equal(worker.busy, 0);
});

test("an error ends a stream", async () => {
  await using it = await bus();
  await it.serve({
    short: async (request) => {
      await request.partial(1);
      throw new PlantError("LIMIT_REACHED", { limit: "x", max: 1 });
    },
  });
  const client = await it.client();
  const stream = client.stream("s", "short", {});
  assert.equal((await it.settle(stream.next())).value, 1);
  await assert.rejects(it.settle(stream.next()), failsWith("LIMIT_REACHED"));
});

/** An operation that answers with so many parts of so many bytes, and counts what went out. */
function flow(count: number, bytes: number) {
  const sent = { parts: 0, isOver: false };
  const serve: RawOperation = async (request) => {
    try {
      for (; sent.parts < count; sent.parts += 1) await request.partial([Buffer.alloc(bytes)]);
      return [Buffer.from("end")];
    } finally {
      sent.isOver = true;
    }
  };
  return { sent, serve };
}

test("a raw stream yields the frames of each part and returns those of the last", async () => {
  await using it = await bus();
  await it.serve(async (request) => {
    await request.partial([Buffer.from("a"), Buffer.from("")]);
    await request.partial([Buffer.from([0, 255])]);
    return [...request.body, Buffer.from("end")];
  });
  const client = await it.client();
  const stream = client.streamRaw("s", [Buffer.from([7])]);
  const seen = [];
  for (;;) {
    const { done, value } = await it.settle(stream.next());
    seen.push(value?.map((frame) => Buffer.from(frame).toString("hex")));
    if (done) break;
  }
  assert.deepEqual(seen, [["61", ""], ["00ff"], ["07", "656e64"]]);
  assert.deepEqual(await stream.next(), { done: true, value: undefined });
});

test("nothing is asked before the first part is wanted", async () => {
  await using it = await bus();
  let asked = 0;
  await it.serve(() => {
    asked += 1;
    return [Buffer.from("end")];
  });
  const client = await it.client();
  const [one, other] = [client.streamRaw("s", [Buffer.of(1)]), client.stream("s", "x", {})];
  await it.clock.advance(100);
  await one.return([]);
  assert.deepEqual(await one.next(), { done: true, value: undefined });
  await assert.rejects(other.throw(new TypeError("mine")), TypeError);
  await it.clock.advance(100);
  assert.equal(asked, 0);
});

test("readers that ask before parts are there get them in order, and all hear the end", async () => {
  await using it = await bus();
  await it.serve({
    count: async (request) => {
      for (const at of [0, 1, 2]) await request.partial(at);
      return "end";
    },
  });
  const client = await it.client();
  const stream = client.stream("s", "count", {});
  const asked = [1, 2, 3, 4, 5].map(() => stream.next());
  const results = await it.settle(Promise.all(asked));
  assert.deepEqual(
    results.map(({ done, value }) => [done, value]),
    [
      [false, 0],
      [false, 1],
      [false, 2],
      [true, "end"],
      [true, undefined],
    ],
  );
});

test("leaving a loop early cancels the stream, and so does throwing into it", async () => {
  for (const leave of ["break", "throw", "dispose"] as const) {
    await using it = await bus();
    const { sent, serve } = flow(1e6, 1);
    const worker = await it.serve(serve);
    const client = await it.client();
    const stream = client.streamRaw("s", [Buffer.of(1)]);
    await it.settle(stream.next());
    if (leave === "break") for await (const _ of stream) break;
    if (leave === "throw") await assert.rejects(stream.throw(new RangeError("x")), RangeError);
    if (leave === "dispose") await stream[Symbol.asyncDispose]();
    await it.clock.advance(0);
    assert.deepEqual([worker.busy, sent.isOver], [0, true], leave);
    assert.deepEqual(await stream.next(), { done: true, value: undefined });
  }
});

test("a reader that waits hears of the end when another leaves", async () => {
  await using it = await bus();
  await it.serve({ forever });
  const client = await it.client();
  const stream = client.stream("s", "forever", {});
  const waiting = stream.next();
  await it.clock.advance(10);
  await stream.return(undefined);
  assert.deepEqual(await waiting, { done: true, value: undefined });
});

test("an aborted signal or a passed deadline ends a stream after the parts that came", async () => {
  for (const how of ["signal", "deadline"] as const) {
    await using it = await bus();
    const worker = await it.serve(
      {
        some: async (request) => {
          await request.partial("first");
          await request.partial("second");
          await forever(request);
        },
      },
      { concurrency: 2 },
    );
    const client = await it.client();
    const stop = new AbortController();
    const options = { deadlineMs: 5000, signal: stop.signal };
    const stream = client.stream("s", "some", {}, options);
    assert.equal((await it.settle(stream.next())).value, "first");
    await it.clock.advance(10);
    if (how === "signal") stop.abort();
    else await it.clock.advance(6000);
    assert.equal((await stream.next()).value, "second");
    await assert.rejects(stream.next(), failsWith("CANCELLED", "TIME_RAN_OUT", "EXPIRED"));
    await it.clock.advance(0);
    assert.equal(worker.busy, 0, how);
    assert.deepEqual(await stream.next(), { done: true, value: undefined });
    assert.equal(getEventListeners(stop.signal, "abort").length, 0);
  }
});

test("a part that is not understood ends the stream and stops its worker", async () => {
  await using it = await bus();
  const good = Buffer.from('{"success":true,"data":1}');
  const worker = await it.serve(async (request) => {
    if (String(request.body[0]) === "late") await request.partial([good]);
    await request.partial([Buffer.from("no reply of ours")]);
    for (;;) await request.partial([good]);
  });
  const client = await it.client();
  for (const operation of ["early", "late"]) {
    const stream = client.stream("s", operation, {});
    if (operation === "late") assert.equal((await it.settle(stream.next())).value, 1);
    await assert.rejects(it.settle(stream.next()), failsWith("REMOTE_FAILED"));
    await it.clock.advance(0);
    assert.equal(worker.busy, 0);
    assert.deepEqual(await stream.next(), { done: true, value: undefined });
  }
});

test("a slow reader holds up its own stream and nothing else of its client", async () => {
  await using it = await bus();
  const slow = flow(1e6, 10);
  const quick = flow(2000, 10);
  let which = slow.serve;
  await it.serve((request) => (which === slow.serve ? slow : quick).serve(request), {
    concurrency: 3,
  });
  const client = await it.client();
  const neglected = client.streamRaw("s", [Buffer.of(1)]);
  await it.settle(neglected.next());
  which = quick.serve;
  const read = async () => {
    let count = 0;
    for await (const _ of client.streamRaw("s", [Buffer.of(2)])) count += 1;
    return count;
  };
  assert.equal(await it.settle(read()), 2000);
  assert.equal(slow.sent.parts, plant.creditAtStart);
  await neglected.return([]);
});

test("big parts wait by their bytes, and all of them arrive", async () => {
  const sizes = { several: plant.creditBytes / 4, one: plant.creditBytes + 1 };
  for (const [name, size] of Object.entries(sizes)) {
    await using it = await bus();
    const { sent, serve } = flow(20, size);
    await it.serve(serve);
    const client = await it.client();
    const stream = client.streamRaw("s", [Buffer.of(1)]);
    const first = stream.next();
    await it.clock.advance(10);
    const ahead = name === "several" ? 4 : 2;
    assert.equal(sent.parts, ahead, name);
    await first;
    let count = 1;
    for await (const part of stream) {
      count += 1;
      assert.equal(part[0]?.length, size);
      await it.clock.advance(0);
      assert.ok(sent.parts <= count + 4, "what is under way stays bounded");
    }
    assert.equal(count, 20);
  }
});

test("a worker that cannot wait for credit is stopped before its parts pile up", async () => {
  const rows = {
    "too many": { count: 16_385, bytes: 1, ends: true },
    "all that fits": { count: 16_384, bytes: 1, ends: false },
    "too big": { count: 5, bytes: 4096, ends: true },
    "one big one": { count: 1, bytes: 20_001, ends: false },
  };
  for (const [name, { count, bytes, ends }] of Object.entries(rows)) {
    const it = await rawRouter();
    const client = await startClient(it.deps, { endpoint, messageBytesMax: 5000 });
    const stream = client.streamRaw("s", [Buffer.of(1)]);
    const first = stream.next();
    await it.clock.advance(0);
    const about = it.requests[0];
    assert.ok(about?.kind === "request");
    const body = [Buffer.alloc(bytes)];
    for (let at = 0; at <= count; at += 1) it.say({ ...about, kind: "partial", body });
    await it.clock.advance(0);
    await first;
    const cancels = it.requests.filter(({ kind }) => kind === "cancel");
    assert.equal(cancels.length, ends ? 1 : 0, name);
    const rest = async () => {
      let read = 0;
      for await (const _ of stream) {
        read += 1;
        if (!ends && read === count) break;
      }
      return read;
    };
    if (ends) await assert.rejects(rest(), failsWith("LIMIT_REACHED"));
    else assert.equal(await rest(), count, name);
    await client[Symbol.asyncDispose]();
  }
});

test("credit that finds the queue full goes out once there is room", async () => {
  await using it = await bus();
  const { sent, serve } = flow(1e6, 1);
  await it.serve(serve);
  const client = await it.client();
  const stream = client.streamRaw("s", [Buffer.of(1)]);
  const first = stream.next();
  await it.clock.advance(10);
  await first;
  it.wire.room = 0;
  for (let taken = 1; taken < plant.creditAtStart; taken += 1) await stream.next();
  await it.clock.advance(10);
  assert.equal(sent.parts, plant.creditAtStart);
  it.wire.drain();
  await it.clock.advance(10);
  assert.equal(sent.parts, 2 * plant.creditAtStart);
  await stream.return([]);
});

test("what was read counts no more against what may wait", async () => {
  const it = await rawRouter();
  await using client = await startClient(it.deps, { endpoint, messageBytesMax: 5000 });
  const stream = client.streamRaw("s", [Buffer.of(1)]);
  let part = stream.next();
  await it.clock.advance(0);
  const about = it.requests[0];
  assert.ok(about?.kind === "request");
  for (let round = 0; round < 10; round += 1) {
    for (let at = 0; at < 4; at += 1) {
      it.say({ ...about, kind: "partial", body: [Buffer.alloc(4096)] });
    }
    await it.clock.advance(0);
    for (let at = 0; at < 4; at += 1) {
      assert.equal((await part).done, false);
      part = stream.next();
    }
  }
  it.say({ ...about, kind: "final", body: [Buffer.of(0)] });
  assert.equal((await part).done, true);
});
