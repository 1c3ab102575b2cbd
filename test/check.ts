// `npm run check`: format, lint, types, shape and unit tests, in seconds.
// It must not know any room.
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const modules = join(root, "node_modules");

interface Step {
  readonly name: string;
  /** The program; this Node when absent. */
  readonly program?: string;
  readonly words: readonly string[];
}

const biome = join(modules, "@biomejs", `cli-linux-${process.arch}`, "biome");
const tsc = join(modules, "typescript", "bin", "tsc");

function filesIn(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".test.ts"))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** Every other file: two processes keep two cores busy. */
function half(which: 0 | 1): string[] {
  return filesIn("test/unit").filter((_, at) => at % 2 === which);
}

const unit = [
  "--disable-warning=ExperimentalWarning",
  "--test",
  "--test-isolation=none",
  "--test-reporter=dot",
];
const steps: readonly Step[] = [
  { name: "format and lint", program: biome, words: ["check", "--error-on-warnings", "."] },
  { name: "types", words: [tsc, "-p", join(root, "tsconfig.json"), "--noEmit"] },
  { name: "shape", words: [...unit, join(root, "test", "tidy.test.ts")] },
  { name: "unit tests, first half", words: [...unit, ...half(0)] },
  { name: "unit tests, second half", words: [...unit, ...half(1)] },
];

/** Runs one step; its output is kept and shown only when it fails. */
function run(step: Step): Promise<{ step: Step; code: number; text: string; seconds: number }> {
  return new Promise((resolve) => {
    const from = process.hrtime.bigint();
    const chunks: Buffer[] = [];
    const child = spawn(step.program ?? process.execPath, step.words, { cwd: root });
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.on("close", (code) => {
      const seconds = Number(process.hrtime.bigint() - from) / 1e9;
      resolve({ step, code: code ?? 1, text: Buffer.concat(chunks).toString(), seconds });
    });
  });
}

const results = await Promise.all(steps.map(run));
let failed = 0;
for (const { step, code, text, seconds } of results) {
  const verdict = code === 0 ? "ok  " : "FAIL";
  process.stdout.write(`${verdict} ${step.name} (${seconds.toFixed(1)} s)\n`);
  if (code === 0) continue;
  failed += 1;
  process.stdout.write(`${text}\n`);
}
process.exitCode = failed === 0 ? 0 : 1;
