// Points out of a store and into another as lines of JSON, and what is refused on the way.
// It must not know files.
import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../../../src/util/errors.ts";
import { openTestStore, type TestStore, temporaryFolder } from "../../fakes/store.ts";

const points = [
  { scope: "a", key: "text", value: "grüezi\n", type: "text", unit: "V" },
  { scope: "a", key: "whole", value: "18446744073709551615", type: "u64" },
  { scope: "b", key: "json", value: { z: [1, null], a: "x" } },
  { scope: "b", key: "bad", value: null, quality: "bad", reason: "no-answer" },
];

async function exported(store: TestStore, args: object = {}): Promise<string[]> {
  const lines: string[] = [];
  const partial = async (part: unknown) => {
    lines.push(...(part as { lines: string[] }).lines);
  };
  const { points: count } = await store.call("export", args, { partial });
  assert.equal(count, lines.length - 1);
  return lines;
}

function set(store: TestStore, number = 1, some: readonly object[] = points): Promise<unknown> {
  return store.call("set-many", {
    source: "driver.x",
    run: "r",
    number,
    flush: "now",
    points: some,
  });
}

const facts = (line: string) => {
  const { revision: _, ...rest } = JSON.parse(line) as Record<string, unknown>;
  return rest;
};

test("what one store exports another imports, with all that is known of it; twice changes nothing", async () => {
  using one = temporaryFolder();
  using two = temporaryFolder();
  await using from = await openTestStore(one.path);
  await using to = await openTestStore(two.path);
  await set(from);
  const lines = await exported(from);
  const head = JSON.parse(lines[0] ?? "");
  assert.deepEqual(
    [head.format, head.version, head.epoch],
    ["plantd-points", 1, from.journal.epoch],
  );
  const dry = await to.call("import", { first: 1, lines, dryRun: true });
  assert.deepEqual([dry.new, (await exported(to)).length], [4, 1]);
  assert.deepEqual(await to.call("import", { first: 1, lines }), {
    new: 4,
    same: 0,
    changed: 0,
    kept: 0,
  });
  assert.deepEqual((await exported(to)).slice(1).map(facts), lines.slice(1).map(facts));
  const before = to.journal.head("state");
  const again = await to.call("import", { first: 1, lines });
  assert.deepEqual([again.same, to.journal.head("state")], [4, before]);
});

test("a point that is there otherwise is kept, unless it is to be replaced", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  await set(store);
  const lines = await exported(store, { scope: "a", prefix: "te" });
  assert.equal(lines.length, 2);
  await set(store, 2, [{ scope: "a", key: "text", value: "newer" }]);
  const kept = await store.call("import", { first: 1, lines });
  assert.deepEqual(
    [kept.kept, (await store.call("get", { scope: "a", key: "text" })).value],
    [1, "newer"],
  );
  const changed = await store.call("import", { first: 1, lines, replace: true });
  assert.equal(changed.changed, 1);
  assert.equal((await store.call("get", { scope: "a", key: "text" })).value, "grüezi\n");
});

const header = '{"format":"plantd-points","version":1}';
const refused: Readonly<Record<string, { lines: string[]; line: number; first?: number }>> = {
  "no header": { lines: ['{"scope":"a","key":"k","value":1}'], line: 1 },
  "a newer version": { lines: ['{"format":"plantd-points","version":2}'], line: 1 },
  "no JSON": { lines: [header, '{"scope":"a","key":"k","value":1}', "{"], line: 3 },
  "no object": { lines: [header, "[1]"], line: 2 },
  "no value": { lines: [header, '{"scope":"a","key":"k"}'], line: 2 },
  "another type": { lines: [header, '{"scope":"a","key":"k","value":"x","type":"f64"}'], line: 2 },
  "no key, far down": { lines: ['{"scope":"a","value":1}'], first: 5001, line: 5001 },
  "a source that is none": {
    lines: [header, '{"scope":"a","key":"k","value":1,"source":3}'],
    line: 2,
  },
  "too long": { lines: [header, `"${"x".repeat(80_000)}"`], line: 2 },
};

for (const [words, { lines, line, first = 1 }] of Object.entries(refused)) {
  test(`an import is refused whole, by its line: ${words}`, async () => {
    using folder = temporaryFolder();
    await using store = await openTestStore(folder.path);
    const isRefused = (error: unknown) =>
      hasCode(error, "IMPORT_REFUSED") && error.detail.line === line;
    await assert.rejects(store.call("import", { first, lines }), isRefused);
    assert.equal(store.journal.head("state"), 0);
  });
}

test("more lines than one request may have are refused", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const lines = Array.from({ length: 1001 }, () => header);
  await assert.rejects(store.call("import", { first: 1, lines }), (error) =>
    hasCode(error, "LIMIT_REACHED"),
  );
});
