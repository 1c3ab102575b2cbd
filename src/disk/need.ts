// What a commit needs: bytes, room, and places at the end of the file. It must not know LMDB's
// answers, only how it lays out pages.
import { PlantError } from "../util/errors.ts";

/** One change of a commit: a put, or a removal when `value` is absent. */
export interface Write {
  readonly table: string;
  readonly key: Uint8Array;
  readonly value?: Uint8Array;
}

const keyBytesMax = 1900;
/** Pages a write touches at most beside its value's: from the leaf to the root, and halves. */
const pagesPerWrite = 8;
/** Pages a commit touches in the free list and the table of tables. */
const pagesPerCommit = 64;

/**
 * Bytes of keys and values put, and what they cost of the room: at least what they take.
 * @throws PlantError LIMIT_REACHED for a key of no or too many bytes.
 */
export function costOf(
  writes: readonly Write[],
  pageBytes: number,
): { readonly bytes: number; readonly cost: number } {
  let bytes = 0;
  let cost = 0;
  for (const { key, value } of writes) {
    if (key.length === 0 || key.length > keyBytesMax) {
      throw new PlantError("LIMIT_REACHED", { limit: "key bytes", max: keyBytesMax });
    }
    if (value === undefined) continue;
    bytes += key.length + value.length;
    // A value above half a page takes whole pages of its own.
    cost += value.length > 2000 ? Math.ceil((value.length + 24) / pageBytes) * pageBytes : 0;
    cost += 2 * (key.length + 32 + (value.length > 2000 ? 0 : value.length));
  }
  return { bytes, cost };
}

/** What a commit can take at the end of the file at most, and the longest run of pages within. */
export interface Most {
  readonly bytes: number;
  readonly longest: number;
  readonly isPut: boolean;
}

/** @param liveBytes pages in use: no more than these are copied. */
export function mostOf(writes: readonly Write[], pageBytes: number, liveBytes: number): Most {
  let bytes = pagesPerCommit * pageBytes;
  let longest = 0;
  let isPut = false;
  for (const { key, value } of writes) {
    if (value === undefined) continue;
    isPut = true;
    longest = Math.max(longest, Math.ceil((value.length + 64) / pageBytes));
    // A page that is divided is half full.
    bytes +=
      2 * (key.length + 32) + (value.length > 2000 ? value.length + pageBytes : 2 * value.length);
  }
  // No more pages are touched than there are.
  bytes += Math.min(pagesPerWrite * writes.length * pageBytes, liveBytes);
  return { bytes, longest, isPut };
}
