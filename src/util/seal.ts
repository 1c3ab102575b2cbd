// Files sealed with a passphrase, and a second Ed25519. The only importer of tweetnacl.
// It must not know what the files hold.
import { createHash, scrypt } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import nacl from "tweetnacl";
import { PlantError } from "./errors.ts";
import type { Random } from "./random.ts";

// "PLANTBK1" | version u8 | log2 N u8 | r u8 | p u8 | salt 16 | nonce head 16 | chunk bytes u32
// | plain bytes u64 | box over the SHA-256 of all that; then the boxes of the chunks. A box's nonce
// is the nonce head and its number (u64), the head's box being number 0, so no box can be moved,
// dropped or cut off.
const magic = Buffer.from("PLANTBK1");
const version = 1;
const plainHeadBytes = 56;
const headBytes = plainHeadBytes + 32 + nacl.secretbox.overheadLength;
const chunkBytes = 65_536;
const cost = { log2N: 15, r: 8, p: 1 } as const;
/** A header that asks for more than this is not worked on: one more doubles 64 MiB of memory. */
const log2NMax = 16;
/** A file in whose place somebody puts a pipe meanwhile opens at once, too. */
const readAtOnce = constants.O_RDONLY | constants.O_NONBLOCK;
const passphraseMin = 8;

export interface SealOptions {
  readonly from: string;
  readonly to: string;
  /** At least 8 characters. */
  readonly passphrase: string;
  /** Hears the bytes done and the bytes in all. */
  readonly progress?: (done: number, total: number) => void;
}

/**
 * Seals a file: scrypt of the passphrase, secret boxes of 64 KiB; temporary file, fsync, rename.
 * @returns bytes written.
 * @throws PlantError REQUEST_MALFORMED for a passphrase that is too short.
 */
export async function sealFile(options: SealOptions, random: Random): Promise<number> {
  const { from, to, passphrase, progress } = options;
  if (passphrase.length < passphraseMin) {
    const reason = `the passphrase needs ${passphraseMin} characters`;
    throw new PlantError("REQUEST_MALFORMED", { reason });
  }
  await using source = await open(from, "r");
  const total = (await source.stat()).size;
  const head = Buffer.alloc(plainHeadBytes);
  magic.copy(head);
  head.set([version, cost.log2N, cost.r, cost.p], 8);
  head.set(random.bytes(16), 12);
  head.set(random.bytes(16), 28);
  head.writeUInt32BE(chunkBytes, 44);
  head.writeBigUInt64BE(BigInt(total), 48);
  const key = await deriveKey(passphrase, head);
  const part = `${to}.part`;
  let written = 0;
  try {
    await using target = await open(part, "wx", 0o600);
    await target.writeFile(head);
    await target.writeFile(nacl.secretbox(digest(head), nonceOf(head, 0), key));
    written = headBytes;
    for (let number = 1, at = 0; at < total; number += 1, at += chunkBytes) {
      const plain = await readExactly(source, at, Math.min(chunkBytes, total - at));
      const box = nacl.secretbox(plain, nonceOf(head, number), key);
      await target.writeFile(box);
      written += box.length;
      progress?.(at + plain.length, total);
    }
    await target.sync();
    await rename(part, to);
    await syncFolder(dirname(to));
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
  return written;
}

/**
 * Opens a sealed file into `to`, which appears only when every byte was verified.
 * @throws PlantError BACKUP_NOT_FOUND, PASSPHRASE_WRONG; BACKUP_UNREADABLE when it is damaged, cut
 * short, or no sealed file.
 */
export async function unsealFile(options: SealOptions): Promise<void> {
  const { from, to, passphrase, progress } = options;
  await using source = await openExisting(from);
  const size = (await source.stat()).size;
  const unreadable = (reason: string) =>
    new PlantError("BACKUP_UNREADABLE", { path: from, reason });
  if (size < headBytes) throw unreadable("it is too short");
  const whole = await readExactly(source, 0, headBytes);
  const head = whole.subarray(0, plainHeadBytes);
  if (!head.subarray(0, 8).equals(magic)) throw unreadable("it is no backup");
  if (head[8] !== version) throw unreadable(`its format ${head[8]} is not known`);
  const isKnownCost = (head[9] ?? 99) <= log2NMax && head[10] === cost.r && head[11] === cost.p;
  if (!isKnownCost || head.readUInt32BE(44) !== chunkBytes) throw unreadable("its head is damaged");
  const key = await deriveKey(passphrase, head);
  const proof = nacl.secretbox.open(whole.subarray(plainHeadBytes), nonceOf(head, 0), key);
  if (proof === null || !digest(head).equals(proof)) {
    throw new PlantError("PASSPHRASE_WRONG", { path: from });
  }
  const total = Number(head.readBigUInt64BE(48));
  const chunks = Math.ceil(total / chunkBytes);
  if (size !== headBytes + total + chunks * nacl.secretbox.overheadLength) {
    throw unreadable("its length is wrong");
  }
  const part = `${to}.part`;
  try {
    await using target = await open(part, "w", 0o600);
    const stride = chunkBytes + nacl.secretbox.overheadLength;
    for (let number = 1; number <= chunks; number += 1) {
      const at = headBytes + (number - 1) * stride;
      const box = await readExactly(source, at, Math.min(stride, size - at));
      const plain = nacl.secretbox.open(box, nonceOf(head, number), key);
      if (plain === null) throw unreadable(`part ${number} of ${chunks} is damaged`);
      await target.writeFile(plain);
      progress?.(Math.min(number * chunkBytes, total), total);
    }
    await target.sync();
    await rename(part, to);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}

async function openExisting(path: string): Promise<FileHandle> {
  try {
    // A pipe would be waited for without end, and a device may act on being opened.
    if (!(await stat(path)).isFile()) throw notAFile(path);
    const file = await open(path, readAtOnce);
    if ((await file.stat()).isFile()) return file;
    await file.close();
    throw notAFile(path);
  } catch (error) {
    if (error instanceof PlantError) throw error;
    const reason = (error as NodeJS.ErrnoException).code ?? String(error);
    if (reason === "ENOENT") throw new PlantError("BACKUP_NOT_FOUND", { path }, { cause: error });
    throw new PlantError("BACKUP_UNREADABLE", { path, reason }, { cause: error });
  }
}

function notAFile(path: string): PlantError {
  return new PlantError("BACKUP_UNREADABLE", { path, reason: "it is no file" });
}

async function readExactly(file: FileHandle, at: number, count: number): Promise<Buffer> {
  const bytes = Buffer.alloc(count);
  let done = 0;
  while (done < count) {
    const { bytesRead } = await file.read(bytes, done, count - done, at + done);
    if (bytesRead === 0) throw new PlantError("STORE_FAILED", { reason: "a file became shorter" });
    done += bytesRead;
  }
  return bytes;
}

async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, "r");
  await folder.sync();
}

function deriveKey(passphrase: string, head: Buffer): Promise<Uint8Array> {
  const options = { N: 2 ** (head[9] ?? 0), r: head[10] ?? 0, p: head[11] ?? 0 };
  const maxmem = 256 * options.N * options.r;
  return new Promise((resolve, reject) => {
    const text = passphrase.normalize("NFKC");
    scrypt(text, head.subarray(12, 28), 32, { ...options, maxmem }, (error, key) => {
      if (error === null) resolve(new Uint8Array(key));
      else reject(error);
    });
  });
}

function nonceOf(head: Buffer, number: number): Uint8Array {
  const nonce = Buffer.alloc(24);
  head.copy(nonce, 0, 28, 44);
  nonce.writeBigUInt64BE(BigInt(number), 16);
  return nonce;
}

function digest(head: Uint8Array): Buffer {
  return createHash("sha256").update(head).digest();
}

/** The Ed25519 signature by a second implementation, from the 32-byte seed. @see RFC 8032 */
export function naclSign(seed: Uint8Array, message: Uint8Array): Uint8Array {
  const { secretKey } = nacl.sign.keyPair.fromSeed(plain(seed));
  return nacl.sign.detached(plain(message), secretKey);
}

/** Whether the second implementation takes `signature` for that of `message`. */
export function naclVerify(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (signature.length !== 64 || publicKey.length !== 32) return false;
  return nacl.sign.detached.verify(plain(message), plain(signature), plain(publicKey));
}

/** A copy that is no Buffer. */
function plain(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(bytes);
}
