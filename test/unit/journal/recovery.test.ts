// The opening of a database that may be damaged, with a looker that says what it is told to say:
// what is set aside, what takes its place, what is only refused. It must not know LMDB.
import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { CheckReport } from "../../../src/journal/check.ts";
import type { Guard } from "../../../src/journal/guard.ts";
import type { Inspected, Inspection } from "../../../src/journal/inspection.ts";
import { openGuarded } from "../../../src/journal/recovery.ts";
import { diedAgain, failuresMax, type Verdict } from "../../../src/journal/recovery-plan.ts";
import type { Code } from "../../../src/util/catalogue.ts";
import { hasCode, PlantError } from "../../../src/util/errors.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { silentLog as log, temporaryFolder } from "../../fakes/store.ts";

const heads = { state: 9, event: 0, log: 0, metric: 0 };
const report = { heads } as CheckReport;
const sound: Verdict = { kind: "sound", isWhole: true };
const damaged: Verdict = { kind: "damaged", reason: "page 7" };
const refused = (code: Code): Verdict => ({ kind: "refused", code, detail: {} });

interface Stage {
  readonly folder: string;
  /** What is said of files by what they hold. */
  readonly said: Record<string, Verdict>;
  open(work?: () => Promise<string>): Promise<{ store: string; guard: Guard }>;
  readonly asked: string[];
  /** Time for each look. */
  readonly budgets: number[];
}

/** A store whose data file is a word, and a looker that knows what is to be said of it. */
function stageIn(folder: string, data: string, remains?: string): Stage {
  const said: Record<string, Verdict> = {};
  const asked: string[] = [];
  const budgets: number[] = [];
  writeFileSync(join(folder, "data.mdb"), data);
  const inspect = async (inspection: Inspection): Promise<Inspected> => {
    asked.push(inspection.do);
    budgets.push(inspection.budgetMs);
    if (inspection.do === "read-remains") {
      if (remains !== undefined) {
        mkdirSync(join(inspection.folder, "0"));
        writeFileSync(join(inspection.folder, "0", "data.mdb"), remains);
        const answer = { kind: "remains", remains: "whole", heads, holes: [] } as const;
        return {
          verdict: sound,
          answer: { ...answer, folder: join(inspection.folder, "0") },
          tookMs: 1,
        };
      }
      const reason = { code: "STORE_DAMAGED" as const, detail: { reason: "nothing is left" } };
      return { verdict: damaged, answer: { kind: "failed", ...reason }, tookMs: 1 };
    }
    const held = readFileSync(join(inspection.folder, "data.mdb"), "utf8");
    const verdict = said[held] ?? sound;
    if (verdict.kind !== "sound") return { verdict, tookMs: 1 };
    return { verdict, answer: { ...verdict, report }, tookMs: 1 };
  };
  const clock = { ...fakeClock(), sleep: async () => {} };
  const options = { folder, roomBytes: 1_000_000, checkMs: 1000, quarantinesMax: 2 };
  const read = async () => {
    const path = join(folder, "data.mdb");
    if (!existsSync(path)) writeFileSync(path, "empty");
    return readFileSync(path, "utf8");
  };
  return {
    folder,
    said,
    asked,
    budgets,
    open: (work = read) => openGuarded({ clock, log, inspect }, options, work),
  };
}

function laySnapshot(folder: string, number: number, text: string): void {
  mkdirSync(join(folder, "snapshots"), { recursive: true });
  writeFileSync(join(folder, "snapshots", `snapshot-00000000${number}.mdb`), text);
}

const quarantined = ({ folder }: Stage) =>
  readdirSync(folder).filter((name) => name.startsWith("quarantine-"));

test("a sound database is opened and nothing is set aside", async () => {
  using folder = temporaryFolder();
  const stage = stageIn(folder.path, "good");
  const { store, guard } = await stage.open();
  assert.deepEqual([store, guard.untold, quarantined(stage)], ["good", undefined, []]);
  assert.equal(guard.lastCheck?.how, "full");
  guard.closed({ epoch: "e", heads });
  assert.equal((await stage.open()).guard.lastCheck?.how, "quick");
  assert.equal((await stage.open()).guard.lastCheck?.how, "full", "nobody closed it");
});

const garbled: Record<string, unknown> = {
  "a number": 5,
  "no group": null,
  "a list": [{}],
  "a group without what is needed": {},
  "a folder elsewhere": {
    phase: "restore",
    name: "../elsewhere",
    reason: "r",
    atMs: 1,
    known: {},
    isClosed: true,
    tried: [],
  },
  "the folder itself": {
    phase: "restore",
    name: "",
    reason: "the store died again and again after opening it",
    atMs: 1,
    known: {},
    isClosed: true,
    tried: [],
    remains: "none",
  },
};
for (const [name, note] of Object.entries(garbled)) {
  test(`notes beside a sound database that say ${name} are as if they were not there`, async () => {
    using folder = temporaryFolder();
    const stage = stageIn(folder.path, "values");
    for (const file of ["clean", "opening", "recovery", "replaced"]) {
      writeFileSync(join(folder.path, `${file}.json`), JSON.stringify(note));
    }
    const { store, guard } = await stage.open();
    assert.equal(store, "values");
    assert.deepEqual([guard.untold, guard.replaced, quarantined(stage)], [undefined, [], []]);
    guard.succeeded();
    guard.closed({ epoch: "e", heads });
    assert.equal((await stage.open()).store, "values");
  });
}

test("foreign files where snapshots and what was set aside stand hinder no opening", async () => {
  using folder = temporaryFolder();
  const stage = stageIn(folder.path, "garbled");
  stage.said.garbled = damaged;
  laySnapshot(folder.path, 1, "older");
  const at = (...names: string[]) => join(folder.path, ...names);
  symlinkSync("/nowhere", at("snapshots", "snapshot-000000002.mdb"));
  mkdirSync(at("snapshots", "snapshot-000000003.mdb"));
  writeFileSync(at("quarantine-20260101T000000Z-1"), "a file");
  mkdirSync(at("quarantine-20260101T000000Z-2"));
  symlinkSync("/nowhere", at("quarantine-20260101T000000Z-2", "data.mdb"));
  const { store, guard } = await stage.open();
  assert.equal(store, "older");
  assert.equal(guard.quarantines().length, 2);
});

test("a file in the place of the snapshots is none", async () => {
  using folder = temporaryFolder();
  const stage = stageIn(folder.path, "values");
  writeFileSync(join(folder.path, "snapshots"), "a file");
  assert.equal((await stage.open()).store, "values");
});

test("a damaged one is set aside, and the newest sound snapshot takes its place", async () => {
  using folder = temporaryFolder();
  const stage = stageIn(folder.path, "bad");
  laySnapshot(folder.path, 1, "older");
  laySnapshot(folder.path, 2, "old");
  laySnapshot(folder.path, 3, "bad");
  stage.said.bad = damaged;
  const { store, guard } = await stage.open();
  assert.equal(store, "old");
  const { untold } = guard;
  assert.deepEqual(
    [untold?.reason, untold?.source, untold?.snapshot, untold?.restored],
    ["page 7", "snapshot", "snapshot-000000002.mdb", heads],
  );
  const [name = ""] = quarantined(stage);
  assert.equal(readFileSync(join(folder.path, name, "data.mdb"), "utf8"), "bad");
  guard.told();
  assert.deepEqual([guard.untold, guard.replaced.length], [undefined, 1]);
  guard.seen();
  assert.ok(guard.replaced[0]?.seenMs !== undefined);
});

test("without a snapshot and remains an empty one begins, also when the file is gone", async () => {
  using folder = temporaryFolder();
  const stage = stageIn(folder.path, "bad");
  stage.said.bad = damaged;
  const { store, guard } = await stage.open();
  assert.deepEqual([store, guard.untold?.source], ["empty", "nothing"]);
});

test("what turns out damaged only when it is opened is replaced, too, and is not tried again", async () => {
  using folder = temporaryFolder();
  const stage = stageIn(folder.path, "bad");
  laySnapshot(folder.path, 1, "older");
  laySnapshot(folder.path, 2, "bad");
  const path = join(folder.path, "data.mdb");
  const { store } = await stage.open(async () => {
    const held = existsSync(path) ? readFileSync(path, "utf8") : "empty";
    if (held === "bad") throw new PlantError("STORE_DAMAGED", { reason: "a row" });
    return held;
  });
  assert.equal(store, "older");
  assert.equal(quarantined(stage).length, 2);
});

const refusals: readonly Code[] = [
  "STORE_LOCKED",
  "STORE_FULL",
  "STORE_UNUSABLE",
  "STORE_FORMAT_NEWER",
];
for (const code of refusals) {
  test(`${code} is said and replaces nothing, however often it is tried`, async () => {
    using folder = temporaryFolder();
    const stage = stageIn(folder.path, "good");
    laySnapshot(folder.path, 1, "older");
    stage.said.good = refused(code);
    for (let count = 0; count < 2 * failuresMax; count += 1) {
      await assert.rejects(stage.open(), (error) => hasCode(error, code));
    }
    assert.deepEqual(quarantined(stage), []);
    stage.said.good = sound;
    assert.equal((await stage.open()).store, "good");
  });
}

test("a format that no release here ever knew is damage", async () => {
  using folder = temporaryFolder();
  const stage = stageIn(folder.path, "good");
  await stage.open();
  stage.said.good = refused("STORE_FORMAT_NEWER");
  laySnapshot(folder.path, 1, "older");
  assert.equal((await stage.open()).store, "older");
});

test("all that stood in a damaged one is better than a snapshot", async () => {
  using folder = temporaryFolder();
  const stage = stageIn(folder.path, "bad", "written anew");
  laySnapshot(folder.path, 1, "older");
  stage.said.bad = damaged;
  const { store, guard } = await stage.open();
  assert.deepEqual([store, guard.untold?.source], ["written anew", "whole"]);
});

const die = () => Promise.reject(new Error("killed"));

test("one that ends the store again and again is written anew, once", async () => {
  using folder = temporaryFolder();
  const stage = stageIn(folder.path, "good", "written anew");
  laySnapshot(folder.path, 1, "older");
  for (let count = 0; count < failuresMax; count += 1) await assert.rejects(stage.open(die));
  assert.deepEqual(quarantined(stage), []);
  for (let count = 0; count < 2 * failuresMax; count += 1) await assert.rejects(stage.open(die));
  assert.equal(quarantined(stage).length, 1, "and not for ever");
  const { store, guard } = await stage.open();
  assert.deepEqual([store, guard.untold?.reason], ["written anew", diedAgain]);
});

test("time for looking grows with openings that failed, and not with the one that runs", async () => {
  using folder = temporaryFolder();
  const stage = stageIn(folder.path, "good");
  const budgets: number[] = [];
  const look = async (work?: () => Promise<string>) => {
    await stage.open(work).catch(() => {});
    budgets.push(stage.budgets.at(-1) ?? 0);
  };
  await look(die);
  await look(die);
  await look();
  const { guard } = await stage.open();
  guard.succeeded();
  await look();
  assert.deepEqual(budgets, [1000, 2000, 4000, 1000]);
});

test("a sound one that cannot be written anew is kept: no snapshot is better", async () => {
  using folder = temporaryFolder();
  const stage = stageIn(folder.path, "good");
  laySnapshot(folder.path, 1, "older");
  for (let count = 0; count < 3 * failuresMax; count += 1) await assert.rejects(stage.open(die));
  const { store, guard } = await stage.open();
  assert.deepEqual([store, guard.untold, quarantined(stage)], ["good", undefined, []]);
});

test("openings that went well in between are no row of deaths", async () => {
  using folder = temporaryFolder();
  const stage = stageIn(folder.path, "good");
  for (let count = 0; count < 3 * failuresMax; count += 1) {
    const { guard } = await stage.open();
    guard.succeeded();
  }
  assert.deepEqual(quarantined(stage), []);
});

test("a database that its opening refuses for another reason than damage is not set aside", async () => {
  for (const code of ["STORE_LOCKED", "STORE_FULL", "STORE_CROWDED", "STORE_UNUSABLE"] as const) {
    using folder = temporaryFolder();
    const stage = stageIn(folder.path, "data");
    const open = async () => {
      throw new PlantError(code, { folder: folder.path });
    };
    await assert.rejects(stage.open(open), (error) => hasCode(error, code));
    assert.deepEqual(quarantined(stage), []);
    assert.equal(readFileSync(join(folder.path, "data.mdb"), "utf8"), "data");
  }
});

test("a database that was closed is known to be so once, and what it held is known after", async () => {
  using folder = temporaryFolder();
  const stage = stageIn(folder.path, "good");
  (await stage.open()).guard.closed({ epoch: "e", heads });
  const { guard } = await stage.open();
  guard.succeeded();
  assert.equal(guard.lastCheck?.how, "quick");
  const again = (await stage.open()).guard;
  assert.equal(again.lastCheck?.how, "full", "nobody closed it since");
  again.closed({ epoch: "e", heads });
  stage.said.good = damaged;
  const { untold } = (await stage.open()).guard;
  assert.deepEqual([untold?.known, untold?.isClosed], [heads, true]);
});

test("a snapshot that is damaged never takes the place, not for a moment", async () => {
  using folder = temporaryFolder();
  const stage = stageIn(folder.path, "bad");
  laySnapshot(folder.path, 1, "old");
  laySnapshot(folder.path, 2, "bad");
  stage.said.bad = damaged;
  assert.equal((await stage.open()).store, "old");
  assert.equal(quarantined(stage).length, 1);
});

test("of several snapshots that turn out damaged when they are opened none is tried twice", async () => {
  using folder = temporaryFolder();
  const stage = stageIn(folder.path, "bad");
  for (const number of [1, 2, 3, 4]) laySnapshot(folder.path, number, number > 1 ? "bad" : "good");
  const path = join(folder.path, "data.mdb");
  let tries = 0;
  const { store, guard } = await stage.open(async () => {
    tries += 1;
    const held = readFileSync(path, "utf8");
    if (held === "bad") throw new PlantError("STORE_DAMAGED", { reason: "a row" });
    return held;
  });
  assert.deepEqual([store, tries], ["good", 5]);
  // The folders of the oldest ones went: two are kept.
  assert.equal(quarantined(stage).length, 2);
  guard.told();
  const { guard: later } = await stage.open();
  assert.deepEqual([later.untold, later.replaced.length], [undefined, 1]);
});

test("who looked at the database before may hold it a moment longer", async () => {
  using folder = temporaryFolder();
  const stage = stageIn(folder.path, "good");
  let looks = 0;
  Object.defineProperty(stage.said, "good", {
    get() {
      looks += 1;
      return looks < 4 ? refused("STORE_LOCKED") : sound;
    },
  });
  assert.equal((await stage.open()).store, "good");
  assert.equal(looks, 4);
});
