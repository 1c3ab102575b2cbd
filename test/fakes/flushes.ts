// What the process flushes and renames within a folder, in its order: a file must be on the medium
// before it gets its name, and the name after that. It must not know who writes.
import fs, { existsSync, readlinkSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { dirname, join } from "node:path";

type Step =
  | { readonly kind: "flush"; readonly path: string }
  | { readonly kind: "rename"; readonly from: string; readonly to: string };

export interface Flushes extends Disposable {
  /** Paths flushed so far, relative to the folder; "." is the folder itself. */
  flushed(): string[];
  /** New names, in their order. */
  names(): string[];
  /**
   * New names whose file was not flushed before, or whose folders were not before the next one:
   * none is right.
   */
  unsafe(): string[];
}

/** Watches what is flushed and renamed by synchronous calls, until disposed. */
export function watchFlushes(folder: string): Flushes {
  const { fsyncSync, renameSync } = fs;
  const steps: Step[] = [];
  const inner = (path: string) => path.slice(folder.length + 1) || ".";
  const isHere = (path: string) => path === folder || path.startsWith(`${folder}/`);
  fs.fsyncSync = (handle) => {
    const path = readlinkSync(`/proc/self/fd/${handle}`);
    fsyncSync(handle);
    if (isHere(path)) steps.push({ kind: "flush", path: inner(path) });
  };
  fs.renameSync = (from, to) => {
    renameSync(from, to);
    if (isHere(`${to}`)) steps.push({ kind: "rename", from: inner(`${from}`), to: inner(`${to}`) });
  };
  syncBuiltinESMExports();
  const isFlushed = (path: string, from: number, to: number) =>
    steps.slice(from, to).some((step) => step.kind === "flush" && step.path === path);
  return {
    flushed: () => steps.flatMap((step) => (step.kind === "flush" ? [step.path] : [])),
    names: () => steps.flatMap((step) => (step.kind === "rename" ? [step.to] : [])),
    unsafe: () =>
      steps.flatMap((step, at) => {
        if (step.kind === "flush") return [];
        const { from, to } = step;
        const next = steps.findIndex((other, later) => later > at && other.kind === "rename");
        const end = next < 0 ? steps.length : next;
        // A folder that is gone was made for this file alone.
        const folders = new Set([dirname(to), dirname(from)]);
        const left = [...folders].filter((path) => existsSync(join(folder, path)));
        return [
          ...(isFlushed(from, 0, at) ? [] : [`${to}: not flushed before`]),
          ...left
            .filter((path) => !isFlushed(path, at, end))
            .map((path) => `${to}: not in ${path}`),
        ];
      }),
    [Symbol.dispose]() {
      Object.assign(fs, { fsyncSync, renameSync });
      syncBuiltinESMExports();
    },
  };
}
