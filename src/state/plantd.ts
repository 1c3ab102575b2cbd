// The operations of plantd's state service, by its names and fields, over the same points.
// It must not know how values are kept.
import { PlantError } from "../util/errors.ts";
import { check } from "../util/shape.ts";
import { turn } from "../util/slices.ts";
import type { Operation } from "../worker/worker.ts";
import { type StateCore, schemasScope } from "./core.ts";
import { healthOf } from "./health.ts";
import { get, sorted } from "./point-operations.ts";
import { checkName, checkPoint, refuseReserved } from "./point-request.ts";
import type { Place } from "./points.ts";
import { malformed, shapes } from "./requests.ts";

/** Scope of the marks that keep an empty scope known. */
const marks = "plantd/scopes";
/** Who did what nobody's name came with. */
const someone = "plantd";
/** Keys or scopes that are walked over, and points deleted, before others have their turn. */
const perSlice = 1000;

/** Operations of plantd; a scope is called `service` or `scope`. */
export function plantdOperations(core: StateCore): Record<string, Operation> {
  const set: Operation = ({ args }) => setOne(core, args);
  return {
    "state-get": ({ args }) => get(core, args),
    set,
    "state-set": set,
    delete: ({ args }) => deleteOne(core, args),
    "create-scope": ({ args }) => createScope(core, args),
    "delete-scope": ({ args }) => deleteScope(core, args),
    "list-keys": ({ args }) => listKeys(core, args),
    "list-scopes": ({ args }) => listScopes(core, args),
    health: ({ args }) => health(core, args),
  };
}

/** The scope under either of its names. */
function scopeOf({ scope, service }: { scope?: unknown; service?: unknown }): string {
  const name = scope ?? service;
  if (name === undefined) throw malformed("scope: it is missing");
  return checkName("scope", name);
}

async function setOne(core: StateCore, args: unknown): Promise<unknown> {
  const given = check(shapes.set, args);
  const scope = scopeOf(given);
  const change = checkPoint({ ...given, scope }, undefined, core.now());
  const { key, value } = change;
  const who = given.by ?? someone;
  const { last } = await core.set([change], { flush: "now", by: someone, who });
  return { scope, key, value, status: "set", revision: last };
}

async function deleteOne(core: StateCore, args: unknown): Promise<unknown> {
  const given = check(shapes.scopeKey, args);
  const { key, by: who = someone } = given;
  const scope = scopeOf(given);
  refuseReserved(scope);
  needScope(core, scope);
  await core.remove([{ scope, key }], { who });
  return { scope, key, status: "deleted" };
}

async function createScope(core: StateCore, args: unknown): Promise<unknown> {
  const given = check(shapes.scope, args);
  const scope = scopeOf(given);
  refuseReserved(scope);
  const change = {
    scope: marks,
    key: scope,
    value: true,
    quality: "good",
    time: core.now(),
  } as const;
  await core.set([change], {
    flush: "now",
    by: someone,
    who: given.by ?? someone,
    deed: { action: "create-scope", target: scope },
    admit: (points) => {
      if (points.hasScope(scope) || points.expected(marks, scope) !== undefined) {
        throw new PlantError("SCOPE_EXISTS", { scope });
      }
    },
  });
  return { scope, status: "created" };
}

/** Its points go first, in commits of bounded size, its mark and its schema last. */
async function deleteScope(core: StateCore, args: unknown): Promise<unknown> {
  const given = check(shapes.scope, args);
  const { by: who = someone } = given;
  const scope = scopeOf(given);
  refuseReserved(scope);
  needScope(core, scope);
  await sorted(core);
  const { scopes } = core.points.slots;
  // What somebody sets meanwhile is theirs: no more goes than there was.
  let left = scopes.holdersOf(scopes.find(scope) ?? 0);
  const deed = { action: "delete-scope", target: scope, before: left };
  let deleted = 0;
  while (left > 0) {
    const places = placesIn(core, scope, Math.min(left, perSlice));
    if (places.length === 0) break;
    left -= places.length;
    const told = deleted === 0 ? { who, deed } : {};
    deleted += await core.remove(places, told);
    await turn();
  }
  const rest = [
    { scope: marks, key: scope },
    { scope: schemasScope, key: scope },
  ];
  await core.removeMarks(rest, scope, deleted === 0 ? { who, deed } : {});
  return { scope, status: "deleted" };
}

function placesIn({ points }: StateCore, scope: string, most: number): Place[] {
  const places: Place[] = [];
  for (const slot of points.from(scope, "")) {
    if (places.length >= most || points.slots.scopeOf(slot) !== scope) break;
    places.push({ scope, key: points.slots.keyOf(slot) });
  }
  return places;
}

async function listKeys(core: StateCore, args: unknown): Promise<unknown> {
  const scope = scopeOf(check(shapes.scope, args));
  needScope(core, scope);
  const keys = await walk(core, { scope, key: "" }, (found) =>
    found.scope === scope ? { name: found.key, next: { scope, key: `${found.key}\0` } } : undefined,
  );
  return { scope, keys, count: keys.length };
}

async function listScopes(core: StateCore, args: unknown): Promise<unknown> {
  check(shapes.nothing, args);
  // No name has a control character: the next scope is above this one with one behind it.
  const named = await walk(core, { scope: "", key: "" }, ({ scope }) => ({
    name: scope,
    next: { scope: `${scope}\0`, key: "" },
  }));
  const marked = await walk(core, { scope: marks, key: "" }, ({ scope, key }) =>
    scope === marks ? { name: key, next: { scope, key: `${key}\0` } } : undefined,
  );
  const all = new Set([...named, ...marked]);
  all.delete(marks);
  all.delete(schemasScope);
  const scopes = [...all].sort();
  return { scopes, count: scopes.length };
}

/** Names in order, in slices, each step from one point to the next that `step` wants. */
async function walk(
  core: StateCore,
  from: Place,
  step: (found: Place) => { name: string; next: Place } | undefined,
): Promise<string[]> {
  await sorted(core);
  const names: string[] = [];
  let place = from;
  for (;;) {
    const { points } = core;
    const found = firstFrom(core, place);
    if (found === undefined) return names;
    const taken = step({ scope: points.slots.scopeOf(found), key: points.slots.keyOf(found) });
    if (taken === undefined) return names;
    names.push(taken.name);
    place = taken.next;
    if (names.length % perSlice === 0) await turn();
  }
}

function firstFrom({ points }: StateCore, { scope, key }: Place): number | undefined {
  for (const slot of points.from(scope, key)) return slot;
  return undefined;
}

function hasScope({ points }: StateCore, scope: string): boolean {
  return points.hasScope(scope) || points.slots.find(marks, scope) >= 0;
}

function needScope(core: StateCore, scope: string): void {
  if (!hasScope(core, scope)) throw new PlantError("SCOPE_NOT_FOUND", { scope });
}

function health(core: StateCore, args: unknown): unknown {
  const { service, scope = service } = check(shapes.nothing, args);
  // plantd's own fields stand beside the document of health.
  const plantd = { service: "org.plantd.State", store_available: true };
  const document = { ...healthOf(core), ...plantd };
  if (typeof scope !== "string") return document;
  return { ...document, scope, scope_exists: hasScope(core, scope) };
}
