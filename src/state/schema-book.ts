// The schemas of all scopes: those that hold, and those of the commit being put together.
// It must not know what a schema says.
import { PlantError } from "../util/errors.ts";
import type { PointChange } from "./point.ts";
import { type SchemaDocument, ScopeSchema, type Violation } from "./schema.ts";

export class SchemaBook {
  readonly #held = new Map<string, ScopeSchema>();
  /** Null for one that the commit takes away. */
  readonly #staged = new Map<string, ScopeSchema | null>();

  get count(): number {
    return this.#held.size;
  }

  of(scope: string): ScopeSchema | undefined {
    const staged = this.#staged.size === 0 ? undefined : this.#staged.get(scope);
    return staged === undefined ? this.#held.get(scope) : (staged ?? undefined);
  }

  /** A schema that holds from the start. */
  hold(scope: string, schema: SchemaDocument): void {
    this.#held.set(scope, new ScopeSchema(schema));
  }

  stage(scope: string, schema: ScopeSchema | null): void {
    this.#staged.set(scope, schema);
  }

  /** The commit is flushed, or nothing of it is. */
  settle(scope: string, isFlushed: boolean): void {
    const staged = this.#staged.get(scope);
    this.#staged.delete(scope);
    if (!isFlushed || staged === undefined) return;
    if (staged === null) this.#held.delete(scope);
    else this.#held.set(scope, staged);
  }

  /**
   * The changes with what the schemas add.
   * @throws PlantError SCHEMA_VIOLATED for the first point that does not fit.
   */
  complete(changes: readonly PointChange[]): readonly PointChange[] {
    if (this.#held.size === 0 && this.#staged.size === 0) return changes;
    let scope = "";
    let schema: ScopeSchema | undefined;
    return changes.map((change) => {
      if (change.scope !== scope) {
        scope = change.scope;
        schema = this.of(scope);
      }
      if (schema === undefined) return change;
      const violation = schema.violation(change);
      if (violation !== undefined) throw violated(change, violation);
      return schema.complete(change);
    });
  }
}

function violated({ scope, key }: PointChange, { wanted, given }: Violation): PlantError {
  return new PlantError("SCHEMA_VIOLATED", { scope, key, wanted, given });
}
