// The operations of plantd's state service, by its names and fields, over the same points.
// It must not know how values are kept.
import { PlantError } from "../util/errors.ts";
import { check } from "../util/shape.ts";
import type { Operation } from "../worker/worker.ts";
import type { StateCore } from "./core.ts";
import type { PointChange } from "./points.ts";
import { checkName, checkPoint, shapes } from "./requests.ts";

/** Scope of the marks that keep an empty scope known. */
const marks = "plantd/scopes";

/** Operations of plantd; `service` is the scope. */
export function plantdOperations(core: StateCore): Record<string, Operation> {
  const get: Operation = ({ args }) => {
    const { scope: native, service, key } = check(shapes.get, args);
    const scope = native ?? service;
    if (scope === undefined) throw new PlantError("REQUEST_MALFORMED", { reason: "scope: needed" });
    const point = core.points.get(scope, key);
    if (point === undefined) throw new PlantError("STATE_NOT_FOUND", { scope, key });
    return point;
  };
  const set: Operation = async ({ args }) => {
    const { service: scope, key, value } = check(shapes.set, args);
    const { last } = await put(core, { scope, key, value });
    return { scope, key, value, status: "set", revision: last };
  };
  return {
    get,
    "state-get": get,
    set,
    "state-set": set,
    delete: async ({ args }) => {
      const { service: scope, key } = check(shapes.scopeKey, args);
      needScope(core, scope);
      await removeIfThere(core, scope, [key]);
      return { scope, key, status: "deleted" };
    },
    "create-scope": async ({ args }) => {
      const { service: scope } = check(shapes.scope, args);
      checkName("service", scope);
      if (hasScope(core, scope)) throw new PlantError("SCOPE_EXISTS", { scope });
      await put(core, { scope: marks, key: scope, value: true });
      return { scope, status: "created" };
    },
    "delete-scope": async ({ args }) => {
      const { service: scope } = check(shapes.scope, args);
      needScope(core, scope);
      await removeIfThere(core, scope, core.points.keys(scope));
      await removeIfThere(core, marks, [scope]);
      return { scope, status: "deleted" };
    },
    "list-keys": ({ args }) => {
      const { service: scope } = check(shapes.scope, args);
      needScope(core, scope);
      const keys = core.points.keys(scope);
      return { scope, keys, count: keys.length };
    },
    "list-scopes": ({ args }) => {
      check(shapes.nothing, args);
      const all = new Set([...core.points.scopes(), ...core.points.keys(marks)]);
      all.delete(marks);
      const scopes = [...all].sort();
      return { scopes, count: scopes.length };
    },
    health: ({ args }) => health(core, args),
  };
}

async function put(
  core: StateCore,
  point: Readonly<Record<"scope" | "key" | "value", unknown>>,
): Promise<{ last: number }> {
  const change: PointChange = checkPoint(point, 0, core.now());
  return await core.set([change], { flush: "now", by: "plantd" });
}

async function removeIfThere(
  core: StateCore,
  scope: string,
  keys: readonly string[],
): Promise<void> {
  const places = keys
    .filter((key) => core.points.get(scope, key) !== undefined)
    .map((key) => ({ scope, key }));
  if (places.length > 0) await core.remove(places);
}

function hasScope(core: StateCore, scope: string): boolean {
  return core.points.hasScope(scope) || core.points.get(marks, scope) !== undefined;
}

function needScope(core: StateCore, scope: string): void {
  if (!hasScope(core, scope)) throw new PlantError("SCOPE_NOT_FOUND", { scope });
}

function health(core: StateCore, args: unknown): unknown {
  const { service: scope } = check(shapes.nothing, args);
  const stats = core.deps.journal.stats();
  const { liveBytes = 0, roomBytes = 1, failedCommits = 0 } = stats;
  const share = liveBytes / roomBytes;
  const room = share > 0.98 ? "fail" : share > 0.85 ? "warn" : "pass";
  const percent = `${Math.round(share * 100)} % used`;
  const checks = [
    { name: "room", status: room, output: percent },
    {
      name: "commits",
      status: failedCommits > 0 ? "warn" : "pass",
      output: `${failedCommits} failed`,
    },
  ];
  const status = checks.some((one) => one.status === "fail")
    ? "fail"
    : checks.some((one) => one.status === "warn")
      ? "warn"
      : "pass";
  // plantd's own fields stand beside the document of health.
  const plantd = { service: "org.plantd.State", store_available: true };
  if (typeof scope !== "string") return { status, checks, ...plantd };
  return { status, checks, ...plantd, scope, scope_exists: hasScope(core, scope) };
}
