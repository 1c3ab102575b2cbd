// Which operations ask for room before they make an answer, and which never wait for it.
// It must not know how much room there is.
import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode, PlantError } from "../../../src/util/errors.ts";
import { openTestStore, temporaryFolder } from "../../fakes/store.ts";

const places = [{ scope: "a", key: "b" }];
const long = {
  list: {},
  "get-many": { points: places },
  history: { scope: "a", key: "b" },
  "history-many": { points: places },
  changes: { stream: "state", after: 0 },
  "changes in parts": { stream: "state", after: 0, parts: true, waitMs: 0 },
  watch: { after: 0 },
} as const;

/** A request for whom there is no room. */
const crowded = {
  room: async () => {
    throw new PlantError("CANCELLED");
  },
};
const isCancelled = (error: unknown) => hasCode(error, "CANCELLED");

test("what may be long is made when there is room, and what is short at once", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const point = { scope: "a", key: "b", value: 1 };
  const group = { source: "s", run: "r", number: 1, flush: "now", points: [point] };
  await store.call("set-many", group, crowded);
  await store.call("get", { scope: "a", key: "b" }, crowded);
  await store.call("health", {}, crowded);
  for (const [name, args] of Object.entries(long)) {
    const [operation = ""] = name.split(" ");
    await assert.rejects(store.call(operation, args, crowded), isCancelled, name);
  }
});

test("of a long stream each part is made in room of its own, which is given back", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  for (let number = 1; number <= 3; number += 1) {
    const points = Array.from({ length: 2000 }, (_, at) => ({
      scope: "a",
      key: `${at}`,
      value: 1,
    }));
    await store.call("set-many", { source: "s", run: "r", number, points });
  }
  for (const [operation, args] of [
    ["changes", long["changes in parts"]],
    ["export", {}],
  ] as const) {
    const steps: string[] = [];
    await store.call(operation, args, {
      room: async () => {
        steps.push("in");
        return {
          [Symbol.dispose]() {
            steps.push("out");
          },
        };
      },
      partial: async () => {
        steps.push("part");
      },
    });
    const told = steps.join(" ");
    assert.match(told, /^(part )?(in part out ?){2,}(in out)?$/, operation);
  }
});
