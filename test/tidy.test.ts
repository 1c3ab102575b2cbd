// Holds the shape of the house: layers and doors, one importer per package, file heads, names in
// use, file names, generated documents. It must not know what the rooms do.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { referencePages } from "../src/main/reference-pages.ts";
import { catalogue } from "../src/util/catalogue.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Layer of each room; a room imports lower layers only. */
const layers: Readonly<Record<string, number>> = {
  "src/util": 0,
  "src/config": 1,
  "src/mdp": 1,
  "src/access": 1,
  "src/batch": 1,
  "src/wire": 2,
  "src/disk": 2,
  "src/uplink": 2,
  "src/fetch": 2,
  "src/client": 3,
  "src/worker": 3,
  "src/journal": 3,
  "src/broker": 4,
  "src/state": 4,
  "src/logger": 4,
  "src/sync": 4,
  "src/status": 4,
  "src/central": 4,
  "src/http": 5,
  "src/cli": 5,
  "drivers/kit": 5,
  "drivers/modbus": 6,
  "drivers/serial": 6,
  "drivers/echo": 6,
  "drivers/metric": 6,
  "drivers/simulator": 7,
  "src/main": 8,
  appliance: 8,
};

/** What drivers may import of src: what a driver in another repository could. */
const driversMayImport = ["src/util", "src/config", "src/worker", "src/client"];
const forbiddenNames = /^(utils?|helpers?|index|common|misc|manager|handler)\.ts$/;
const topLevel = ["src", "drivers", "appliance", "systemd", "image", "test", "docs"];

interface Source {
  readonly path: string;
  readonly text: string;
  readonly room: string;
  /** Paths of own files, and names of packages, that it imports. */
  readonly files: readonly string[];
  readonly packages: readonly string[];
}

function roomOf(path: string): string {
  const [top = "", second = ""] = path.split("/");
  return top === "src" || top === "drivers" ? `${top}/${second}` : top;
}

function listSources(folder: string): Source[] {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => readSource(relative(root, join(entry.parentPath, entry.name))));
}

function readSource(path: string): Source {
  const text = readFileSync(join(root, path), "utf8");
  const specifiers = [
    ...text.matchAll(/^(?:import|export)\b[^;"']*?\bfrom\s+"([^"]+)"/gm),
    ...text.matchAll(/^import\s+"([^"]+)"/gm),
    ...text.matchAll(/\bimport\(\s*"([^"]+)"\s*\)/g),
  ].map((match) => match[1] ?? "");
  const files = specifiers
    .filter((name) => name.startsWith("."))
    .map((name) => join(dirname(path), name));
  const packages = specifiers
    .filter((name) => !name.startsWith(".") && !name.startsWith("node:"))
    .map((name) => name.split("/", name.startsWith("@") ? 2 : 1).join("/"));
  return { path, text, room: roomOf(path), files, packages };
}

const production = ["src", "drivers", "appliance"].flatMap(listSources);
const tests = listSources("test");

/** The file through which a room is entered. */
function isDoor(path: string): boolean {
  const room = roomOf(path);
  if (room === "src/util") return true;
  return path === join(room, `${basename(room)}.ts`);
}

test("a room imports lower layers only, and through their doors", () => {
  const wrong: string[] = [];
  for (const source of production) {
    const own = layers[source.room];
    if (own === undefined) wrong.push(`${source.path}: the room ${source.room} has no layer`);
    for (const file of source.files) {
      const room = roomOf(file);
      if (room === source.room) continue;
      const other = layers[room];
      if (other === undefined || own === undefined || other >= own) {
        wrong.push(`${source.path} imports ${file}: layer ${other} from layer ${own}`);
      }
      if (!isDoor(file)) wrong.push(`${source.path} imports ${file}, which is not a door`);
      if (source.room.startsWith("drivers/") && room.startsWith("src/")) {
        if (!driversMayImport.includes(room)) wrong.push(`${source.path} imports ${file}`);
      }
    }
  }
  assert.deepEqual(wrong, []);
});

test("no files import one another in a circle", () => {
  const byPath = new Map(production.map((source) => [source.path, source]));
  const done = new Set<string>();
  const circles: string[] = [];
  const walk = (path: string, way: readonly string[]) => {
    if (way.includes(path)) circles.push([...way.slice(way.indexOf(path)), path].join(" > "));
    if (done.has(path) || way.includes(path)) return;
    for (const file of byPath.get(path)?.files ?? []) walk(file, [...way, path]);
    done.add(path);
  };
  for (const { path } of production) walk(path, []);
  assert.deepEqual(circles, []);
});

test("each package is imported by one file, and each dependency is used", () => {
  const importers = new Map<string, Set<string>>();
  for (const source of production) {
    for (const name of source.packages) {
      importers.set(name, (importers.get(name) ?? new Set()).add(source.path));
    }
  }
  const shared = [...importers].filter(([, files]) => files.size > 1);
  assert.deepEqual(
    shared.map(([name, files]) => `${name}: ${[...files].join(", ")}`),
    [],
  );
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const unused = Object.keys(manifest.dependencies).filter((name) => !importers.has(name));
  assert.deepEqual(unused, [], "dependencies nobody imports");
  const undeclared = [...importers.keys()].filter((name) => !(name in manifest.dependencies));
  assert.deepEqual(undeclared, [], "packages imported but not declared");
});

test("every file opens with one to three lines that say what it is for", () => {
  const wrong = [...production, ...tests].filter(({ text }) => {
    const lines = text.split("\n");
    if (lines[0]?.startsWith("#!")) lines.shift();
    const head = lines.findIndex((line) => !line.startsWith("//"));
    return head < 1 || head > 3;
  });
  assert.deepEqual(
    wrong.map(({ path }) => path),
    [],
  );
});

test("no file has a name that says nothing", () => {
  const wrong = [...production, ...tests].filter(({ path }) => {
    const name = basename(path);
    return forbiddenNames.test(name) || !/^[a-z0-9]+(-[a-z0-9]+)*(\.test)?\.ts$/.test(name);
  });
  assert.deepEqual(
    wrong.map(({ path }) => path),
    [],
  );
});

test("what is exported is used outside its file", () => {
  const all = [...production, ...tests];
  const wrong: string[] = [];
  for (const source of production) {
    for (const match of source.text.matchAll(
      /^export (?:abstract )?(?:async )?(function\*?|const|class|interface|type) (\w+)/gm,
    )) {
      const [, kind = "", name = ""] = match;
      const word = new RegExp(`\\b${name}\\b`, "g");
      const outside = all.some((other) => other !== source && word.test(other.text));
      const isType = kind === "interface" || kind === "type";
      const inside = (source.text.match(word) ?? []).length > 1;
      if (!outside && !(isType && inside)) wrong.push(`${source.path}: ${name}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test("what a door passes on is used outside its room", () => {
  const wrong: string[] = [];
  for (const door of production.filter(({ path }) => isDoor(path))) {
    const outside = [...production, ...tests].filter(({ room }) => room !== door.room);
    const names = [...door.text.matchAll(/^export \{([^}]*)\} from/gm)]
      .flatMap(([, list = ""]) => list.split(","))
      .map((item) => item.trim())
      .filter((item) => item !== "" && !item.startsWith("type "));
    for (const item of names) {
      const name = new RegExp(`\\b${item.split(/\s+as\s+/).at(-1)}\\b`);
      if (!outside.some(({ text }) => name.test(text))) wrong.push(`${door.path}: ${item}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test("every code of the catalogue is raised or told somewhere", () => {
  const words = production.filter(({ path }) => path !== "src/util/catalogue.ts");
  assert.deepEqual(
    Object.keys(catalogue).filter((code) => !words.some(({ text }) => text.includes(`"${code}"`))),
    [],
  );
});

test("the top level holds the agreed folders and no others", () => {
  const folders = readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith("."))
    .map((entry) => entry.name)
    .filter((name) => name !== "node_modules");
  assert.deepEqual(
    folders.filter((name) => !topLevel.includes(name)),
    [],
  );
});

test("no package address is written into the lock file", () => {
  const lock = readFileSync(join(root, "package-lock.json"), "utf8");
  assert.equal(/"resolved":/.test(lock), false);
});

test("the generated pages of docs/reference are those of this source", () => {
  const stale = Object.entries(referencePages()).filter(
    ([path, text]) =>
      !existsSync(join(root, path)) || readFileSync(join(root, path), "utf8") !== text,
  );
  assert.deepEqual(
    stale.map(([path]) => path),
    [],
    "stale; run: npm run docs",
  );
});
