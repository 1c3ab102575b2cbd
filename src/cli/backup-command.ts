// `plant backup …`: sealed backups of the store. The passphrase comes from a terminal without echo
// or from a file, never from the command line. It must not know how a backup is sealed.
import { createHash } from "node:crypto";
import { basename, join, resolve } from "node:path";
import { describeBytes, services } from "../status/status.ts";
import { isoTime } from "../util/clock.ts";
import { hasCode, PlantError } from "../util/errors.ts";
import { check, v } from "../util/shape.ts";
import type { Invocation } from "./command.ts";
import { asFileError, asWriteError, needFreePlace } from "./export-command.ts";
import { columns } from "./output.ts";
import { needConsent } from "./state-command.ts";
import type { NewFile } from "./surroundings.ts";

/** A backup of a full store over a slow disk. */
const backupMs = 600_000;

const createdShape = v.looseObject({ path: v.string(), bytes: v.number() });
const progressShape = v.looseObject({
  done: v.optional(v.number()),
  total: v.optional(v.number()),
});
const partShape = v.looseObject({ bytes: v.string() });
const readShape = v.looseObject({ bytes: v.number(), sha256: v.string() });
const heads = v.record(v.string(), v.number());
const verifiedShape = v.looseObject({
  format: v.number(),
  epoch: v.string(),
  heads,
  points: v.number(),
  blocks: v.number(),
  time: v.number(),
  bytes: v.number(),
});
const listShape = v.looseObject({
  backups: v.array(
    v.looseObject({
      path: v.string(),
      bytes: v.number(),
      time: v.optional(v.union([v.number(), v.looseObject({ wall: v.number() })])),
    }),
  ),
});
const snapshotsShape = v.looseObject({
  snapshots: v.array(
    v.looseObject({
      name: v.string(),
      bytes: v.number(),
      time: v.number(),
      heads: v.nullable(heads),
    }),
  ),
});
const lossesShape = v.looseObject({
  losses: v.array(
    v.looseObject({
      quarantine: v.string(),
      atMs: v.number(),
      reason: v.string(),
      restored: v.string(),
      lost: v.array(
        v.looseObject({ stream: v.string(), from: v.number(), to: v.nullable(v.number()) }),
      ),
      seen: v.boolean(),
    }),
  ),
});

/** What took the place of a damaged database, in words. */
const places: Readonly<Record<string, string>> = {
  whole: ": all of it could be read",
  remains: ": what could be read of it",
  snapshot: ": the newest copy the store made",
  nothing: ": an empty database",
};

/** Bytes of a file that go to the store in one request. */
const partBytes = 524_288;

/** Shortest passphrase the store seals with. */
const passphraseMin = 8;

/** Makes a backup and tells its path; with a file named, brings it there, too. */
export async function runCreate(invocation: Invocation): Promise<number> {
  const { io, out, args } = invocation;
  const [typed] = args;
  const file = typed === undefined ? undefined : fileAt(invocation, typed);
  if (file !== undefined) needFreePlace(invocation, file);
  const passphrase = await passphraseOf(invocation, true);
  // Open from the start: a stick that is pulled meanwhile is not taken for the folder under it.
  const target = file && { file, to: asWriteError(file, () => io.createFile(file)) };
  try {
    const asked = { passphrase, ...personOf(invocation) };
    const data = await streamed(invocation, "backup-create", asked);
    const { path, bytes } = check(createdShape, data, "REMOTE_SHAPE");
    out.talk(`${describeBytes(bytes)} sealed${file === undefined ? "" : ` in ${path}`}`);
    if (target) await fetchFile(invocation, basename(path), target);
    const document = { schema: "plant.backup/1", path, bytes, ...(file && { file }) };
    out.result(document, () => file ?? path);
  } finally {
    if (target) target.to.drop();
  }
  return 0;
}

/** The file that is meant; in a folder, of a stick maybe, one named by the time. */
function fileAt({ io }: Invocation, typed: string): string {
  if (!io.isFolder(typed)) return typed;
  const time = isoTime(io.clock.wallMs()).slice(0, 19).replaceAll(":", "");
  return join(typed, `plantd-${time}.plantbackup`);
}

/** Checks a backup whole, without touching the store. */
export async function runVerify(invocation: Invocation): Promise<number> {
  const { out } = invocation;
  const passphrase = await passphraseOf(invocation, false);
  const { path, data } = await withBackup(invocation, (path) =>
    streamed(invocation, "backup-verify", { path, passphrase }),
  );
  const found = check(verifiedShape, data, "REMOTE_SHAPE");
  out.result({ schema: "plant.verified/1", path, ...found }, () => {
    const records = Object.entries(found.heads).map(([stream, head]) => `${stream} ${head}`);
    const rows = [
      ["newest", found.time === 0 ? "–" : out.time(found.time)],
      ["checkpoint", `${found.points} rows`],
      ["records", records.join(", ")],
      ["format", String(found.format)],
      ["epoch", found.epoch],
      ["size", describeBytes(found.bytes)],
    ];
    return columns(["sound", path], rows).join("\n");
  });
  return 0;
}

/** Replaces the store by a backup, once confirmed; a new epoch begins. */
export async function runRestore(invocation: Invocation): Promise<number> {
  const { out, args } = invocation;
  needConsent(invocation, `replacing the store by ${args[0] ?? ""}`);
  const passphrase = await passphraseOf(invocation, false);
  const { path, data } = await withBackup(invocation, (path) =>
    streamed(invocation, "backup-restore", { path, passphrase, ...personOf(invocation) }),
  );
  const { epoch } = check(v.looseObject({ epoch: v.string() }), data, "REMOTE_SHAPE");
  const document = { schema: "plant.restored/1", path, epoch };
  out.result(document, () => `restored from ${path}; epoch ${epoch} has begun`);
  return 0;
}

/** Who asks, as far as the shell knows: for the records of the store. */
function personOf({ io }: Invocation): { by?: string } {
  const by = io.env.SUDO_USER ?? io.env.USER;
  return by === undefined || by === "" ? {} : { by };
}

/** Does something with a backup, which is brought to the store where that cannot read it. */
async function withBackup(
  invocation: Invocation,
  work: (path: string) => Promise<unknown>,
): Promise<{ path: string; data: unknown }> {
  const { io, out, args } = invocation;
  const [typed = ""] = args;
  const isHere = io.exists(typed);
  // The store stands in another folder: a file seen from here goes by its whole path.
  const path = isHere ? resolve(typed) : typed;
  try {
    return { path, data: await work(path) };
  } catch (error) {
    if (!isHere || !isOutOfReach(error)) throw error;
    out.talk("the store cannot read that folder: the file is sent to it");
    const sent = await sendFile(invocation, typed);
    return { path: sent, data: await work(sent) };
  }
}

function isOutOfReach(error: unknown): boolean {
  if (hasCode(error, "BACKUP_NOT_FOUND")) return true;
  if (!hasCode(error, "BACKUP_UNREADABLE")) return false;
  const { detail } = error;
  return ["ENOENT", "EACCES", "EPERM", "ENOTDIR"].includes(String(detail.reason));
}

/** Writes a backup of the store's folder into a file seen from here. */
async function fetchFile(
  invocation: Invocation,
  name: string,
  { file: path, to: file }: { readonly file: string; readonly to: NewFile },
): Promise<void> {
  const { signal } = invocation;
  const client = await invocation.client();
  const call = { deadlineMs: backupMs, signal };
  const parts = client.stream(services.state, "backup-read", { name }, call);
  const hash = createHash("sha256");
  for (;;) {
    const part = await parts.next();
    if (part.done === true) {
      const { sha256 } = check(readShape, part.value, "REMOTE_SHAPE");
      if (hash.digest("hex") !== sha256) {
        throw new PlantError("BACKUP_UNREADABLE", { path, reason: "it changed on its way" });
      }
      asWriteError(path, () => file.finish());
      return;
    }
    const bytes = Buffer.from(check(partShape, part.value, "REMOTE_SHAPE").bytes, "base64");
    hash.update(bytes);
    asWriteError(path, () => file.write(bytes));
  }
}

/** Brings a file to the store. @returns where it is there. */
async function sendFile(invocation: Invocation, path: string): Promise<string> {
  const { io, flags, signal } = invocation;
  const client = await invocation.client();
  const all = asFileError(path, () => Buffer.from(io.readBytes(path)));
  const name = basename(path).replace(/(\.plantbackup)?$/, ".plantbackup");
  const sha256 = createHash("sha256").update(all).digest("hex");
  for (let from = 0; ; ) {
    const part = all.subarray(from, from + partBytes);
    const isLast = from + part.length >= all.length;
    const args = { name, from, bytes: part.toString("base64"), ...(isLast && { sha256 }) };
    const call = { deadlineMs: flags.timeoutMs, signal };
    const answer = await client.call(services.state, "backup-put", args, call);
    if (isLast) return check(createdShape, answer, "REMOTE_SHAPE").path;
    from += part.length;
  }
}

/** Snapshots that the store makes by itself, on the same medium. */
export async function runSnapshots(invocation: Invocation): Promise<number> {
  const { out, flags, signal, options } = invocation;
  const client = await invocation.client();
  const call = { deadlineMs: options.now === true ? backupMs : flags.timeoutMs, signal };
  if (options.now === true) await client.call(services.state, "snapshot-create", {}, call);
  const found = await client.call(services.state, "snapshot-list", {}, call);
  const { snapshots } = check(snapshotsShape, found, "REMOTE_SHAPE");
  out.result({ schema: "plant.snapshots/1", snapshots }, () => {
    if (snapshots.length === 0) return "no snapshots yet";
    const rows = snapshots.map(({ name, bytes, time, heads }) => [
      out.time(time),
      describeBytes(bytes),
      heads === null ? "–" : String(heads.state ?? 0),
      name,
    ]);
    return columns(["TIME", "SIZE>", "STATE>", "NAME"], rows).join("\n");
  });
  return 0;
}

/** Damaged databases that were replaced, and what is gone. */
export async function runLosses(invocation: Invocation): Promise<number> {
  const { out, flags, signal, options } = invocation;
  const client = await invocation.client();
  const call = { deadlineMs: flags.timeoutMs, signal };
  const asked = { seen: options.seen === true };
  const found = await client.call(services.state, "losses", asked, call);
  const { losses } = check(lossesShape, found, "REMOTE_SHAPE");
  out.result({ schema: "plant.losses/1", losses }, () => {
    if (losses.length === 0) return "no database was damaged";
    return losses
      .flatMap(({ atMs, reason, restored, lost, quarantine, seen }) => [
        `${out.time(atMs)}  ${reason}${seen ? "  (seen)" : ""}`,
        `  in its place  ${restored}${places[restored] ?? ""}`,
        ...lost.map(({ stream, from, to }) =>
          to === null
            ? `  perhaps       ${stream} ${from} and later`
            : `  missing       ${stream} ${from}–${to}`,
        ),
        `  set aside     ${quarantine}`,
      ])
      .join("\n");
  });
  if (losses.some(({ seen }) => !seen)) out.talk("to end the alarm: plant backup losses --seen");
  return 0;
}

/** Backups on this gateway. */
export async function runBackups(invocation: Invocation): Promise<number> {
  const { out, flags, signal } = invocation;
  const client = await invocation.client();
  const call = { deadlineMs: flags.timeoutMs, signal };
  const { backups } = check(
    listShape,
    await client.call(services.state, "backup-list", {}, call),
    "REMOTE_SHAPE",
  );
  out.result({ schema: "plant.backups/1", backups }, () => {
    if (backups.length === 0) return "no backups; make one with: plant backup create";
    const rows = backups.map(({ path, bytes, time }) => {
      const wall = typeof time === "number" ? time : time?.wall;
      return [wall === undefined ? "–" : out.time(wall), describeBytes(bytes), path];
    });
    return columns(["TIME", "SIZE>", "PATH"], rows).join("\n");
  });
  return 0;
}

/** Calls an operation that tells its progress; tells the person the same. */
async function streamed(invocation: Invocation, operation: string, args: object): Promise<unknown> {
  const { out, signal } = invocation;
  const client = await invocation.client();
  const parts = client.stream(services.state, operation, args, { deadlineMs: backupMs, signal });
  for (;;) {
    const part = await parts.next();
    if (part.done === true) return part.value;
    const { done, total } = check(progressShape, part.value, "REMOTE_SHAPE");
    if (done === undefined || !total) continue;
    out.talk(`${Math.floor((done / total) * 100)} % of ${describeBytes(total)} …`);
  }
}

async function passphraseOf(invocation: Invocation, isNew: boolean): Promise<string> {
  const { io, options } = invocation;
  const file = options.passphraseFile;
  if (typeof file === "string") {
    const line = readLine(invocation, file);
    if (line === "")
      throw new PlantError("USAGE", { message: `the first line of ${file} is empty` });
    return isNew ? strongEnough(line) : line;
  }
  const first = await io.askSecret("Passphrase: ");
  if (first === undefined) throw new PlantError("PASSPHRASE_MISSING");
  if (first === "") throw new PlantError("USAGE", { message: "the passphrase is empty" });
  if (isNew && (await io.askSecret("Again: ")) !== first) {
    throw new PlantError("USAGE", { message: "the two passphrases differ" });
  }
  return isNew ? strongEnough(first) : first;
}

function strongEnough(passphrase: string): string {
  if (passphrase.length >= passphraseMin) return passphrase;
  const message = `a passphrase needs at least ${passphraseMin} characters`;
  throw new PlantError("USAGE", { message, next: "plant backup create" });
}

function readLine({ io }: Invocation, path: string): string {
  try {
    return io.readFile(path).split(/\r?\n/, 1)[0] ?? "";
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new PlantError("FILE_UNREADABLE", { path, reason }, { cause: error });
  }
}
