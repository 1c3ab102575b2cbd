// Bytes this process has had written to storage, as the kernel counts them. It must not know what
// they were for.
import { readFileSync } from "node:fs";

/** A counter that began when it was made. */
export interface Wear {
  /**
   * Bytes since the beginning; undefined where the kernel does not say. Counted are the pages this
   * process made dirty in files on a device, log and backups too, once each time they become
   * dirty; not counted are the file system's own records (its journal, names, sizes) and what the
   * device writes beyond what it is told. A memory file system counts nothing.
   * @see proc_pid_io(5), `write_bytes`
   */
  bytes(): number | undefined;
}

/** Begins to count; `source` is read each time. */
export function startWear(source = "/proc/self/io"): Wear {
  const first = readWritten(source);
  return {
    bytes() {
      const found = readWritten(source);
      return found === undefined || first === undefined ? undefined : found - first;
    },
  };
}

function readWritten(source: string): number | undefined {
  try {
    const text = readFileSync(source, "utf8");
    const found = /^write_bytes: (\d+)$/m.exec(text)?.[1];
    return found === undefined ? undefined : Number(found);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "EACCES" || code === "EPERM") return undefined;
    throw error;
  }
}
