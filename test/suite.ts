// `npm test`: everything, with the real things. Installs the programs that are missing, checks the
// sources, runs the unit tests on the compiled code and every system test, and counts.
// It must not know what a test does.
import { spawn, spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";
import {
  hasTool,
  installCommand,
  installTools,
  mayInstall,
  type Tool,
  tools,
} from "../src/main/tools.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
/** Longest time one file of system tests may take. */
const fileTimeoutMs = 360_000;
const startedAt = process.hrtime.bigint();

interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

const total: Tally = { passed: 0, failed: 0, skipped: 0 };

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function seconds(): string {
  return (Number(process.hrtime.bigint() - startedAt) / 1e9).toFixed(1);
}

/** Installs what is missing, or ends with 3 and the command that would. */
function needTools(): void {
  const all: readonly Tool[] = Object.values(tools);
  const missing = all.filter((tool) => !hasTool(tool));
  if (missing.length === 0) return;
  const names = missing.map((tool) => tool.name).join(", ");
  if (mayInstall()) say(`Installing ${names} …`);
  const left = mayInstall() ? installTools(missing) : missing;
  if (left.length === 0) return;
  say(`The tests need ${left.map((tool) => tool.name).join(", ")}. Run this, then repeat:\n`);
  say(`  sudo apt-get update && sudo ${installCommand(left)}`);
  process.exit(3);
}

function testsIn(folder: string, ending: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** The steps of `npm run check`, each counted as one test. */
function checkSources(): void {
  const result = spawnSync(process.execPath, [join(root, "test", "check.ts")], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  process.stdout.write(result.stdout);
  const count = (word: string) => result.stdout.match(new RegExp(`^${word} +.* s\\)$`, "gm")) ?? [];
  total.passed += count("ok").length;
  total.failed += count("FAIL").length;
  if (result.status !== 0 && count("FAIL").length === 0) total.failed += 1;
}

/** The unit tests on what the compiler emitted, in one process. */
async function runCompiledUnits(): Promise<void> {
  const files = testsIn(".build/test/unit", ".test.js");
  const words = ["--test", "--test-isolation=none", "--test-reporter=spec", ...files];
  const child = spawn(process.execPath, words, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk));
  const code = await new Promise<number>((done) => {
    child.on("close", (status) => done(status ?? 1));
  });
  const text = Buffer.concat(chunks).toString();
  const number = (word: string) => Number(text.match(new RegExp(`^ℹ ${word} (\\d+)$`, "m"))?.[1]);
  const [passed, failed, skipped] = [number("pass"), number("fail"), number("skipped")];
  total.passed += passed || 0;
  total.failed += failed || (code === 0 ? 0 : 1);
  total.skipped += skipped || 0;
  if (code !== 0) say(text);
  say(`${code === 0 ? "ok  " : "FAIL"} unit tests, compiled: ${passed} passed`);
}

/** Every system test, a process per file, with the runner's own report and summary. */
async function runSystemTests(files: readonly string[]): Promise<void> {
  const stream = run({
    files: [...files],
    concurrency: 2,
    timeout: fileTimeoutMs,
    execArgv: ["--test-force-exit"], // a test that ran out of time may have left handles open
  });
  stream.on("test:summary", ({ file, counts }) => {
    if (file !== undefined) return;
    total.passed += counts.passed;
    total.failed += counts.tests - counts.passed - counts.skipped - counts.todo;
    total.skipped += counts.skipped + counts.todo;
  });
  const report = stream.compose(new spec());
  report.pipe(process.stdout, { end: false });
  await new Promise((done) => {
    report.on("end", done);
  });
}

/** System tests whose path holds one of the words on the command line; all without words. */
function chosen(): string[] {
  const words = process.argv.slice(2);
  const files = testsIn("test/system", ".test.ts");
  if (words.length === 0) return files;
  return files.filter((file) => words.some((word) => file.includes(word)));
}

const files = chosen();
if (files.length === 0) {
  say(`No system test is named like ${process.argv.slice(2).join(", ")}`);
  process.exit(2);
}
needTools();
say(`Programs ready (${seconds()} s)`);
checkSources();
await runCompiledUnits();
say(`System tests: ${files.length} files, each at most ${fileTimeoutMs / 1000} s (${seconds()} s)`);
await runSystemTests(files);
const { passed, failed, skipped } = total;
say(`Total time ${seconds()} s`);
say(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = failed === 0 ? 0 : 1;
