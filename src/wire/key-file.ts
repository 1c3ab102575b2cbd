// A pair of CURVE keys in a file that nobody but its owner reads, written whole or not at all.
// It must not know whose keys they are.
import {
  closeSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { PlantError } from "../util/errors.ts";
import { makeFolder } from "../util/folder.ts";
import { isCurveKey, newKeyPair, publicKeyOf } from "./curve-keys.ts";
import type { KeyPair } from "./socket.ts";

/** Keys as a file holds them. */
interface StoredKeys extends KeyPair {
  /** Public key of the broker the pair is for, where the file names it. */
  readonly serverKey?: string | undefined;
}

/** Keys of a peer that connects. */
export interface PeerKeys extends KeyPair {
  readonly serverKey: string;
}

/** The largest file that can be a pair of keys. */
const fileBytesMax = 4096;

/**
 * The pair a file holds. @throws PlantError KEY_FILE_UNUSABLE: missing, broken, or open to others.
 */
export function readKeyPair(path: string): StoredKeys {
  let text: string;
  try {
    const { mode, size } = statSync(path);
    if ((mode & 0o077) !== 0) throw unusable(path, "others may read it; chmod 600 it");
    if (size > fileBytesMax) throw unusable(path, "it is too large for a pair of keys");
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof PlantError) throw error;
    throw unusable(path, (error as NodeJS.ErrnoException).code ?? "it cannot be read", error);
  }
  const pair = parse(text);
  if (pair === undefined) throw unusable(path, "it does not hold a pair of keys");
  return pair;
}

/**
 * All a peer needs to connect: its own pair, and the public key of the broker.
 * @throws PlantError KEY_FILE_UNUSABLE, also where it does not name the broker's key.
 */
export function readPeerKeys(path: string): PeerKeys {
  const pair = readKeyPair(path);
  const { serverKey } = pair;
  if (serverKey !== undefined) return { ...pair, serverKey };
  throw unusable(path, "it does not name the broker's key; add the line: broker KEY");
}

/**
 * @param serverKey the public key of the broker the pair is for, kept beside it.
 * @throws PlantError KEY_FILE_EXISTS; KEY_FILE_UNUSABLE where it cannot be written.
 */
export function writeNewKeyPair(path: string, serverKey?: string): StoredKeys {
  const pair = { ...newKeyPair(), serverKey };
  if (!write(path, pair)) throw new PlantError("KEY_FILE_EXISTS", { path });
  return pair;
}

/** The pair a file holds; a new one where there is none. @throws PlantError KEY_FILE_UNUSABLE */
export function ensureKeyPair(path: string): KeyPair {
  try {
    statSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") {
      throw unusable(path, (error as NodeJS.ErrnoException).code ?? "it cannot be read", error);
    }
    const pair = newKeyPair();
    if (write(path, pair)) return pair; // else somebody else was faster
  }
  return readKeyPair(path);
}

function unusable(path: string, reason: string, cause?: unknown): PlantError {
  return new PlantError("KEY_FILE_UNUSABLE", { path, reason }, { cause });
}

function parse(text: string): StoredKeys | undefined {
  const words = new Map(
    text.split("\n").map((line) => {
      const at = line.indexOf(" ");
      return [line.slice(0, at), line.slice(at + 1)] as const;
    }),
  );
  const publicKey = words.get("public") ?? "";
  const secretKey = words.get("secret") ?? "";
  if (!isCurveKey(publicKey) || !isCurveKey(secretKey)) return undefined;
  if (publicKeyOf(secretKey) !== publicKey) return undefined;
  const serverKey = words.get("broker");
  if (serverKey === undefined) return { publicKey, secretKey };
  return isCurveKey(serverKey) ? { publicKey, secretKey, serverKey } : undefined;
}

/** Writes beside its place, flushed, and gives it its name. @returns false where one has it. */
function write(path: string, { publicKey, secretKey, serverKey }: StoredKeys): boolean {
  const beside = `${path}.${process.pid}.new`;
  try {
    makeFolder(dirname(path), 0o700);
    rmSync(beside, { force: true });
    const file = openSync(beside, "wx", 0o600);
    try {
      writeSync(file, `# CURVE keys, Z85. The secret stays here.\n`);
      writeSync(file, `public ${publicKey}\nsecret ${secretKey}\n`);
      if (serverKey !== undefined) writeSync(file, `broker ${serverKey}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    linkSync(beside, path);
    const folder = openSync(dirname(path), "r");
    try {
      fsyncSync(folder);
    } finally {
      closeSync(folder);
    }
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return false;
    throw unusable(path, code ?? "it cannot be written", error);
  } finally {
    rmSync(beside, { force: true });
  }
}
