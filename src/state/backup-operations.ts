// The operations on backups: create, list, verify, restore, and the way of a file out and in.
// It must not know what the store holds.
import { createHash } from "node:crypto";
import {
  appendFileSync,
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { join } from "node:path";
import { syncPath } from "../util/durable-file.ts";
import { PlantError } from "../util/errors.ts";
import { check, v } from "../util/shape.ts";
import type { Operation, WorkerRequest } from "../worker/worker.ts";
import { attempt } from "./attempt.ts";
import {
  asStoreError,
  createBackup,
  listBackups,
  openBackup,
  pathOfBackup,
  refuseTooMany,
} from "./backup.ts";
import type { StateCore } from "./core.ts";

const passphrase = v.pipe(v.string(), v.minLength(1), v.maxLength(1024));
const path = v.pipe(v.string(), v.minLength(1), v.maxLength(4096));
/** Who asks, in words of their own. */
const by = v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(255)), "unknown");
const name = v.pipe(v.string(), v.maxLength(255));
const shapes = {
  create: v.object({ passphrase, by }),
  verify: v.object({ path, passphrase }),
  restore: v.object({ path, passphrase, by }),
  read: v.object({ name }),
  put: v.object({
    name,
    /** Bytes that came before. */
    from: v.pipe(v.number(), v.integer(), v.minValue(0)),
    /** Base64. */
    bytes: v.pipe(v.string(), v.maxLength(1_400_000)),
    /** With the last part: SHA-256 of all, hexadecimal. */
    sha256: v.optional(v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))),
  }),
} as const;

/** Bytes of one part of a file on its way. */
const partBytes = 262_144;

/** Operations on backups. */
export function backupOperations(core: StateCore): Record<string, Operation> {
  return {
    "backup-create": (request) => backupCreate(core, request),
    "backup-list": () => ({ backups: listBackups(core.config.backups) }),
    "backup-verify": (request) => backupVerify(core, request),
    "backup-restore": (request) => backupRestore(core, request),
    "backup-read": (request) => backupRead(core, request),
    "backup-put": ({ args }) => backupPut(core, args),
  };
}

/**
 * Tells the progress of long work in tenths; `told` resolves when all of it was told. Who has gone
 * meanwhile is told no more, and the work ends at its next step, with nothing left behind.
 */
function progressOf(request: WorkerRequest, step: string) {
  const { signal } = request;
  let last = 0;
  let telling: Promise<void> = Promise.resolve();
  const tell = async (before: Promise<void>, part: object): Promise<void> => {
    await before;
    if (signal.aborted) return;
    try {
      await request.partial(part);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  };
  return {
    /** @throws what ended the request. */
    progress(done: number, total: number): void {
      signal.throwIfAborted();
      const percent = Math.floor((done / total) * 100);
      if (percent < last + 10) return;
      last = percent;
      telling = tell(telling, { step, done, total });
    },
    told: () => telling,
  };
}

async function backupCreate(core: StateCore, request: WorkerRequest): Promise<unknown> {
  const { passphrase, by } = check(shapes.create, request.args);
  const { progress, told } = progressOf(request, "seal");
  const made = await core.trying(() => createBackup(core.backupPlace, passphrase, progress));
  await told();
  core.deps.log.info("a backup was made", { ...made, by });
  return made;
}

/** Unseals a backup and checks all of it, without touching the store. */
async function backupVerify(core: StateCore, request: WorkerRequest): Promise<unknown> {
  const { path, passphrase } = check(shapes.verify, request.args);
  const opened = await core.trying(async () => {
    const { progress, told } = progressOf(request, "unseal");
    const found = await openBackup(core.backupPlace, { path, passphrase, progress });
    await told();
    return found;
  });
  opened.remove();
  return describe(opened);
}

function describe({ report, bytes }: Awaited<ReturnType<typeof openBackup>>): object {
  const { format, epoch, epochs, heads, firsts, points, blocks, wallMs: time } = report;
  return { format, epoch, epochs, heads, firsts, points, blocks, time, bytes };
}

/**
 * Checks a backup, replaces the store by it, and says who did so among the records of the one that
 * goes, without which nothing is done, and of the one that comes.
 */
async function backupRestore(core: StateCore, request: WorkerRequest): Promise<unknown> {
  const { path, passphrase, by } = check(shapes.restore, request.args);
  const { progress, told } = progressOf(request, "unseal");
  const before = core.deps.journal.epoch;
  const asked = { path, passphrase, progress };
  const deed = { who: by, action: "backup-restore", target: path, before };
  const { epoch, report } = await core.restore(asked, () =>
    tell(core, `The store is replaced by the backup ${path}`, deed),
  );
  await told();
  // The store is another one by now: whoever asked must not hear that nothing was done.
  await attempt(core.deps.log, "who restored a backup is not among its records", () =>
    tell(core, `The store was replaced by the backup ${path}`, { ...deed, after: epoch }),
  );
  core.deps.log.warn("the store was replaced by a backup", { path, epoch, by });
  return { epoch, heads: report.heads, time: report.wallMs };
}

async function tell(core: StateCore, message: string, detail: object): Promise<void> {
  const event = { kind: "audit", severity: "warning", message, detail, ...detail };
  const record = { kind: "event", event, time: core.now(), source: "org.plantd.State" };
  await core.append("event", [record], { flush: "now" });
}

/** The bytes of a sealed file, for who cannot reach the folder. */
async function backupRead(core: StateCore, request: WorkerRequest): Promise<unknown> {
  const { name } = check(shapes.read, request.args);
  const from = pathOfBackup(core.config.backups, name);
  const handle = openExisting(from);
  const hash = createHash("sha256");
  const part = Buffer.alloc(partBytes);
  let done = 0;
  try {
    const total = statSync(from).size;
    for (;;) {
      const count = readSync(handle, part, 0, partBytes, done);
      if (count === 0 || request.signal.aborted) break;
      hash.update(part.subarray(0, count));
      const bytes = part.subarray(0, count).toString("base64");
      done += count;
      await request.partial({ bytes, done, total });
    }
  } finally {
    closeSync(handle);
  }
  return { bytes: done, sha256: hash.digest("hex") };
}

function openExisting(from: string): number {
  try {
    if (!statSync(from).isFile()) {
      throw new PlantError("BACKUP_UNREADABLE", { path: from, reason: "it is no file" });
    }
    return openSync(from, "r");
  } catch (error) {
    if (error instanceof PlantError) throw error;
    const reason = (error as NodeJS.ErrnoException).code ?? String(error);
    if (reason === "ENOENT") {
      throw new PlantError("BACKUP_NOT_FOUND", { path: from }, { cause: error });
    }
    throw new PlantError("BACKUP_UNREADABLE", { path: from, reason }, { cause: error });
  }
}

/**
 * Takes a sealed file in, part after part; it gets its name when all of it has come. One at a time:
 * another one that begins ends it. No backup is replaced by another.
 */
function backupPut(core: StateCore, args: unknown): unknown {
  const { name, from, bytes, sha256 } = check(shapes.put, args);
  const folder = core.config.backups;
  const path = pathOfBackup(folder, name);
  refuseTooMany(folder);
  const coming = path + comingEnding;
  try {
    if (from === 0) removeComing(folder);
    const have = statSync(coming, { throwIfNoEntry: false })?.size ?? 0;
    if (have !== from) {
      throw new PlantError("REQUEST_MALFORMED", { reason: `from: ${have} bytes are here` });
    }
    const part = Buffer.from(bytes, "base64");
    if (have + part.length > 2 * core.backupPlace.roomBytes) {
      throw new PlantError("LIMIT_REACHED", { limit: "bytes of a backup", max: have });
    }
    appendFileSync(coming, part, { mode: 0o600, flush: sha256 !== undefined });
    if (sha256 === undefined) return { bytes: have + part.length };
    return { path: finish({ coming, path, sha256, folder }), bytes: have + part.length };
  } catch (error) {
    throw asStoreError(error, folder);
  }
}

const comingEnding = ".coming";

/** Takes away what came of files that did not come whole. */
function removeComing(folder: string): void {
  for (const name of readdirSync(folder)) {
    if (name.endsWith(comingEnding)) rmSync(join(folder, name), { recursive: true, force: true });
  }
}

interface Coming {
  readonly coming: string;
  readonly path: string;
  readonly folder: string;
  readonly sha256: string;
}

function finish({ coming, path, folder, sha256 }: Coming): string {
  if (hashOf(coming) !== sha256) {
    rmSync(coming, { force: true });
    throw new PlantError("BACKUP_UNREADABLE", { path, reason: "it changed on its way" });
  }
  if (existsSync(path)) {
    rmSync(coming, { force: true });
    if (hashOf(path) === sha256) return path;
    throw new PlantError("REQUEST_MALFORMED", { reason: "name: another backup has it" });
  }
  renameSync(coming, path);
  syncPath(folder);
  return path;
}

function hashOf(path: string): string {
  const hash = createHash("sha256");
  const handle = openExisting(path);
  try {
    const part = Buffer.alloc(partBytes);
    for (let at = 0; ; ) {
      const count = readSync(handle, part, 0, partBytes, at);
      if (count === 0) break;
      hash.update(part.subarray(0, count));
      at += count;
    }
  } finally {
    closeSync(handle);
  }
  return hash.digest("hex");
}
