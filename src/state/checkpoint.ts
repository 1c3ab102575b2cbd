// The checkpoint of the point table: what changed is written back page by page, in slices, so that
// nobody waits for all of it. It must not know how pages are kept.
import { decodeBlock, type Journal } from "../journal/journal.ts";
import { turn } from "../util/slices.ts";
import { encodePage, takePage } from "./page.ts";
import type { Point, PointTable } from "./points.ts";

/** Pages that are put into bytes before others have their turn: a few milliseconds. */
const pagesPerSlice = 8;
/** Pages that are held as bytes at one time. */
const pagesPerSave = 256;
/** Rows and records that are taken over before others have their turn. */
const perSlice = 1000;

/**
 * Writes back what changed since the last checkpoint. A page may be newer than the mark, because
 * points change between slices: the records after the mark are applied again over it.
 * @throws PlantError STORE_FULL, STORE_FAILED, STORE_CLOSED; then nothing counts as written.
 */
export async function saveCheckpoint(journal: Journal, points: PointTable): Promise<void> {
  const mark = { sequence: journal.head("state"), nextIndex: points.nextIndex };
  const dirty = points.takeDirty();
  if (dirty.size === 0) return;
  try {
    if (journal.format === 1) await saveRows(journal, points, dirty, mark);
    else await savePages(journal, points, dirty, mark);
  } catch (error) {
    points.returnDirty(dirty);
    throw error;
  }
}

type Mark = Journal["checkpoint"];

async function savePages(
  journal: Journal,
  points: PointTable,
  dirty: ReadonlySet<number>,
  mark: Mark,
): Promise<void> {
  let pages = new Map<number, Uint8Array | undefined>();
  let done = 0;
  for (const page of dirty) {
    pages.set(page, encodePage(points, page));
    done += 1;
    if (done % pagesPerSlice === 0) await turn();
    if (pages.size < pagesPerSave) continue;
    await journal.saveCheckpoint(pages);
    pages = new Map();
  }
  await journal.saveCheckpoint(pages, mark);
}

/** As release 0.1 reads them: a row per point. */
async function saveRows(
  journal: Journal,
  points: PointTable,
  dirty: ReadonlySet<number>,
  mark: Mark,
): Promise<void> {
  const before = journal.checkpoint.sequence;
  const rows = new Map<number, string | undefined>();
  let done = 0;
  for (const page of dirty) {
    const gone = new Set(points.indicesOfPage(page));
    for (const slot of points.slotsOfPage(page)) {
      const index = points.slots.index[slot] as number;
      gone.delete(index);
      const point = points.slots.pointOf(slot);
      if (point.revision > before) rows.set(index, JSON.stringify(rowOf(points, slot, point)));
    }
    for (const index of gone) rows.set(index, undefined);
    done += 1;
    if (done % pagesPerSlice === 0) await turn();
  }
  await journal.saveCheckpointRows(rows, mark);
}

function rowOf(points: PointTable, slot: number, point: Point): object {
  const profile = points.slots.profileOf(slot);
  const due = points.dueOf(slot);
  return profile === undefined ? point : { ...point, profile, due };
}

type Row = Point & { readonly profile?: string; readonly due?: number };

/**
 * Rebuilds the table: the rows and pages of the last checkpoint, and the records after it.
 * @throws PlantError STORE_DAMAGED, STORE_FORMAT_NEWER.
 */
export async function loadPoints(journal: Journal, points: PointTable): Promise<void> {
  const { sequence, nextIndex } = journal.checkpoint;
  points.begin(nextIndex);
  let done = 0;
  for (const { page, bytes } of journal.checkpointPages()) {
    takePage(points, page, bytes);
    done += 64;
    if (done % perSlice < 64) await turn();
  }
  let isOld = false;
  for (const { index, text } of journal.checkpointRows()) {
    const row = JSON.parse(text) as Row;
    if (points.slots.findIndex(index) < 0) points.take({ ...row, index }, row, row);
    isOld = true;
    done += 1;
    if (done % perSlice === 0) await turn();
  }
  // Rows of the old layout go with the first checkpoint in pages, which has all points.
  if (isOld && journal.format !== 1) points.soilAll();
  for (const { head, bytes } of journal.blocks("state", sequence)) {
    for (const record of decodeBlock(bytes).records) {
      if (record.sequence > sequence) points.apply(record, record.sequence, head.runMs);
    }
    await turn();
  }
}
