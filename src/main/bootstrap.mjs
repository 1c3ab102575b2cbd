// From a bare checkout to a running command: installs the packages when the lock file changed,
// finds the pinned Node, compiles, and re-executes with it. Plain JavaScript on node: built-ins
// alone, for any Node from 20 on. It must not know what the commands do.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { constants } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const modules = join(root, "node_modules");
const build = join(root, ".build");

/** What each command runs, relative to the root; `source` ones run the .ts files as they are. */
const commands = {
  start: { main: "src/main/demo.ts" },
  plantd: { main: "src/main/plantd.ts" },
  plant: { main: "src/main/plant.ts" },
  test: { main: "test/suite.ts", source: true },
  check: { main: "test/check.ts", source: true },
  docs: { main: "src/main/reference.ts", source: true },
  bench: { main: "test/bench/main.ts" },
  torture: { main: "test/torture/main.ts" },
};

function say(text) {
  process.stderr.write(`${text}\n`);
}

function fail(text, code = 3) {
  say(text);
  process.exit(code);
}

function read(path) {
  try {
    return fs.readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function manifest() {
  return JSON.parse(read(join(root, "package.json")));
}

/** Installs the packages of the lock file when they are not the ones installed. */
function install() {
  const wanted = createHash("sha256")
    .update(read(join(root, "package-lock.json")))
    .digest("hex");
  const stamp = join(modules, ".plantd-lock");
  if (read(stamp) === wanted) return;
  if (!fs.existsSync(join(root, "package-lock.json"))) return;
  const from = process.hrtime.bigint();
  say("Installing packages (npm ci) …");
  const npm = process.env.npm_execpath;
  const words = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  const isScript = npm !== undefined && /\.[cm]?js$/.test(npm);
  const result = isScript
    ? spawnSync(process.execPath, [npm, ...words], { cwd: root, stdio: ["ignore", 2, 2] })
    : spawnSync("npm", words, { cwd: root, stdio: ["ignore", 2, 2] });
  if (result.error) fail(`npm could not be started: ${result.error.message}. Install npm first.`);
  if (result.status !== 0) fail(`npm ci failed (exit ${result.status}); its message is above.`);
  linkCommands();
  fs.writeFileSync(stamp, wanted);
  const seconds = Number(process.hrtime.bigint() - from) / 1e9;
  say(`Packages installed in ${seconds.toFixed(1)} s`);
}

/** Makes `npx plantd` and `npx plant` work from the checkout. */
function linkCommands() {
  const folder = join(modules, ".bin");
  fs.mkdirSync(folder, { recursive: true });
  for (const [name, path] of Object.entries(manifest().bin)) {
    const link = join(folder, name);
    fs.rmSync(link, { force: true });
    fs.symlinkSync(relative(folder, join(root, path)), link);
    fs.chmodSync(join(root, path), 0o755);
  }
}

/** The pinned Node from its npm package, or the running one where it is new enough. */
function findNode() {
  const wanted = manifest().plantd.node;
  const packaged = join(modules, `node-${process.platform}-${process.arch}`, "bin", "node");
  if (fs.existsSync(packaged)) return packaged;
  const number = (version) => version.split(".").map(Number);
  const [major = 0, minor = 0] = number(process.versions.node);
  const [wantedMajor = 0, wantedMinor = 0] = number(wanted);
  const isNewEnough = major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
  if (isNewEnough) return process.execPath;
  return fail(
    `There is no packaged Node ${wanted} for ${process.platform}-${process.arch}, and this is ` +
      `Node ${process.versions.node}. Install Node ${wanted} or newer, then repeat the command.`,
  );
}

const compiled = ["src", "drivers", "appliance", "test"];
const assets = /\.(yaml|yml|html|css|svg|json|mjs|py|c|h|csv|hex|txt|md)$/;

/** Compiles the tree into .build when a source is newer than the last compilation. */
function compile(node) {
  const stamp = join(build, ".compiled");
  const last = fs.existsSync(stamp) ? fs.statSync(stamp).mtimeMs : 0;
  const files = compiled.flatMap((folder) => listFiles(join(root, folder)));
  const others = ["tsconfig.json", "package.json"].map((name) => join(root, name));
  const names = createHash("sha256").update(files.join("\n")).digest("hex");
  const isFresh =
    read(stamp) === names && [...files, ...others].every((f) => fs.statSync(f).mtimeMs < last);
  if (isFresh) return;
  const startedMs = fs.statSync(writeProbe()).mtimeMs;
  // Compiled aside and swapped in: what runs from the last compilation is not pulled from under.
  const fresh = `${build}-${process.pid}`;
  fs.rmSync(fresh, { recursive: true, force: true });
  const tsc = join(modules, "typescript", "bin", "tsc");
  const result = spawnSync(node, [tsc, "-p", join(root, "tsconfig.json"), "--outDir", fresh], {
    cwd: root,
    stdio: ["ignore", 2, 2],
  });
  if (result.status !== 0) {
    fs.rmSync(fresh, { recursive: true, force: true });
    fail("The TypeScript sources do not compile; see above.", 1);
  }
  for (const path of files) {
    if (!assets.test(path)) continue;
    const target = join(fresh, relative(root, path));
    fs.mkdirSync(dirname(target), { recursive: true });
    fs.copyFileSync(path, target);
  }
  fs.copyFileSync(join(root, "package.json"), join(fresh, "package.json"));
  const mark = join(fresh, ".compiled");
  fs.writeFileSync(mark, names);
  fs.utimesSync(mark, startedMs / 1000, startedMs / 1000);
  swapIn(fresh);
}

/** Puts a finished compilation in the place of the last one. */
function swapIn(fresh) {
  const old = `${fresh}-old`;
  try {
    fs.renameSync(build, old);
  } catch (error) {
    if (error.code !== "ENOENT") throw error; // ENOENT: the first compilation
  }
  try {
    fs.renameSync(fresh, build);
  } catch (error) {
    // Another process put the same compilation there first.
    if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error;
    fs.rmSync(fresh, { recursive: true, force: true });
  }
  fs.rmSync(old, { recursive: true, force: true });
}

/** A file written at this moment, to compare the file system's own time with. */
function writeProbe() {
  const probe = join(modules, ".plantd-probe");
  fs.writeFileSync(probe, "");
  return probe;
}

function listFiles(folder) {
  if (!fs.existsSync(folder)) return [];
  return fs
    .readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

/** Replaces this process where Node can, else runs a child and ends as it ends. */
function become(node, words) {
  if (typeof process.execve === "function" && process.platform === "linux") {
    process.execve(node, [node, ...words], process.env);
  }
  const child = spawn(node, words, { stdio: "inherit" });
  const forward = (signal) => child.kill(signal);
  for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, forward);
  process.on("SIGINT", () => {}); // the terminal tells the child too
  child.on("exit", (code, signal) => {
    process.exitCode = code ?? 128 + (constants.signals[signal] ?? 0);
  });
}

/** Sets up what `command` needs and runs it with `words`. */
export function enter(command, words) {
  const chosen = commands[command];
  if (command !== "build" && command !== "format" && chosen === undefined) {
    fail(
      `Unknown command ${command}: one of ${Object.keys(commands).join(", ")}, build, format`,
      2,
    );
  }
  install();
  const node = findNode();
  if (command === "format") {
    return become(join(modules, "@biomejs", `cli-linux-${process.arch}`, "biome"), [
      "check",
      "--write",
      ...words,
    ]);
  }
  if (command !== "check" && command !== "docs") compile(node);
  if (command === "build") return undefined;
  const isSource = chosen.source === true || process.env.PLANTD_RUN === "source";
  const main = isSource
    ? join(root, chosen.main)
    : join(build, chosen.main.replace(/\.ts$/, ".js"));
  return become(node, ["--disable-warning=ExperimentalWarning", main, ...words]);
}

if (process.argv[1] && import.meta.url === pathToFileURL(fs.realpathSync(process.argv[1])).href) {
  enter(process.argv[2] ?? "start", process.argv.slice(3));
}
