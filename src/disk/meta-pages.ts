// The two first pages of LMDB's data file: what the newest commit says of the rest. It must not
// know tables or rows.
import { fstatSync, readSync } from "node:fs";

/** The record LMDB keeps of one tree. */
export interface TreeRecord {
  readonly flags: number;
  readonly depth: number;
  readonly branchPages: number;
  readonly leafPages: number;
  readonly overflowPages: number;
  readonly entries: number;
  /** Undefined when the tree is empty. */
  readonly root: number | undefined;
}

/** What a meta page says. */
export interface Meta {
  readonly pageBytes: number;
  readonly free: TreeRecord;
  readonly main: TreeRecord;
  readonly lastPage: number;
  readonly transaction: number;
}

/** The version of LMDB's file format that this release reads and writes. */
export const dataVersion = 2;
/** Bytes of the record of a tree. */
export const treeRecordBytes = 48;
/** Bytes of the head of every page. */
export const headBytes = 24;
/** Pages at the end that a transaction took and gave back again need not be in the file. */
const missingPagesMax = 4096;

const metaBytes = headBytes + 144;
const magic = 0xbeefc0de;
const metaFlag = 8;
/** Set in a commit that was never flushed; this store makes none. */
const unflushedFlag = 0x1000;

/** Reads a number of 64 bits; beyond 2^53 it is about right, and out of every bound. */
export function readPageNumber(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 2 ** 32;
}

/** Reads the record of a tree. */
export function readTreeRecord(bytes: Buffer, at: number): TreeRecord {
  const isEmpty =
    bytes.readUInt32LE(at + 40) === 2 ** 32 - 1 && bytes.readUInt32LE(at + 44) === 2 ** 32 - 1;
  return {
    flags: bytes.readUInt16LE(at + 4),
    depth: bytes.readUInt16LE(at + 6),
    branchPages: readPageNumber(bytes, at + 8),
    leafPages: readPageNumber(bytes, at + 16),
    overflowPages: readPageNumber(bytes, at + 24),
    entries: readPageNumber(bytes, at + 32),
    root: isEmpty ? undefined : readPageNumber(bytes, at + 40),
  };
}

/**
 * The newest of both meta pages, or what is wrong with them. Without overlapping syncs every
 * commit is flushed before its meta page is written, so the newest counts, as LMDB takes it:
 * `safeRestore` would step back only from a commit marked as not flushed, and there is none.
 * @throws an error of the system when the file cannot be read.
 */
export function readMetas(handle: number): Meta | string {
  const size = fstatSync(handle).size;
  const version = versionOf(handle);
  if (version !== undefined && version !== dataVersion) {
    return `it is in version ${version} of LMDB's format`;
  }
  const first = readMeta(handle, 0, 0);
  if (typeof first === "string") return first;
  const second = readMeta(handle, first.pageBytes, 1);
  if (typeof second === "string") return second;
  if (second.pageBytes !== first.pageBytes) return "its two first pages disagree";
  const newest = first.transaction >= second.transaction ? first : second;
  const pages = Math.floor(size / newest.pageBytes);
  if ((newest.free.flags & unflushedFlag) !== 0) return "its newest commit was never flushed";
  if (newest.lastPage >= pages + missingPagesMax) {
    return `it has ${pages} of ${newest.lastPage + 1} pages`;
  }
  for (const { root } of [newest.free, newest.main]) {
    const isThere = root === undefined || (root > 1 && root <= newest.lastPage && root < pages);
    if (!isThere) return "a root is not there";
  }
  return newest;
}

/** The version of LMDB's format that the file says it is in; undefined when it says none. */
export function versionOf(handle: number): number | undefined {
  const head = Buffer.alloc(8);
  if (readSync(handle, head, 0, 8, headBytes) < 8) return undefined;
  return head.readUInt32LE(0) === magic ? head.readUInt16LE(4) : undefined;
}

/** One meta page; or what is wrong with it. */
export function readMeta(handle: number, at: number, number: number): Meta | string {
  const wrong = "its first pages are none of a store";
  const page = Buffer.alloc(metaBytes);
  if (readSync(handle, page, 0, metaBytes, at) < metaBytes) return wrong;
  const free = readTreeRecord(page, headBytes + 24);
  const pageBytes = page.readUInt32LE(headBytes + 24);
  const isMeta = (page.readUInt16LE(18) & metaFlag) !== 0 && page.readUInt32LE(headBytes) === magic;
  const isPage = pageBytes >= 512 && pageBytes <= 65_536 && (pageBytes & (pageBytes - 1)) === 0;
  const isKnown = page.readUInt16LE(headBytes + 4) === dataVersion;
  if (!isMeta || !isPage || !isKnown || readPageNumber(page, 0) !== number) return wrong;
  return {
    pageBytes,
    free,
    main: readTreeRecord(page, headBytes + 24 + treeRecordBytes),
    lastPage: readPageNumber(page, headBytes + 24 + 2 * treeRecordBytes),
    transaction: readPageNumber(page, headBytes + 32 + 2 * treeRecordBytes),
  };
}
