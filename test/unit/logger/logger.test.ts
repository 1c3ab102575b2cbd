// The logger: ring, filters, rate, repeats, what goes on to the stream. It must not know the store.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Keeper, waitingMax } from "../../../src/logger/keeper.ts";
import { lineBytesMax } from "../../../src/logger/line.ts";
import { gapMs, Quota, servicesMax } from "../../../src/logger/quota.ts";
import { followersMax } from "../../../src/logger/reading.ts";
import { rememberedMax } from "../../../src/logger/repeats.ts";
import { hasCode, PlantError } from "../../../src/util/errors.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { askLogger, lineOf, messagesOf, openLogger } from "./bench.ts";

test("tail gives the newest lines last, by level, service and time", async () => {
  const { ask } = await openLogger();
  const lines = [lineOf("one"), lineOf("two", "error"), lineOf("three", "warn", "b"), "no JSON"];
  assert.deepEqual(await ask("append", { lines }), { accepted: 4, dropped: 0 });
  const rows: readonly (readonly [args: object, messages: readonly string[]])[] = [
    [{}, ["one", "two", "three", "no JSON"]],
    [{ limit: 2 }, ["three", "no JSON"]],
    [{ limit: 0 }, []],
    [{ level: "warn" }, ["two", "three"]],
    [{ level: "error" }, ["two"]],
    [{ service: "b" }, ["three"]],
    [{ since: 1_700_000_000_000 }, ["one", "two", "three", "no JSON"]],
    [{ since: 1_900_000_000_000 }, []],
    [{ until: 1_800_000_000_000 }, ["one", "two", "three", "no JSON"]],
    [{ until: 1_600_000_000_000 }, []],
    [{ service: "b", level: "error" }, []],
  ];
  for (const [args, found] of rows) assert.deepEqual(messagesOf(await ask("tail", args)), found);
});

test("a part is found by its context and by its process, a context with what is within it", async () => {
  const { ask } = await openLogger();
  const at = (message: string, service: string, context?: string) =>
    JSON.stringify({ level: "info", service, context, message });
  const lines = [
    at("1", "plantd", "store"),
    at("2", "plantd", "store.sync"),
    at("3", "plantd", "storehouse"),
    at("4", "plantd-store"),
    at("5", "plantd-driver:line1", "driver:line1.bus"),
    at("6", "store"),
  ];
  await ask("append", { lines });
  assert.deepEqual(messagesOf(await ask("tail", { part: "store" })), ["1", "2", "4", "6"]);
  assert.deepEqual(messagesOf(await ask("tail", { part: "driver:line1" })), ["5"]);
  assert.deepEqual(messagesOf(await ask("tail", { context: "store" })), ["1", "2"]);
  assert.deepEqual(messagesOf(await ask("tail", { context: "driver:line1.bus" })), ["5"]);
});

test("a text is looked for as it stands, in words and values, never in names of fields", async () => {
  const { ask } = await openLogger();
  const line = (message: string, fields = {}) => ({ level: "info", service: "a", message, fields });
  await ask("append", { lines: [line("a.c (x)"), line("abc", { unit: "Meter-7" }), line('q"q')] });
  const grep = async (text: string) => messagesOf(await ask("tail", { grep: text }));
  assert.deepEqual(await grep("a.c"), ["a.c (x)"]);
  assert.deepEqual(await grep("(X)"), ["a.c (x)"]);
  assert.deepEqual(await grep("meter-7"), ["abc"]);
  assert.deepEqual(await grep('q"Q'), ['q"q']);
  assert.deepEqual(await grep("unit"), []);
  assert.deepEqual(await grep("timestamp"), []);
});

test("a line nested too deeply keeps its words, and a time beyond all times is refused", async () => {
  const { ask } = await openLogger();
  const deep = JSON.parse(`${"[".repeat(20_000)}${"]".repeat(20_000)}`);
  const reply = await ask("append", { lines: [{ message: "m", deep }] });
  assert.deepEqual(reply, { accepted: 1, dropped: 0 });
  const [kept] = (await ask("tail", {})).lines;
  assert.equal(kept.message, "m");
  assert.equal(kept.isCut, true);
  assert.equal("deep" in kept, false);
  for (const since of [-1, 9e15, 1e308]) {
    await assert.rejects(ask("tail", { since }), (e) => hasCode(e, "REQUEST_MALFORMED"));
  }
});

test("the ring keeps the newest lines only, by number", async () => {
  const { ask } = await openLogger();
  for (let at = 0; at < 50; at += 1) {
    await ask("append", { lines: [lineOf(`${at}`, "info", `s${at}`)] });
  }
  assert.equal(messagesOf(await ask("tail", { limit: 1000 })).length, 20);
  assert.equal(messagesOf(await ask("tail", { limit: 1 }))[0], "49");
});

test("the ring keeps the newest lines only, by bytes, and never none", async () => {
  const { ask } = await openLogger({ config: { ringBytesMax: 1500 } });
  for (let at = 0; at < 9; at += 1) {
    await ask("append", { lines: [lineOf(`${at}-${"x".repeat(200)}`, "info", `s${at}`)] });
  }
  const left = messagesOf(await ask("tail", {})).map((text) => text.slice(0, 1));
  assert.deepEqual(left, ["6", "7", "8"]);
  await ask("append", { lines: [lineOf("y".repeat(1900), "info", "s10")] });
  assert.deepEqual(messagesOf(await ask("tail", {})), ["y".repeat(1900)]);
});

test("only lines of the kept level go on, and a store that refuses costs only them", async () => {
  const kept: string[] = [];
  let isFull = false;
  const { ask, logger } = await openLogger({
    appendLines: async (lines) => {
      if (isFull) throw new Error("full");
      kept.push(...lines);
      return undefined;
    },
  });
  await ask("append", { lines: [lineOf("one"), lineOf("two", "warn")] });
  await logger[Symbol.asyncDispose]();
  assert.deepEqual(
    kept.map((text) => JSON.parse(text).message),
    ["two"],
  );
  isFull = true;
  await ask("append", { lines: [lineOf("three", "error")] });
  await logger[Symbol.asyncDispose]();
  assert.equal((await ask("health", {})).status, "warn");
  assert.deepEqual(messagesOf(await ask("tail", { limit: 1 })), ["three"]);
});

test("a store that is busy gets its lines later, in order, each once", async () => {
  const kept: string[] = [];
  let isBusy = true;
  const { ask, clock } = await openLogger({
    appendLines: async (lines) => {
      if (isBusy) throw new PlantError("STORE_FULL", { roomBytes: 1 });
      kept.push(...lines.map((text) => JSON.parse(text).message));
      return { first: 1 };
    },
  });
  await ask("append", { lines: [lineOf("one", "error")] });
  await clock.advance(500);
  await ask("append", { lines: [lineOf("two", "error")] });
  assert.equal((await ask("health", {})).status, "warn");
  isBusy = false;
  await clock.advance(1000);
  assert.deepEqual(kept, ["one", "two"]);
  assert.equal((await ask("health", {})).status, "pass");
});

test("a service that writes too much loses lines, counted and told, and no other does", async () => {
  const { ask, clock } = await openLogger();
  let number = 0;
  const burst = () =>
    Array.from({ length: 10 }, () => {
      number += 1;
      return lineOf(`x${number}`);
    });
  await ask("append", { lines: burst() });
  await ask("append", { lines: burst() });
  assert.deepEqual(await ask("append", { lines: burst() }), { accepted: 0, dropped: 10 });
  const other = await ask("append", { lines: [lineOf("y", "info", "b")] });
  assert.deepEqual(other, { accepted: 1, dropped: 0 });
  await clock.advance(1000);
  assert.deepEqual(await ask("append", { lines: [lineOf("z")] }), { accepted: 1, dropped: 0 });
  const [gap, last] = messagesOf(await ask("tail", { limit: 2 }));
  assert.match(gap ?? "", /^10 lines were dropped/);
  assert.equal(last, "z");
});

test("a gap is told although its service says nothing more, and goes into the stream", async () => {
  const kept: string[] = [];
  const appendLines = async (lines: readonly string[]) => {
    kept.push(...lines);
    return { first: 1 };
  };
  const { ask, clock } = await openLogger({ appendLines });
  for (let part = 0; part < 3; part += 1) {
    const lines = Array.from({ length: 10 }, (_, at) => lineOf(`${part}-${at}`));
    await ask("append", { lines });
  }
  await clock.advance(gapMs);
  const [gap] = (await ask("tail", { limit: 1 })).lines;
  assert.deepEqual(gap.fields, { dropped: 10, spanMs: gapMs });
  assert.match(kept.join(""), /10 lines were dropped/);
});

test("the same line again is counted, and told once with the count and the span", async () => {
  const kept: string[] = [];
  const appendLines = async (lines: readonly string[]) => {
    kept.push(...lines);
    return { first: 1 };
  };
  const { ask, clock } = await openLogger({ appendLines });
  const line = lineOf("no answer", "warn");
  assert.deepEqual(await ask("append", { lines: [line] }), { accepted: 1, dropped: 0 });
  await clock.advance(3000);
  const again = JSON.parse(line);
  again.timestamp = "2026-01-01T00:00:03.000Z";
  const reply = await ask("append", { lines: [again, line, lineOf("no answer", "warn", "b")] });
  assert.deepEqual(reply, { accepted: 1, dropped: 0, repeated: 2 });
  await clock.advance(2000);
  const said = messagesOf(await ask("tail", {}));
  assert.deepEqual(said, ["no answer", "no answer", "2 times more in 3.0 s: no answer"]);
  const [told] = (await ask("tail", { limit: 1 })).lines;
  assert.equal(told.level, "warn");
  assert.equal(told.service, "a");
  assert.deepEqual(told.fields, { repeated: 2, spanMs: 3000, first: "2026-01-01T00:00:00.000Z" });
  assert.match(kept.at(-1) ?? "", /2 times more/);
  await ask("append", { lines: [line] });
  assert.deepEqual(messagesOf(await ask("tail", { limit: 1 })), ["no answer"]);
});

test("lines that differ in a field, a level or a trace are not the same", async () => {
  const { ask } = await openLogger();
  const base = { level: "info", service: "a", message: "m", fields: { n: 1 } };
  const lines = [base, { ...base, fields: { n: 2 } }, { ...base, level: "warn" }];
  const reply = await ask("append", { lines: [...lines, { ...base, trace: "t" }] });
  assert.deepEqual(reply, { accepted: 4, dropped: 0 });
});

test("a line that was dropped is not taken for one that was told", async () => {
  const { ask, clock } = await openLogger();
  for (const from of [0, 10]) {
    const lines = Array.from({ length: 10 }, (_, at) => lineOf(`${from + at}`));
    await ask("append", { lines });
  }
  const line = { lines: [lineOf("late")] };
  assert.deepEqual(await ask("append", line), { accepted: 0, dropped: 1 });
  await clock.advance(1000);
  assert.deepEqual(await ask("append", line), { accepted: 1, dropped: 0 });
});

test("of lines remembered beyond the limit, the oldest is told early", async () => {
  const { ask } = await openLogger({ config: { linesPerSecondMax: 10_000, ringMax: 5000 } });
  await ask("append", { lines: [lineOf("first"), lineOf("first")] });
  for (let at = 0; at < rememberedMax - 1; at += 1)
    await ask("append", { lines: [lineOf(`${at}`)] });
  assert.deepEqual(messagesOf(await ask("tail", { grep: "times more" })), []);
  await ask("append", { lines: [lineOf("one too many")] });
  const told = messagesOf(await ask("tail", { grep: "times more" }));
  assert.deepEqual(told, ["1 times more in 0 ms: first"]);
});

test("what repeats and what was dropped is told at the end, too", async () => {
  const { ask, logger } = await openLogger();
  const many = (from: number) => Array.from({ length: 10 }, (_, at) => lineOf(`${from + at}`));
  await ask("append", { lines: [lineOf("r", "info", "b"), lineOf("r", "info", "b")] });
  for (const from of [0, 10, 20]) await ask("append", { lines: many(from) });
  await logger[Symbol.asyncDispose]();
  const [one, two] = messagesOf(await ask("tail", { limit: 2 }));
  assert.match(one ?? "", /^1 times more/);
  assert.match(two ?? "", /^10 lines were dropped/);
});

test("lines of foreign writers lose their secrets, by rule and by configured names", async () => {
  const { ask } = await openLogger({ config: { redact: ["puk"] } });
  const line = { message: "login password=hush", fields: { puk: 1234, token: "hush" }, extra: "e" };
  await ask("append", { lines: [line, '{"message":"Bearer abc123hush"}', "token=hush"] });
  const text = JSON.stringify(await ask("tail", {}));
  assert.doesNotMatch(text, /hush|1234/);
  assert.match(text, /"extra":"e"/);
});

test("a secret that stands where a long message is cut does not come through half", async () => {
  const { ask } = await openLogger();
  const token = `eyJhbGciOiJIUzI1NiJ9.${"hush".repeat(20)}.${"hush".repeat(20)}`;
  await ask("append", { lines: [lineOf(`${"m".repeat(1950)} ${token}`)] });
  assert.doesNotMatch(JSON.stringify(await ask("tail", {})), /hu|eyJ/);
});

test("a time that is none of ours is replaced, and kept beside", async () => {
  const { ask } = await openLogger();
  await ask("append", { lines: [{ timestamp: '21.11.26"},', message: "m" }] });
  const [line] = (await ask("tail", {})).lines;
  assert.equal(line.timestamp, "2023-11-14T22:13:20.000Z");
  assert.equal(line.written, '21.11.26"},');
});

test("too many lines, and what is no line, are refused; a long line is cut", async () => {
  const { ask } = await openLogger();
  const lines = (count: number) => Array.from({ length: count }, (_, at) => lineOf(`${at}`));
  assert.equal((await ask("append", { lines: lines(10) })).accepted, 10);
  const limit = (error: unknown) => hasCode(error, "LIMIT_REACHED");
  await assert.rejects(ask("append", { lines: lines(11) }), limit);
  const malformed = (error: unknown) => hasCode(error, "REQUEST_MALFORMED");
  for (const args of [undefined, {}, { lines: "x" }, { lines: [1] }, { lines: [null] }]) {
    await assert.rejects(ask("append", args), malformed);
  }
  await assert.rejects(ask("tail", { level: "loud" }), malformed);
  await assert.rejects(ask("tail", { before: "ring:1" }), malformed);
  await assert.rejects(ask("follow", { after: -1 }), malformed);
  await ask("append", { lines: [lineOf("m".repeat(10_000))] });
  assert.equal(messagesOf(await ask("tail", { limit: 1 }))[0]?.length, 2000);
});

test("a line of exactly the longest size is whole, one byte more loses its fields", async () => {
  const { ask } = await openLogger();
  const bare = { timestamp: "2026-01-01T00:00:00.000Z", level: "info", service: "a", message: "m" };
  const size = (pad: string) => Buffer.byteLength(JSON.stringify({ ...bare, fields: { pad } }));
  const pad = "é".repeat(1000).padEnd(lineBytesMax - size("") - 1000, "x");
  assert.equal(size(pad), lineBytesMax);
  await ask("append", { lines: [{ ...bare, fields: { pad } }] });
  assert.equal((await ask("tail", { limit: 1 })).lines[0].fields.pad, pad);
  await ask("append", { lines: [{ ...bare, code: "X", fields: { pad: `${pad}x` } }] });
  const [cut] = (await ask("tail", { limit: 1 })).lines;
  assert.deepEqual(cut, { ...bare, code: "X", isCut: true });
});

test("of services beyond the limit, the one longest silent is forgotten, its gap told", () => {
  const quota = new Quota(1);
  for (let line = 0; line < 10; line += 1) assert.equal(quota.take("a", 0), true);
  assert.equal(quota.take("a", 0), false);
  for (let other = 1; other < servicesMax; other += 1) quota.take(`s${other}`, 0);
  assert.equal(quota.take("a", 0), false, "still known at the limit");
  assert.deepEqual(quota.told(), []);
  for (let other = 0; other < servicesMax; other += 1) quota.take(`t${other}`, 0);
  assert.deepEqual(quota.told(), [{ service: "a", lines: 2, spanMs: 0 }]);
  assert.equal(quota.take("a", 0), true, "as if it had never written");
});

test("lines that wait for a store that takes none are bounded, the rest counted and told", async () => {
  const clock = fakeClock();
  const told: unknown[] = [];
  let isFull = true;
  const kept: string[] = [];
  const keeper = new Keeper({
    clock,
    append: async (lines) => {
      if (isFull) throw new PlantError("STORE_FULL", { roomBytes: 1 });
      kept.push(...lines);
      return { first: 1 };
    },
    mark: () => {},
    tellLost: (lines, code) => told.push([lines, code]),
  });
  keeper.push("first", 0);
  keeper.save();
  await clock.advance(10);
  for (let at = 1; at < waitingMax + 10; at += 1) keeper.push(`${at}`, at);
  assert.equal(keeper.waiting, waitingMax);
  assert.equal(keeper.lost, 10);
  isFull = false;
  await clock.advance(2000);
  assert.equal(kept.length, waitingMax);
  assert.deepEqual(told, [[10, "STORE_FULL"]]);
});

test("followers beyond the limit are refused", async () => {
  const { ask, clock } = await openLogger();
  const following = Array.from({ length: followersMax }, () => ask("follow", {}));
  await assert.rejects(ask("follow", {}), (error) => hasCode(error, "LIMIT_REACHED"));
  await clock.advance(30_000);
  await Promise.all(following);
  const again = ask("follow", {});
  await clock.advance(30_000);
  assert.equal((await again).position, 0);
});

test("many lines at once leave turns to others", async () => {
  const { logger } = await openLogger({
    clock: {
      ...fakeClock(),
      monotonicMs: () => process.hrtime()[0] * 1e3 + process.hrtime()[1] / 1e6,
    },
    config: { batchMax: 5000, linesPerSecondMax: 100_000 },
  });
  const lines = Array.from({ length: 5000 }, (_, at) => lineOf(`${at} ${"word ".repeat(200)}`));
  let turns = 0;
  let isDone = false;
  const count = () => {
    turns += 1;
    if (!isDone) setImmediate(count);
  };
  setImmediate(count);
  await askLogger(logger)("append", { lines });
  isDone = true;
  assert.ok(turns > 3, `${turns} turns`);
});
