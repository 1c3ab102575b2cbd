// Files that take the place of others: on the medium before they have their names, and the names
// after that. It must not know what the files hold.
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { CheckReport } from "../../../src/journal/check.ts";
import type { Inspected, Inspection } from "../../../src/journal/inspection.ts";
import { openGuarded } from "../../../src/journal/recovery.ts";
import { Snapshots } from "../../../src/journal/snapshots.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { watchFlushes } from "../../fakes/flushes.ts";
import { silentLog as log, openTestJournal, temporaryFolder } from "../../fakes/store.ts";

const heads = { state: 9, event: 0, log: 0, metric: 0 };
const report = { heads } as CheckReport;

test("a database that replaces the journal's is on the medium before it has its name", async () => {
  using folder = temporaryFolder();
  await using journal = await openTestJournal(folder.path);
  const copy = join(folder.path, "copy.mdb");
  await journal.backup(copy);
  using flushes = watchFlushes(join(folder.path, "s"));
  await journal.restore(copy);
  assert.deepEqual(flushes.unsafe(), []);
  assert.ok(flushes.flushed().includes("incoming.mdb"));
});

test("a snapshot has its name when it is on the medium, with its note there before", async () => {
  using folder = temporaryFolder();
  await using journal = await openTestJournal(folder.path);
  const source = {
    backup: (path: string) => journal.backup(path),
    mark: () => "1",
    liveBytes: () => 0,
  };
  const options = { folder: join(folder.path, "s"), roomBytes: 1, snapshotsMax: 2 };
  const deps = { clock: fakeClock(), source, verify: async () => report };
  using flushes = watchFlushes(options.folder);
  await new Snapshots(deps, options).make();
  // What was checked is named as it is: it was flushed under the name of the copy.
  const name = "snapshots/snapshot-000000001";
  assert.deepEqual(flushes.unsafe(), [`${name}.mdb: not flushed before`]);
  assert.ok(flushes.flushed().includes("snapshots/making/data.mdb.copy/data.mdb"));
  assert.deepEqual(flushes.names(), ["snapshots/making/data.mdb", `${name}.json`, `${name}.mdb`]);
});

test("what is set aside and what takes its place are told to the medium, in that order", async () => {
  using folder = temporaryFolder();
  writeFileSync(join(folder.path, "data.mdb"), "bad");
  writeFileSync(join(folder.path, "lock.mdb"), "lock");
  mkdirSync(join(folder.path, "snapshots"));
  writeFileSync(join(folder.path, "snapshots", "snapshot-000000001.mdb"), "good");
  const inspect = async ({ do: what, folder: at }: Inspection): Promise<Inspected> => {
    const isSound = what === "check" && at !== folder.path;
    if (!isSound) return { verdict: { kind: "damaged", reason: "page 7" }, tookMs: 1 };
    const sound = { kind: "sound", isWhole: true } as const;
    return { verdict: sound, answer: { ...sound, report }, tookMs: 1 };
  };
  const options = { folder: folder.path, roomBytes: 1e6, checkMs: 1000, quarantinesMax: 2 };
  using flushes = watchFlushes(folder.path);
  let present: string[] = [];
  const open = async () => {
    present = readdirSync(folder.path);
    return "open";
  };
  const deps = { clock: fakeClock(), log, inspect: once(inspect, folder.path) };
  await openGuarded(deps, options, open);
  const [aside = ""] = present.filter((name) => name.startsWith("quarantine-"));
  // What is damaged was on the medium already.
  assert.deepEqual(flushes.unsafe(), [`${aside}/data.mdb: not flushed before`]);
  const moved = flushes.names().filter((name) => name.endsWith(".mdb"));
  assert.deepEqual(moved, [`${aside}/data.mdb`, "data.mdb"]);
  assert.ok(!present.includes("lock.mdb"));
});

/** The database itself is damaged at the first look, and what took its place is sound. */
function once(inspect: (asked: Inspection) => Promise<Inspected>, folder: string) {
  let looks = 0;
  return async (asked: Inspection): Promise<Inspected> => {
    if (asked.do !== "check" || asked.folder !== folder) return await inspect(asked);
    looks += 1;
    if (looks === 1) return await inspect(asked);
    const verdict = { kind: "sound", isWhole: true } as const;
    return { verdict, answer: { ...verdict, report }, tookMs: 1 };
  };
}
