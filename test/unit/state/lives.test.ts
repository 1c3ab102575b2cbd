// When points go, and what a table makes of records that come twice, late, or from a commit that
// failed. It must not know the disk or the clock.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Expiry } from "../../../src/state/expiry.ts";
import { type PointChange, PointTable } from "../../../src/state/points.ts";
import { seededRandom } from "../../../src/util/random.ts";

const time = { wall: 1, boot: "b".repeat(32), mono: 1, sync: "ntp" } as const;
const change = (key: string, value: unknown, more: Partial<PointChange> = {}): PointChange => ({
  ...{ scope: "s", key, value, quality: "good", time },
  ...more,
});

/** Appends changes as a commit would that succeeds. @returns the next sequence. */
function settle(table: PointTable, changes: readonly PointChange[], first: number, runMs = 0) {
  const records = table.recordsOfChanges(changes, "a", first);
  table.settle(true, records, first, runMs);
  return first + records.length;
}

test("what is due comes soonest first, at its moment and not before", () => {
  const expiry = new Expiry();
  expiry.set(1, 300);
  expiry.set(2, 100);
  assert.equal(expiry.nextDue, 100);
  assert.deepEqual(expiry.takeDue(99, 9), []);
  assert.deepEqual(expiry.takeDue(100, 9), [2]);
  assert.equal(expiry.nextDue, 300);
});

test("a life that is cut short ends early, one that is made longer ends late", () => {
  const expiry = new Expiry();
  expiry.set(1, 300);
  expiry.set(1, 100);
  assert.deepEqual(expiry.takeDue(100, 9), [1]);
  expiry.set(2, 200);
  expiry.set(2, 400);
  assert.deepEqual(expiry.takeDue(399, 9), []);
  assert.deepEqual(expiry.takeDue(400, 9), [2]);
});

test("what was due and could not go is due again, unless it is gone", () => {
  const expiry = new Expiry();
  for (const index of [1, 2, 3]) expiry.set(index, 100);
  const taken = expiry.takeDue(100, 2);
  assert.equal(taken.length, 2);
  const [gone, stays] = taken;
  expiry.clear(gone!);
  expiry.putBack(taken);
  assert.deepEqual(
    expiry.takeDue(100, 9).sort(),
    [1, 2, 3].filter((index) => index !== gone),
  );
  assert.ok(taken.includes(stays!));
});

const seed = Number(process.env.PLANTD_SEED ?? process.hrtime()[1]);
test(`random lives end as a list of all says (seed ${seed})`, () => {
  const random = seededRandom(seed);
  const pick = (count: number) => Math.floor(random.unit() * count);
  const expiry = new Expiry();
  const model = new Map<number, number>();
  for (let now = 0; now < 4000; now += 1) {
    const index = pick(50);
    if (pick(5) === 0) {
      expiry.clear(index);
      model.delete(index);
    } else {
      const due = now + pick(300);
      expiry.set(index, due);
      model.set(index, due);
    }
    if (pick(10) > 0) continue;
    const due = [...model].filter(([, at]) => at <= now).map(([one]) => one);
    const found = expiry.takeDue(now, 1000);
    assert.deepEqual(found.toSorted(), due.toSorted());
    if (pick(2) === 0) expiry.putBack(found);
    else {
      for (const one of found) {
        expiry.clear(one);
        model.delete(one);
      }
    }
    assert.equal(expiry.count, model.size);
  }
});

test("a record that is older than the value changes nothing", () => {
  const table = new PointTable(10);
  table.apply({ kind: "define", index: 1, scope: "s", key: "a" }, 1);
  const point = { kind: "point", index: 1, quality: "good", time, source: "a" };
  table.apply({ ...point, value: "new" }, 5);
  table.apply({ ...point, value: "old" }, 3);
  assert.deepEqual([table.get("s", "a")?.value, table.get("s", "a")?.revision], ["new", 5]);
});

test("a point that is deleted has no life left", () => {
  const table = new PointTable(10);
  const first = settle(table, [change("a", 1, { ttlMs: 100 })], 1);
  assert.equal(table.expiring, 1);
  const records = table.recordsOfDeletes([{ scope: "s", key: "a" }], time, { first });
  table.settle(true, records, first, 0);
  assert.equal(table.expiring, 0);
  assert.deepEqual(table.takeDue(1000, 9), []);
});

test("a point that is defined anew without a life stays", () => {
  const table = new PointTable(10);
  const first = settle(table, [change("a", 1, { ttlMs: 100 })], 1);
  settle(table, [change("a", 2)], first);
  assert.equal(table.expiring, 0);
  assert.deepEqual(table.takeDue(1000, 9), []);
  assert.equal(table.get("s", "a")?.value, 2);
});

test("nothing of a commit that failed is expected, and its numbers come again", () => {
  const table = new PointTable(10);
  const first = settle(table, [change("a", 1)], 1);
  assert.deepEqual(table.expected("s", "a"), { value: 1, revision: 2 });
  const lost = table.recordsOfChanges([change("a", 2), change("b", 3)], "a", first);
  assert.deepEqual(table.expected("s", "a")?.value, 2);
  assert.deepEqual(table.expected("s", "b")?.value, 3);
  table.settle(false, lost, first);
  assert.deepEqual(table.expected("s", "a"), { value: 1, revision: 2 });
  assert.equal(table.expected("s", "b"), undefined);
  const again = table.recordsOfChanges([change("b", 4)], "a", first);
  assert.deepEqual(again[0], { kind: "define", index: 2, scope: "s", key: "b" });
});

test("of several changes in one commit each is expected by its own number", () => {
  const table = new PointTable(10);
  const first = settle(table, [change("a", 1), change("b", 1)], 1);
  table.recordsOfChanges([change("a", 2), change("b", 2)], "a", first);
  assert.deepEqual(table.expected("s", "a"), { value: 2, revision: first });
  assert.deepEqual(table.expected("s", "b"), { value: 2, revision: first + 1 });
});

test("there is room for as many points as are allowed, and for no more in one commit", () => {
  const table = new PointTable(2);
  const limited = { code: "LIMIT_REACHED" };
  const three = ["a", "b", "c"].map((key) => change(key, 1));
  assert.throws(() => table.recordsOfChanges(three, "a", 1), limited);
  const first = settle(table, three.slice(0, 2), 1);
  settle(table, three.slice(0, 2), first);
  assert.throws(() => table.recordsOfChanges(three.slice(2), "a", 9), limited);
});

test("a page is written again whenever a point of it changed, moved away or went", () => {
  const table = new PointTable(100);
  const many = Array.from({ length: 63 }, (_, at) => change(`k${at}`, at));
  let first = settle(table, many, 1);
  assert.deepEqual([...table.takeDirty()], [0]);
  first = settle(table, [change("k5", 0)], first);
  assert.deepEqual([...table.takeDirty()], [0]);
  assert.deepEqual([...table.takeDirty()], []);
  // A new definition has the next index, which is of another page.
  first = settle(table, [change("k5", 0, { unit: "V" })], first);
  assert.deepEqual([...table.takeDirty()].sort(), [0, 1]);
  const records = table.recordsOfDeletes([{ scope: "s", key: "k5" }], time, { first });
  table.settle(true, records, first, 0);
  assert.deepEqual([...table.takeDirty()], [1]);
  table.returnDirty([1]);
  assert.deepEqual([...table.takeDirty()], [1]);
});

test("a value of a definition that another of the same name followed is of no use any more", () => {
  const table = new PointTable(10);
  for (const index of [1, 2]) table.apply({ kind: "define", index, scope: "s", key: "a" }, index);
  const point = { kind: "point", quality: "good", time, source: "a" };
  table.apply({ ...point, index: 2, value: "new" }, 3);
  table.apply({ ...point, index: 1, value: "old" }, 4);
  assert.equal(table.get("s", "a")?.value, "new");
  assert.deepEqual([table.revisionAt(1), table.revisionAt(2)], [undefined, 3]);
});
