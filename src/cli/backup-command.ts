// `plant backup …`: sealed backups of the store. The passphrase comes from a terminal without echo
// or from a file, never from the command line. It must not know how a backup is sealed.
import { resolve } from "node:path";
import { describeBytes, services } from "../status/status.ts";
import { PlantError } from "../util/errors.ts";
import { check, v } from "../util/shape.ts";
import type { Invocation } from "./command.ts";
import { columns } from "./output.ts";
import { needConsent } from "./state-command.ts";

/** A backup of a full store over a slow disk. */
const backupMs = 600_000;

const createdShape = v.looseObject({ path: v.string(), bytes: v.number() });
const progressShape = v.looseObject({
  done: v.optional(v.number()),
  total: v.optional(v.number()),
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

/** Shortest passphrase the store seals with. */
const passphraseMin = 8;

/** Makes a backup and tells its path. */
export async function runCreate(invocation: Invocation): Promise<number> {
  const { out } = invocation;
  const passphrase = await passphraseOf(invocation, true);
  const data = await streamed(invocation, "backup-create", { passphrase });
  const { path, bytes } = check(createdShape, data, "REMOTE_SHAPE");
  out.talk(`${describeBytes(bytes)} sealed`);
  out.result({ schema: "plant.backup/1", path, bytes }, () => path);
  return 0;
}

/** Replaces the store by a backup, once confirmed; a new epoch begins. */
export async function runRestore(invocation: Invocation): Promise<number> {
  const { io, out, args } = invocation;
  const [typed = ""] = args;
  // The store stands in another folder: a file seen from here goes by its whole path.
  const path = io.exists(typed) ? resolve(typed) : typed;
  needConsent(invocation, `replacing the store by ${path}`);
  const passphrase = await passphraseOf(invocation, false);
  const data = await streamed(invocation, "backup-restore", { path, passphrase });
  const { epoch } = check(v.looseObject({ epoch: v.string() }), data, "REMOTE_SHAPE");
  const document = { schema: "plant.restored/1", path, epoch };
  out.result(document, () => `restored from ${path}; epoch ${epoch} has begun`);
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
