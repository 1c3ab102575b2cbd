// The operations on points: get, set, delete, list, watch. It must not know how values are kept.
import { isDeepStrictEqual } from "node:util";
import { PlantError } from "../util/errors.ts";
import { check } from "../util/shape.ts";
import { turn } from "../util/slices.ts";
import { JsonText, type Operation, type WorkerRequest } from "../worker/worker.ts";
import type { StateCore } from "./core.ts";
import { changesOf, checkGet, checkPoint, checkSetMany, refuseReserved } from "./point-request.ts";
import type { Place, PointTable } from "./points.ts";
import { countOf, limits, malformed, shapes } from "./requests.ts";

/** Our own operations on points. */
export function pointOperations(core: StateCore): Record<string, Operation> {
  return {
    get: ({ args }) => get(core, args),
    "get-many": (request) => withRoom(request, () => getMany(core, request.args)),
    "set-many": ({ args }) => setMany(core, args),
    "compare-and-set": ({ args }) => compareAndSet(core, args),
    "delete-many": ({ args }) => deleteMany(core, args),
    list: (request) => withRoom(request, () => listPage(core, request.args)),
    watch: (request) => watch(core, request),
  };
}

/** Makes an answer that may be long when there is room for it. */
export async function withRoom<T>(request: WorkerRequest, make: () => T | Promise<T>): Promise<T> {
  using _room = await request.room();
  return await make();
}

/** One point; plantd's `state-get` is the same. @throws PlantError STATE_NOT_FOUND. */
export function get(core: StateCore, args: unknown): JsonText {
  const { scope, key } = checkGet(args);
  const { points } = core;
  const slot = points.slots.find(scope, key);
  const text = slot < 0 ? undefined : points.jsonOf(slot, core.deps.journal.runMs());
  if (text === undefined) throw new PlantError("STATE_NOT_FOUND", { scope, key });
  return new JsonText(text);
}

function getMany(core: StateCore, args: unknown): JsonText {
  const { points: places } = check(shapes.getMany, args);
  const { points } = core;
  const now = core.deps.journal.runMs();
  const found: string[] = [];
  const missing: Place[] = [];
  for (const { scope, key } of places) {
    const slot = points.slots.find(scope, key);
    const text = slot < 0 ? undefined : points.jsonOf(slot, now);
    if (text === undefined) missing.push({ scope, key });
    else found.push(text);
  }
  return new JsonText(`{"points":[${found.join(",")}],"missing":${JSON.stringify(missing)}}`);
}

function setMany(core: StateCore, args: unknown): Promise<unknown> {
  const { points, flush, source, run, number, by: who } = checkSetMany(args);
  const changes = changesOf(points, core.now());
  return core.set(changes, { flush, source: { source, run, number }, by: source, who });
}

async function compareAndSet(core: StateCore, args: unknown): Promise<unknown> {
  const { expect, flush = "now", by: who, source, run, number } = check(shapes.compareAndSet, args);
  const isNamed = source !== undefined && run !== undefined && number !== undefined;
  if (!isNamed && (run !== undefined || number !== undefined)) {
    throw malformed("source, run and number: all of them or none");
  }
  const change = checkPoint(args, undefined, core.now());
  const { scope, key } = change;
  const admit = (points: PointTable) => {
    const slot = points.slots.find(scope, key);
    const isOver = slot >= 0 && points.isExpired(slot, core.deps.journal.runMs());
    const current = isOver ? undefined : points.expected(scope, key);
    if (isExpected(expect, current)) return;
    throw new PlantError("STATE_CONFLICT", { scope, key, current: current ?? null });
  };
  const { last, repeated } = await core.set([change], {
    flush,
    ...(isNamed ? { source: { source, run, number } } : {}),
    by: source ?? "state",
    who,
    admit,
  });
  return { revision: last, repeated };
}

type Expectation = { value: unknown } | { revision: number } | { absent: true };

function isExpected(
  expect: Expectation,
  current: { readonly value: unknown; readonly revision: number } | undefined,
): boolean {
  if ("absent" in expect) return current === undefined;
  if (current === undefined) return false;
  if ("revision" in expect) return current.revision === expect.revision;
  return isDeepStrictEqual(current.value, expect.value);
}

async function deleteMany(core: StateCore, args: unknown): Promise<unknown> {
  const { points, by: who } = check(shapes.deleteMany, args);
  for (const { scope } of points) refuseReserved(scope);
  const deleted = await core.remove(points, { who });
  return { deleted };
}

/** One page of points in order; whoever calls has room for it. */
export async function listPage(core: StateCore, args: unknown): Promise<JsonText> {
  const asked = check(shapes.list, args ?? {});
  if (!core.points.sortSlice()) await sorted(core);
  return pageOf(core, asked);
}

/** Waits until the points are in order; others have their turn meanwhile. */
export async function sorted(core: StateCore): Promise<void> {
  while (!core.points.sortSlice()) await turn();
}

interface ListArguments {
  readonly scope?: string | undefined;
  readonly prefix?: string | undefined;
  readonly after?: string | undefined;
  readonly limit?: number | undefined;
}

function pageOf(core: StateCore, { scope, prefix = "", after, limit }: ListArguments): JsonText {
  const { points } = core;
  const { slots } = points;
  const most = countOf("list limit", limit, limits.listMax);
  const now = core.deps.journal.runMs();
  const place = startOf({ scope, prefix }, after);
  const texts: string[] = [];
  let weight = 0;
  let last = -1;
  let next: string | undefined;
  for (const slot of points.from(place.scope, place.key)) {
    // A prefix is of the key within one scope, of the scope otherwise.
    if (scope === undefined) {
      if (!slots.scopeOf(slot).startsWith(prefix)) break;
    } else if (slots.scopeOf(slot) !== scope || !slots.keyOf(slot).startsWith(prefix)) break;
    const text = points.jsonOf(slot, now);
    if (text === undefined) continue;
    if (texts.length >= most || weight > limits.answerChars) {
      const reached = JSON.stringify([slots.scopeOf(last), slots.keyOf(last)]);
      next = Buffer.from(reached).toString("base64url");
      break;
    }
    texts.push(text);
    weight += text.length;
    last = slot;
  }
  const end = next === undefined ? "" : `,"next":"${next}"`;
  const position = core.deps.journal.head("state");
  return new JsonText(`{"points":[${texts.join(",")}],"position":${position}${end}}`);
}

/** The least place that a page may begin with. */
function startOf(
  { scope, prefix }: { scope: string | undefined; prefix: string },
  after: string | undefined,
): Place {
  const least = scope === undefined ? { scope: prefix, key: "" } : { scope, key: prefix };
  if (after === undefined) return least;
  const last = placeOf(after);
  // The first text above another one is that one with the lowest character behind it.
  const next = { scope: last.scope, key: `${last.key}\0` };
  const isBefore = next.scope === least.scope ? next.key < least.key : next.scope < least.scope;
  return isBefore ? least : next;
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
  const { scopes, prefix, after, epoch } = check(shapes.watch, request.args ?? {});
  const { journal, clock } = core.deps;
  const head = journal.head("state");
  if (after !== undefined && after > head) {
    throw new PlantError("SEQUENCE_AHEAD", { stream: "state", sequence: after, head });
  }
  // A position of another opening holds only if that one ended there.
  const cut = journal.lineage.at(-1)?.cuts.state;
  if (after !== undefined && epoch !== undefined && epoch !== journal.epoch && after !== cut) {
    throw new PlantError("WATCH_GONE", { after, since: cut ?? head });
  }
  const wanted = { scopes: scopes === undefined ? undefined : new Set(scopes), prefix };
  const position = await core.watchers.follow(
    { clock, head: () => journal.head("state"), runMs: () => journal.runMs() },
    { wanted, after, waitMs: limits.waitMs },
    request,
  );
  return { position, epoch: journal.epoch };
}
