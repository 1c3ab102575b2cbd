// Which room requests ask for: configuration and events find some where values find none.
// It must not know the disk.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AppendRequest } from "../../../src/journal/journal.ts";
import { openTestStore, temporaryFolder } from "../../fakes/store.ts";

const source = { source: "a", run: "1" };
const point = (scope: string) => ({ scope, key: "k", value: 1 });
const rows: readonly (readonly [string, object, "urgent" | undefined])[] = [
  ["set-many", { points: [point("config"), point("config/a")] }, "urgent"],
  ["set-many", { points: [point("config"), point("device")] }, undefined],
  ["set-many", { points: [point("configuration")] }, undefined],
  ["append-event", { events: [{ kind: "k", severity: "info", message: "m" }] }, "urgent"],
  ["append-lines", { lines: ["x"] }, undefined],
];

test("configuration and events ask for room that values and lines have none of", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const { journal } = store;
  const append = journal.append.bind(journal);
  const rooms: AppendRequest["room"][] = [];
  journal.append = (request) => {
    rooms.push(request.room);
    return append(request);
  };
  for (const [at, [operation, args]] of rows.entries()) {
    await store.call(operation, { ...source, number: at + 1, ...args });
  }
  assert.deepEqual(
    rooms,
    rows.map(([, , room]) => room),
  );
});
