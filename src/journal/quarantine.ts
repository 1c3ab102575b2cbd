// What was set aside because it was damaged: folders beside the database, a few of them, for who
// wants to look. It must not know why they are there.
import { existsSync, lstatSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { isoTime } from "../util/clock.ts";

/** One folder that was set aside. */
export interface Quarantine {
  readonly name: string;
  /** Bytes it takes on the medium. */
  readonly bytes: number;
}

const unlessGone = { throwIfNoEntry: false } as const;
const form = /^quarantine-\d{8}T\d{6}Z-(\d+)$/;

/** Folders set aside, oldest first. */
export function listQuarantines(folder: string): Quarantine[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((found) => found.isDirectory() && form.test(found.name))
    .map(({ name }) => name)
    .sort((a, b) => numberOf(a) - numberOf(b))
    .map((name) => ({ name, bytes: bytesIn(join(folder, name)) }));
}

/** A name that no folder has yet; its number rises whatever the clock does. */
export function nextQuarantine(folder: string, wallMs: number): string {
  const highest = Math.max(0, ...listQuarantines(folder).map(({ name }) => numberOf(name)));
  const time = isoTime(wallMs).replaceAll(/[:-]|\.\d+/g, "");
  return `quarantine-${time}-${highest + 1}`;
}

/** Removes the oldest until few enough are left; the newest stays, whatever its size. */
export function pruneQuarantines(
  folder: string,
  { countMax, bytesMax }: { readonly countMax: number; readonly bytesMax: number },
): void {
  const all = listQuarantines(folder);
  let bytes = all.reduce((sum, one) => sum + one.bytes, 0);
  for (const [at, one] of all.slice(0, -1).entries()) {
    if (all.length - at <= countMax && bytes <= bytesMax) return;
    rmSync(join(folder, one.name), { recursive: true, force: true });
    bytes -= one.bytes;
  }
}

/** Whether a name is one of a folder that was set aside. */
export function isQuarantine(name: string): boolean {
  return form.test(name);
}

function numberOf(name: string): number {
  return Number(form.exec(name)?.[1] ?? 0);
}

function bytesIn(folder: string): number {
  return readdirSync(folder).reduce(
    (sum, name) => sum + (lstatSync(join(folder, name), unlessGone)?.blocks ?? 0) * 512,
    0,
  );
}
