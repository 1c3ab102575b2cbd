// What the operations of state leave behind: the checkpoint at the end, refusals that are not
// taken for nothing to do, schemas that are gone. It must not know what requests look like.
import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode, PlantError } from "../../../src/util/errors.ts";
import { openTestStore, temporaryFolder } from "../../fakes/store.ts";

const points = (value: unknown) => [{ scope: "s", key: "k", value }];

test("a store that closes leaves a checkpoint of all there is", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  await store.call("set-many", { source: "a", run: "1", number: 1, points: points(1) });
  assert.equal(store.journal.checkpoint.sequence, 0);
  await store.state[Symbol.asyncDispose]();
  assert.equal(store.journal.checkpoint.sequence, store.journal.head("state"));
});

test("the age of the checkpoint is counted from the last one", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path, { checkpointMs: 10_000 });
  await store.call("set-many", { source: "a", run: "1", number: 1, points: points(1) });
  await store.clock.advance(9000);
  assert.equal((await store.call("stats")).checkpointAgeMs, 9000);
  await store.clock.advance(1000);
  while (store.journal.checkpoint.sequence === 0) await store.clock.advance(0);
  await store.clock.advance(3000);
  assert.equal((await store.call("stats")).checkpointAgeMs, 3000);
});

test("a deletion that the store refuses is refused, and not taken for one of nothing", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  await store.call("set-many", { source: "a", run: "1", number: 1, points: points(1) });
  const { journal } = store;
  const append = journal.append.bind(journal);
  journal.append = () => Promise.reject(new PlantError("STORE_FULL", { roomBytes: 1 }));
  const deletes = { points: [{ scope: "s", key: "k" }] };
  const full = (error: unknown) => hasCode(error, "STORE_FULL");
  await assert.rejects(store.call("delete-many", deletes), full);
  await assert.rejects(store.call("delete", { scope: "s", key: "k" }), full);
  journal.append = append;
  assert.deepEqual(await store.call("delete-many", deletes), { deleted: 1 });
  assert.deepEqual(await store.call("delete-many", deletes), { deleted: 0 });
});

test("a schema that is deleted is counted no more, and values are free again", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  await store.call("schema-set", { scope: "s", schema: { points: { k: { type: "f64" } } } });
  const set = (number: number) =>
    store.call("set-many", { source: "a", run: "1", number, points: points("text") });
  await assert.rejects(set(1), (error) => hasCode(error, "SCHEMA_VIOLATED"));
  assert.equal((await store.call("stats")).schemas, 1);
  await store.call("schema-delete", { scope: "s" });
  assert.equal((await store.call("stats")).schemas, 0);
  await set(2);
});
