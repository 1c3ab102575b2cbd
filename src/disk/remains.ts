// What can still be read of a damaged data file, page by page without LMDB: what is not sound is
// passed over and counted. It must not know what the rows mean.
import { closeSync, fstatSync, openSync } from "node:fs";
import {
  headBytes,
  type Meta,
  readMeta,
  readMetas,
  readPageNumber,
  readTreeRecord,
  type TreeRecord,
  treeRecordBytes,
} from "./meta-pages.ts";
import { PageFile, PageSet, type PageView } from "./page-file.ts";
import {
  childAt,
  flagsOf,
  keyLength,
  keyOf,
  nodeBytes,
  nodeFlags,
  numberAt,
  overflowBytes,
  pageFlags,
  TreePageCheck,
  valueLength,
} from "./tree-page.ts";

/** A row, its table, and whether its value is all there. */
export interface FoundRow {
  readonly table: string;
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** One state of a damaged file: as the newest commit left it, or the one before. */
export interface Remains {
  /** Whether it is the newest commit, as far as the two first pages can tell. */
  readonly isNewest: boolean;
  /** Rows of all tables, in key order within a table; each table's are counted while it is read. */
  rows(): Iterable<FoundRow>;
  /** Pages and values passed over so far, by table; "" is the table of tables. */
  readonly missing: ReadonlyMap<string, number>;
}

const presetPageBytes = 4096;
const depthMax = 32;

/**
 * Opens a damaged file: its states, the newest first; none when both first pages are garbled.
 * @throws an error of the system when it cannot be opened.
 */
export function openRemains(path: string): { states: Remains[] } & Disposable {
  const handle = openSync(path, "r");
  const size = fstatSync(handle).size;
  const whole = readMetas(handle);
  const first = readMeta(handle, 0, 0);
  const pageBytes = typeof first === "string" ? presetPageBytes : first.pageBytes;
  const metas = [first, readMeta(handle, pageBytes, 1)]
    .filter((meta) => typeof meta !== "string")
    .filter((meta) => meta.pageBytes === pageBytes && meta.lastPage * pageBytes < 2 * size)
    .sort((a, b) => b.transaction - a.transaction);
  const states = metas.map((meta, at) => {
    const isNewest = at === 0 && typeof whole !== "string";
    return new State(new PageFile(handle, pageBytes), meta, isNewest);
  });
  return { states, [Symbol.dispose]: () => closeSync(handle) };
}

class State implements Remains {
  readonly isNewest: boolean;
  readonly #file: PageFile;
  readonly #meta: Meta;
  readonly #met: PageSet;
  readonly missing = new Map<string, number>();

  constructor(file: PageFile, meta: Meta, isNewest: boolean) {
    this.#file = file;
    this.#meta = meta;
    this.#met = new PageSet(file.pages);
    this.isNewest = isNewest;
  }

  *rows(): Iterable<FoundRow> {
    const tables: { name: string; record: TreeRecord }[] = [];
    for (const { node, view, key } of this.#leaves("", this.#meta.main)) {
      const isRecord = flagsOf(view, node) === nodeFlags.tree;
      const at = node + nodeBytes + keyLength(view, node);
      if (!isRecord || valueLength(view, node) !== treeRecordBytes) {
        this.#miss("", 1);
        continue;
      }
      const record = readTreeRecord(Buffer.from(view.u8.slice(at, at + treeRecordBytes)), 0);
      tables.push({ name: nameOf(key), record });
    }
    for (const { name, record } of tables) {
      let count = 0;
      for (const { node, view, key } of this.#leaves(name, record)) {
        count += 1;
        const value = this.#valueOf(view, node);
        if (value === undefined) this.#miss(name, 1);
        else yield { table: name, key, value };
      }
      this.#miss(name, Math.abs(record.entries - count));
    }
  }

  #miss(table: string, count: number): void {
    if (count > 0) this.missing.set(table, (this.missing.get(table) ?? 0) + count);
  }

  /** Nodes of the sound leaves of a tree, in order. */
  *#leaves(
    table: string,
    { root, entries }: TreeRecord,
  ): Iterable<{
    node: number;
    view: PageView;
    key: Uint8Array;
  }> {
    if (root === undefined) {
      this.#miss(table, entries);
      return;
    }
    const way: { page: number; depth: number }[] = [{ page: root, depth: 1 }];
    const check = new TreePageCheck(this.#meta.pageBytes);
    for (let next = way.pop(); next !== undefined; next = way.pop()) {
      const { page, depth } = next;
      const found = this.#soundPage(page, depth, check);
      if (found === undefined) {
        this.#miss(table, 1);
        continue;
      }
      const { view, kind } = found;
      const nodes = [...check.nodes.subarray(0, check.count)];
      if (kind === "branch") {
        // The first child is the next one to be visited.
        const below = nodes.map((node) => ({ page: childAt(view, node), depth: depth + 1 }));
        way.push(...below.reverse());
        continue;
      }
      for (const node of nodes) yield { node, view, key: keyOf(view, node) };
    }
  }

  #soundPage(
    page: number,
    depth: number,
    check: TreePageCheck,
  ): { view: PageView; kind: "branch" | "leaf" } | undefined {
    const { pageBytes } = this.#meta;
    const isThere = page > 1 && page < this.#file.pages && depth <= depthMax;
    if (!isThere || !this.#met.add(page)) return undefined;
    const bytes = this.#file.read(page, 0, pageBytes);
    if (bytes === undefined) return undefined;
    const own = new Uint8Array(bytes);
    const view = { u8: own, u16: new Uint16Array(own.buffer), at: 0 };
    const kind = (view.u16[9] ?? 0) === pageFlags.branch ? "branch" : "leaf";
    if (numberAt(view, 0) !== page || check.flaw(view, kind, "bytes") !== undefined) {
      return undefined;
    }
    return { view, kind };
  }

  #valueOf(view: PageView, node: number): Uint8Array | undefined {
    const at = node + nodeBytes + keyLength(view, node);
    const length = valueLength(view, node);
    const flags = flagsOf(view, node);
    if (flags === 0) {
      return at + length <= view.u8.length ? view.u8.slice(at, at + length) : undefined;
    }
    if (flags !== nodeFlags.overflow || at + overflowBytes > view.u8.length) return undefined;
    const page = readPageNumber(Buffer.from(view.u8.slice(at, at + 8)), 0);
    const isThere = page > 1 && page < this.#file.pages;
    if (!isThere || length > this.#file.pages * this.#meta.pageBytes) return undefined;
    return this.#file.read(page, headBytes, length);
  }
}

/** A table's name, as LMDB keeps it with or without a zero at its end. */
function nameOf(key: Uint8Array): string {
  return Buffer.from(key).toString("latin1").replace(/\0$/, "");
}
