// When snapshots are made, which are kept, and what is kept aside. It must not know LMDB.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { CheckReport } from "../../../src/journal/check.ts";
import {
  listQuarantines,
  nextQuarantine,
  pruneQuarantines,
} from "../../../src/journal/quarantine.ts";
import { Snapshots } from "../../../src/journal/snapshots.ts";
import { waitFor } from "../../../src/state/snapshot-schedule.ts";
import { hasCode, PlantError } from "../../../src/util/errors.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { temporaryFolder } from "../../fakes/store.ts";

const heads = { state: 1, event: 2, log: 3, metric: 4 };
const report: CheckReport = {
  format: 2,
  epoch: "e".repeat(32),
  epochs: 1,
  heads,
  firsts: heads,
  points: 5,
  blocks: 6,
  wallMs: 7,
};

function stage(folder: string, { liveBytes = 10 } = {}) {
  const stage = { mark: "1", damage: undefined as PlantError | undefined };
  const source = {
    async backup(path: string) {
      writeFileSync(path, "copy");
      return 4;
    },
    mark: () => stage.mark,
    liveBytes: () => liveBytes,
  };
  const verify = async () => {
    if (stage.damage !== undefined) throw stage.damage;
    return report;
  };
  const options = { folder, roomBytes: 1, snapshotsMax: 2 };
  return { stage, snapshots: new Snapshots({ clock: fakeClock(), source, verify }, options) };
}

test("a snapshot is made when something is new, and the newest few are kept", async () => {
  using folder = temporaryFolder();
  const { stage: world, snapshots } = stage(folder.path);
  const first = await snapshots.make();
  assert.ok(typeof first === "object" && first.heads?.state === 1);
  assert.equal(await snapshots.make(), "unchanged");
  for (const mark of ["2", "3"]) {
    world.mark = mark;
    await snapshots.make();
  }
  assert.deepEqual(
    snapshots.list().map(({ name }) => name),
    ["snapshot-000000003.mdb", "snapshot-000000002.mdb"],
  );
  assert.equal(readdirSync(join(folder.path, "snapshots")).length, 4);
  assert.deepEqual(snapshots.stats(), { bytesWritten: 12, failed: 0, skipped: null });
});

test("a medium without room for a snapshot gets none", async () => {
  using folder = temporaryFolder();
  const { snapshots } = stage(folder.path, { liveBytes: Number.MAX_SAFE_INTEGER });
  assert.equal(await snapshots.make(), "no-room");
  assert.equal(snapshots.stats().skipped, "no-room");
});

test("a copy that is damaged gets no name, and the old snapshots stay", async () => {
  using folder = temporaryFolder();
  const { stage: world, snapshots } = stage(folder.path);
  await snapshots.make();
  world.mark = "2";
  world.damage = new PlantError("STORE_DAMAGED", { reason: "page 3" });
  await assert.rejects(snapshots.make(), (error) => hasCode(error, "STORE_DAMAGED"));
  assert.equal(snapshots.list().length, 1);
  assert.equal(existsSync(join(folder.path, "snapshots", "making")), false);
  assert.equal(snapshots.stats().failed, 1);
});

const waits: Readonly<Record<string, [number | undefined, number]>> = {
  "none is there": [undefined, 120_000],
  "the newest is old": [0, 120_000],
  "the newest is from the future": [10_000_000_001, 120_000],
  "the newest is young": [9_999_000_000, 2_600_000],
  "the newest was just made": [10_000_000_000, 3_600_000],
};

for (const [words, [newestMs, expected]] of Object.entries(waits)) {
  test(`the first snapshot after a start is made in time when ${words}`, () => {
    const nowMs = 10_000_000_000;
    assert.equal(waitFor(newestMs, { nowMs, everyMs: 3_600_000 }), expected);
  });
}

test("of what was set aside the newest few stay, and the very newest whatever its size", () => {
  using folder = temporaryFolder();
  for (let count = 0; count < 4; count += 1) {
    const name = nextQuarantine(folder.path, 1_000_000_000_000 - count * 1_000_000_000);
    mkdirSync(join(folder.path, name));
    writeFileSync(join(folder.path, name, "data.mdb"), Buffer.alloc(8192));
  }
  const numbers = () => listQuarantines(folder.path).map(({ name }) => name.split("-").at(-1));
  assert.deepEqual(numbers(), ["1", "2", "3", "4"]);
  pruneQuarantines(folder.path, { countMax: 3, bytesMax: 1e9 });
  assert.deepEqual(numbers(), ["2", "3", "4"]);
  pruneQuarantines(folder.path, { countMax: 3, bytesMax: 1 });
  assert.deepEqual(numbers(), ["4"]);
});
