// Power cuts over recordings of the real store process: what it acknowledged is there at every cut,
// and a store that is broken on purpose is found out. It must not know how the store keeps things.
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { openDisk } from "../../src/disk/disk.ts";
import { seededRandom } from "../../src/util/random.ts";
import { cutAll, scratchFolder } from "../power/campaign.ts";
import { makeFiles } from "../power/cut.ts";
import { Ledger } from "../power/ledger.ts";
import { buildRecorder, type Place } from "../power/record.ts";
import { readMarks, readRecord, record } from "../power/recording.ts";
import { Replay } from "../power/replay.ts";
import { guardedEvery, verify } from "../power/verify.ts";
import { type Mix, mixes } from "../power/workload.ts";

const seed = Number(process.env.PLANTD_SEED ?? process.hrtime()[1]);
const cuts = 20_000;
const root = mkdtempSync(join(tmpdir(), "pw-"));
const places = new Map<string, Place>();
let library = "";

before(async () => {
  library = buildRecorder(root);
  for (const mix of mixes) places.set(mix.name, await record(root, library, { mix, seed }));
});

after(() => rmSync(root, { recursive: true, force: true }));

const recorded = () =>
  [...places].map(([name, { record: path, folder }]) => ({ name, record: path, folder }));

test("the record misses nothing: replayed to its end it gives the same files, byte for byte", () => {
  for (const [name, place] of places) {
    const replay = new Replay();
    const entries = readRecord(place);
    for (const entry of entries) replay.apply(entry);
    const copy = join(root, "copy");
    makeFiles(replay.image("all", seededRandom(1)), place.folder, copy);
    const list = (folder: string) => readdirSync(folder, { recursive: true }).map(String).sort();
    assert.deepEqual(list(copy), list(place.folder), name);
    const mapped = [...replay.mapped].map((path) => path.slice(place.folder.length));
    assert.ok(
      mapped.every((path) => path.endsWith("/lock.mdb")),
      `mapped: ${mapped}`,
    );
    for (const path of list(copy)) {
      if (!statSync(join(copy, path)).isFile() || path.endsWith("lock.mdb")) continue;
      const isSame = readFileSync(join(copy, path)).equals(readFileSync(join(place.folder, path)));
      assert.ok(isSame, `${name}: ${path}`);
    }
    assert.ok(entries.filter(({ kind }) => kind === "flushed").length > 20, name);
    assert.ok(entries.filter(({ isFlushed }) => isFlushed).length > 20, name);
  }
});

test(`${cuts} power cuts: what was acknowledged is there, and nothing is doubled`, async (t) => {
  t.diagnostic(`seed ${seed}`);
  const { cuts: done, violations } = await cutAll(recorded(), { cuts, seed });
  assert.deepEqual(violations, []);
  assert.ok(done >= cuts, `${done} cuts`);
});

test("cuts are looked at as every start does: what it would set aside is found out", async (t) => {
  const copy = scratchFolder();
  t.after(() => rmSync(copy, { recursive: true, force: true }));
  for (const [name, place] of [...places].slice(0, 2)) {
    const ledger = new Ledger();
    for (const mark of readMarks(place)) ledger.take(mark);
    const lay = () => {
      rmSync(copy, { recursive: true, force: true });
      cpSync(place.folder, copy, { recursive: true });
    };
    lay();
    assert.deepEqual(await verify(copy, ledger, guardedEvery), [], name);
    lay();
    {
      await using disk = await openDisk({ folder: join(copy, "s"), roomBytes: 16 * 2 ** 20 });
      const marks = { state: 1e9, event: 1e9, log: 1e9, metric: 1e9 };
      const row = { key: Buffer.from("mark/ahead"), value: Buffer.from(JSON.stringify(marks)) };
      await disk.commit([{ table: "meta", ...row }]);
    }
    const [flaw = "", ...more] = await verify(copy, ledger, guardedEvery);
    assert.match(flaw, /it was replaced: ahead is ahead of /, name);
    assert.deepEqual(more, []);
  }
});

test("the control: a store whose flushes do nothing loses what it acknowledged", async () => {
  for (const one of recorded()) {
    const options = { cuts: 60, seed, ignoresFlushes: true, violationsMax: 3 };
    const { violations } = await cutAll([one], options);
    assert.ok(violations.length >= 3, `${one.name}: ${violations.length} of 60 cuts show it`);
  }
});

test("a store that answers before the flush is found out", async () => {
  for (const one of recorded()) {
    const options = { cuts: 400, seed, answersEarly: true, violationsMax: 3 };
    const { violations } = await cutAll([one], options);
    assert.ok(violations.length >= 3, `${one.name}: ${violations.length} of 400 cuts show it`);
    assert.ok(
      violations.some((words) => words.includes("acknowledged")),
      violations.join("\n"),
    );
  }
});

test("a store that trims more than its checkpoint holds is found out", async () => {
  const mix: Mix = {
    name: "trimmed",
    steps: 8,
    lanes: ["set", "many"],
    turns: ["trim-too-far", "reopen", "end"],
    settings: { checkpointMs: 1_000_000 },
  };
  const place = await record(root, library, { mix, seed });
  const { violations } = await cutAll(
    [{ name: mix.name, record: place.record, folder: place.folder }],
    { cuts: 100, seed, violationsMax: 10, isBroken: true },
  );
  assert.ok(violations.length > 5, `${violations.length} of 100 cuts show it`);
});
