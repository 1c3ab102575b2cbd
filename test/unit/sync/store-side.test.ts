// What sync asks the store for, and what it forgets when the centre has it. It must not know how
// the store answers.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Client } from "../../../src/client/client.ts";
import { moveWatermark } from "../../../src/sync/greeting.ts";
import { askPosition, readChanges } from "../../../src/sync/store-side.ts";
import { freshStream } from "../../../src/sync/stream-state.ts";

test("damage in the store comes as a cover, so that what follows it goes up", async () => {
  const asked: unknown[] = [];
  const client = {
    call: async (_service: string, operation: string, args: unknown) => {
      asked.push([operation, args]);
      return { epoch: "e".repeat(32), records: [], last: 0, head: 0 };
    },
  } as unknown as Client;
  const request = { stream: "log", after: 5, limit: 1e6, bytesMax: 1e9, waitMs: 10 } as const;
  await readChanges(client, request, new AbortController().signal);
  const bounds = { limit: 10_000, bytesMax: 4_194_304, coversDamage: true };
  assert.deepEqual(asked, [["changes", { ...request, ...bounds }]]);
});

test("only who is to send records has the store hold them", async () => {
  const asked: unknown[] = [];
  const client = {
    call: async (_service: string, _operation: string, args: unknown) => {
      asked.push(args);
      return { lineage: [{ epoch: "e".repeat(32) }], streams: {} };
    },
  } as unknown as Client;
  for (const register of [true, false]) await askPosition(client, { register });
  assert.deepEqual(asked, [
    { consumer: "sync", register: true },
    { consumer: "sync", register: false },
  ]);
});

test("a record that was refused is remembered until the watermark is at it", () => {
  const covered = new Map([40, 41, 42].map((sequence) => [sequence, "X"]));
  const stream = freshStream({ first: 31, head: 90, watermark: 35 }, 10, covered);
  moveWatermark(stream, { name: "log", stands: 41, effects: [] });
  assert.deepEqual([...stream.coveredAt.keys()], [42]);
});
