// The peer of the store bench on SQLite: better-sqlite3, installed and compiled by the bench itself
// below .cache, outside the project's packages. It must not know our store.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type BenchContext, readPeer } from "./harness.ts";

const version = "12.11.1";
const compileMs = 600_000;

/** Where the package was installed; its databases are used by a process of their own. */
export interface Sqlite {
  readonly folder: string;
}

/** Loads the package, or installs it first; nothing where that cannot be done, or not in time. */
export function obtainSqlite(context: BenchContext): Sqlite | undefined {
  const root = fileURLToPath(new URL("../..", import.meta.url)).replace("/.build/", "/");
  const folder = join(root, ".cache", "better-sqlite3");
  const home = join(folder, "node_modules", "better-sqlite3");
  const isBuilt = () => existsSync(join(home, "build", "Release", "better_sqlite3.node"));
  if (!isBuilt() && context.isQuick) {
    context.say("better-sqlite3 is not compiled yet, which takes minutes: left out of --quick.");
    return undefined;
  }
  if (!isBuilt()) install(context, { folder, home, root });
  if (isBuilt()) return { folder };
  context.say("better-sqlite3 could not be installed or compiled: left out.");
  return undefined;
}

function install(
  context: BenchContext,
  { folder, home, root }: { readonly folder: string; readonly home: string; readonly root: string },
): void {
  const npm = process.env.npm_execpath;
  if (npm === undefined) return;
  const gyp = join(dirname(npm), "..", "node_modules", "node-gyp", "bin", "node-gyp.js");
  const headers = join(root, "node_modules", `node-linux-${process.arch}`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{ "private": true }\n');
  const run = (cwd: string, ...words: readonly string[]) =>
    spawnSync(process.execPath, words, { cwd, stdio: "ignore", timeout: compileMs }).status === 0;
  context.say(`Installing better-sqlite3 ${version} below .cache …`);
  const flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--save-exact"];
  if (!run(folder, npm, "install", `better-sqlite3@${version}`, ...flags)) return;
  const nodedir = existsSync(join(headers, "include")) ? [`--nodedir=${headers}`] : [];
  context.say("Compiling it, which takes minutes …");
  run(home, gyp, "rebuild", "--release", ...nodedir);
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
