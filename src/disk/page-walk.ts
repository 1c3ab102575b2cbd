// One walk over the pages of a data file, tree by tree and level by level. It must not know how
// the file is opened or what its tables are for.
import {
  headBytes,
  type Meta,
  readTreeRecord,
  type TreeRecord,
  treeRecordBytes,
} from "./meta-pages.ts";
import { PageFile, PageSet, type PageView } from "./page-file.ts";
import {
  childAt,
  compareKeys,
  flagsOf,
  freeRuns,
  type KeyOrder,
  keyLength,
  keyOf,
  nodeBytes,
  nodeFlags,
  numberAt,
  pageFlags,
  TreePageCheck,
  valueLength,
} from "./tree-page.ts";

/** What a walk found: pages are those up to the last one LMDB has ever used. */
export interface PageCounts {
  readonly pages: number;
  /** Met on the way from the roots, with the two first pages. */
  readonly reached: number;
  readonly free: number;
  /**
   * Neither: legal in any number, for LMDB may lose free pages when it divides its list. They take
   * room until a compact copy is made, and hold nothing.
   */
  readonly lost: number;
}

/** Levels of a tree that LMDB can walk. */
const depthMax = 32;
/** Dirty marks that LMDB leaves in no file, and kinds of trees that this store makes none of. */
const sortedDuplicates = 0x04;

/** One tree to be walked. */
interface Tree {
  readonly name: string;
  readonly kind: "free" | "main" | "table";
  readonly record: TreeRecord;
  /** Age of the page that holds the record: no page below is younger. */
  readonly transaction: number;
}

/** Pages of one level of a tree: `low` included and `high` excluded bound their keys. */
interface Level {
  readonly page: number[];
  readonly low: (Uint8Array | undefined)[];
  readonly high: (Uint8Array | undefined)[];
  readonly transaction: number[];
}

/** Runs of overflow pages that leaves lead to. */
interface Runs {
  readonly page: number[];
  readonly count: number[];
  /** The transaction that wrote it; 1 in a compact copy, where the run keeps its old one. */
  readonly transaction: number[];
  /** Bytes of the value. */
  readonly length: number[];
}

/** Free pages, and the longest run of them. */
export interface FreeRoom {
  readonly pages: number;
  readonly longest: number;
}

export class PageWalk {
  readonly #meta: Meta;
  readonly #file: PageFile;
  readonly #check: TreePageCheck;
  readonly #reached: PageSet;
  readonly #free: PageSet;
  readonly #tables: Tree[] = [];
  #depth: "all" | "branches" = "all";
  #branchPages = 0;
  #leafPages = 0;
  #overflowPages = 0;
  #entries = 0;

  constructor(handle: number, meta: Meta) {
    this.#meta = meta;
    this.#file = new PageFile(handle, meta.pageBytes);
    this.#check = new TreePageCheck(meta.pageBytes);
    this.#reached = new PageSet(meta.lastPage + 1);
    this.#free = new PageSet(meta.lastPage + 1);
    this.#reached.add(0);
    this.#reached.add(1);
  }

  flaw(depth: "all" | "branches"): string | undefined {
    this.#depth = depth;
    const { free, main, transaction } = this.#meta;
    const trees: Tree[] = [
      { name: "the table of tables", kind: "main", record: main, transaction },
      { name: "the free list", kind: "free", record: free, transaction },
    ];
    for (const tree of trees) {
      const found = this.#flawOfTree(tree);
      if (found !== undefined) return found;
    }
    for (const tree of this.#tables) {
      const found = this.#flawOfTree(tree);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  counts(): PageCounts {
    const pages = this.#meta.lastPage + 1;
    const reached = this.#reached.count;
    const free = this.#free.count;
    return { pages, reached, free, lost: pages - reached - free };
  }

  /** The free pages alone; none when their list is not sound. */
  freeRoom(): FreeRoom {
    const { free, transaction } = this.#meta;
    const tree = { name: "the free list", kind: "free", record: free, transaction } as const;
    if (this.#flawOfTree(tree) !== undefined) return { pages: 0, longest: 0 };
    let longest = 0;
    let run = 0;
    for (let page = 2; page <= this.#meta.lastPage; page += 1) {
      run = this.#free.has(page) ? run + 1 : 0;
      longest = Math.max(longest, run);
    }
    return { pages: this.#free.count, longest };
  }

  #flawOfTree(tree: Tree): string | undefined {
    const { root, depth } = tree.record;
    this.#branchPages = 0;
    this.#leafPages = 0;
    this.#overflowPages = 0;
    this.#entries = 0;
    if (root === undefined) return this.#flawOfCounts(tree);
    if (depth === 0 || depth > depthMax) return `${tree.name} has ${depth} levels`;
    if ((tree.record.flags & sortedDuplicates) !== 0) return `${tree.name} has duplicates`;
    let level: Level = {
      page: [root],
      low: [undefined],
      high: [undefined],
      transaction: [tree.transaction],
    };
    const runs: Runs = { page: [], count: [], transaction: [], length: [] };
    for (let at = 1; at <= depth; at += 1) {
      const isLeaf = at === depth;
      const found = this.#flawOfPlaces(tree, level);
      if (found !== undefined) return found;
      // A named table's leaves are not needed to know that its branches are sound.
      if (isLeaf && this.#depth === "branches" && tree.kind !== "main") return undefined;
      const next: Level = { page: [], low: [], high: [], transaction: [] };
      const wrong = this.#flawOfLevel(tree, sorted(level), isLeaf ? runs : next);
      if (wrong !== undefined) return wrong;
      level = next;
    }
    if (this.#depth === "branches") return undefined;
    return this.#flawOfRuns(tree, runs) ?? this.#flawOfCounts(tree);
  }

  /** Every page is in the file and was not met before. */
  #flawOfPlaces(tree: Tree, { page }: Level): string | undefined {
    for (const number of page) {
      const found = this.#take(tree, number, 1);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #take({ name }: Tree, page: number, count: number): string | undefined {
    const end = page + count;
    if (page < 2 || end > this.#meta.lastPage + 1) return `${name} leads to page ${page}`;
    if (end > this.#file.pages) return `${name} leads to page ${page}, which is not in the file`;
    for (let number = page; number < end; number += 1) {
      if (this.#free.has(number)) return `page ${number} of ${name} is free, too`;
      if (!this.#reached.add(number)) return `page ${number} of ${name} is met twice`;
    }
    return undefined;
  }

  #flawOfLevel(tree: Tree, level: Level, below: Level | Runs): string | undefined {
    const kind = "length" in below ? "leaf" : "branch";
    const order: KeyOrder = tree.kind === "free" ? "numbers" : "bytes";
    const check = this.#check;
    return this.#file.each(level.page, (view, index) => {
      const page = level.page[index] ?? 0;
      const said = `page ${page} of ${tree.name}`;
      const found = numberAt(view, view.at);
      if (found !== page) return `${said} is page ${found}`;
      const transaction = numberAt(view, view.at + 8);
      if (transaction > (level.transaction[index] ?? 0)) {
        return `${said} is younger than what leads to it`;
      }
      const flaw = check.flaw(view, kind, order);
      if (flaw !== undefined) return `${said} ${flaw}`;
      const bounds = { low: level.low[index], high: level.high[index] };
      if (!this.#isBetween(view, kind, order, bounds)) return `${said} has keys of another page`;
      if ("length" in below) return this.#readLeaf(tree, { view, page, transaction }, below);
      this.#readBranch({ view, transaction }, bounds, below);
      return check.count < 2 && tree.kind !== "free" ? `${said} leads to one page` : undefined;
    });
  }

  #isBetween(
    view: PageView,
    kind: "branch" | "leaf",
    order: KeyOrder,
    { low, high }: { low: Uint8Array | undefined; high: Uint8Array | undefined },
  ): boolean {
    const { nodes, count } = this.#check;
    const first = kind === "branch" ? 1 : 0;
    if (count <= first) return true;
    if (low !== undefined && compareKeys(order, keyOf(view, nodes[first] ?? 0), low) < 0) {
      return false;
    }
    const last = keyOf(view, nodes[count - 1] ?? 0);
    return high === undefined || compareKeys(order, last, high) < 0;
  }

  #readBranch(
    { view, transaction }: { view: PageView; transaction: number },
    { low, high }: { low: Uint8Array | undefined; high: Uint8Array | undefined },
    below: Level,
  ): void {
    const { nodes, count } = this.#check;
    this.#branchPages += 1;
    for (let index = 0; index < count; index += 1) {
      const node = nodes[index] ?? 0;
      const key = index === 0 ? low : keyOf(view, node);
      if (index > 0) below.high.push(key);
      below.page.push(childAt(view, node));
      below.low.push(key);
      below.transaction.push(transaction);
    }
    if (count > 0) below.high.push(high);
  }

  #readLeaf(
    tree: Tree,
    { view, page, transaction }: { view: PageView; page: number; transaction: number },
    runs: Runs,
  ): string | undefined {
    const { nodes, count } = this.#check;
    this.#leafPages += 1;
    this.#entries += count;
    for (let index = 0; index < count; index += 1) {
      const node = nodes[index] ?? 0;
      const flags = flagsOf(view, node);
      const value = node + nodeBytes + keyLength(view, node);
      const length = valueLength(view, node);
      const said = `node ${index} of page ${page} of ${tree.name}`;
      if (flags === nodeFlags.overflow) {
        runs.page.push(oddNumberAt(view, value));
        runs.transaction.push(oddNumberAt(view, value + 8));
        runs.count.push(oddNumberAt(view, value + 16));
        runs.length.push(length);
      } else if (flags === nodeFlags.tree && tree.kind === "main") {
        if (length !== treeRecordBytes) return `${said} is the record of no table`;
        const record = readTreeRecord(Buffer.from(view.u8.slice(value, value + length)), 0);
        const name = `table ${nameOf(keyOf(view, node))}`;
        this.#tables.push({ name, kind: "table", record, transaction });
      } else if (flags !== 0) return `${said} has the flags ${flags}`;
      else if (tree.kind === "free") {
        const list = Buffer.from(view.u8.slice(value, value + length));
        const flaw = this.#flawOfFree(list, page);
        if (flaw !== undefined) return flaw;
      }
    }
    return undefined;
  }

  /** The pages that a row of the free list names are in range, and nowhere else. */
  #flawOfFree(list: Buffer, page: number): string | undefined {
    for (const run of freeRuns(list)) {
      if (typeof run === "string") return `a list on page ${page} of the free list ${run}`;
      const end = run.page + run.count;
      if (run.page < 2 || end > this.#meta.lastPage + 1) {
        return `the free list names page ${run.page} and ${run.count - 1} more`;
      }
      for (let number = run.page; number < end; number += 1) {
        if (this.#reached.has(number)) return `page ${number} is free and in use`;
        if (!this.#free.add(number)) return `page ${number} is free twice`;
      }
    }
    return undefined;
  }

  #flawOfRuns(tree: Tree, unsorted: Runs): string | undefined {
    const runs = sortedRuns(unsorted);
    const { pageBytes } = this.#meta;
    for (let index = 0; index < runs.page.length; index += 1) {
      const page = runs.page[index] ?? 0;
      const count = runs.count[index] ?? 0;
      const needed = Math.floor((headBytes - 1 + (runs.length[index] ?? 0)) / pageBytes) + 1;
      if (count !== needed) {
        return `${tree.name} has ${count} pages at ${page} for a value of ${runs.length[index]} bytes`;
      }
      const found = this.#take(tree, page, count);
      if (found !== undefined) return found;
      this.#overflowPages += count;
    }
    return (
      this.#file.each(runs.page, (view, index) => {
        const page = runs.page[index] ?? 0;
        const said = `page ${page} of ${tree.name}`;
        const found = numberAt(view, view.at);
        if (found !== page) return `${said} is page ${found}`;
        const written = runs.transaction[index] ?? 0;
        if (written !== 1 && numberAt(view, view.at + 8) !== written) {
          return `${said} is of another commit than what leads to it`;
        }
        const head = view.at >>> 1;
        const flags = view.u16[head + 9] ?? 0;
        if (flags !== pageFlags.overflow)
          return `${said} has the flags ${flags} and is no overflow`;
        const count = (view.u16[head + 10] ?? 0) + (view.u16[head + 11] ?? 0) * 0x1_0000;
        if (count !== runs.count[index]) return `${said} has ${count} pages`;
        return undefined;
      }) ?? (tree.kind === "free" ? this.#flawOfFreeRuns(runs) : undefined)
    );
  }

  #flawOfFreeRuns(runs: Runs): string | undefined {
    for (let index = 0; index < runs.page.length; index += 1) {
      const page = runs.page[index] ?? 0;
      const list = this.#file.read(page, headBytes, runs.length[index] ?? 0);
      if (list === undefined) return `page ${page} cannot be read`;
      const flaw = this.#flawOfFree(list, page);
      if (flaw !== undefined) return flaw;
    }
    return undefined;
  }

  #flawOfCounts({ name, record }: Tree): string | undefined {
    const { branchPages, leafPages, overflowPages, entries } = record;
    const counted: Record<string, readonly [number, number]> = {
      "branch pages": [branchPages, this.#branchPages],
      "leaf pages": [leafPages, this.#leafPages],
      "overflow pages": [overflowPages, this.#overflowPages],
      entries: [entries, this.#entries],
    };
    for (const [what, [said, found]] of Object.entries(counted)) {
      if (said !== found) return `${name} says it has ${said} ${what} and has ${found}`;
    }
    return undefined;
  }
}

/** A number of 64 bits in a node's value, which may begin at an odd offset. */
function oddNumberAt({ u8 }: PageView, at: number): number {
  let value = 0;
  for (let index = 7; index >= 0; index -= 1) value = value * 256 + (u8[at + index] ?? 0);
  return value;
}

function sorted(level: Level): Level {
  const order = orderOf(level.page);
  return {
    page: order.map((at) => level.page[at] ?? 0),
    low: order.map((at) => level.low[at]),
    high: order.map((at) => level.high[at]),
    transaction: order.map((at) => level.transaction[at] ?? 0),
  };
}

function sortedRuns(runs: Runs): Runs {
  const order = orderOf(runs.page);
  return {
    page: order.map((at) => runs.page[at] ?? 0),
    count: order.map((at) => runs.count[at] ?? 0),
    transaction: order.map((at) => runs.transaction[at] ?? 0),
    length: order.map((at) => runs.length[at] ?? 0),
  };
}

function orderOf(pages: readonly number[]): number[] {
  return pages.map((_, at) => at).sort((a, b) => (pages[a] ?? 0) - (pages[b] ?? 0));
}

function nameOf(key: Uint8Array): string {
  return Buffer.from(key)
    .toString("latin1")
    .replace(/\0$/, "")
    .replace(/[^\x20-\x7e]/g, "?")
    .slice(0, 40);
}
