// What the logger tells of itself in figures. It must not know who collects them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { lineOf, openLogger } from "./bench.ts";

test("lines are counted by level, with what was left out, repeated, dropped and lost", async () => {
  const { ask } = await openLogger({ config: { batchMax: 100 } });
  const secret = { level: "info", service: "a", message: "m", fields: { password: "hush" } };
  const odd = { level: "loud", service: "a", message: "odd" };
  await ask("append", { lines: [lineOf("one"), lineOf("one"), lineOf("two", "error")] });
  await ask("append", { lines: [secret, odd] });
  const many = Array.from({ length: 40 }, (_, at) => lineOf(`many ${at}`, "debug"));
  const { dropped } = (await ask("append", { lines: many })) as { dropped: number };
  const stats = (await ask("stats", {})) as unknown as Record<string, unknown>;
  assert.ok(dropped > 0);
  assert.equal(stats.dropped, dropped);
  assert.deepEqual(stats.byLevel, { debug: 40 - dropped, info: 2, warn: 0, error: 1, other: 1 });
  const { lines, redacted, repeated, lost, ring } = stats as { ring: { lines: number } } & Record<
    string,
    unknown
  >;
  assert.deepEqual([lines, redacted, repeated, lost, ring.lines], [44 - dropped, 1, 1, 0, lines]);
});

test("the levels of parts are among the figures", async () => {
  const { ask } = await openLogger();
  await ask("set-level", { part: "sync", level: "debug" });
  const { levels } = (await ask("stats", {})) as unknown as { levels: unknown };
  assert.deepEqual(levels, [{ part: "sync", level: "debug" }]);
});
