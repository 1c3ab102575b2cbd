// Bench of the broker as `plantd run broker` starts it: throughput, processor time, waits, floods,
// crowds and memory, with load generators in C; beside it a C broker on libzmq that only routes,
// ours on libzmq, and nats-server. It must not know the broker's insides.
import { type Broker, buildPrograms, type Loaded, runLoad } from "./broker-peers.ts";
import { type Figures, rowsOf } from "./broker-rows.ts";
import { measureNode, type Stage, startStage } from "./broker-stage.ts";
import { measureCrowd, measureLag } from "./broker-strain.ts";
import type { BenchContext, Row } from "./harness.ts";
import { memoryOf } from "./process-figures.ts";

/** Notes figures under names, and counts what went wrong. */
class Notebook implements Figures {
  readonly #lists = new Map<string, number[]>();
  faults = 0;

  add(name: string, value: number): void {
    const list = this.#lists.get(name);
    if (list === undefined) this.#lists.set(name, [value]);
    else list.push(value);
  }

  of(name: string): readonly number[] {
    return this.#lists.get(name) ?? [];
  }
}

interface Bench {
  readonly context: BenchContext;
  readonly stage: Stage;
  readonly notebook: Notebook;
  readonly ms: number;
}

/** Loads one broker; what it finds is noted under `name` with the kind of figure behind it. */
async function load(
  { context, stage, notebook, ms }: Bench,
  name: string,
  peer: keyof Stage["loads"],
  shape: { clients: number; window: number; size?: number; rate?: number },
): Promise<Loaded | undefined> {
  const chosen = stage.loads[peer];
  if (chosen === undefined) return undefined;
  const found = await runLoad(chosen.broker, chosen.generator, { size: 64, ms, ...shape });
  for (const kind of ["perSecond", "p50us", "p99us", "cpuUs"] as const) {
    notebook.add(`${name} ${kind}`, found[kind]);
  }
  notebook.faults += found.faults;
  if (found.faults > 0) context.say(`${name}: ${found.faults} requests failed`);
  return found;
}

const usual = { clients: 4, window: 50 };
const crowded = { clients: 64, window: 16 };
const steady = { clients: 4, window: 50, rate: 1000 };
const flood = { clients: 1, window: 800 };

/** Runs every broker in, so that no round measures a compiler; nothing is noted. */
async function warmUp({ stage }: Bench): Promise<void> {
  for (const { broker, generator } of Object.values(stage.loads)) {
    await runLoad(broker, generator, { ...usual, size: 64, ms: 600 });
  }
}

/** Every comparison once, peers one after the other. */
async function measureRound(bench: Bench): Promise<void> {
  const { notebook, stage } = bench;
  await load(bench, "ours", "ours", usual);
  await load(bench, "C", "c", usual);
  await load(bench, "zeromq", "zeromq", usual);
  await load(bench, "nats", "nats", usual);
  await load(bench, "ours many", "ours", crowded);
  await load(bench, "C many", "c", crowded);
  await load(bench, "ours rfc18", "oursRfc18", usual);
  await load(bench, "C rfc18", "cRfc18", usual);
  await load(bench, "ours 1 KiB", "ours", { ...usual, size: 1024 });
  await load(bench, "C 1 KiB", "c", { ...usual, size: 1024 });
  await load(bench, "ours 64 KiB", "ours", { clients: 4, window: 10, size: 65_536 });
  await load(bench, "zeromq 64 KiB", "zeromq", { clients: 4, window: 10, size: 65_536 });
  await load(bench, "ours steady", "ours", steady);
  await load(bench, "C steady", "c", steady);
  // The flood lasts as long as the others with their warm-up.
  for (const [name, peer, shape] of [
    ["flooded", "ours", usual],
    ["C flooded", "c", usual],
    ["flooded steady", "ours", steady],
    ["C flooded steady", "c", steady],
  ] as const) {
    const long = { ...bench, ms: 1.2 * bench.ms };
    await Promise.all([load(long, "flood", peer, flood), load(bench, name, peer, shape)]);
  }
  for (const [name, value] of await measureNode(bench.context, stage, bench.ms)) {
    if (name === "faults") notebook.faults += value;
    else notebook.add(name, value);
  }
}

function noteIdle(notebook: Notebook, idle: Broker): void {
  const { anonymous, rss } = memoryOf(idle.pid);
  notebook.add("idle anonymous", anonymous);
  notebook.add("idle rss", rss);
}

/** Runs the bench. */
export async function run(context: BenchContext): Promise<readonly Row[]> {
  const { isQuick, say } = context;
  const programs = buildPrograms(context);
  if (programs === undefined) return [];
  const notebook = new Notebook();
  const stage = await startStage(context, programs);
  const bench = { context, stage, notebook, ms: isQuick ? 600 : 2000 };
  const rounds = isQuick ? 3 : 5;
  await warmUp(bench);
  for (let round = 1; round <= rounds; round += 1) {
    await measureRound(bench);
    noteIdle(notebook, stage.idle);
    const rates = ["ours", "C", "zeromq", "nats"]
      .map((name) => [name, notebook.of(`${name} perSecond`).at(-1)] as const)
      .filter(([, rate]) => rate !== undefined)
      .map(([name, rate]) => `${name} ${Math.round(rate ?? 0)}`);
    say(`round ${round} of ${rounds}, requests/s: ${rates.join(", ")}`);
  }
  await stage.end();
  for (const measure of [measureLag, measureCrowd]) {
    for (const [name, value] of await measure(context, programs, bench.ms)) {
      if (name === "faults") notebook.faults += value;
      else notebook.add(name, value);
    }
  }
  return rowsOf(notebook);
}
