// The operations on points: set, list, watch. It must not know how values are kept.
import { PlantError } from "../util/errors.ts";
import { check } from "../util/shape.ts";
import type { Operation, WorkerRequest } from "../worker/worker.ts";
import type { StateCore } from "./core.ts";
import type { Place, Point } from "./points.ts";
import { bound, checkPoint, countOf, limits, shapes, weightOf } from "./requests.ts";

/** Our own operations on points. */
export function pointOperations(core: StateCore): Record<string, Operation> {
  return {
    "set-many": ({ args }) => setMany(core, args),
    list: ({ args }) => list(core, args),
    watch: (request) => watch(core, request),
  };
}

async function setMany(core: StateCore, args: unknown): Promise<unknown> {
  const { points, flush = "group", source, run, number } = check(shapes.setMany, args);
  if (points.length === 0) {
    throw new PlantError("REQUEST_MALFORMED", { reason: "points: at least one is needed" });
  }
  bound("points of one call", points.length, limits.pointsPerCall);
  const now = core.now();
  const changes = points.map((point, at) => checkPoint(point, at, now));
  return await core.set(changes, { flush, source: { source, run, number }, by: source });
}

function list(core: StateCore, args: unknown): unknown {
  const { scope, prefix = "", after, limit } = check(shapes.list, args ?? {});
  const most = countOf("list limit", limit, limits.listMax);
  const points: Point[] = [];
  let weight = 0;
  const place = after === undefined ? undefined : placeOf(after);
  for (const point of core.points.list(place, scope)) {
    // A prefix is of the key within one scope, of the scope otherwise.
    const text = scope === undefined ? point.scope : point.key;
    if (!text.startsWith(prefix)) continue;
    points.push(point);
    weight += weightOf(point.value);
    if (points.length > most || (weight > limits.answerValueBytes && points.length > 1)) break;
  }
  if (points.length <= most && weight <= limits.answerValueBytes) return { points };
  points.pop();
  const last = points.at(-1);
  const next = JSON.stringify([last?.scope, last?.key]);
  return { points, next: Buffer.from(next).toString("base64url") };
}

/** Where a list goes on, from the `next` of its last page. */
function placeOf(after: string): Place {
  const [scope, key] = parseArray(Buffer.from(after, "base64url").toString());
  if (typeof scope === "string" && typeof key === "string") return { scope, key };
  throw new PlantError("REQUEST_MALFORMED", { reason: "after: the next of a page before" });
}

function parseArray(text: string): unknown[] {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value : [];
  } catch (error) {
    if (error instanceof SyntaxError) return [];
    throw error;
  }
}

async function watch(core: StateCore, request: WorkerRequest): Promise<unknown> {
  const { scopes, after } = check(shapes.watch, request.args ?? {});
  const head = core.deps.journal.head("state");
  if (after !== undefined && after > head) {
    throw new PlantError("SEQUENCE_AHEAD", { stream: "state", sequence: after, head });
  }
  const wanted = scopes === undefined ? undefined : new Set(scopes);
  const missed: Point[] = [];
  if (after !== undefined && after < head) {
    for (const point of core.points.list(undefined, undefined)) {
      if (point.revision > after && wanted?.has(point.scope) !== false) missed.push(point);
    }
  }
  const position = await core.watchers.follow(
    { clock: core.deps.clock, head: () => core.deps.journal.head("state") },
    { wanted, missed, waitMs: limits.waitMs },
    request,
  );
  return { position };
}
