// The logger: ring, filters, rate, what goes on to the stream. It must not know the store.
import assert from "node:assert/strict";
import { test } from "node:test";
import { startLogger } from "../../../src/logger/logger.ts";
import { Quota } from "../../../src/logger/quota.ts";
import { hasCode } from "../../../src/util/errors.ts";
import type { WorkerRequest } from "../../../src/worker/worker.ts";
import { fakeClock } from "../../fakes/clock.ts";

const config = { ringMax: 20, batchMax: 10, keepLevel: "warn", linesPerSecondMax: 2 } as const;

async function open(appendLines = async (_: readonly string[]) => {}) {
  const clock = fakeClock();
  const logger = await startLogger({ clock, appendLines }, config);
  const ask = (operation: string, args: unknown, more: Partial<WorkerRequest> = {}) =>
    logger.operations[operation]!({
      args,
      signal: new AbortController().signal,
      partial: async () => {},
      ...more,
    } as WorkerRequest) as ReturnType<typeof JSON.parse>;
  return { clock, logger, ask };
}
const line = (message: string, level = "info", service = "a") =>
  JSON.stringify({ timestamp: "2026-01-01T00:00:00.000Z", level, service, message });
const messages = (reply: { lines: { message: string }[] }) => reply.lines.map((l) => l.message);

test("tail gives the newest lines last, by level, service and time", async () => {
  const { ask } = await open();
  const lines = [line("one"), line("two", "error"), line("three", "warn", "b"), "no JSON"];
  assert.deepEqual(ask("append", { lines }), { accepted: 4, dropped: 0 });
  assert.deepEqual(messages(ask("tail", {})), ["one", "two", "three", "no JSON"]);
  assert.deepEqual(messages(ask("tail", { limit: 2 })), ["three", "no JSON"]);
  assert.deepEqual(messages(ask("tail", { level: "warn" })), ["two", "three"]);
  assert.deepEqual(messages(ask("tail", { service: "b" })), ["three"]);
  assert.deepEqual(messages(ask("tail", { since: 1_700_000_000_000 })), [
    "one",
    "two",
    "three",
    "no JSON",
  ]);
  assert.deepEqual(messages(ask("tail", { since: 1_900_000_000_000 })), []);
});

test("a line nested too deeply keeps its words, and a time beyond all times is refused", async () => {
  const { ask } = await open();
  const deep = JSON.parse(`${"[".repeat(20_000)}${"]".repeat(20_000)}`);
  assert.deepEqual(ask("append", { lines: [{ message: "m", deep }] }), { accepted: 1, dropped: 0 });
  const [kept] = ask("tail", {}).lines;
  assert.equal(kept.message, "m");
  assert.equal(kept.isCut, true);
  assert.equal("deep" in kept, false);
  for (const since of [-1, 9e15, 1e308]) {
    assert.throws(
      () => ask("tail", { since }),
      (error) => hasCode(error, "REQUEST_MALFORMED"),
    );
  }
});

test("the ring keeps the newest lines only", async () => {
  const { ask } = await open();
  for (let at = 0; at < 50; at += 1) ask("append", { lines: [line(`${at}`, "info", `s${at}`)] });
  assert.deepEqual(messages(ask("tail", { limit: 1000 })).length, 20);
  assert.equal(messages(ask("tail", { limit: 1 }))[0], "49");
});

test("only lines of the kept level go on, and a store that refuses costs only them", async () => {
  const kept: string[] = [];
  let isFull = false;
  const { ask, logger } = await open(async (lines) => {
    if (isFull) throw new Error("full");
    kept.push(...lines);
  });
  ask("append", { lines: [line("one"), line("two", "warn")] });
  await logger[Symbol.asyncDispose]();
  assert.deepEqual(
    kept.map((text) => JSON.parse(text).message),
    ["two"],
  );
  isFull = true;
  ask("append", { lines: [line("three", "error")] });
  await logger[Symbol.asyncDispose]();
  assert.equal(ask("health", {}).status, "warn");
  assert.deepEqual(messages(ask("tail", { limit: 1 })), ["three"]);
});

test("a service that writes too much loses lines, counted, and no other does", async () => {
  const { ask, clock } = await open();
  const burst = Array.from({ length: 10 }, () => line("x"));
  ask("append", { lines: burst });
  ask("append", { lines: burst });
  assert.deepEqual(ask("append", { lines: burst }), { accepted: 0, dropped: 10 });
  assert.deepEqual(ask("append", { lines: [line("y", "info", "b")] }), { accepted: 1, dropped: 0 });
  await clock.advance(1000);
  assert.deepEqual(ask("append", { lines: [line("z")] }), { accepted: 1, dropped: 0 });
  const [gap, last] = messages(ask("tail", { limit: 2 }));
  assert.match(gap ?? "", /^10 lines were dropped/);
  assert.equal(last, "z");
});

test("follow tells lines as they come and ends with its position", async () => {
  const { ask, clock } = await open();
  ask("append", { lines: [line("before")] });
  const parts: string[] = [];
  const partial = async (data: unknown) => {
    parts.push(...messages(data as { lines: { message: string }[] }));
  };
  const following = ask("follow", { after: 0 }, { partial });
  await clock.advance(1);
  ask("append", { lines: [line("after")] });
  await clock.advance(30_000);
  assert.deepEqual(await following, { position: 2 });
  assert.deepEqual(parts, ["before", "after"]);
});

test("too many lines, and what is no line, are refused; a long line is cut", async () => {
  const { ask } = await open();
  const eleven = { lines: new Array(11).fill(line("x")) };
  assert.throws(
    () => ask("append", eleven),
    (error) => hasCode(error, "LIMIT_REACHED"),
  );
  assert.throws(
    () => ask("append", { lines: [1] }),
    (e) => hasCode(e, "REQUEST_MALFORMED"),
  );
  assert.throws(
    () => ask("tail", { level: "loud" }),
    (e) => hasCode(e, "REQUEST_MALFORMED"),
  );
  ask("append", { lines: [line("m".repeat(10_000))] });
  assert.equal(messages(ask("tail", {}))[0]?.length, 2000);
});

test("of services beyond the limit, the one longest silent is forgotten", () => {
  const quota = new Quota(1);
  for (let line = 0; line < 10; line += 1) assert.equal(quota.take("a", 0), 0);
  assert.equal(quota.take("a", 0), undefined);
  for (let other = 0; other < 255; other += 1) quota.take(`s${other}`, 0);
  assert.equal(quota.take("a", 0), undefined, "still known among 256");
  for (let other = 0; other < 256; other += 1) quota.take(`t${other}`, 0);
  assert.equal(quota.take("a", 0), 0, "as if it had never written");
});

test("lines that wait for a store that takes none are bounded, and the rest is counted", async () => {
  const { promise: never } = Promise.withResolvers<void>();
  const { ask } = await open(() => never);
  for (let at = 0; at < 502; at += 1) {
    const lines = Array.from({ length: 10 }, () => line("x", "error", `s${at}`));
    ask("append", { lines });
  }
  assert.match(JSON.stringify(ask("health", {})), /"10 lines not kept/);
});
