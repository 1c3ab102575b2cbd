// `plant state schema`: what the points of a scope must be. It must not know what a schema says.
import { PlantError } from "../util/errors.ts";
import { inspect, v } from "../util/shape.ts";
import type { Invocation } from "./command.ts";
import { ask, done, needConsent, whoOf } from "./state-command.ts";

const setShape = v.looseObject({
  unfit: v.optional(
    v.array(v.looseObject({ key: v.string(), wanted: v.string(), given: v.string() })),
    [],
  ),
  count: v.optional(v.number(), 0),
});

/** Prints the schema of a scope; with `--json` inside a document, else as a file of its own. */
export async function runSchemaGet(invocation: Invocation): Promise<number> {
  const [scope = ""] = invocation.args;
  const data = await ask(invocation, "schema-get", { scope });
  const rules = (data as { schema?: unknown } | null)?.schema ?? null;
  invocation.out.result({ schema: "plant.schema/1", scope, rules }, () =>
    JSON.stringify(rules, null, 2),
  );
  return 0;
}

/** Sets the schema of a scope from a file. @throws PlantError FILE_UNREADABLE, USAGE. */
export async function runSchemaSet(invocation: Invocation): Promise<number> {
  const [scope = "", path = ""] = invocation.args;
  const { options, out } = invocation;
  const schema = parse(await read(invocation, path), path);
  const keep = options.keep === true;
  const args = { scope, schema, keep, by: whoOf(invocation) };
  const found = inspect(setShape, await ask(invocation, "schema-set", args));
  const { unfit, count } = found.ok ? found.value : { unfit: [], count: 0 };
  out.result({ schema: "plant.schemaset/1", scope, unfit, count }, () => {
    const rows = unfit.map(({ key, wanted, given }) => `  ${key} is ${given}, not ${wanted}`);
    const rest = count > unfit.length ? [`  and ${count - unfit.length} more`] : [];
    const verdict = `the points of ${scope} are checked from now on`;
    const left = count === 0 ? [] : [`${count} that are there do not fit and stay:`];
    return [verdict, ...left, ...rows, ...rest].join("\n");
  });
  return 0;
}

/** Takes the schema of a scope away, once confirmed. */
export async function runSchemaDelete(invocation: Invocation): Promise<number> {
  const [scope = ""] = invocation.args;
  needConsent(invocation, `deleting the schema of ${scope}`);
  await ask(invocation, "schema-delete", { scope, by: whoOf(invocation) });
  return done(invocation, { scope }, `the points of ${scope} may be anything`);
}

async function read({ io }: Invocation, path: string): Promise<string> {
  if (path === "-") return io.readStdin();
  try {
    return io.readFile(path);
  } catch (error) {
    const reason = (error as { code?: unknown }).code ?? "unknown";
    throw new PlantError("FILE_UNREADABLE", { path, reason }, { cause: error });
  }
}

function parse(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new PlantError("USAGE", { message: `${path} is no JSON: ${error.message}` });
  }
}
