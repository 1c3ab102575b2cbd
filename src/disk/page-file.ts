// Reads pages of a data file in their order, in few large reads, and remembers which were met. It
// must not know what is in them.
import { fstatSync, readSync } from "node:fs";

/** Bytes read at one time. */
const windowBytes = 1_048_576;
/** Pages between two wanted ones that are read along rather than skipped. */
const gapMax = 8;

/** One page, as numbers of 8 and 16 bits; `at` is the offset of its first byte. */
export interface PageView {
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  at: number;
}

export class PageFile {
  readonly pageBytes: number;
  /** Whole pages in the file. */
  readonly pages: number;
  readonly #handle: number;
  readonly #window: Buffer;
  readonly #view: PageView;
  readonly #perWindow: number;

  constructor(handle: number, pageBytes: number) {
    this.#handle = handle;
    this.pageBytes = pageBytes;
    this.pages = Math.floor(fstatSync(handle).size / pageBytes);
    this.#perWindow = windowBytes / pageBytes;
    const room = new ArrayBuffer(windowBytes);
    this.#window = Buffer.from(room);
    this.#view = { u8: new Uint8Array(room), u16: new Uint16Array(room), at: 0 };
  }

  /**
   * Visits `pages`, which ascend and are in the file; a visit may end it by its flaw.
   * @returns the flaw, also of a page the medium does not give.
   */
  each(
    pages: ArrayLike<number>,
    visit: (view: PageView, index: number) => string | undefined,
  ): string | undefined {
    const view = this.#view;
    for (let from = 0; from < pages.length; ) {
      const first = pages[from] ?? 0;
      let to = from + 1;
      while (to < pages.length) {
        const next = pages[to] ?? 0;
        if (next - (pages[to - 1] ?? 0) > gapMax || next - first >= this.#perWindow) break;
        to += 1;
      }
      const flaw = this.#load(first, (pages[to - 1] ?? 0) - first + 1);
      if (flaw !== undefined) return flaw;
      for (; from < to; from += 1) {
        view.at = ((pages[from] ?? 0) - first) * this.pageBytes;
        const found = visit(view, from);
        if (found !== undefined) return found;
      }
    }
    return undefined;
  }

  /** Bytes of a value that begins `skip` bytes into `page`; undefined when they are not there. */
  read(page: number, skip: number, length: number): Buffer | undefined {
    const bytes = Buffer.alloc(length);
    const got = tryRead(this.#handle, bytes, page * this.pageBytes + skip);
    return got === length ? bytes : undefined;
  }

  #load(first: number, count: number): string | undefined {
    const part = this.#window.subarray(0, count * this.pageBytes);
    const got = tryRead(this.#handle, part, first * this.pageBytes);
    if (got === part.length) return undefined;
    return `page ${first + Math.max(0, Math.floor(got / this.pageBytes))} cannot be read`;
  }
}

/** Bytes read; -1 when the medium fails. */
function tryRead(handle: number, bytes: Buffer, from: number): number {
  let got = 0;
  try {
    while (got < bytes.length) {
      const more = readSync(handle, bytes, got, bytes.length - got, from + got);
      if (more === 0) break;
      got += more;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EIO") throw error;
    return -1;
  }
  return got;
}

/** A set of page numbers below a bound. */
export class PageSet {
  readonly #bits: Uint32Array;
  count = 0;

  constructor(bound: number) {
    this.#bits = new Uint32Array(Math.ceil(bound / 32));
  }

  has(page: number): boolean {
    return (((this.#bits[page >>> 5] ?? 0) >>> (page & 31)) & 1) === 1;
  }

  /** False when it was there already. */
  add(page: number): boolean {
    const word = this.#bits[page >>> 5] ?? 0;
    const bit = 1 << (page & 31);
    if ((word & bit) !== 0) return false;
    this.#bits[page >>> 5] = word | bit;
    this.count += 1;
    return true;
  }
}
