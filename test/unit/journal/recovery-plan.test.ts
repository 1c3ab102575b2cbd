// What is done before a database is opened, for every state a kill can leave on disk.
// It must not know files.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  diedAgain,
  type Facts,
  failuresMax,
  isGone,
  lossOf,
  nextStep,
  type Recovery,
  type Step,
} from "../../../src/journal/recovery-plan.ts";

const checkMs = 4000;
const calm: Facts = {
  hasData: true,
  isClean: true,
  failures: 0,
  isRewritten: false,
  snapshots: [],
};
const sound = { kind: "sound", isWhole: true } as const;
const damaged = { kind: "damaged", reason: "page 7" } as const;
const unknown = { kind: "unknown", reason: "killed" } as const;
const full = { kind: "refused", code: "STORE_FULL", detail: { folder: "f" } } as const;
const replacing: Recovery = {
  phase: "restore",
  name: "quarantine-20261121T000000Z-1",
  reason: "page 7",
  atMs: 1,
  known: {},
  isClosed: false,
  tried: [],
};
const [whole, holes, parts, none] = ["whole", "holes", "parts", "none"] as const;
const two = ["snapshot-000000002.mdb", "snapshot-000000001.mdb"];

const rows: Readonly<Record<string, { facts: Partial<Facts>; step: Step }>> = {
  "a new folder is opened": { facts: { hasData: false, isClean: false }, step: { do: "open" } },
  "a file that vanished is replaced by a snapshot": {
    facts: { hasData: false, snapshots: two },
    step: { do: "begin", reason: isGone },
  },
  "what its owner closed is looked at quickly": {
    facts: {},
    step: { do: "check", how: "quick", budgetMs: 1000 },
  },
  "what its owner closed is looked at fully when the opening before did not go well": {
    facts: { failures: 1 },
    step: { do: "check", how: "full", budgetMs: 8000 },
  },
  "what was left open is looked at fully": {
    facts: { isClean: false },
    step: { do: "check", how: "full", budgetMs: checkMs },
  },
  "the time for looking rises no higher than a minute": {
    facts: { failures: 30 },
    step: { do: "check", how: "full", budgetMs: 60_000 },
  },
  "a sound one is opened": { facts: { verdict: sound }, step: { do: "open" } },
  "one that was sound as far as time allowed is opened": {
    facts: { verdict: { kind: "sound", isWhole: false } },
    step: { do: "open" },
  },
  "a damaged one is replaced": {
    facts: { verdict: damaged },
    step: { do: "begin", reason: "page 7" },
  },
  "a full medium replaces nothing": {
    facts: { verdict: full },
    step: { do: "refuse", code: "STORE_FULL", detail: { folder: "f" } },
  },
  "a full medium replaces nothing, however often": {
    facts: { verdict: full, failures: 1000 },
    step: { do: "refuse", code: "STORE_FULL", detail: { folder: "f" } },
  },
  "one that could not be looked at is opened": {
    facts: { verdict: unknown },
    step: { do: "open" },
  },
  "one that could not be looked at at the third opening is opened": {
    facts: { verdict: unknown, failures: 2 },
    step: { do: "open" },
  },
  "one that can never be looked at is replaced": {
    facts: { verdict: unknown, failures: 3 },
    step: { do: "begin", reason: "killed" },
  },
  "a sound one that ends the store again and again is written anew": {
    facts: { verdict: sound, failures: failuresMax },
    step: { do: "begin", reason: diedAgain },
  },
  "a sound one is written anew once, not for ever": {
    facts: { verdict: sound, failures: failuresMax + 1, isRewritten: true },
    step: { do: "open" },
  },
  "a replacement that began sets the file aside first": {
    facts: { recovery: { ...replacing, phase: "quarantine" }, verdict: sound },
    step: { do: "quarantine" },
  },
  "then the damaged file is read": {
    facts: { hasData: false, recovery: replacing, snapshots: two },
    step: { do: "read-remains" },
  },
  "all that stood in it is better than a snapshot": {
    facts: { hasData: false, recovery: { ...replacing, remains: whole }, snapshots: two },
    step: { do: "take-remains", source: "whole" },
  },
  "all but a few records is better than a snapshot": {
    facts: { hasData: false, recovery: { ...replacing, remains: holes }, snapshots: two },
    step: { do: "take-remains", source: "remains" },
  },
  "the newest snapshot is better than parts": {
    facts: { hasData: false, recovery: { ...replacing, remains: parts }, snapshots: two },
    step: { do: "take-snapshot", name: two[0]! },
  },
  "an older snapshot comes after one that is damaged itself": {
    facts: {
      hasData: false,
      recovery: { ...replacing, remains: parts, tried: [two[0]!] },
      snapshots: two,
    },
    step: { do: "take-snapshot", name: two[1]! },
  },
  "parts are better than nothing": {
    facts: { hasData: false, recovery: { ...replacing, remains: parts, tried: two } },
    step: { do: "take-remains", source: "remains" },
  },
  "nothing is what is left": {
    facts: { hasData: false, recovery: { ...replacing, remains: none }, snapshots: [] },
    step: { do: "take-nothing" },
  },
  "parts that are damaged themselves leave nothing": {
    facts: { hasData: false, recovery: { ...replacing, remains: parts, tried: ["remains"] } },
    step: { do: "take-nothing" },
  },
  "a replacement that took its place before a kill is not made again": {
    facts: { recovery: { ...replacing, remains: whole, source: "whole" }, snapshots: two },
    step: { do: "finish" },
  },
  "one that was chosen and never took its place is chosen again": {
    facts: {
      hasData: false,
      recovery: { ...replacing, remains: whole, source: "whole" },
      snapshots: two,
    },
    step: { do: "take-remains", source: "whole" },
  },
  "a replacement is looked at like any other before it is opened": {
    facts: { isClean: false, recovery: { ...replacing, phase: "tell", source: "whole" } },
    step: { do: "check", how: "full", budgetMs: checkMs },
  },
  "an empty one is made although there are snapshots, which were tried": {
    facts: {
      hasData: false,
      recovery: { ...replacing, phase: "tell", source: "nothing" },
      snapshots: two,
    },
    step: { do: "open" },
  },
  "a replacement that is damaged, too, is replaced": {
    facts: { recovery: { ...replacing, phase: "tell", source: "whole" }, verdict: damaged },
    step: { do: "begin", reason: "page 7" },
  },
};

for (const [words, { facts, step }] of Object.entries(rows)) {
  test(words, () => assert.deepEqual(nextStep({ ...calm, ...facts }, checkMs), step));
}

test("what is lost stands after what was restored, and its end is known or not", () => {
  const known = { state: 10, event: 5, log: 7 };
  const restored = { state: 4, event: 5, log: 7 };
  const snapshot = { ...replacing, source: "snapshot", known, restored } as const;
  assert.deepEqual(lossOf(snapshot), [
    { stream: "state", from: 5, to: 10 },
    { stream: "event", from: 6, to: null },
    { stream: "log", from: 8, to: null },
    { stream: "metric", from: 1, to: null },
  ]);
  assert.deepEqual(lossOf({ ...snapshot, isClosed: true }), [{ stream: "state", from: 5, to: 10 }]);
  assert.deepEqual(lossOf({ ...snapshot, source: "whole" }), []);
  const gone = { stream: "log", from: 2, to: 3 } as const;
  assert.deepEqual(lossOf({ ...replacing, source: "remains", known, holes: [gone] }), [gone]);
});
