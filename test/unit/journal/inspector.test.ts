// What is said of a data file that a power cut left between its birth and its first commit.
// It must not know how the answer is used.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openDisk } from "../../../src/disk/disk.ts";
import { answerInspection } from "../../../src/journal/inspector.ts";
import { openTestJournal, temporaryFolder } from "../../fakes/store.ts";

const roomBytes = 1_048_576;
const budgetMs = 10_000;
const heads = { state: 0, event: 0, log: 0, metric: 0 };

async function bear(folder: string): Promise<void> {
  await using _ = await openDisk({ folder, roomBytes });
}

test("a data file without its first commit is sound: nothing was ever in it", async () => {
  using home = temporaryFolder();
  await bear(home.path);
  const asked = { do: "check", folder: home.path, roomBytes, budgetMs } as const;
  assert.deepEqual(await answerInspection(asked), { kind: "sound", isWhole: true });
});

test("one that was closed with something in it is damaged when it is empty", async () => {
  using home = temporaryFolder();
  await bear(home.path);
  const expected = { epoch: "0".repeat(32), heads };
  const asked = { do: "check", folder: home.path, roomBytes, budgetMs, expected } as const;
  const answer = await answerInspection(asked);
  assert.ok(answer.kind === "failed" && answer.code === "STORE_DAMAGED", JSON.stringify(answer));
});

test("an empty one with a snapshot beside it held more once", async () => {
  using home = temporaryFolder();
  await bear(home.path);
  mkdirSync(join(home.path, "snapshots"));
  writeFileSync(join(home.path, "snapshots", "snapshot-000000001.mdb"), "");
  const asked = { do: "check", folder: home.path, roomBytes, budgetMs } as const;
  const answer = await answerInspection(asked);
  assert.ok(answer.kind === "failed" && answer.code === "STORE_DAMAGED", JSON.stringify(answer));
});

test("a consumer that holds some streams alone is ahead of none", async () => {
  using home = temporaryFolder();
  {
    await using journal = await openTestJournal(home.path);
    await journal.addConsumer("archive", ["log"]);
    await journal.append({
      stream: "log",
      flush: "now",
      recordsMax: 1,
      build: () => [{ kind: "line", text: "l" }],
    });
  }
  const folder = join(home.path, "s");
  const room = 64 * 1_048_576;
  const asked = { do: "check", folder, roomBytes: room, budgetMs } as const;
  const answer = await answerInspection(asked);
  assert.ok(answer.kind === "sound" && answer.isWhole, JSON.stringify(answer));
  const remains = { do: "read-remains", file: join(folder, "data.mdb"), known: {} } as const;
  const place = { folder: join(home.path, "r"), isClosed: false, roomBytes: room, budgetMs };
  const read = await answerInspection({ ...remains, ...place });
  assert.ok(read.kind === "remains", JSON.stringify(read));
  assert.deepEqual([read.remains, read.heads.log, read.holes], ["whole", 1, []]);
});
