// The peer of the store bench on SQLite: better-sqlite3, installed and compiled by the bench itself
// below .cache, outside the project's packages. It must not know our store.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { homeOf, installForeign, root } from "./foreign-package.ts";
import { type BenchContext, readPeer } from "./harness.ts";

const wanted = { folder: "better-sqlite3", name: "better-sqlite3", version: "12.11.1" };
const compileMs = 600_000;

/** Where the package was installed; its databases are used by a process of their own. */
export interface Sqlite {
  readonly folder: string;
}

/** Loads the package, or installs it first; nothing where that cannot be done, or not in time. */
export function obtainSqlite(context: BenchContext): Sqlite | undefined {
  const isBuilt = () => existsSync(join(homeOf(wanted), "build", "Release", "better_sqlite3.node"));
  const folder = join(root, ".cache", wanted.folder);
  if (!isBuilt() && context.isQuick) {
    context.say("better-sqlite3 is not compiled yet, which takes minutes: left out of --quick.");
    return undefined;
  }
  if (!isBuilt()) install(context);
  if (isBuilt()) return { folder };
  context.say("better-sqlite3 could not be installed or compiled: left out.");
  return undefined;
}

function install(context: BenchContext): void {
  const npm = process.env.npm_execpath;
  if (npm === undefined || installForeign(context, wanted) === undefined) return;
  const gyp = join(dirname(npm), "..", "node_modules", "node-gyp", "bin", "node-gyp.js");
  const headers = join(root, "node_modules", `node-linux-${process.arch}`);
  const nodedir = existsSync(join(headers, "include")) ? [`--nodedir=${headers}`] : [];
  context.say("Compiling it, which takes minutes …");
  const words = [gyp, "rebuild", "--release", ...nodedir];
  spawnSync(process.execPath, words, { cwd: homeOf(wanted), stdio: "ignore", timeout: compileMs });
}

/** Values written and read per second by a fresh database in `path`. */
export async function measureSqlite(
  sqlite: Sqlite,
  path: string,
  ms: number,
): Promise<{ sets: number; gets: number }> {
  const here = fileURLToPath(import.meta.url);
  const program = join(dirname(here), `sqlite-load${extname(here)}`);
  const words = ["--disable-warning=ExperimentalWarning", program, sqlite.folder, path, String(ms)];
  return (await readPeer([process.execPath, ...words])) as { sets: number; gets: number };
}
