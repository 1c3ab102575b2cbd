// The operations that take points out and in as lines of JSON: export, import.
// It must not know files.
import { PlantError } from "../util/errors.ts";
import { check, v } from "../util/shape.ts";
import type { Operation, WorkerRequest } from "../worker/worker.ts";
import type { StateCore } from "./core.ts";
import { type Fate, fateOf, headerLine, presetSource, readLines } from "./export.ts";
import type { PointChange } from "./point.ts";
import { listPage } from "./point-operations.ts";
import { isReserved } from "./point-request.ts";
import { bound, limits, wellFormed } from "./requests.ts";

const shapes = {
  export: v.object({
    scope: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(255))),
    prefix: v.optional(v.pipe(v.string(), v.maxLength(255))),
  }),
  import: v.object({
    /** Number of the first of `lines`, from 1. */
    first: v.pipe(v.number(), v.integer(), v.minValue(1)),
    lines: v.array(v.string()),
    replace: v.optional(v.boolean(), false),
    dryRun: v.optional(v.boolean(), false),
    /** The person who causes it, for the audit. */
    by: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(128), wellFormed), "unknown"),
  }),
} as const;

/** Lines of one request. */
const linesMax = 1000;
const lineBytesMax = limits.valueBytes + 8192;

/** Operations on points as lines of JSON. */
export function exportOperations(core: StateCore): Record<string, Operation> {
  return {
    export: (request) => exportPoints(core, request),
    import: ({ args }) => importPoints(core, args),
  };
}

/** A page of `list`, as far as it is used here. */
interface ListPage {
  readonly points: readonly { readonly scope: string }[];
  readonly next?: string;
}

async function exportPoints(core: StateCore, request: WorkerRequest): Promise<unknown> {
  const asked = check(shapes.export, request.args ?? {});
  core.refuseWhileRestoring();
  const { journal, clock } = core.deps;
  const head = { time: clock.wallMs(), epoch: journal.epoch, position: journal.head("state") };
  await request.partial({ lines: [headerLine({ ...head, ...asked })] });
  let count = 0;
  let after: string | undefined;
  do {
    const told = await tellPage(core, request, after === undefined ? asked : { ...asked, after });
    count += told.count;
    after = told.next;
  } while (after !== undefined && !request.signal.aborted);
  return { points: count };
}

/** One page of lines; nothing of it is held when this is over. */
async function tellPage(
  core: StateCore,
  request: WorkerRequest,
  asked: object,
): Promise<{ count: number; next: string | undefined }> {
  using _room = await request.room();
  const page = (await listPage(core, asked)).toJSON() as ListPage;
  // What the store keeps for itself is made by its own operations.
  const lines = page.points
    .filter(({ scope }) => !isReserved(scope))
    .map((point) => JSON.stringify(point));
  if (lines.length > 0) await request.partial({ lines });
  return { count: lines.length, next: page.next };
}

/** Every line of a request is right, or none is taken. */
async function importPoints(core: StateCore, args: unknown): Promise<unknown> {
  const { first, lines, replace, dryRun, by } = check(shapes.import, args);
  bound("lines of one import", lines.length, linesMax);
  for (const [at, text] of lines.entries()) {
    if (text.length <= lineBytesMax) continue;
    throw new PlantError("IMPORT_REFUSED", { line: first + at, reason: "it is too long" });
  }
  const points = readLines(lines, first, core.now());
  const counts: Record<Fate, number> = { new: 0, same: 0, changed: 0, kept: 0 };
  const changes: PointChange[] = [];
  for (const point of points) {
    const { change, source } = point;
    const { scope, key } = change;
    const fate = fateOf(core.points.get(scope, key), point, replace);
    counts[fate] += 1;
    if (fate === "same" || fate === "kept") continue;
    changes.push({ ...change, source });
  }
  if (dryRun || changes.length === 0) return counts;
  const deed = { action: "import", target: `${changes.length} points`, after: counts };
  await core.set(changes, { flush: "now", by: presetSource, who: by, deed });
  return counts;
}
