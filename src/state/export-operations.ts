// The operations that take points out and in as lines of JSON: export, import.
// It must not know files.
import { assert } from "../util/assert.ts";
import { PlantError } from "../util/errors.ts";
import { check, v } from "../util/shape.ts";
import { JsonText, type Operation, type WorkerRequest } from "../worker/worker.ts";
import type { StateCore } from "./core.ts";
import { type Fate, fateOf, headerLine, presetSource, readLines } from "./export.ts";
import type { PointChange } from "./point.ts";
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

/** @param list the operation that pages through points. */
export function exportOperations(
  core: StateCore,
  list: Operation | undefined,
): Record<string, Operation> {
  assert(list !== undefined, "points are listed");
  return {
    export: (request) => exportPoints(core, list, request),
    import: ({ args }) => importPoints(core, args),
  };
}

/** A page of `list`, as far as it is used here. */
interface ListPage {
  readonly points: readonly { readonly scope: string }[];
  readonly next?: string;
}

async function exportPoints(
  core: StateCore,
  list: Operation,
  request: WorkerRequest,
): Promise<unknown> {
  const asked = check(shapes.export, request.args ?? {});
  core.refuseWhileRestoring();
  const { journal, clock } = core.deps;
  const head = { time: clock.wallMs(), epoch: journal.epoch, position: journal.head("state") };
  await request.partial({ lines: [headerLine({ ...head, ...asked })] });
  let count = 0;
  let after: string | undefined;
  do {
    const args = after === undefined ? asked : { ...asked, after };
    const reply = await list({ ...request, args });
    const page = (reply instanceof JsonText ? reply.toJSON() : reply) as ListPage;
    // What the store keeps for itself is made by its own operations.
    const lines = page.points
      .filter(({ scope }) => !isReserved(scope))
      .map((point) => JSON.stringify(point));
    if (lines.length > 0) await request.partial({ lines });
    count += lines.length;
    after = page.next;
  } while (after !== undefined && !request.signal.aborted);
  return { points: count };
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
