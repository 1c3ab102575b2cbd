// When what waits is written: at the end of the turn, or a little later where a crowd waits.
// It must not know sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Reader, Turns, type Writer } from "../../../src/wire/zmtp-turns.ts";
import { fakeClock } from "../../fakes/clock.ts";

/** Turns that pass when the test says so, and peers that note what becomes of them. */
function stage() {
  const clock = fakeClock();
  const due: (() => void)[] = [];
  const written: string[] = [];
  const defects: unknown[] = [];
  const turns = new Turns({
    clock,
    onDefect: (error) => defects.push(error),
    soon: (act) => due.push(act),
  });
  const peer = (name: string, fresh = 100): Writer & { fresh: number } => ({
    fresh,
    flush: () => written.push(name),
  });
  return {
    clock,
    turns,
    written,
    defects,
    peer,
    crowd: (size: number) => {
      for (let at = 0; at < size; at += 1) turns.addDirty(peer(`peer ${at}`));
    },
    /** Ends the turn under way; false when there is none. */
    endTurn: () => {
      const act = due.shift();
      act?.();
      return act !== undefined;
    },
  };
}

test("what one connection may read in a turn gets less the more of its group read", () => {
  const { turns, endTurn } = stage();
  const group = turns.newGroup();
  turns.newGroup();
  const budgetAfter = (readers: number, cost: number) => {
    turns.schedule();
    for (let at = 0; at < readers; at += 1) group.spend(cost, true);
    const during = group.budget;
    endTurn();
    return [during, group.budget];
  };
  assert.deepEqual(budgetAfter(16, 100), [512, 512]);
  assert.deepEqual(budgetAfter(64, 100), [512, 128]);
  assert.deepEqual(budgetAfter(100, 100), [64, 81], "the group has spent what it may");
  assert.deepEqual(budgetAfter(10_000, 8), [64, 8], "one message at least");
  assert.deepEqual(budgetAfter(2, 8), [8, 512]);
});

test("a group that floods takes nothing from what another may read", () => {
  const { turns, endTurn } = stage();
  const [flooding, other] = [turns.newGroup(), turns.newGroup()];
  for (let turn = 0; turn < 3; turn += 1) {
    for (let at = 0; at < 1000; at += 1) flooding.spend(9, true);
    other.spend(9, true);
    turns.schedule();
    endTurn();
  }
  assert.deepEqual([flooding.budget, other.budget], [8, 512]);
});

test("few peers are written to at the end of the turn", () => {
  const { crowd, endTurn, written } = stage();
  crowd(15);
  endTurn();
  assert.equal(written.length, 15);
  assert.equal(endTurn(), false, "no turn follows");
});

test("a crowd waits while turns bring something", () => {
  const { crowd, turns, endTurn, written } = stage();
  crowd(16);
  for (let turn = 0; turn < 5; turn += 1) {
    turns.schedule();
    endTurn();
  }
  assert.deepEqual(written, []);
});

test("a crowd is written to after two turns that brought nothing", () => {
  const { crowd, endTurn, written } = stage();
  crowd(16);
  endTurn();
  endTurn();
  assert.deepEqual(written, []);
  endTurn();
  assert.equal(written.length, 16);
  assert.equal(endTurn(), false, "no turn follows");
});

test("a crowd waits no longer than two milliseconds", async () => {
  const { clock, crowd, turns, endTurn, written } = stage();
  crowd(16);
  endTurn();
  await clock.advance(2);
  turns.schedule();
  endTurn();
  assert.equal(written.length, 16);
});

test("the time of the next crowd begins anew", async () => {
  const { clock, crowd, turns, endTurn, written } = stage();
  crowd(16);
  endTurn();
  await clock.advance(2);
  endTurn();
  assert.equal(written.length, 16);
  crowd(16);
  endTurn();
  await clock.advance(1);
  turns.schedule();
  endTurn();
  assert.equal(written.length, 16);
});

test("who has enough is written to at once, crowd or not", () => {
  const { crowd, turns, peer, endTurn, written } = stage();
  crowd(16);
  turns.addDirty(peer("little", 1023));
  turns.addDirty(peer("enough", 1024));
  endTurn();
  assert.deepEqual(written, ["enough"]);
});

test("who waited is written to once it has enough", () => {
  const { crowd, turns, peer, endTurn, written } = stage();
  const one = peer("one");
  turns.addDirty(one);
  crowd(20);
  endTurn();
  one.fresh = 2000;
  endTurn();
  assert.deepEqual(written, ["one"]);
});

test("peers with a backlog are served in every turn, and that is something", () => {
  const { crowd, turns, endTurn, written } = stage();
  let left = 5;
  const busy: Reader = {
    serve: () => {
      left -= 1;
      if (left > 0) turns.addBacklog(busy);
    },
  };
  crowd(16);
  turns.addBacklog(busy);
  while (left > 0) {
    assert.deepEqual(written, []);
    endTurn();
  }
  while (endTurn());
  assert.equal(written.length, 16);
});

test("what a peer throws is told, and no later turn is lost", () => {
  const { turns, peer, endTurn, defects, written } = stage();
  const thrown = new Error("a defect");
  turns.addDirty({
    fresh: 1,
    flush: () => {
      throw thrown;
    },
  });
  endTurn();
  assert.deepEqual(defects, [thrown]);
  turns.addDirty(peer("next"));
  endTurn();
  assert.deepEqual(written, ["next"]);
});
