// The peers of the store bench, better-sqlite3 and classic-level, installed by the bench itself
// below .cache, outside the project's packages. It must not know our store.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { node } from "./broker-peers.ts";
import { homeOf, installForeign, root } from "./foreign-package.ts";
import { type BenchContext, readPeer } from "./harness.ts";

const sqlite = { folder: "better-sqlite3", name: "better-sqlite3", version: "12.11.1" };
const level = { folder: "classic-level", name: "classic-level", version: "3.0.0" };
const compileMs = 600_000;

/** A peer whose databases are used by processes of their own. */
export interface StorePeer {
  readonly kind: "sqlite" | "level";
  /** Where the package was installed. */
  readonly folder: string;
}

/** What a peer did: values and reads per second, and the time of one durable value. */
export interface PeerFigures {
  readonly sets: number;
  readonly singleMs: number;
  readonly gets: number;
}

/** Those that can be had; what is left out is said. */
export function obtainPeers(context: BenchContext): readonly StorePeer[] {
  const peers: StorePeer[] = [];
  const home = obtainSqlite(context);
  if (home !== undefined) peers.push({ kind: "sqlite", folder: home });
  const folder = installForeign(context, level);
  if (folder === undefined) context.say("classic-level could not be installed: left out.");
  else peers.push({ kind: "level", folder });
  return peers;
}

/** Loads the package, or installs it first; nothing where that cannot be done, or not in time. */
function obtainSqlite(context: BenchContext): string | undefined {
  const folder = join(root, ".cache", sqlite.folder);
  if (isBuilt(folder)) return folder;
  if (context.isQuick) {
    context.say("better-sqlite3 is not compiled yet, which takes minutes: left out of --quick.");
    return undefined;
  }
  compile(context);
  if (isBuilt(folder)) return folder;
  context.say("better-sqlite3 could not be installed or compiled: left out.");
  return undefined;
}

/** Whether it is there, and compiled for this Node. */
function isBuilt(folder: string): boolean {
  const built = join(homeOf(sqlite), "build", "Release", "better_sqlite3.node");
  if (!existsSync(built)) return false;
  const words = ["-e", `process.dlopen({ exports: {} }, ${JSON.stringify(built)})`];
  return spawnSync(process.execPath, words, { cwd: folder, stdio: "ignore" }).status === 0;
}

function compile(context: BenchContext): void {
  const npm = process.env.npm_execpath;
  if (npm === undefined || installForeign(context, sqlite) === undefined) return;
  const gyp = join(dirname(npm), "..", "node_modules", "node-gyp", "bin", "node-gyp.js");
  const headers = join(root, "node_modules", `node-linux-${process.arch}`);
  // A setting of npm for another Node would win over the flag.
  const { npm_config_nodedir: _, ...env } = process.env;
  context.say("Compiling better-sqlite3, which takes minutes …");
  const words = [gyp, "rebuild", "--release", `--nodedir=${headers}`];
  const options = { cwd: homeOf(sqlite), stdio: "ignore", timeout: compileMs, env } as const;
  spawnSync(process.execPath, words, options);
}

/** What a fresh database of the peer in `path` does, each of the three for `ms`. */
export async function measurePeer(peer: StorePeer, path: string, ms: number): Promise<PeerFigures> {
  const { kind, folder } = peer;
  return (await readPeer(node("./store-peer-load", kind, folder, path, String(ms)))) as PeerFigures;
}
