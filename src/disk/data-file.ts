// Whether a data file is one that LMDB can open: it maps what it is given, and a page that is not
// there ends the process without a word. It must not know tables or rows.
import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs";

/** What a meta page says, as far as it is looked at. */
interface Meta {
  readonly pageBytes: number;
  /** Root pages of the free list and of the table of tables; all bits set when empty. */
  readonly roots: readonly bigint[];
  readonly lastPage: bigint;
  readonly transaction: bigint;
}

/** Bytes of one meta page that are read. */
const metaBytes = 256;
const magic = 0xbeefc0de;
const metaFlag = 8;
const none = 2n ** 64n - 1n;
/** Pages at the end that a transaction took and gave back again need not be in the file. */
const missingPagesMax = 256n;

/**
 * What is wrong with the data file at `path`; nothing when it is absent, empty or sound as far as
 * its two meta pages tell.
 * @throws an error of the system when it cannot be read.
 */
export function flawOfDataFile(path: string): string | undefined {
  if (!existsSync(path)) return undefined;
  const handle = openSync(path, "r");
  try {
    const { size } = fstatSync(handle);
    if (size === 0) return undefined;
    const first = readMeta(handle, 0);
    const second = first === undefined ? undefined : readMeta(handle, first.pageBytes);
    if (first === undefined || second === undefined) return "its first pages are none of a store";
    const newest = first.transaction > second.transaction ? first : second;
    return flawOfMeta(newest, BigInt(size)) ?? flawOfRoots(handle, newest);
  } finally {
    closeSync(handle);
  }
}

function readMeta(handle: number, at: number): Meta | undefined {
  const page = Buffer.alloc(metaBytes);
  if (readSync(handle, page, 0, metaBytes, at) < metaBytes) return undefined;
  const pageBytes = page.readUInt32LE(0x30);
  const isMeta = (page.readUInt16LE(0x12) & metaFlag) !== 0 && page.readUInt32LE(0x18) === magic;
  const isPage = pageBytes >= 512 && pageBytes <= 65_536 && (pageBytes & (pageBytes - 1)) === 0;
  if (!isMeta || !isPage) return undefined;
  const roots = [page.readBigUInt64LE(0x58), page.readBigUInt64LE(0x88)];
  const lastPage = page.readBigUInt64LE(0x90);
  return { pageBytes, roots, lastPage, transaction: page.readBigUInt64LE(0x98) };
}

function flawOfMeta({ pageBytes, roots, lastPage }: Meta, size: bigint): string | undefined {
  const pages = size / BigInt(pageBytes);
  if (lastPage + 1n > pages + missingPagesMax) {
    return `it has ${pages} of ${lastPage + 1n} pages`;
  }
  const isThere = (root: bigint) => root === none || (root > 1n && root < pages);
  return roots.every(isThere) ? undefined : "a root is not there";
}

/** Each page begins with its own number. */
function flawOfRoots(handle: number, { pageBytes, roots }: Meta): string | undefined {
  const head = Buffer.alloc(8);
  for (const root of roots) {
    if (root === none) continue;
    readSync(handle, head, 0, head.length, Number(root) * pageBytes);
    if (head.readBigUInt64LE() !== root) return `page ${root} is another`;
  }
  return undefined;
}
