// Watches: nothing missed and nothing told twice, deletions too, while others set and delete.
// It must not know the bus.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { PointTable } from "../../../src/state/points.ts";
import { Watchers } from "../../../src/state/watch.ts";
import { hasCode } from "../../../src/util/errors.ts";
import { seededRandom } from "../../../src/util/random.ts";
import { endlessRoom, type WorkerRequest } from "../../../src/worker/worker.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { openTestStore, type TestStore, temporaryFolder } from "../../fakes/store.ts";

const seed = process.hrtime()[1];

interface Told {
  readonly points: { scope: string; key: string; value: number; revision: number }[];
  readonly deleted: { scope: string; key: string; revision: number }[];
}

/** A client's copy of the points, which refuses to be told anything twice. */
class Copy {
  readonly values = new Map<string, number>();
  readonly revisions = new Map<string, number>();

  take({ points, deleted }: Told): void {
    for (const { key, revision } of deleted) {
      this.#next(key, revision);
      this.values.delete(key);
    }
    for (const { key, value, revision } of points) {
      this.#next(key, revision);
      this.values.set(key, value);
    }
  }

  #next(key: string, revision: number): void {
    const before = this.revisions.get(key) ?? 0;
    assert.ok(revision > before, `seed ${seed}: ${key} at ${revision} after ${before}`);
    this.revisions.set(key, revision);
  }
}

async function valuesOf(store: TestStore): Promise<Map<string, number>> {
  const { points } = await store.call("list", {});
  return new Map(
    points.map(({ key, value }: { key: string; value: number }): [string, number] => [key, value]),
  );
}

test("a list and the watches after it tell every change once, also to a slow client", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const random = seededRandom(seed);
  const draw = (top: number) => Buffer.from(random.bytes(4)).readUInt32LE(0) % top;
  let number = 0;
  const act = async () => {
    number += 1;
    const keys = Array.from({ length: 1 + draw(5) }, () => `k${draw(20)}`);
    const value = number;
    const points = keys.map((key) => ({ scope: "s", key, value }));
    if (draw(3) === 0) await store.call("delete-many", { points });
    else {
      const unit = draw(8) === 0 ? { unit: `u${draw(3)}` } : {};
      const changed = points.map((point) => ({ ...point, ...unit }));
      const args = { source: "w", run: "1", number, flush: "now", points: changed };
      await store.call("set-many", args);
    }
  };
  await act();
  const copy = new Copy();
  const first = await store.call("list", {});
  let after = first.position;
  copy.take({ points: first.points, deleted: [] });
  for (let round = 0; round < 12; round += 1) {
    let acts = 0;
    const partial = async (part: unknown) => {
      copy.take(part as Told);
      for (let more = draw(3); more > 0; more -= 1) await act();
    };
    const watch = store.call("watch", { after, scopes: ["s"] }, { partial });
    for (acts = 0; acts < 5; acts += 1) await act();
    await store.clock.advance(30_000);
    const { position, epoch } = await watch;
    assert.equal(epoch, store.journal.epoch);
    assert.ok(position >= after);
    after = position;
    if (draw(2) === 0) await act();
  }
  const watch = store.call(
    "watch",
    { after },
    { partial: async (part) => copy.take(part as Told) },
  );
  await store.clock.advance(30_000);
  await watch;
  assert.deepEqual(
    [...copy.values].sort(([a], [b]) => (a < b ? -1 : 1)),
    [...(await valuesOf(store))],
    `seed ${seed}`,
  );
});

test("a watch is of the scopes and prefixes it names", async () => {
  using folder = temporaryFolder();
  await using store = await openTestStore(folder.path);
  const places = ["device/a", "device/b", "other"].flatMap((scope) =>
    ["u1", "i1"].map((key) => ({ scope, key, value: 1 })),
  );
  const set = { source: "w", run: "1", number: 1, flush: "now", points: places };
  await store.call("set-many", set);
  const heard = async (args: object) => {
    const found: string[] = [];
    const partial = async (part: unknown) => {
      const { points, deleted } = part as Told;
      found.push(...[...points, ...deleted].map(({ scope, key }) => `${scope}/${key}`));
    };
    const watch = store.call("watch", { after: 0, ...args }, { partial });
    await store.clock.advance(30_000);
    await watch;
    return found.sort();
  };
  // Everything changed since the start: 0 is a position of this opening.
  assert.equal((await heard({})).length, 6);
  assert.deepEqual(await heard({ prefix: "device/b" }), ["device/b/i1", "device/b/u1"]);
  const scopes = ["device/a", "other"];
  assert.deepEqual(await heard({ scopes, prefix: "u" }), ["device/a/u1", "other/u1"]);
  await store.call("delete-many", { points: places.slice(0, 1) });
  assert.deepEqual(await heard({ scopes, prefix: "u" }), ["device/a/u1", "other/u1"]);
});

test("a position of before a restart holds, or says that the points are to be listed anew", async () => {
  using folder = temporaryFolder();
  let first = { position: 0, epoch: "" };
  {
    await using store = await openTestStore(folder.path);
    const points = [{ scope: "s", key: "k", value: 1 }];
    await store.call("set-many", { source: "w", run: "1", number: 1, flush: "now", points });
    const watch = store.call("watch", {});
    await store.clock.advance(30_000);
    first = await watch;
  }
  await using store = await openTestStore(folder.path);
  const { position: after, epoch } = first;
  const watch = store.call("watch", { after, epoch });
  await store.clock.advance(30_000);
  assert.deepEqual(await watch, { position: after, epoch: store.journal.epoch });
  const gone = (error: unknown) => hasCode(error, "WATCH_GONE");
  await assert.rejects(store.call("watch", { after: after - 1 }), gone);
  await store.call("delete-many", { points: [{ scope: "s", key: "k" }] });
  await assert.rejects(store.call("watch", { after: after + 1, epoch }), gone);
  await assert.rejects(store.call("watch", { after: after + 9 }), (error) =>
    hasCode(error, "SEQUENCE_AHEAD"),
  );
});

/** Names of scopes that count how often they were asked for one. */
class Counted extends Set<string> {
  asked = 0;

  override has(name: string): boolean {
    this.asked += 1;
    return super.has(name);
  }
}

/** A table of so many points, half of them in scope "a", half in "b". */
function tableOf(): PointTable {
  const slots = {
    findIndex: (index: number) => index,
    scopeOf: (slot: number) => (slot % 2 === 0 ? "a" : "b"),
    keyOf: (slot: number) => `${slot}`,
    revision: { 0: 0 },
  };
  const jsonOf = (slot: number) => `"${slot}"`;
  return { slots, jsonOf } as unknown as PointTable;
}

test("watches of other scopes are not asked about a change, and those of its scope hear of it", async () => {
  const watchers = new Watchers();
  watchers.begin(tableOf(), 0);
  const clock = fakeClock();
  const deps = { clock, head: () => 1, runMs: () => 0 };
  const over = new AbortController();
  const leaving = new AbortController();
  const heard: string[] = [];
  const others = Array.from({ length: 100 }, (_, at) => new Counted([`other${at}`]));
  const named = new Counted(["a", "other"]);
  const all = [...others, named, undefined];
  const following = all.map((scopes, at) => {
    const request = {
      signal: scopes === named ? leaving.signal : over.signal,
      room: endlessRoom,
      partial: async (part: unknown) => {
        heard.push(`${at} ${JSON.stringify(part)}`);
      },
    } as unknown as WorkerRequest;
    const wanted = { scopes, prefix: "" };
    return watchers.follow(deps, { wanted, after: undefined, waitMs: 1000 }, request);
  });
  await clock.advance(0);
  for (const index of [0, 1, 2]) watchers.changed(index);
  watchers.deleted({ scope: "b", key: "9" }, 7);
  await clock.advance(10);
  assert.equal(Math.max(...others.map(({ asked }) => asked)), 0);
  const gone = '{"points":[],"deleted":[{"scope":"b","key":"9","revision":7}]}';
  assert.deepEqual(heard.sort(), [
    '100 {"points":["0","2"],"deleted":[]}',
    '101 {"points":["0","1","2"],"deleted":[]}',
    `101 ${gone}`,
  ]);
  leaving.abort();
  await clock.advance(10);
  const { asked } = named;
  watchers.changed(0);
  assert.equal(named.asked, asked, "who has left is not asked");
  over.abort();
  await clock.advance(10);
  await Promise.all(following);
  assert.equal(watchers.count, 0);
});
