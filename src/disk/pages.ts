// Walks LMDB's data file page by page without LMDB, which maps what it is given: a garbled page
// would end the process without a word. It must not know tables by name, or rows.
import { closeSync, existsSync, fstatSync, openSync } from "node:fs";
import { dataVersion, readMetas, versionOf } from "./meta-pages.ts";
import { type FreeRoom, type PageCounts, PageWalk } from "./page-walk.ts";

/**
 * What is wrong with the data file at `path`; undefined when it is absent, empty or sound. Checks
 * both first pages, every page of every tree (own number, kind, bounds, nodes, order of keys, age,
 * counts), the head of every run of overflow pages, and that each page is reached once at most and
 * is not free at the same time. What the pages hold is for the owner's own checksums. Reads pages
 * in rising order; bounded by the size of the file, whatever is in it.
 * @throws an error of the system when the file cannot be opened.
 */
export function flawOfPages(path: string): string | undefined {
  const found = walkPages(path);
  return typeof found === "string" ? found : undefined;
}

/** As `flawOfPages`; what was counted when all is sound. */
export function walkPages(path: string): PageCounts | string {
  return (
    withFile(path, (handle) => {
      const meta = readMetas(handle);
      if (typeof meta === "string") return meta;
      const walk = new PageWalk(handle, meta);
      return walk.flaw("all") ?? walk.counts();
    }) ?? { pages: 0, reached: 0, free: 0, lost: 0 }
  );
}

/**
 * The quick part of `flawOfPages`, for each opening: the first pages, the roots, every branch, and
 * that what they lead to is in the file.
 */
export function flawOfBranches(path: string): string | undefined {
  return withFile(path, (handle) => {
    const meta = readMetas(handle);
    return typeof meta === "string" ? meta : new PageWalk(handle, meta).flaw("branches");
  });
}

/** The free pages of a sound file between two commits, as LMDB may take them. */
export function freeRoomOf(path: string): FreeRoom {
  const found = withFile(path, (handle) => {
    const meta = readMetas(handle);
    return typeof meta === "string" ? undefined : new PageWalk(handle, meta).freeRoom();
  });
  return found ?? { pages: 0, longest: 0 };
}

/** The newer version of LMDB's file format that the file is written in, if it is. */
export function newerVersionOf(path: string): number | undefined {
  return withFile(path, (handle) => {
    const found = versionOf(handle);
    return found !== undefined && found > dataVersion ? found : undefined;
  });
}

function withFile<T>(path: string, use: (handle: number) => T): T | undefined {
  if (!existsSync(path)) return undefined;
  const handle = openSync(path, "r");
  try {
    return fstatSync(handle).size === 0 ? undefined : use(handle);
  } finally {
    closeSync(handle);
  }
}
