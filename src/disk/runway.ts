// Zeros written into the data file ahead of use: a flush of a page that has its place already
// needs no change of the file system's own records. It must not know LMDB.
import { type FileHandle, open } from "node:fs/promises";

/** Written and flushed at one time, so that a commit's own flush never waits for much. */
const stepBytes = 262_144;
/** Commits until it is tried again after a failure. */
const patience = 256;
/** What a medium says that is full or failing: the commits' own flushes hear it, too, and tell. */
const mediumCodes = ["ENOSPC", "EDQUOT", "EIO", "EROFS", "EFBIG", "ENOENT", "EMFILE", "ENFILE"];

/** Which file has zeros ahead, and how far. Sizes in bytes. */
export interface RunwayOptions {
  readonly path: string;
  /** How far zeros are written beyond what is used; 0 for never. */
  readonly aheadBytes: number;
  /** The file does not grow beyond. */
  readonly limitBytes: number;
}

/**
 * One data file's zeros. LMDB grows the file when it needs more, so zeros are never written where
 * a commit may write: it asks `clear` first.
 */
export class Runway {
  readonly #options: RunwayOptions;
  #writing: Promise<void> | undefined;
  /** Zeros are being written from here on. */
  #at = Number.POSITIVE_INFINITY;
  /** Where the file ended when last seen. */
  #end = 0;
  #isWanted = false;
  #isStopped = false;
  #waits = 0;
  #flushes = 0;
  #bytes = 0;

  constructor(options: RunwayOptions) {
    this.#options = options;
  }

  get flushes(): number {
    return this.#flushes;
  }

  /** Bytes of zeros written. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Resolves when nothing is written below `bytes`, after the step under way; undefined when that
   * is so already.
   */
  clear(bytes: number): Promise<void> | undefined {
    if (bytes <= this.#at) return undefined;
    this.#isWanted = true;
    return this.#writing;
  }

  /** To be called between two commits: writes on when less than half of the zeros are left. */
  extend(usedBytes: number): void {
    const { aheadBytes, limitBytes } = this.#options;
    if (aheadBytes === 0 || this.#writing !== undefined || this.#isStopped) return;
    if (this.#waits > 0) this.#waits -= 1;
    const isEnough = this.#end - usedBytes > aheadBytes / 2 || this.#end >= limitBytes;
    if (isEnough || this.#waits > 0) return;
    const until = Math.min(usedBytes + aheadBytes, limitBytes);
    // Until the file's size is known it may end anywhere above what is used.
    this.#at = usedBytes;
    this.#isWanted = false;
    this.#writing = this.#write(usedBytes, until).finally(() => {
      this.#writing = undefined;
      this.#at = Number.POSITIVE_INFINITY;
    });
  }

  async #write(usedBytes: number, until: number): Promise<void> {
    const handle = await open(this.#options.path, "r+");
    try {
      const { size } = await handle.stat();
      this.#end = size;
      this.#at = Math.max(usedBytes, size);
      await this.#writeZeros(handle, until);
    } catch (error) {
      if (!mediumCodes.includes(String((error as NodeJS.ErrnoException).code))) throw error;
      this.#waits = patience;
    } finally {
      await handle.close();
    }
  }

  async #writeZeros(handle: FileHandle, until: number): Promise<void> {
    const zeros = Buffer.alloc(stepBytes);
    while (this.#end < until && !this.#isStopped) {
      const length = Math.min(stepBytes - (this.#end % stepBytes), until - this.#end);
      const { bytesWritten } = await handle.write(zeros, 0, length, this.#end);
      await handle.datasync();
      this.#flushes += 1;
      this.#bytes += bytesWritten;
      this.#end += bytesWritten;
      this.#at = this.#end;
      if (this.#isWanted) return;
    }
  }

  /** Resolves when nothing is written any more. */
  async close(): Promise<void> {
    this.#isStopped = true;
    await this.#writing;
  }
}
