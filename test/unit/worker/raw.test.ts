// Bodies of any kind, parts without credit, a full queue, and what echo makes of strangers.
// It must not know sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { start as startEcho } from "../../../drivers/echo/echo.ts";
import { type Frames, plant } from "../../../src/mdp/mdp.ts";
import { PlantError } from "../../../src/util/errors.ts";
import {
  byOperation,
  type RawOperation,
  type RawRequest,
  startWorker,
} from "../../../src/worker/worker.ts";
import { bus, endpoint, failsWith, rawRouter } from "../../fakes/memory-bus.ts";

const bytes = (...words: string[]) => words.map((word) => Buffer.from(word));
const words = (frames: Frames) => frames.map((frame) => Buffer.from(frame).toString());

/** A request as a broker hands it out. */
function request(id: number, flags: number, ...body: string[]) {
  const head = { id, remainingMs: 60_000, trace: Buffer.alloc(16, id), flags };
  return { kind: "request", service: "s", head, body: bytes(...body) } as const;
}

test("a raw operation takes any frames and answers with any, at once or later", async () => {
  await using it = await bus();
  const seen: unknown[] = [];
  const turned: RawOperation = (asked) => {
    seen.push(asked.service, asked.trace, asked.remainingMs());
    const reply = asked.body.toReversed();
    return asked.body.length > 2 ? Promise.resolve(reply) : reply;
  };
  await it.serve(turned);
  const client = await it.client();
  const trace = "cd".repeat(16);
  const ask = async (...body: string[]) =>
    words(await it.settle(client.request("s", bytes(...body), { deadlineMs: 1000, trace })));
  assert.deepEqual(await ask("a", ""), ["", "a"]);
  assert.deepEqual(await ask("a", "b", "c"), ["c", "b", "a"]);
  assert.deepEqual(seen.slice(0, 3), ["s", trace, 900]);
});

test("what a raw operation throws is the client's error; a defect is logged with its trace", async () => {
  await using it = await bus({ messageBytesMax: 1_000_000 });
  const works: Record<string, RawOperation> = {
    known: () => {
      throw new PlantError("NOT_ALLOWED", { principal: "p", what: "w" });
    },
    later: async () => {
      throw new PlantError("VALUE_REFUSED", { reason: "r" });
    },
    defect: () => {
      throw new TypeError("oops");
    },
    wide: () => {
      throw new PlantError("NOT_ALLOWED", { what: "x".repeat(200_000) });
    },
    unsaid: () => {
      throw new PlantError("NOT_ALLOWED", { count: 1n });
    },
    none: () => [],
    many: () => Array.from({ length: 1025 }, () => Buffer.of(1)),
    big: () => [Buffer.alloc(100_001)],
    bigPart: async (asked) => {
      await asked.partial([Buffer.alloc(100_001)]);
      return bytes("not reached");
    },
  };
  const serve: RawOperation = (asked) => works[String(asked.body[0])]?.(asked) ?? [];
  await it.serve(serve, { messageBytesMax: 100_000 });
  const client = await it.client();
  const trace = "ef".repeat(16);
  const rows = {
    known: "NOT_ALLOWED",
    later: "VALUE_REFUSED",
    defect: "INTERNAL",
    wide: "NOT_ALLOWED",
    unsaid: "NOT_ALLOWED",
    none: "INTERNAL",
    many: "INTERNAL",
    big: "MESSAGE_TOO_LARGE",
    bigPart: "MESSAGE_TOO_LARGE",
  } as const;
  for (const [name, code] of Object.entries(rows)) {
    it.lines.length = 0;
    const stream = client.streamRaw("s", bytes(name), { trace });
    await assert.rejects(it.settle(stream.next()), failsWith(code), name);
    const logged = it.lines.filter((line) => line.includes(trace)).length;
    assert.equal(logged, ["defect", "wide", "unsaid", "none", "many"].includes(name) ? 1 : 0, name);
  }
});

test("a signal asked for late knows that it is too late", async () => {
  const it = await rawRouter();
  const going = Promise.withResolvers<void>();
  const kept: RawRequest[] = [];
  const worker = await startWorker(it.deps, { endpoint, service: "s" }, async (asked) => {
    kept.push(asked);
    await going.promise;
    return bytes("end");
  });
  await it.clock.advance(10);
  it.order(request(1, plant.flag.partials, "x"));
  await it.clock.advance(10);
  it.order({ ...request(1, 0), kind: "cancel" });
  await it.clock.advance(10);
  const [asked] = kept;
  assert.ok(asked?.signal.aborted);
  assert.ok(failsWith("CANCELLED")(asked.signal.reason));
  await assert.rejects(asked.partial(bytes("late")), failsWith("CANCELLED"));
  assert.equal(worker.busy, 1, "it keeps its place until it ends");
  going.resolve();
  await it.clock.advance(10);
  assert.equal(worker.busy, 0);
  await worker[Symbol.asyncDispose]();
});

test("parts that nobody paces give way to other work, and those nobody wants do not go out", async () => {
  const it = await rawRouter();
  let went = 0;
  const worker = await startWorker(it.deps, { endpoint, service: "s" }, async (asked) => {
    for (went = 0; went < 600; went += 1) await asked.partial(bytes("part"));
    return bytes("end");
  });
  await it.clock.advance(10);
  it.order(request(1, plant.flag.partials, "x"));
  for (let round = 0; round < 2000; round += 1) await null;
  assert.equal(went, 255, "other work has its turn");
  await it.clock.advance(10);
  assert.equal(it.answers.filter(({ kind }) => kind === "partial").length, 600);
  it.answers.length = 0;
  it.order(request(2, 0, "x"));
  await it.clock.advance(10);
  assert.deepEqual(
    it.answers.map(({ kind }) => kind),
    ["final"],
  );
  await worker[Symbol.asyncDispose]();
});

test("parts nobody awaits go out in order and before the last reply, up to a limit", async () => {
  const it = await rawRouter();
  let refused: unknown;
  const worker = await startWorker(it.deps, { endpoint, service: "s" }, (asked) => {
    for (let at = 0; at < plant.creditAtStart + 1024; at += 1) void asked.partial(bytes(`${at}`));
    asked.partial(bytes("one too many")).catch((error: unknown) => {
      refused = error;
    });
    return bytes("end");
  });
  await it.clock.advance(10);
  it.order(request(1, plant.flag.partials | plant.flag.credit, "x"));
  await it.clock.advance(10);
  assert.ok(failsWith("LIMIT_REACHED")(refused));
  const told = () => it.answers.flatMap((one) => ("body" in one ? words(one.body) : []));
  assert.equal(told().length, plant.creditAtStart);
  it.order({ ...request(1, 0), kind: "credit", credit: 1000 });
  await it.clock.advance(10);
  assert.equal(told().length, plant.creditAtStart + 1000);
  it.order({ ...request(1, 0), kind: "credit", credit: 24 });
  await it.clock.advance(10);
  const all = Array.from({ length: plant.creditAtStart + 1024 }, (_, at) => `${at}`);
  assert.deepEqual(told(), [...all, "end"]);
  await worker[Symbol.asyncDispose]();
});

test("a reply that finds the queue full is kept, and parts wait behind it", async () => {
  for (const how of ["told of room", "by itself"]) {
    const it = await rawRouter();
    const worker = await startWorker(it.deps, { endpoint, service: "s" }, async (asked) => {
      for (const part of asked.body.slice(1)) await asked.partial([part]);
      return asked.body.slice(0, 1);
    });
    await it.clock.advance(10);
    it.answers.length = 0;
    it.wire.room = 2;
    it.order(request(1, plant.flag.partials, "end", "1", "2", "3", "4"));
    await it.clock.advance(10);
    assert.deepEqual([it.answers.length, worker.busy], [2, 1]);
    it.wire.room = 100;
    if (how === "told of room") it.wire.drain();
    await it.clock.advance(how === "told of room" ? 10 : 1010);
    const told = it.answers.flatMap((one) => ("body" in one ? words(one.body) : []));
    assert.deepEqual(told, ["1", "2", "3", "4", "end"], how);
    assert.equal(worker.busy, 0);
    await worker[Symbol.asyncDispose]();
  }
});

test("a worker that is closed tells its kept replies first", async () => {
  const it = await rawRouter();
  const worker = await startWorker(it.deps, { endpoint, service: "s" }, ({ body }) => body);
  await it.clock.advance(10);
  it.answers.length = 0;
  it.wire.room = 0;
  it.order(request(1, 0, "kept"));
  await it.clock.advance(10);
  const closed = worker[Symbol.asyncDispose]();
  await it.clock.advance(10);
  it.wire.drain();
  await it.clock.advance(10);
  await closed;
  assert.deepEqual(
    it.answers.map(({ kind }) => kind),
    ["final", "leave"],
  );
});

test("bodies that name no operation go to whoever takes the others", async () => {
  const it = await rawRouter();
  const log = it.deps.log;
  const others: RawOperation = () => bytes("other");
  const table = { add: () => 3, health: () => "mine", "a-long-one": () => "x".repeat(1000) };
  const [open, closed] = [byOperation(log, table, others), byOperation(log, table)];
  const asked = (...body: string[]) =>
    ({ service: "s", trace: "0", replyBytesMax: 1000, body: bytes(...body) }) as never;
  const rows: [string[], string, string][] = [
    [["add", "{}"], '{"success":true,"data":3}', '{"success":true,"data":3}'],
    [["add"], '{"success":true,"data":3}', '{"success":true,"data":3}'],
    [["health", "{}"], '{"success":true,"data":"mine"}', '{"success":true,"data":"mine"}'],
    [["add", "no JSON"], "REQUEST_MALFORMED", "REQUEST_MALFORMED"],
    // Read by the million such levels would hold the loop for seconds.
    [["add", `${"[".repeat(20_000)}${"]".repeat(20_000)}`], "nested too deep", "nested too deep"],
    [["add", `{"a":[${`{"a":"\\"[[[${"[{".repeat(99)}"},`.repeat(200)}1]}`], ":3}", ":3}"],
    [["a-long-one"], "MESSAGE_TOO_LARGE", "MESSAGE_TOO_LARGE"],
    [["addx", "{}"], "other", "OPERATION_UNKNOWN"],
    [["ad", "{}"], "other", "OPERATION_UNKNOWN"],
    [["toString", "{}"], "other", "OPERATION_UNKNOWN"],
    [["", "{}"], "other", "OPERATION_UNKNOWN"],
    [["x".repeat(10_000)], "other", "OPERATION_UNKNOWN"],
  ];
  for (const [body, openly, closely] of rows) {
    assert.ok(String(words(await open(asked(...body)))).includes(openly), body[0]);
    assert.ok(String(words(await closed(asked(...body)))).includes(closely), body[0]);
  }
});

test("echo answers calls in JSON, and gives every other body back as it is", async () => {
  await using it = await bus();
  const worker = await startEcho(it.deps, { endpoint });
  await it.clock.advance(0);
  const client = await it.client();
  const echo = "org.plantd.module.Echo";
  assert.deepEqual(await it.settle(client.call(echo, "echo", { a: [1] })), { a: [1] });
  const health = (await it.settle(client.call(echo, "health", {}))) as { status: string };
  assert.equal(health.status, "pass");
  const bad = client.request(echo, bytes("echo", "no JSON"));
  assert.match(String((await it.settle(bad))[0]), /REQUEST_MALFORMED/);
  for (const body of [["hello world"], ["a", "", "b"], [""], ["ECHO", "{}"]]) {
    assert.deepEqual(words(await it.settle(client.request(echo, bytes(...body)))), body);
  }
  await worker[Symbol.asyncDispose]();
});
