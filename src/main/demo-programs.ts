// Finds the programs of the demo: installed, installed now by root, or unpacked without root.
// It must not know what they are for.
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import { arch } from "node:os";
import { join } from "node:path";
import { PlantError } from "../util/errors.ts";
import { findProgram, installTools, mayInstall, type Tool } from "./tools.ts";

/** A program and the variables it needs. */
export interface Program {
  readonly path: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Multiarch names of Debian. */
const triplets: Readonly<Record<string, string>> = {
  x64: "x86_64-linux-gnu",
  arm64: "aarch64-linux-gnu",
};

/**
 * A program from the search path, or by whatever this account may do.
 * @param cache folder for unpacked packages.
 * @param say tells what takes time.
 * @throws PlantError TOOL_MISSING
 */
export function obtain(tool: Tool, cache: string, say: (text: string) => void): Program {
  const installed = findProgram(tool.name);
  if (installed !== undefined) return { path: installed, env: {} };
  if (mayInstall()) {
    say(`installing ${tool.name} (apt-get) …`);
    installTools([tool]);
    const path = findProgram(tool.name);
    if (path !== undefined) return { path, env: {} };
  }
  say(`unpacking ${tool.name} from its package …`);
  const unpacked = unpackPackage(tool.name, cache);
  if (unpacked !== undefined) return unpacked;
  throw new PlantError("TOOL_MISSING", { tool: tool.name, package: tool.debian });
}

/**
 * Unpacks a Debian package, and the libraries it needs that are not installed; needs no root.
 * @returns nothing when the packages cannot be fetched.
 */
function unpackPackage(name: string, cache: string): Program | undefined {
  const folder = join(cache, name);
  const archives = join(folder, "archives");
  const tree = join(folder, "tree");
  const find = (): Program | undefined => {
    for (const sub of ["usr/sbin", "usr/bin"]) {
      const path = findProgram(join(tree, sub, name));
      if (path === undefined) continue;
      return { path, env: { LD_LIBRARY_PATH: join(tree, "usr", "lib", triplets[arch()] ?? "") } };
    }
    return undefined;
  };
  const known = find();
  if (known !== undefined) return known;
  mkdirSync(archives, { recursive: true });
  mkdirSync(tree, { recursive: true });
  const run = (program: string, ...words: readonly string[]) =>
    spawnSync(program, words, { cwd: archives, encoding: "utf8", timeout: 120_000 }).stdout ?? "";
  const only = ["recommends", "suggests", "conflicts", "breaks", "replaces", "enhances"];
  const flags = ["--recurse", ...only.map((kind) => `--no-${kind}`)];
  const needed = run("apt-cache", "depends", ...flags, name)
    .split("\n")
    .filter((line) => line === name || /^lib[a-z0-9.+-]+$/.test(line));
  const isInstalled = (debian: string) =>
    run("dpkg-query", "-W", "-f", "$" + "{Status}", debian) === "install ok installed";
  const missing = needed.filter((debian) => debian === name || !isInstalled(debian));
  if (missing.length === 0) return undefined; // there are no package lists
  run("apt-get", "download", ...missing);
  for (const archive of readdirSync(archives)) run("dpkg", "-x", join(archives, archive), tree);
  return find();
}
