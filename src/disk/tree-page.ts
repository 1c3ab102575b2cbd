// One branch or leaf page of a tree: its head, its nodes, the order of its keys. It must not know
// where in the tree it stands.
import { headBytes, readPageNumber } from "./meta-pages.ts";
import type { PageView } from "./page-file.ts";

/** Flags of a page. */
export const pageFlags = { branch: 1, leaf: 2, overflow: 4 } as const;
/** Flags of a node of a leaf. */
export const nodeFlags = { overflow: 1, tree: 2 } as const;
/** Bytes of a node before its key. */
export const nodeBytes = 8;
/** Bytes in a node that point to a value on pages of its own. */
export const overflowBytes = 24;

/** A number of 64 bits at an even offset; beyond 2^53 it is about right. */
export function numberAt({ u16 }: PageView, at: number): number {
  const word = at >>> 1;
  const low = (u16[word] ?? 0) + (u16[word + 1] ?? 0) * 0x1_0000;
  return low + ((u16[word + 2] ?? 0) + (u16[word + 3] ?? 0) * 0x1_0000) * 2 ** 32;
}

/** The page a node of a branch leads to: a number of 48 bits. */
export function childAt({ u16 }: PageView, node: number): number {
  const word = node >>> 1;
  return (u16[word] ?? 0) + (u16[word + 1] ?? 0) * 0x1_0000 + (u16[word + 2] ?? 0) * 2 ** 32;
}

/** Length of the value of a node of a leaf. */
export function valueLength({ u16 }: PageView, node: number): number {
  return (u16[node >>> 1] ?? 0) + (u16[(node >>> 1) + 1] ?? 0) * 0x1_0000;
}

export function flagsOf({ u16 }: PageView, node: number): number {
  return u16[(node >>> 1) + 2] ?? 0;
}

export function keyLength({ u16 }: PageView, node: number): number {
  return u16[(node >>> 1) + 3] ?? 0;
}

/** A copy of a node's key. */
export function keyOf(view: PageView, node: number): Uint8Array {
  const from = node + nodeBytes;
  return view.u8.slice(from, from + keyLength(view, node));
}

/** How keys are ordered: by bytes, or as numbers of 64 bits. */
export type KeyOrder = "bytes" | "numbers";

/** Below 0 when key `a` stands before key `b`. */
export function compareKeys(order: KeyOrder, a: Uint8Array, b: Uint8Array): number {
  if (order === "bytes") return Buffer.compare(a, b);
  for (let at = 7; at >= 0; at -= 1) {
    if (a[at] !== b[at]) return (a[at] ?? 0) - (b[at] ?? 0);
  }
  return 0;
}

/** Checks pages of one size; `nodes` holds the offsets of the page checked last. */
export class TreePageCheck {
  readonly #pageBytes: number;
  /** Offsets of the nodes within the view, in key order. */
  readonly nodes: Uint32Array;
  count = 0;
  /** For each even offset of a page, which page last had a node there. */
  readonly #starts: Uint32Array;
  #turn = 0;

  constructor(pageBytes: number) {
    this.#pageBytes = pageBytes;
    this.nodes = new Uint32Array(pageBytes >> 1);
    this.#starts = new Uint32Array(pageBytes >> 1);
  }

  /** What is wrong with the page, in words that follow its name. */
  flaw(view: PageView, kind: "branch" | "leaf", order: KeyOrder): string | undefined {
    const head = view.at >>> 1;
    const flags = view.u16[head + 9] ?? 0;
    if (flags !== pageFlags[kind]) return `has the flags ${flags} and is no ${kind}`;
    const lower = view.u16[head + 10] ?? 0;
    const upper = view.u16[head + 11] ?? 0;
    const room = this.#pageBytes - headBytes;
    if ((lower & 1) !== 0 || lower > upper || upper > room) {
      return `has the bounds ${lower} and ${upper}`;
    }
    this.count = lower >> 1;
    return this.#flawOfNodes(view, kind, upper, room) ?? this.#flawOfKeys(view, kind, order);
  }

  /** The nodes fill the room from `upper` to the end, each once, without a gap. */
  #flawOfNodes(
    view: PageView,
    kind: "branch" | "leaf",
    upper: number,
    room: number,
  ): string | undefined {
    this.#turn += 1;
    const base = view.at + headBytes;
    for (let index = 0; index < this.count; index += 1) {
      const offset = view.u16[(base >>> 1) + index] ?? 0;
      const isInside = (offset & 1) === 0 && offset >= upper && offset + nodeBytes <= room;
      if (!isInside || this.#starts[offset >> 1] === this.#turn) {
        return `has node ${index} at ${offset}`;
      }
      this.#starts[offset >> 1] = this.#turn;
      this.nodes[index] = base + offset;
    }
    let found = 0;
    let offset = upper;
    while (offset < room) {
      if (this.#starts[offset >> 1] !== this.#turn) return `has no node at ${offset}`;
      offset += nodeLength(view, base + offset, kind);
      found += 1;
    }
    if (offset !== room || found !== this.count) return "has nodes that overlap";
    return undefined;
  }

  #flawOfKeys(view: PageView, kind: "branch" | "leaf", order: KeyOrder): string | undefined {
    // The first key of a branch is never looked at.
    for (let index = kind === "branch" ? 1 : 0; index < this.count; index += 1) {
      const node = this.nodes[index] ?? 0;
      const length = keyLength(view, node);
      if (length === 0 || (order === "numbers" && length !== 8)) {
        return `has a key of ${length} bytes at node ${index}`;
      }
      const isFirst = index === (kind === "branch" ? 1 : 0);
      if (!isFirst && !isBefore(view, this.nodes[index - 1] ?? 0, node, order)) {
        return `has node ${index} out of order`;
      }
    }
    return undefined;
  }
}

function nodeLength(view: PageView, node: number, kind: "branch" | "leaf"): number {
  const length = nodeBytes + keyLength(view, node);
  if (kind === "branch") return (length + 1) & ~1;
  const isOverflow = (flagsOf(view, node) & nodeFlags.overflow) !== 0;
  const whole = length + (isOverflow ? overflowBytes : valueLength(view, node));
  return whole % 2 === 0 ? whole : whole + 1;
}

/** Whether the key of node `a` stands before that of `b`. */
function isBefore(view: PageView, a: number, b: number, order: KeyOrder): boolean {
  const { u8 } = view;
  if (order === "numbers") return numberAt(view, a + nodeBytes) < numberAt(view, b + nodeBytes);
  const lengthA = keyLength(view, a);
  const lengthB = keyLength(view, b);
  const most = Math.min(lengthA, lengthB);
  for (let at = nodeBytes; at < nodeBytes + most; at += 1) {
    const one = u8[a + at] ?? 0;
    const other = u8[b + at] ?? 0;
    if (one !== other) return one < other;
  }
  return lengthA < lengthB;
}

/** Pages in the free list's value `bytes`, in order, as runs; or what is wrong with it. */
export function* freeRuns(bytes: Buffer): Iterable<{ page: number; count: number } | string> {
  if (bytes.length < 8 || readPageNumber(bytes, 0) > bytes.length / 8 - 1) {
    yield "is shorter than it says";
    return;
  }
  const end = 8 + readPageNumber(bytes, 0) * 8;
  for (let at = 8; at < end; at += 8) {
    const entry = bytes.readBigInt64LE(at);
    if (entry === 0n) continue;
    if (entry > 0n) yield { page: Number(entry), count: 1 };
    else {
      at += 8;
      if (at >= end) {
        yield "ends in the middle of a run";
        return;
      }
      yield { page: readPageNumber(bytes, at), count: Number(-entry) };
    }
  }
}
