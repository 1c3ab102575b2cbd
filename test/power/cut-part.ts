// A process that cuts recordings and verifies what is left: the store of a cut may crash it, so it
// writes down which cut it is at. It must not know what comes of its findings.
import { openSync, readFileSync, writeSync } from "node:fs";
import type { Task, Word } from "./campaign.ts";
import { cutOf, makeFiles, Player } from "./cut.ts";
import { Ledger, type Mark } from "./ledger.ts";
import { type Entry, parseRecord } from "./record.ts";
import { verify } from "./verify.ts";

const [scratch = "", progress = ""] = process.argv.slice(2);
const progressFile = openSync(progress, "r+");
/** Sentences about one cut: the first ones say it. */
const flawsMax = 4;

let known: { path: string; isEarly: boolean; entries: readonly Entry[] } | undefined;

function entriesOf({ recorded, answersEarly }: Task): readonly Entry[] {
  if (known?.path !== recorded.record || known.isEarly !== answersEarly) {
    const entries = parseRecord(readFileSync(recorded.record));
    const path = recorded.record;
    known = { path, isEarly: answersEarly, entries: answersEarly ? early(entries) : entries };
  }
  return known.entries;
}

/** The record of a store that answers before the flush its answer should wait for. */
function early(entries: readonly Entry[]): Entry[] {
  const moved: Entry[] = [];
  const askedAt = new Map<number, number>();
  for (const entry of entries) {
    const mark = entry.kind === "marked" ? (JSON.parse(entry.data.toString()) as Mark) : undefined;
    if (mark?.what === "asked") askedAt.set(mark.request.id, moved.length);
    const flush = moved.findLastIndex(({ kind, isFolder }) => kind === "flushed" && !isFolder);
    if (mark?.what !== "answered" || flush <= (askedAt.get(mark.id) ?? flush)) moved.push(entry);
    else moved.splice(flush, 0, entry);
  }
  return moved;
}

function say(word: Word): void {
  process.send?.(word);
}

async function run(task: Task): Promise<void> {
  const entries = entriesOf(task);
  const ledger = new Ledger();
  const { ignoresFlushes, recorded } = task;
  const player = new Player(entries, { ignoresFlushes, mark: (text) => ledger.read(text) });
  const at = Buffer.alloc(8);
  for (let number = task.from; number < task.to; number += 1) {
    at.writeUInt32LE(number, 0);
    writeSync(progressFile, at, 0, 8, 0);
    const cut = cutOf(number, task.of, entries.length, task.seed);
    makeFiles(player.imageAt(cut), recorded.folder, scratch);
    const flaws = await verify(scratch, ledger, cut.seed);
    if (flaws.length === 0) continue;
    const where = `cut ${number} of ${task.of} (${cut.variant}, entry ${cut.at})`;
    say({ cut: `${where}: ${flaws.slice(0, flawsMax).join("; ")}` });
  }
}

let running: Promise<void> = Promise.resolve();
process.on("message", (message) => {
  running = running
    .then(() => run(message as Task))
    .then(() => say({ done: true }))
    .catch((error: unknown) => {
      process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
      process.exit(70);
    });
});
process.on("disconnect", () => process.exit(0));
