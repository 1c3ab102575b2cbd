// `npm run torture -- <name> [--count N] [--seed S] [--json]`: long tests, exit 1 on a violation.
// It must not know what a torture does.
import { parseArgs } from "node:util";
import { systemClock } from "../../src/util/clock.ts";
import { torture as broker } from "./broker.ts";
import { torture as fuzz } from "./fuzz.ts";
import { torture as kill } from "./kill.ts";
import { torture as power } from "./power.ts";
import { torture as sync } from "./sync.ts";
import type { Torture } from "./torture.ts";

const tortures: readonly Torture[] = [kill, power, sync, fuzz, broker];

function usage(): number {
  const rows = tortures.map(({ name, what }) => `  ${name.padEnd(8)}${what}`).join("\n");
  process.stderr.write(`npm run torture -- <name> [--count N] [--seed S] [--json]\n${rows}\n`);
  return 2;
}

async function main(words: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...words],
    allowPositionals: true,
    options: {
      count: { type: "string" },
      cuts: { type: "string" },
      seed: { type: "string" },
      json: { type: "boolean" },
    },
  });
  const asked = values.count ?? values.cuts;
  const chosen = tortures.find(({ name }) => name === positionals[0]);
  const count = asked === undefined ? undefined : Number(asked);
  const seed = Number(values.seed ?? Math.floor(systemClock.wallMs()) % 1_000_000);
  const isWrong = (value: number) => !Number.isSafeInteger(value) || value < 0;
  if (chosen === undefined || isWrong(seed) || (count !== undefined && isWrong(count))) {
    return usage();
  }
  const progress = (text: string) => void process.stderr.write(`${text}\n`);
  progress(`${chosen.name}: seed ${seed}`);
  const { runs, violations, detail } = await chosen.run({ count, seed, progress });
  if (values.json) {
    const result = { torture: chosen.name, runs, violations: violations.length, seed };
    process.stdout.write(`${JSON.stringify({ ...result, detail: { ...detail, violations } })}\n`);
  } else {
    for (const violation of violations) process.stdout.write(`${violation}\n`);
    process.stdout.write(`${chosen.name}: ${runs} runs, ${violations.length} violations\n`);
  }
  return violations.length === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
