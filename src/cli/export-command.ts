// `plant state export` and `plant state import`: points as lines of JSON, out of the store and in.
// It must not know what the store checks.
import { services } from "../status/status.ts";
import { PlantError } from "../util/errors.ts";
import { check, v } from "../util/shape.ts";
import type { Invocation } from "./command.ts";
import { needConsent, whoOf } from "./state-command.ts";

/** All points of a large store over a slow line. */
const exportMs = 600_000;
const importMs = 60_000;
/** Lines of one request, and about their characters. */
const linesMax = 1000;
const charactersMax = 1_000_000;

const partShape = v.looseObject({ lines: v.array(v.string()) });
const doneShape = v.looseObject({ points: v.number() });
const fates = ["new", "same", "changed", "kept"] as const;
const countsShape = v.looseObject({
  new: v.number(),
  same: v.number(),
  changed: v.number(),
  kept: v.number(),
});
type Counts = Record<(typeof fates)[number], number>;

/** Writes points into a file, or to standard output without one. */
export async function runExport(invocation: Invocation): Promise<number> {
  const { io, out, args, options, signal } = invocation;
  const [path] = args;
  const { scope, prefix } = options;
  if (path !== undefined) needFreePlace(invocation, path);
  const client = await invocation.client();
  const asked = {
    ...(typeof scope === "string" ? { scope } : {}),
    ...(typeof prefix === "string" ? { prefix } : {}),
  };
  const call = { deadlineMs: exportMs, signal };
  const parts = client.stream(services.state, "export", asked, call);
  const file = path === undefined ? undefined : asWriteError(path, () => io.createFile(path));
  try {
    for (;;) {
      const part = await parts.next();
      if (part.done === true) {
        const { points } = check(doneShape, part.value, "REMOTE_SHAPE");
        if (points === 0) out.talk("no point is of that name: plant state list-scopes");
        if (file === undefined || path === undefined) return 0;
        asWriteError(path, () => file.finish());
        const document = { schema: "plant.exported/1", path, points };
        out.result(document, () => `${points} points in ${path}`);
        return 0;
      }
      const { lines } = check(partShape, part.value, "REMOTE_SHAPE");
      const text = lines.map((line) => `${line}\n`).join("");
      if (file === undefined || path === undefined) io.stdout.write(text);
      else asWriteError(path, () => file.write(text));
    }
  } finally {
    file?.drop();
  }
}

/** Reads points from a file: every line is tried before the first of them is taken. */
export async function runImport(invocation: Invocation): Promise<number> {
  const { io, out, args, options } = invocation;
  const [path = "-"] = args;
  const text = path === "-" ? await io.readStdin() : asFileError(path, () => io.readFile(path));
  const lines = text.split(/\r?\n/);
  const replace = options.replace === true;
  const tried = await send(invocation, lines, { replace, dryRun: true });
  const isTrial = options.dryRun === true;
  const counts = isTrial ? tried : await send(invocation, lines, { replace, dryRun: false });
  const document = { schema: "plant.imported/1", path, dryRun: isTrial, ...counts };
  out.result(document, () => {
    const said = `${counts.new} new, ${counts.changed} changed, ${counts.same} the same`;
    const kept =
      counts.kept === 0 ? "" : `, ${counts.kept} kept: --replace takes those of the file`;
    return `${isTrial ? "would be: " : ""}${said}${kept}`;
  });
  return 0;
}

/** Sends lines in requests of bounded size. @throws PlantError IMPORT_REFUSED with its line. */
async function send(
  invocation: Invocation,
  lines: readonly string[],
  how: { readonly replace: boolean; readonly dryRun: boolean },
): Promise<Counts> {
  const { out, signal } = invocation;
  const client = await invocation.client();
  const sum: Counts = { new: 0, same: 0, changed: 0, kept: 0 };
  let told = 0;
  for (let at = 0; at < lines.length; ) {
    const part: string[] = [];
    for (let size = 0; part.length < linesMax && size < charactersMax; ) {
      const line = lines[at + part.length];
      if (line === undefined) break;
      part.push(line);
      size += line.length;
    }
    const args = { first: at + 1, lines: part, ...how, by: whoOf(invocation) };
    const call = { deadlineMs: importMs, signal };
    const found = await client.call(services.state, "import", args, call);
    const counts = check(countsShape, found, "REMOTE_SHAPE");
    for (const fate of fates) sum[fate] += counts[fate];
    at += part.length;
    const percent = Math.floor((at / lines.length) * 100);
    if (percent >= told + 25 && percent < 100) {
      told = percent;
      out.talk(`${how.dryRun ? "tried" : "taken"} ${percent} % of ${lines.length} lines …`);
    }
  }
  return sum;
}

/** What was written before is replaced by consent only. @throws PlantError NEEDS_CONSENT. */
export function needFreePlace(invocation: Invocation, path: string): void {
  if (invocation.io.exists(path)) needConsent(invocation, `replacing the file ${path}`);
}

/** @throws PlantError FILE_UNREADABLE for what the file system refuses. */
export function asFileError<T>(path: string, work: () => T): T {
  return asError("FILE_UNREADABLE", path, work);
}

/** @throws PlantError FILE_UNWRITABLE for what the file system refuses. */
export function asWriteError<T>(path: string, work: () => T): T {
  return asError("FILE_UNWRITABLE", path, work);
}

function asError<T>(code: "FILE_UNREADABLE" | "FILE_UNWRITABLE", path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof PlantError) throw error;
    const reason = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new PlantError(code, { path, reason }, { cause: error });
  }
}
