// `npm run bench -- <name> [--quick] [--json]`: runs one bench and prints its rows. Ends with 0
// whatever comes out: a figure is not a verdict. It must not know what a bench measures.
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Bench, type BenchContext, describeMachine, type Row } from "./harness.ts";

const names = ["broker", "store", "bus", "link", "fleet", "http", "memory"];
const words = process.argv.slice(2);
const isJson = words.includes("--json");
const isQuick = words.includes("--quick");
const chosen = words.filter((word) => !word.startsWith("--"));

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

function moduleOf(name: string): URL {
  return new URL(`./${name}${extname(fileURLToPath(import.meta.url))}`, import.meta.url);
}

/** Runs one bench and leaves nothing behind. */
async function measure(name: string): Promise<readonly Row[]> {
  const { run } = (await import(moduleOf(name).href)) as { run: Bench };
  const folder = mkdtempSync(join(tmpdir(), "pbench-"));
  const ends: (() => PromiseLike<void> | void)[] = [];
  const context: BenchContext = { isQuick, folder, say, defer: (end) => ends.push(end) };
  try {
    return await run(context);
  } finally {
    for (const end of ends.reverse()) await end();
    rmSync(folder, { recursive: true, force: true });
  }
}

function table(rows: readonly Row[]): string {
  const cells = rows.map((row) => [
    row.job,
    String(row.ours),
    row.peer === null ? "–" : String(row.peer),
    row.unit,
    row.ratio === null ? "–" : row.ratio.toFixed(2),
    row.goal === null ? "–" : row.goal.toFixed(2),
  ]);
  const all = [["job", "ours", "peer", "unit", "ratio", "goal"], ...cells];
  const widths = [0, 1, 2, 3, 4, 5].map((at) => Math.max(...all.map((row) => row[at]!.length)));
  const line = (row: readonly string[]) =>
    row.map((cell, at) => (at === 0 ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!)));
  return all.map((row) => line(row).join("  ")).join("\n");
}

async function main(): Promise<void> {
  const [name] = chosen;
  const report = (rows: readonly Row[], note?: string) => {
    const machine = describeMachine();
    if (isJson) {
      const told = note === undefined ? {} : { note };
      print(JSON.stringify({ bench: name ?? null, machine, rows, ...told }));
    } else print(note ?? `${machine}\n\n${table(rows)}`);
  };
  if (name === undefined || chosen.length > 1 || !names.includes(name)) {
    report([], `There is no bench of this name. Benches: ${names.join(", ")}`);
  } else if (!existsSync(moduleOf(name))) {
    report([], `The bench ${name} does not exist yet.`);
  } else {
    try {
      report(await measure(name));
    } catch (error) {
      report([], `The bench ${name} failed: ${error instanceof Error ? error.stack : error}`);
    }
  }
}

await main();
process.exit(0);
