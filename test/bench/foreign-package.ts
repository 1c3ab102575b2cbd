// Packages of npm that a bench compares with, installed by the bench itself below .cache, outside
// the project's packages. It must not know what they are compared with.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { BenchContext } from "./harness.ts";

const installMs = 120_000;

/** The checkout, whether this runs compiled or as it is. */
export const root = fileURLToPath(new URL("../..", import.meta.url)).replace("/.build/", "/");

/** A package and where it is to lie. */
export interface ForeignPackage {
  /** Folder below .cache. */
  readonly folder: string;
  readonly name: string;
  readonly version: string;
}

/** Where the package lies, installed or not. */
export function homeOf({ folder, name }: ForeignPackage): string {
  return join(root, ".cache", folder, "node_modules", name);
}

/**
 * Installs a package without its scripts, unless it is there.
 * @returns the folder that holds its `node_modules`; nothing where npm could not do it.
 */
export function installForeign(context: BenchContext, wanted: ForeignPackage): string | undefined {
  const folder = join(root, ".cache", wanted.folder);
  if (existsSync(join(homeOf(wanted), "package.json"))) return folder;
  const npm = process.env.npm_execpath;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{ "private": true }\n');
  context.say(`Installing ${wanted.name} ${wanted.version} below .cache …`);
  const flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--save-exact"];
  const words = ["install", `${wanted.name}@${wanted.version}`, ...flags];
  const [program, ...first] =
    npm === undefined ? (["npm"] as const) : ([process.execPath, npm] as const);
  const options = { cwd: folder, stdio: "ignore", timeout: installMs } as const;
  return spawnSync(program, [...first, ...words], options).status === 0 ? folder : undefined;
}
