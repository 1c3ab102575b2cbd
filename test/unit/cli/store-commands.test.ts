// `plant backup …` and `plant state export|import` in memory: what they ask the store, what they
// write and say, and each way they fail. It must not know the store.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { runCli } from "../../../src/cli/cli.ts";
import { PlantError } from "../../../src/util/errors.ts";
import type { Operation } from "../../../src/worker/worker.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { fakeParts, now } from "../../fakes/plant-parts.ts";
import { fakeTerminal } from "../../fakes/terminal.ts";

interface Stage {
  readonly state?: Readonly<Record<string, Operation>>;
  readonly files?: Readonly<Record<string, string>>;
  readonly unwritable?: string;
  readonly fullAfter?: number;
}

async function plant(words: readonly string[], stage: Stage = {}) {
  const { state = {}, files = {}, ...medium } = stage;
  const parts = fakeParts();
  const asked: [string, unknown][] = [];
  for (const [name, work] of Object.entries(state)) {
    parts.state[name] = (request) => {
      asked.push([name, request.args]);
      return work(request);
    };
  }
  const all = { "/key": "swordfish\n", ...files };
  const client = parts.bus.client();
  const terminal = fakeTerminal({ clock: fakeClock(now), client, files: all, ...medium });
  const exit = await runCli(words, terminal.io);
  return { exit, asked, written: terminal.written, ...terminal.printed };
}

const key = ["--passphrase-file", "/key"];
const sealed = "sealed bytes";
const sha256 = createHash("sha256").update(sealed).digest("hex");
const verified = {
  format: 2,
  epoch: "e".repeat(32),
  heads: { state: 7 },
  points: 1,
  blocks: 2,
  time: now,
  bytes: 1000,
};
const unreadable = (reason: string) => () => {
  throw new PlantError("BACKUP_UNREADABLE", { path: "/b", reason });
};

test("a backup is brought to a file that is whole or not there", async () => {
  const read: Operation = async ({ partial }) => {
    for (const part of ["sealed ", "bytes"]) {
      await partial({ bytes: Buffer.from(part).toString("base64"), done: 1, total: 2 });
    }
    return { bytes: sealed.length, sha256 };
  };
  const words = ["backup", "create", "/stick/x.plantbackup", ...key];
  const good = await plant(words, { state: { "backup-read": read } });
  assert.deepEqual([good.exit, good.written], [0, { "/stick/x.plantbackup": sealed }]);
  assert.deepEqual(good.asked, [["backup-read", { name: "new.plb" }]]);
  const changed: Operation = async (request) => ({
    ...((await read(request)) as object),
    sha256: "0",
  });
  const bad = await plant(words, { state: { "backup-read": changed } });
  assert.deepEqual(bad.written, {});
  assert.match(bad.err, /BACKUP_UNREADABLE/);
});

const wholeRead: Operation = async ({ partial }) => {
  await partial({ bytes: Buffer.from(sealed).toString("base64"), done: 1, total: 1 });
  return { bytes: sealed.length, sha256 };
};

test("nothing is sealed for a file that cannot be written, or that is there already", async () => {
  const words = ["backup", "create", "/stick/x", ...key];
  const state = { "backup-read": wholeRead };
  const readOnly = await plant(words, { state, unwritable: "EROFS" });
  assert.deepEqual([readOnly.exit, readOnly.asked, readOnly.out], [1, [], ""]);
  assert.match(readOnly.err, /\/stick\/x cannot be written: EROFS {2}FILE_UNWRITABLE/);
  const files = { "/stick/x": "last month's" };
  const there = await plant(words, { state, files });
  assert.deepEqual([there.exit, there.asked], [12, []]);
  assert.match(there.err, /replacing the file \/stick\/x needs a confirmation/);
  const consented = await plant([...words, "--yes"], { state, files });
  assert.deepEqual([consented.exit, consented.written], [0, { "/stick/x": sealed }]);
});

test("a medium that fills up leaves no half of a file, and the sealed one is named", async () => {
  const stage = { state: { "backup-read": wholeRead }, fullAfter: 0 };
  const { exit, err, written } = await plant(["backup", "create", "/stick/x", ...key], stage);
  assert.deepEqual([exit, written], [1, {}]);
  assert.match(err, /sealed in .*new\.plb[\s\S]*ENOSPC {2}FILE_UNWRITABLE/);
});

test("the folder of a stick is enough: the backup is named by its time", async () => {
  const stage = { state: { "backup-read": wholeRead }, files: { "/stick/other": "" } };
  const named = "/stick/plantd-2025-11-21T153207.plantbackup";
  const { exit, out, written } = await plant(["backup", "create", "/stick", ...key], stage);
  assert.deepEqual([exit, written], [0, { [named]: sealed }]);
  assert.equal(out, `${named}\n`);
});

test("a backup that nobody has is no such thing", async () => {
  const verify: Operation = () => {
    throw new PlantError("BACKUP_NOT_FOUND", { path: "/data/backups/nix" });
  };
  const state = { "backup-verify": verify };
  const { exit, err } = await plant(["backup", "verify", "nix", ...key], { state });
  assert.equal(exit, 3);
  assert.match(err, /There is no backup \/data\/backups\/nix/);
});

test("a backup is verified where the store can read it, and sent where it cannot", async () => {
  const verify: Operation = ({ args }) => {
    if ((args as { path: string }).path !== "/stick/x") return verified;
    return unreadable("EACCES")();
  };
  const put: Operation = () => ({ path: "/data/backups/x.plantbackup", bytes: sealed.length });
  const state = { "backup-verify": verify, "backup-put": put };
  const near = await plant(["backup", "verify", "near.plantbackup", ...key], { state });
  assert.match(near.out, /sound +near\.plantbackup[\s\S]*state 7/);
  const files = { "/stick/x": sealed };
  const far = await plant(["backup", "verify", "/stick/x", ...key], { state, files });
  assert.equal(far.exit, 0);
  const bytes = Buffer.from(sealed).toString("base64");
  assert.deepEqual(far.asked[1], ["backup-put", { name: "x.plantbackup", from: 0, bytes, sha256 }]);
});

test("a backup that is damaged is not sent to be damaged there, too", async () => {
  const state = { "backup-verify": unreadable("part 2 of 3 is damaged") };
  const files = { "/stick/x": sealed };
  const { exit, err, asked } = await plant(["backup", "verify", "/stick/x", ...key], {
    state,
    files,
  });
  assert.deepEqual([exit, asked.length], [11, 1]);
  assert.match(err, /part 2 of 3/);
});

test("losses name what is gone, and the alarm ends when they were seen", async () => {
  const losses = [
    {
      quarantine: "quarantine-1",
      atMs: now,
      reason: "page 7",
      restored: "snapshot",
      lost: [
        { stream: "state", from: 5, to: 9 },
        { stream: "log", from: 3, to: null },
      ],
      seen: false,
    },
  ];
  const state = { losses: () => ({ losses }) };
  const { out } = await plant(["backup", "losses"], { state });
  assert.match(
    out,
    /page 7[\s\S]*snapshot[\s\S]*state 5–9[\s\S]*log 3 and later[\s\S]*quarantine-1/,
  );
  const { asked } = await plant(["backup", "losses", "--seen"], { state });
  assert.deepEqual(asked, [["losses", { seen: true }]]);
  const none = await plant(["backup", "losses"], { state: { losses: () => ({ losses: [] }) } });
  assert.match(none.out, /no database was damaged/);
});

test("snapshots are listed, and made when asked for", async () => {
  const snapshots = [{ name: "snapshot-1", bytes: 1000, time: now, heads: { state: 7 } }];
  const state = { "snapshot-list": () => ({ snapshots }), "snapshot-create": () => ({}) };
  const { out, asked } = await plant(["backup", "snapshots", "--now"], { state });
  assert.match(out, /1\.0 kB +7 +snapshot-1/);
  assert.deepEqual(
    asked.map(([name]) => name),
    ["snapshot-create", "snapshot-list"],
  );
});

test("points are exported line by line, to a file or to standard output", async () => {
  const work: Operation = async ({ partial }) => {
    await partial({ lines: ["head"] });
    await partial({ lines: ["one", "two"] });
    return { points: 2 };
  };
  const state = { export: work };
  const file = await plant(["state", "export", "/p", "--scope", "s"], { state });
  assert.deepEqual(
    [file.written, file.asked],
    [{ "/p": "head\none\ntwo\n" }, [["export", { scope: "s" }]]],
  );
  assert.match(file.out, /2 points in \/p/);
  assert.equal((await plant(["state", "export"], { state })).out, "head\none\ntwo\n");
});

test("an export that finds nothing says so, and one that is there is kept", async () => {
  const state = { export: () => ({ points: 0 }) };
  const none = await plant(["state", "export", "--scope", "nope"], { state });
  assert.match(none.err, /no point is of that name/);
  const there = await plant(["state", "export", "/p"], { state, files: { "/p": "mine" } });
  assert.deepEqual([there.exit, there.asked, there.written], [12, [], {}]);
  const full = await plant(["state", "export", "/p"], { state, unwritable: "ENOSPC" });
  assert.deepEqual([full.exit, full.out], [1, ""]);
});

test("an import tries all lines before it takes the first, in requests of bounded size", async () => {
  const counts = { new: 1, same: 2, changed: 0, kept: 3 };
  const text = Array.from({ length: 1500 }, (_, at) => `line ${at + 1}`).join("\n");
  const stage = { state: { import: () => counts }, files: { "/p": text } };
  const { out, asked } = await plant(["state", "import", "/p"], stage);
  const sent = asked.map(([, args]) => args as { first: number; lines: string[]; dryRun: boolean });
  assert.deepEqual(
    sent.map(({ first, lines, dryRun }) => [first, lines.length, dryRun]),
    [
      [1, 1000, true],
      [1001, 500, true],
      [1, 1000, false],
      [1001, 500, false],
    ],
  );
  assert.match(out, /2 new, 0 changed, 4 the same, 6 kept: --replace/);
  const dry = await plant(["state", "import", "/p", "--dry-run", "--replace"], stage);
  assert.equal(dry.asked.length, 2);
  assert.match(dry.out, /^would be: /);
});

test("a line that is wrong is named, and nothing is taken", async () => {
  const work: Operation = ({ args }) => {
    const { dryRun } = args as { dryRun: boolean };
    assert.equal(dryRun, true);
    throw new PlantError("IMPORT_REFUSED", { line: 7, reason: "value: a value is needed" });
  };
  const { exit, err } = await plant(["state", "import", "/p"], {
    state: { import: work },
    files: { "/p": "x" },
  });
  assert.equal(exit, 2);
  assert.match(err, /Line 7 cannot be imported: value: a value is needed/);
  const missing = await plant(["state", "import", "/none"]);
  assert.match(missing.err, /FILE_UNREADABLE/);
});
