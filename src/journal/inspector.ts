// How a database is looked at, by whoever may be ended by what it reads: never the store itself.
// It must not know why it is asked.
import { join } from "node:path";
import { type Disk, dataFile, flawOfPages, openDisk, openRemains } from "../disk/disk.ts";
import type { Code } from "../util/catalogue.ts";
import { systemClock as clock } from "../util/clock.ts";
import { PlantError } from "../util/errors.ts";
import { type CheckReport, checkRows } from "./check.ts";
import { streams } from "./head.ts";
import type { Answer, Inspection } from "./inspection.ts";
import type { Lost } from "./recovery-plan.ts";
import { type Salvaged, salvage } from "./salvage.ts";
import { listSnapshots } from "./snapshot-files.ts";
import { everyTable, logTable, sideTables } from "./tables.ts";

type Check = Extract<Inspection, { do: "check" }>;
type ReadRemains = Extract<Inspection, { do: "read-remains" }>;

const parent = process.ppid;

/** Whoever asked is gone: nobody waits for the answer, and the folder is held in vain. */
function endWhenForsaken(): void {
  if (process.ppid !== parent) process.exit(1);
}

async function check({ folder, roomBytes, budgetMs, expected }: Check): Promise<Answer> {
  const untilMs = clock.monotonicMs() + budgetMs;
  const isOver = () => clock.monotonicMs() > untilMs;
  const flaw = flawOfPages(join(folder, dataFile));
  if (flaw !== undefined) throw new PlantError("STORE_DAMAGED", { reason: flaw });
  await using disk = await openDisk({ folder, roomBytes });
  if (expected === undefined && isUnborn(folder, disk)) return { kind: "sound", isWhole: true };
  const rows = checkRows(disk);
  for (;;) {
    const next = rows.next();
    if (next.done === true) {
      needExpected(next.value, expected);
      return { kind: "sound", isWhole: true, report: next.value };
    }
    if (isOver()) return { kind: "sound", isWhole: false };
    endWhenForsaken();
  }
}

/**
 * The power went after the data file got its name and before its first commit: nothing is lost. One
 * with snapshots beside it held more once.
 */
function isUnborn(folder: string, disk: Disk): boolean {
  const isEmpty = (table: string) => Array.from(disk.range(table, { limit: 1 })).length === 0;
  return everyTable.every(isEmpty) && listSnapshots(folder).length === 0;
}

/** A database that its owner closed holds what it held then: else commits were rolled back. */
function needExpected(report: CheckReport, expected: Check["expected"]): void {
  if (expected === undefined) return;
  const isOlder = Object.entries(expected.heads).some(
    ([stream, head]) => report.heads[stream as keyof typeof report.heads] < head,
  );
  if (report.epoch === expected.epoch && !isOlder) return;
  throw new PlantError("STORE_DAMAGED", { reason: "it went back to an older state by itself" });
}

/** Takes the newest state of a damaged file of which enough can be read. */
async function readRemains(asked: ReadRemains): Promise<Answer> {
  const { file, folder, roomBytes, known, isClosed } = asked;
  using found = openRemains(file);
  let last: unknown;
  for (const [at, state] of found.states.entries()) {
    const home = join(folder, String(at));
    try {
      await using disk = await openDisk({ folder: home, roomBytes });
      const salvaged = await salvage(state.rows(), disk, known);
      const isClosedState = isClosed && salvaged.holes.length === 0;
      const isNewest = state.isNewest || isClosedState;
      const remains = extentOf(salvaged, state.missing, isNewest);
      const { heads } = salvaged;
      const isCut = state.missing.has(logTable);
      const holes = [
        ...salvaged.holes,
        ...(isCut ? startsOf(salvaged) : []),
        ...(isClosed || remains === "whole" ? [] : endsOf(salvaged)),
      ];
      return { kind: "remains", remains, heads, holes, folder: home };
    } catch (error) {
      if (!(error instanceof PlantError) || error.code !== "STORE_DAMAGED") throw error;
      last = error;
    }
  }
  throw last ?? new PlantError("STORE_DAMAGED", { reason: "both first pages are garbled" });
}

/** Where pages of the log are gone, blocks may be gone that were kept although they had arrived. */
function startsOf({ firsts }: Salvaged): Lost[] {
  return streams
    .map((stream) => ({ stream, from: 1, to: firsts[stream] - 1 }))
    .filter(({ to }) => to > 0);
}

/** What nobody closed may have held more than can be read of it. */
function endsOf({ heads }: Salvaged): Lost[] {
  return streams.map((stream) => ({ stream, from: heads[stream] + 1, to: null }));
}

/** Tables without whose rows a journal is as good as before, but for what its covers say. */
const spared = new Set<string>([logTable, ...sideTables]);

function extentOf(
  { holes, dropped }: Salvaged,
  missing: ReadonlyMap<string, number>,
  isNewest: boolean,
): "whole" | "holes" | "parts" {
  const gone = [...missing.keys(), ...Object.keys(dropped)];
  if (gone.length === 0 && holes.length === 0 && isNewest) return "whole";
  return gone.every((table) => spared.has(table)) ? "holes" : "parts";
}

/** What the medium or the folder refuses is no damage. */
function failureOf(thrown: unknown, folder: string): { code: Code; detail: object } {
  if (thrown instanceof PlantError) return { code: thrown.code, detail: thrown.detail };
  const { code, message } = thrown as NodeJS.ErrnoException;
  if (code === "ENOSPC" || code === "EDQUOT") return { code: "STORE_FULL", detail: { folder } };
  if (code !== undefined && /^E[A-Z]+$/.test(code) && code !== "EIO") {
    return { code: "STORE_UNUSABLE", detail: { folder, reason: code } };
  }
  return { code: "STORE_DAMAGED", detail: { reason: `it does not read: ${message}` } };
}

/** Answers an inspection; what is wrong is part of the answer. */
export async function answerInspection(asked: Inspection): Promise<Answer> {
  try {
    return asked.do === "check" ? await check(asked) : await readRemains(asked);
  } catch (error) {
    const failed = failureOf(error, asked.folder);
    return { kind: "failed", ...failed, detail: { ...failed.detail } };
  }
}
