// The beginning of a store on the medium: its folder and a data file that is whole before it has a
// name. It must not know tables or rows.
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { syncPath } from "../util/durable-file.ts";
import { makeFolder } from "../util/folder.ts";

/** Where a new data file is made. */
const cradle = "new";

/** Makes the store's folder and what leads to it, as durable as what will be acknowledged there. */
export function makeStoreFolder(folder: string): void {
  const missing: string[] = [];
  for (let path = folder; !existsSync(path); path = dirname(path)) missing.push(path);
  makeFolder(folder, 0o700);
  for (const path of missing) syncPath(dirname(path));
}

/**
 * Has a data file made aside by `make`, which gets a folder of its own, and puts it in its place:
 * power that fails meanwhile leaves no file, not a part of one. Nothing when the file is there.
 */
export async function makeDataFile(
  folder: string,
  name: string,
  make: (folder: string) => Promise<void>,
): Promise<void> {
  const aside = join(folder, cradle);
  rmSync(aside, { recursive: true, force: true });
  if (existsSync(join(folder, name))) return;
  mkdirSync(aside, { mode: 0o700 });
  await make(aside);
  if (!readdirSync(aside).includes(name)) return;
  syncPath(join(aside, name));
  renameSync(join(aside, name), join(folder, name));
  rmSync(aside, { recursive: true, force: true });
  syncPath(folder);
}
