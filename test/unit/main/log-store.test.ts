// What the logger uses of a real store: levels over a restart, lines it kept, also trimmed ones.
// It must not know the bus.
import assert from "node:assert/strict";
import { test } from "node:test";
import { keptLines, levelMemory } from "../../../src/main/log-store.ts";
import { openTestStore, temporaryFolder } from "../../fakes/store.ts";
import { askLogger, lineOf, messagesOf, openLogger } from "../logger/bench.ts";

test("levels lie in the store as points, and go away when nobody wants them", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const memory = levelMemory(store.state.operations);
  assert.deepEqual(await memory.load(), {});
  await memory.keep("driver:line1", "debug");
  await memory.keep("sync", "warn");
  await memory.keep("sync", "error");
  assert.deepEqual(await memory.load(), { "driver:line1": "debug", sync: "error" });
  await memory.keep("sync", undefined);
  await memory.keep("never", undefined);
  assert.deepEqual(await memory.load(), { "driver:line1": "debug" });
});

test("a level set for good is there after the store was opened again", async () => {
  using folder = temporaryFolder();
  {
    await using store = await openTestStore(folder.path);
    const { ask } = await openLogger({ levelMemory: levelMemory(store.state.operations) });
    await ask("set-level", { part: "store", level: "debug" });
  }
  await using store = await openTestStore(folder.path);
  const { ask } = await openLogger({ levelMemory: levelMemory(store.state.operations) });
  const { levels } = await ask("levels", {});
  assert.deepEqual(levels, [{ part: "store", level: "debug" }]);
});

test("lines of a former run are found in the store, each once, before those of this one", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const open = async () => {
    const { appendLines } = store.state;
    const deps = { clock: store.clock, appendLines, kept: keptLines(store.journal) };
    const { logger } = await openLogger({
      ...deps,
      config: { linesPerSecondMax: 10_000, batchMax: 500, ringMax: 100 },
    });
    return logger;
  };
  const first = await open();
  const lines = (from: number) =>
    Array.from({ length: 300 }, (_, at) => lineOf(`${from + at}`, "warn"));
  await askLogger(first)("append", { lines: lines(0) });
  await first[Symbol.asyncDispose]();
  const second = await open();
  await askLogger(second)("append", { lines: lines(300) });
  await second[Symbol.asyncDispose]();
  const found: string[] = [];
  let before: string | undefined;
  do {
    const args = { since: 0, limit: 77, ...(before === undefined ? {} : { before }) };
    const page = await askLogger(second)("tail", args);
    found.unshift(...messagesOf(page));
    before = page.next;
  } while (before !== undefined);
  assert.deepEqual(
    found,
    Array.from({ length: 600 }, (_, at) => `${at}`),
  );
});
