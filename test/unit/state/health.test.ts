// How the store is judged: each thing that is looked at passes, warns or fails, with words and, where
// it does not pass, a code of the catalogue. It must not open a store.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { StateCore } from "../../../src/state/core.ts";
import { healthOf } from "../../../src/state/health.ts";
import { catalogue } from "../../../src/util/catalogue.ts";

interface Given {
  readonly stats?: object;
  readonly failed?: object;
  readonly damaged?: object;
  readonly use?: object;
  readonly consumers?: readonly object[];
  readonly snapshots?: { readonly list: readonly object[]; readonly stats?: object } | null;
  readonly checkpointAgeMs?: number;
  readonly checkpointFailure?: string;
  readonly upMs?: number;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const wallMs = 1_700_000_000_000;
const nowMs = 100 * dayMs;

function coreOf(given: Given): StateCore {
  const { snapshots = { list: [{ time: wallMs - hourMs }] } } = given;
  const none = { count: 0, lastHour: 0 };
  const journal = {
    stats: () => ({ liveBytes: 10, roomBytes: 100, flushP50Ms: 1, flushP99Ms: 9, ...given.stats }),
    troubles: () => ({
      failedCommits: { ...none, isLast: false, ...given.failed },
      damagedReads: { ...none, ...given.damaged },
    }),
    use: (stream: string) => ({
      ...{ first: 1, head: 100, bytes: 10, quotaBytes: 100 },
      ...(stream === "state" ? given.use : {}),
    }),
    consumers: () => given.consumers ?? [],
    head: () => 100,
  };
  return {
    deps: { journal, clock: { monotonicMs: () => nowMs, wallMs: () => wallMs } },
    config: { checkpointMs: 60_000, snapshotEveryMs: dayMs },
    checkpointAtMs: nowMs - (given.checkpointAgeMs ?? 0),
    checkpointFailure: given.checkpointFailure,
    startedAtMs: nowMs - (given.upMs ?? dayMs),
    snapshots:
      snapshots === null
        ? undefined
        : {
            list: () => snapshots.list,
            stats: () => ({ failed: 0, skipped: null, ...snapshots.stats }),
          },
  } as unknown as StateCore;
}

const far = { consumer: "sync", isFar: true, streams: { state: 20 } };
const full = { use: { bytes: 80 } };
const old = { list: [{ time: wallMs - 4 * dayMs }] };

type Row = readonly [name: string, given: Given, expected: string, words: RegExp];
const rows: Readonly<Record<string, Row>> = {
  "room that is there": ["room", {}, "pass", /^10 % used, 0 MiB left$/],
  "room that runs short": ["room", { stats: { liveBytes: 85 } }, "STORE_SHORT warn", /^85 %/],
  "room that is used up": ["room", { stats: { liveBytes: 95 } }, "STORE_SHORT fail", /^95 %/],
  "no failed commit": ["commits", {}, "pass", /^none failed$/],
  "commits that fail": [
    "commits",
    { failed: { count: 7, lastHour: 5, lastAgeMs: 3000, isLast: true } },
    "STORE_COMMITS_FAIL fail",
    /^5 failed in the last hour, the last one 3 s ago, none since went well$/,
  ],
  "commits that failed and went well since": [
    "commits",
    { failed: { count: 7, lastHour: 5, lastAgeMs: 600_000, isLast: false } },
    "STORE_COMMITS_FAIL warn",
    /the last one 10 min ago$/,
  ],
  "a commit that failed long ago": [
    "commits",
    { failed: { count: 1, lastHour: 0, lastAgeMs: dayMs, isLast: true } },
    "pass",
    /^none failed in the last hour, 1 before$/,
  ],
  "a quiet time": [
    "flush",
    { stats: { flushP50Ms: undefined, flushP99Ms: undefined } },
    "pass",
    /^no commit/,
  ],
  "a slow medium": ["flush", { stats: { flushP99Ms: 800 } }, "STORE_SLOW warn", /800\.0 ms/],
  "no damage": ["damage", {}, "pass", /^none/],
  "damage found": [
    "damage",
    { damaged: { count: 2, lastHour: 1, lastAgeMs: 60_000 } },
    "STORE_DAMAGED fail",
    /^2 reads found damage, 1 of them in the last hour/,
  ],
  "damage found today": [
    "damage",
    { damaged: { count: 2, lastHour: 0, lastAgeMs: 5 * hourMs } },
    "STORE_DAMAGED warn",
    /5 h ago$/,
  ],
  "damage found days ago": [
    "damage",
    { damaged: { count: 2, lastHour: 0, lastAgeMs: 3 * dayMs } },
    "pass",
    /3 d ago$/,
  ],
  "a young checkpoint": ["checkpoint", { checkpointAgeMs: 90_000 }, "pass", /^90 s old$/],
  "an old checkpoint": [
    "checkpoint",
    { checkpointAgeMs: hourMs, checkpointFailure: "STORE_FULL" },
    "CHECKPOINT_OLD warn",
    /^60 min old, the last try failed by STORE_FULL$/,
  ],
  "a young snapshot": ["snapshots", {}, "pass", /^the newest is 60 min old$/],
  "snapshots are off": ["snapshots", { snapshots: null }, "pass", /^none are made$/],
  "no snapshot yet": ["snapshots", { snapshots: { list: [] }, upMs: 60_000 }, "pass", /is none$/],
  "no snapshot for long": [
    "snapshots",
    { snapshots: { list: [], stats: { failed: 2 } } },
    "SNAPSHOT_OLD warn",
    /^there is none, 2 failed$/,
  ],
  "an old snapshot": ["snapshots", { snapshots: old }, "SNAPSHOT_OLD warn", /4 d old$/],
  "an old snapshot that holds all": [
    "snapshots",
    { snapshots: { ...old, stats: { skipped: "unchanged" } } },
    "pass",
    /4 d old$/,
  ],
  "an old snapshot just after a start": [
    "snapshots",
    { snapshots: old, upMs: 60_000 },
    "pass",
    /4 d/,
  ],
  "no room for a snapshot": [
    "snapshots",
    { snapshots: { list: [{ time: wallMs }], stats: { skipped: "no-room" } } },
    "SNAPSHOT_OLD warn",
    /the medium has no room for one$/,
  ],
  "no consumer": ["consumers", full, "pass", /^0 registered/],
  "a consumer far behind while there is room": ["consumers", { consumers: [far] }, "pass", /^1 /],
  "a consumer that holds what fills": [
    "consumers",
    { ...full, consumers: [far] },
    "CONSUMER_HOLDS warn",
    /^sync holds 80 records of state, which fills 80 % of its share$/,
  ],
  "a consumer that keeps up": [
    "consumers",
    { ...full, consumers: [{ ...far, streams: { state: 99 } }] },
    "pass",
    /none holds room$/,
  ],
};

for (const [title, [name, given, expected, words]] of Object.entries(rows)) {
  test(`health: ${title}`, () => {
    const { status, checks } = healthOf(coreOf(given));
    const found = checks.find((check) => check.name === name);
    assert.equal([found?.code ?? [], found?.status].flat().join(" "), expected);
    assert.match(found?.output ?? "", words);
    assert.equal(status, expected.split(" ").at(-1), "the worst is the whole's");
    if (found?.code !== undefined) assert.ok(Object.hasOwn(catalogue, found.code), found.code);
  });
}
