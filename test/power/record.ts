// The record of what a process did to its files, as the recorder in C wrote it, and how a process
// is started under that recorder. It must not know what the files hold.
import { type ChildProcess, fork, spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { hasTool, installTools, mayInstall, tools } from "../../src/main/tools.ts";

export type EntryKind =
  | "created"
  | "opened"
  | "made"
  | "written"
  | "resized"
  | "flushed"
  | "renamed"
  | "removed"
  | "linked"
  | "marked"
  | "mapped"
  | "failed";

/** One thing done to a file or folder, in the order of all threads. */
export interface Entry {
  readonly kind: EntryKind;
  /** A write that returned only when it was flushed. */
  readonly isFlushed: boolean;
  readonly isFolder: boolean;
  readonly inode: number;
  /** Where a write begins; the new length of a file. */
  readonly number: number;
  readonly path: string;
  /** The bytes written; the new name of a rename. */
  readonly data: Buffer;
}

const kinds: Readonly<Record<string, EntryKind>> = {
  c: "created",
  o: "opened",
  d: "made",
  w: "written",
  t: "resized",
  f: "flushed",
  r: "renamed",
  u: "removed",
  l: "linked",
  m: "marked",
  x: "mapped",
  e: "failed",
};
const headBytes = 24;

/** The entries of a record. @throws Error when it is cut short or not one. */
export function parseRecord(bytes: Buffer): Entry[] {
  const entries: Entry[] = [];
  for (let at = 0; at < bytes.length; ) {
    const kind = kinds[String.fromCharCode(bytes[at] ?? 0)];
    if (kind === undefined) throw new Error(`the record is broken at byte ${at}`);
    const flags = bytes[at + 1] ?? 0;
    const pathEnd = at + headBytes + bytes.readUInt16LE(at + 2);
    const end = pathEnd + bytes.readUInt32LE(at + 4);
    if (end > bytes.length) throw new Error("the record is cut short");
    entries.push({
      kind,
      isFlushed: (flags & 1) !== 0,
      isFolder: (flags & 2) !== 0,
      inode: Number(bytes.readBigUInt64LE(at + 8)),
      number: Number(bytes.readBigUInt64LE(at + 16)),
      path: bytes.toString("utf8", at + headBytes, pathEnd),
      data: bytes.subarray(pathEnd, end),
    });
    at = end;
  }
  return entries;
}

/** Compiles the recorder into a folder, with a compiler installed if need be. */
export function buildRecorder(folder: string): string {
  if (!hasTool(tools.compiler) && mayInstall()) installTools([tools.compiler]);
  const source = fileURLToPath(new URL("./recorder.c", import.meta.url));
  const library = join(folder, "recorder.so");
  const words = ["-O2", "-Wall", "-Werror", "-fPIC", "-shared", "-o", library, source];
  const { status, stderr } = spawnSync("gcc", [...words, "-ldl", "-lpthread"], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`the recorder does not compile: ${stderr ?? "no gcc"}`);
  return library;
}

/** Where a recorded process keeps its files, its record and its marks. */
export interface Place {
  readonly library: string;
  /** What is recorded lies below this folder. */
  readonly folder: string;
  readonly record: string;
  readonly marks: string;
}

/** The place of a recording below a folder. */
export function placeIn(root: string, library: string): Place {
  const folder = join(root, "f");
  mkdirSync(folder, { recursive: true });
  return { library, folder, record: join(root, "record"), marks: join(root, "marks") };
}

export interface StartOptions {
  /** `write:N` or `flush:N`, with `+` from there on. */
  readonly fault?: string;
  readonly isRecorded?: boolean;
  readonly env?: Readonly<Record<string, string>>;
}

const extension = extname(fileURLToPath(import.meta.url));

/** The path of a module of this folder as a program. */
export function programOf(name: string): string {
  const own = fileURLToPath(new URL(`./${name}${extension}`, import.meta.url));
  const compiled = own
    .replace(`${join("test", "power")}`, join(".build", "test", "power"))
    .replace(/\.ts$/, ".js");
  return extension === ".ts" && existsSync(compiled) ? compiled : own;
}

/** Starts the recorded part with its order. */
export function startRecorded(
  place: Place,
  order: unknown,
  options: StartOptions = {},
): ChildProcess {
  const { fault, isRecorded = true, env = {} } = options;
  const preload = [place.library, ...(env.LD_PRELOAD ?? "").split(":")].filter((one) => one !== "");
  return fork(programOf("part"), [place.folder, place.marks, JSON.stringify(order)], {
    execArgv: ["--disable-warning=ExperimentalWarning"],
    stdio: ["ignore", "inherit", "pipe", "ipc"],
    env: {
      ...process.env,
      NODE_TEST_CONTEXT: undefined,
      ...env,
      LD_PRELOAD: preload.join(":"),
      POWER_FOLDER: place.folder,
      POWER_MARKS: place.marks,
      ...(isRecorded ? { POWER_LOG: place.record } : {}),
      ...(fault === undefined ? {} : { POWER_FAULT: fault }),
    },
  });
}
