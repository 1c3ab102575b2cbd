// Files nobody but their owner reads, written whole or not at all.
// It must not know what is in them.
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { makeFolder } from "../util/folder.ts";

/** Writes a file with mode 0600: beside its place, flushed, then renamed over it. */
export function writePrivately(path: string, text: string): void {
  makeFolder(dirname(path), 0o700);
  const beside = `${path}.new`;
  const file = openSync(beside, "w", 0o600);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(beside, path);
  const folder = openSync(dirname(path), "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** The text of a file; made and written first when there is none. */
export function readOrMake(path: string, make: () => string): string {
  if (!existsSync(path)) writePrivately(path, make());
  return readFileSync(path, "utf8");
}
