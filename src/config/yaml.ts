// YAML with positions. The only importer of yaml. It must not know what the document means.
import { createRequire } from "node:module";
import type { Document, LineCounter } from "yaml";

type Yaml = typeof import("yaml");

let loaded: Yaml | undefined;

/** The package, loaded at the first text: a process that reads none saves 4 MB. */
function yaml(): Yaml {
  loaded ??= createRequire(import.meta.url)("yaml") as Yaml;
  return loaded;
}

/** Lets go of the package, for a process that has read its texts; the next text loads it again. */
export function forgetYaml(): void {
  const { cache } = createRequire(import.meta.url);
  for (const path of Object.keys(cache)) {
    if (path.includes("/node_modules/yaml/")) delete cache[path];
  }
  loaded = undefined;
}

/** Where something stands in a text; both count from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** A parsed document. */
export interface YamlText {
  readonly value: unknown;
  readonly errors: readonly { readonly message: string; readonly at: Position }[];
  /** The position of a path's key or item, or of the nearest parent that exists. */
  positionOf(path: readonly (string | number)[]): Position;
}

/** What a text without anything in it says. */
const empty: YamlText = {
  value: null,
  errors: [],
  positionOf: () => ({ line: 1, column: 1 }),
};

/** A document may not say more than this many aliases: they multiply. */
const aliasesMax = 100;

/** Parses one YAML 1.2 document; errors are reported, not thrown. */
export function parseYaml(text: string): YamlText {
  if (text.trim() === "") return empty;
  const counter = new (yaml().LineCounter)();
  const document = read(text, counter);
  const at = (offset: number): Position => {
    const { line, col } = counter.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const errors = document.errors.map((error) => ({ message: error.message, at: at(error.pos[0]) }));
  let value: unknown = null;
  if (errors.length === 0) {
    try {
      value = document.toJS({ maxAliasCount: aliasesMax });
    } catch (error) {
      errors.push({ message: (error as Error).message, at: at(0) });
    }
  }
  return {
    value,
    errors,
    positionOf(path) {
      let node: unknown = document.contents;
      let offset = 0;
      for (const key of path) {
        const found = step(node, key);
        if (found === undefined) break;
        offset = found.offset;
        node = found.node;
      }
      return at(offset);
    },
  };
}

/** Collections nested so deeply that the parser gives up become an error of the document. */
function read(text: string, lineCounter: LineCounter): Document {
  const { parseDocument, YAMLParseError } = yaml();
  const options = { lineCounter, prettyErrors: false, logLevel: "error" } as const;
  try {
    return parseDocument(text, options);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const document = parseDocument("", options);
    const message = "it is nested too deeply";
    document.errors.push(new YAMLParseError([0, 0], "RESOURCE_EXHAUSTION", message));
    return document;
  }
}

function step(node: unknown, key: string | number): { node: unknown; offset: number } | undefined {
  const { isMap, isNode, isScalar } = yaml();
  if (isMap(node)) {
    const pair = node.items.find(
      (item) => isScalar(item.key) && String(item.key.value) === `${key}`,
    );
    if (pair === undefined) return undefined;
    const range = isNode(pair.key) ? pair.key.range : undefined;
    return { node: pair.value, offset: range?.[0] ?? 0 };
  }
  if (isNode(node) && "items" in node && Array.isArray(node.items)) {
    const item: unknown = node.items[Number(key)];
    if (!isNode(item)) return undefined;
    return { node: item, offset: item.range?.[0] ?? 0 };
  }
  return undefined;
}
