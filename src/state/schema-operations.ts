// The operations on the schemas of scopes: set, get, delete. It must not know what a schema says.
import { PlantError } from "../util/errors.ts";
import { check } from "../util/shape.ts";
import { turn } from "../util/slices.ts";
import type { Operation } from "../worker/worker.ts";
import { type StateCore, schemasScope } from "./core.ts";
import { sorted } from "./point-operations.ts";
import { checkName, refuseReserved } from "./point-request.ts";
import type { PointTable } from "./points.ts";
import { shapes } from "./requests.ts";
import { checkSchema, ScopeSchema, type Violation } from "./schema.ts";

/** Operations on schemas. */
export function schemaOperations(core: StateCore): Record<string, Operation> {
  return {
    "schema-set": ({ args }) => schemaSet(core, args),
    "schema-get": ({ args }) => schemaGet(core, args),
    "schema-delete": ({ args }) => schemaDelete(core, args),
  };
}

type Unfit = Violation & { readonly key: string };

/** Points that do not fit which are named in one answer. */
const unfitMax = 100;
/** Points that are looked at before others have their turn. */
const pointsPerSlice = 1000;

async function schemaSet(core: StateCore, args: unknown): Promise<unknown> {
  const { scope, schema: given, keep, by: who } = check(shapes.schemaSet, args);
  checkName("scope", scope);
  refuseReserved(scope);
  const schema = new ScopeSchema(checkSchema(given));
  await sorted(core);
  const looked = core.deps.journal.head("state");
  const unfit = await unfitOf(core, scope, schema);
  const change = {
    scope: schemasScope,
    key: scope,
    value: schema.document,
    quality: "good",
    time: core.now(),
  } as const;
  const { last } = await core.set([change], {
    flush: "now",
    by: "state",
    who: who ?? "state",
    deed: { action: "schema-set", target: scope, after: schema.document },
    admit: (points) => {
      // What was set meanwhile.
      for (const slot of points.changedSince(looked)) {
        if (points.slots.scopeOf(slot) === scope) lookAt(points, slot, { schema, unfit });
      }
      if (unfit.size > 0 && !keep) {
        throw new PlantError("SCHEMA_UNFIT", { scope, ...answerOf(unfit) });
      }
    },
    built: () => core.schemas.stage(scope, schema),
    settled: (isFlushed) => core.schemas.settle(scope, isFlushed),
  });
  return { scope, revision: last, ...answerOf(unfit) };
}

function answerOf(unfit: ReadonlyMap<string, Unfit>): { unfit: Unfit[]; count: number } {
  return { unfit: [...unfit.values()].slice(0, unfitMax), count: unfit.size };
}

async function unfitOf(
  core: StateCore,
  scope: string,
  schema: ScopeSchema,
): Promise<Map<string, Unfit>> {
  const unfit = new Map<string, Unfit>();
  let key = "";
  for (let isEnd = false; !isEnd; await turn()) {
    const { points } = core;
    let looked = 0;
    isEnd = true;
    for (const slot of points.from(scope, key)) {
      if (points.slots.scopeOf(slot) !== scope) break;
      key = `${points.slots.keyOf(slot)}\0`;
      lookAt(points, slot, { schema, unfit });
      looked += 1;
      if (looked < pointsPerSlice) continue;
      isEnd = false;
      break;
    }
  }
  return unfit;
}

function lookAt(
  { slots }: PointTable,
  slot: number,
  { schema, unfit }: { schema: ScopeSchema; unfit: Map<string, Unfit> },
): void {
  const key = slots.keyOf(slot);
  const value = slots.valueOf(slot);
  const point = { key, value, type: slots.typeOf(slot), unit: slots.unitOf(slot) };
  const violation = schema.violation(point);
  if (violation === undefined) unfit.delete(key);
  else unfit.set(key, { key, ...violation });
}

function schemaGet(core: StateCore, args: unknown): unknown {
  const { scope } = check(shapes.schemaGet, args);
  const schema = core.schemas.of(scope);
  if (schema === undefined) throw new PlantError("STATE_NOT_FOUND", { scope, key: "schema" });
  return { scope, schema: schema.document };
}

async function schemaDelete(core: StateCore, args: unknown): Promise<unknown> {
  const { scope, by: who = "state" } = check(shapes.schemaDelete, args);
  if (core.schemas.of(scope) === undefined) {
    throw new PlantError("STATE_NOT_FOUND", { scope, key: "schema" });
  }
  const deed = { action: "schema-delete", target: scope };
  await core.removeMarks([{ scope: schemasScope, key: scope }], scope, { who, deed });
  return { scope, status: "deleted" };
}
