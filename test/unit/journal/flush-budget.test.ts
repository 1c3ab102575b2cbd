// The budget of flushes: groups wait longer when there would be too many, urgent ones never. It
// must not know what is flushed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { FlushBudget } from "../../../src/journal/flush-budget.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { openTestJournal, temporaryFolder } from "../../fakes/store.ts";

const hourMs = 3_600_000;

test("without a bound a group waits as long as ever", () => {
  const budget = new FlushBudget(0, 50);
  for (let at = 0; at < 1000; at += 1) budget.spend(at);
  assert.equal(budget.dueMs(1000, 1020), 1050);
});

/** Flushes of one hour when groups follow each other, with an urgent flush every `urgentMs`. */
function flushesOfAnHour(budget: FlushBudget, urgentMs: number): { groups: number; most: number } {
  let groups = 0;
  let most = 0;
  let urgent = urgentMs;
  for (let now = 0; now < hourMs; ) {
    const wait = budget.dueMs(now, now) - now;
    most = Math.max(most, wait);
    now += wait;
    for (; urgent <= now; urgent += urgentMs) budget.spend(urgent);
    budget.spend(now);
    groups += 1;
  }
  return { groups, most };
}

const rows: Record<string, { perHour: number; urgentMs: number; groups: [number, number] }> = {
  "a wide budget changes nothing": { perHour: 100_000, urgentMs: hourMs, groups: [3600, 3600] },
  "a narrow one makes groups wait": { perHour: 1200, urgentMs: hourMs, groups: [1190, 1230] },
  "never longer than ten times": { perHour: 10, urgentMs: hourMs, groups: [360, 362] },
  "urgent ones take from it": { perHour: 1200, urgentMs: 6000, groups: [590, 640] },
  "urgent ones never take it all": { perHour: 1200, urgentMs: 100, groups: [360, 365] },
};

test("groups share what the budget leaves", () => {
  for (const [name, { perHour, urgentMs, groups }] of Object.entries(rows)) {
    const found = flushesOfAnHour(new FlushBudget(perHour, 1000), urgentMs);
    const [least, most] = groups;
    assert.ok(found.groups >= least && found.groups <= most, `${name}: ${found.groups}`);
    assert.ok(found.most <= 10_000, `${name}: ${found.most} ms`);
  }
});

test("in a journal over its budget a group waits longer, and what is urgent does not", async () => {
  using folder = temporaryFolder();
  const clock = fakeClock();
  const options = { flushMaxMs: 100, flushesPerHourMax: 60 };
  await using journal = await openTestJournal(folder.path, options, { clock });
  const done: string[] = [];
  const append = (name: string, flush: "now" | "group") =>
    journal
      .append({ stream: "log", flush, recordsMax: 1, build: () => [{ kind: "line", text: name }] })
      .then(() => done.push(name));
  // The first flush takes all that was saved up.
  await append("first", "now");
  const late = append("late", "group");
  await clock.advance(900);
  assert.deepEqual(done, ["first"]);
  await clock.advance(100);
  await late;
  assert.deepEqual(done, ["first", "late"]);
  await append("urgent", "now");
  const waiting = append("waiting", "group");
  await append("urgent, too", "now");
  await waiting;
  assert.deepEqual(done, ["first", "late", "urgent", "waiting", "urgent, too"]);
});
