// Making a folder with all that leads to it. It must not know what for.
import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Makes a folder and the folders above it, with `mode` where they are new; nothing when it exists.
 * Not by mkdir's own `recursive`: under /proc, where a parent exists and still nothing can be
 * made, that turns round for ever. Throws what the system says.
 */
export function makeFolder(path: string, mode: number): void {
  if (makeOne(path, mode)) return;
  makeFolder(dirname(path), mode);
  if (!makeOne(path, mode)) mkdirSync(path, mode);
}

/** @returns false when what should lead to it is missing. */
function makeOne(path: string, mode: number): boolean {
  try {
    mkdirSync(path, mode);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" && dirname(path) !== path) return false;
    if (code !== "EEXIST" || !statSync(path).isDirectory()) throw error;
  }
  return true;
}
