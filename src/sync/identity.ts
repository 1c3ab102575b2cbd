// The identity of the gateway on disk: its key, and what the centre gave it at enrolment.
// It must not know how enrolment is asked for.
import { chmodSync, readFileSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { bytesOf, type EnrolmentAnswer, type KeySet, openKeySet } from "../access/access.ts";
import {
  generateSigningKey,
  keyId,
  pemOf,
  type SigningKey,
  sign,
  signingKeyFromPem,
} from "../util/ed25519.ts";
import { PlantError } from "../util/errors.ts";
import { makeFolder } from "../util/folder.ts";
import { inspect, v } from "../util/shape.ts";

const identitySchema = v.strictObject({
  v: v.literal(1),
  device: v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{1,64}$/)),
  centre: v.string(),
  url: v.string(),
  mqtt: v.string(),
  token: v.string(),
  clientCert: v.string(),
  ca: v.string(),
  root: v.string(),
  keySet: v.string(),
});
const progressSchema = v.strictObject({
  generation: v.pipe(v.number(), v.integer(), v.minValue(0)),
  centre: v.optional(v.string()),
});

/** What the gateway is to its centre. */
export interface Identity {
  readonly facts: v.InferOutput<typeof identitySchema>;
  readonly key: SigningKey;
  readonly kid: string;
  readonly keySet: KeySet;
}

/** The highest generation known, and the centre that answered last. */
export type Progress = v.InferOutput<typeof progressSchema>;

const keyFile = "device.key";
const identityFile = "identity.json";
const progressFile = "progress.json";
/** What a new key signs first, for the second implementation to verify. */
const probe = Buffer.from("plantd-key-probe-v1\0", "ascii");

/**
 * The identity in a folder, if the gateway was enrolled.
 * @throws PlantError SYNC_IDENTITY_UNUSABLE
 */
export function readIdentity(folder: string): Identity | undefined {
  const text = readText(join(folder, identityFile));
  if (text === undefined) return undefined;
  const path = join(folder, identityFile);
  const checked = inspect(identitySchema, parse(text));
  const pem = readText(join(folder, keyFile));
  if (!checked.ok) throw unusable(path, "it is damaged");
  if (pem === undefined) throw unusable(join(folder, keyFile), "it is not there");
  const facts = checked.value;
  const root = bytesOf(facts.root);
  if (root?.length !== 32) throw unusable(path, "it is damaged");
  const key = keyFromPem(join(folder, keyFile), pem);
  return { facts, key, kid: keyId(key.publicKey), keySet: openKeySet(facts.keySet, root, 0) };
}

/**
 * The key of this gateway; made and kept at the first call. A key whose signatures only one
 * implementation understands is not handed out: it would vouch for years of data.
 * @throws PlantError SYNC_IDENTITY_UNUSABLE
 */
export async function deviceKey(folder: string): Promise<SigningKey> {
  const path = join(folder, keyFile);
  const pem = readText(path);
  const key = pem === undefined ? generateSigningKey() : keyFromPem(path, pem);
  await proveKey(path, key);
  if (pem === undefined) await writeFiles(folder, { [keyFile]: pemOf(key) });
  return key;
}

/**
 * Holds a key's signature against its public key, by the second implementation of Ed25519.
 * @throws PlantError SYNC_IDENTITY_UNUSABLE
 */
export async function proveKey(path: string, key: SigningKey): Promise<void> {
  const { naclVerify } = await import("../util/seal.ts");
  if (naclVerify(key.publicKey, probe, sign(key, probe))) return;
  throw unusable(path, "two implementations disagree about its signature");
}

/**
 * Keeps what the centre answered; the identity file, written last, makes it true.
 * @throws PlantError SYNC_IDENTITY_UNUSABLE, KEY_SET_REFUSED.
 */
export async function writeIdentity(
  folder: string,
  url: string,
  answer: EnrolmentAnswer,
): Promise<Identity> {
  const { device, centre, token, clientCert, ca, root, keySet, endpoints } = answer;
  openKeySet(keySet, bytesOf(root) ?? new Uint8Array(32), 0);
  const facts: Identity["facts"] = {
    v: 1,
    device,
    centre,
    url,
    mqtt: endpoints.mqtt,
    token,
    clientCert,
    ca,
    root,
    keySet,
  };
  await writeFiles(folder, {
    "ca.pem": ca,
    "client.pem": clientCert,
    [identityFile]: `${JSON.stringify(facts, null, 2)}\n`,
  });
  const written = readIdentity(folder);
  if (written === undefined) throw unusable(folder, "it was not written");
  return written;
}

/** The progress kept; none when there is no readable file: the store and the centre know the rest. */
export function readProgress(folder: string): Progress {
  const checked = inspect(progressSchema, parse(readText(join(folder, progressFile)) ?? ""));
  return checked.ok ? checked.value : { generation: 0 };
}

/** @throws PlantError SYNC_IDENTITY_UNUSABLE */
export async function writeProgress(folder: string, progress: Progress): Promise<void> {
  await writeFiles(folder, { [progressFile]: `${JSON.stringify(progress)}\n` });
}

function keyFromPem(path: string, pem: string): SigningKey {
  try {
    return signingKeyFromPem(pem);
  } catch (error) {
    throw new PlantError("SYNC_IDENTITY_UNUSABLE", { path, reason: "no key" }, { cause: error });
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function unusable(path: string, reason: string, cause?: unknown): PlantError {
  return new PlantError("SYNC_IDENTITY_UNUSABLE", { path, reason }, { cause });
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    throw unusable(path, code ?? String(error), error);
  }
}

/** Writes files for the owner alone, each whole or not at all, in order. */
async function writeFiles(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  try {
    makeFolder(folder, 0o700);
    chmodSync(folder, 0o700);
    for (const [name, text] of Object.entries(files)) await replace(folder, name, text);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw unusable(folder, code ?? String(error), error);
  }
}

async function replace(folder: string, name: string, text: string): Promise<void> {
  const path = join(folder, name);
  const fresh = `${path}.new`;
  await rm(fresh, { force: true });
  const file = await open(fresh, "wx", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(fresh, path);
  const directory = await open(folder, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
