// What others count of the bytes written: the kernel for this process, the medium for everybody.
// It must not know what they were for.
import { readFileSync, statSync } from "node:fs";

/** Bytes since the beginning; a counter that cannot be read is left out. */
export interface Wear {
  /**
   * Bytes the kernel holds this process responsible for, log and backups too. Too many by far
   * where the page cache keeps large folios: one block written into a folio counts the whole.
   * @see proc_pid_io(5), `write_bytes`
   */
  readonly kernelBytes?: number;
  /**
   * Bytes the file system's own block device was given, by whomever, with the file system's
   * journal. On a gateway that is the data partition. None on memory and network file systems.
   * @see Documentation/block/stat.rst, "write sectors"
   */
  readonly mediumBytes?: number;
}

/** Where the counters are. */
export interface WearSources {
  readonly kernel: string;
  readonly medium: string;
}

/** The counters for a file system that holds `path`. */
export function wearSourcesOf(path: string): WearSources {
  const { dev } = statSync(path, { bigint: true });
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & 0xfffff000n);
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xffffff00n);
  return { kernel: "/proc/self/io", medium: `/sys/dev/block/${major}:${minor}/stat` };
}

/** Begins to count. @returns the way to ask for what was counted since. */
export function startWear(sources: WearSources): () => Wear {
  const first = readCounters(sources);
  return () => {
    const found = readCounters(sources);
    return {
      ...sinceOf("kernelBytes", first.kernelBytes, found.kernelBytes),
      ...sinceOf("mediumBytes", first.mediumBytes, found.mediumBytes),
    };
  };
}

function sinceOf(name: keyof Wear, first: number | undefined, found: number | undefined): Wear {
  if (first === undefined || found === undefined || found < first) return {};
  return { [name]: found - first };
}

interface Counters {
  readonly kernelBytes: number | undefined;
  readonly mediumBytes: number | undefined;
}

function readCounters({ kernel, medium }: WearSources): Counters {
  const written = /^write_bytes: (\d+)$/m.exec(readText(kernel))?.[1];
  const sectors = readText(medium).trim().split(/\s+/)[6];
  return {
    kernelBytes: written === undefined ? undefined : Number(written),
    mediumBytes: sectors === undefined ? undefined : Number(sectors) * 512,
  };
}

/** Nothing where there is no such file, or it is not ours to read. */
function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "EACCES" || code === "EPERM") return "";
    throw error;
  }
}
