// Small files that are there whole or not at all, whatever ends the process or the machine.
// It must not know what they hold.
import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";

/** Puts `text` in the place of the file; it and its name are on the medium on return. */
export function replaceFile(path: string, text: string): void {
  const beside = `${path}.new`;
  writeFileSync(beside, text, { mode: 0o600, flush: true });
  renameSync(beside, path);
  syncPath(dirname(path));
}

/** Removes the file, durably; nothing when there is none. */
export function removeFile(path: string): void {
  rmSync(path, { force: true });
  syncPath(dirname(path));
}

/** The JSON a file holds; undefined when it is absent or none, which a power cut never makes. */
export function readJsonFile(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    const isAbsent = (error as NodeJS.ErrnoException).code === "ENOENT";
    if (isAbsent || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Puts a file, or the names in a folder, on the medium. */
export function syncPath(path: string): void {
  const handle = openSync(path, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
