// Rows about log lines: how many a second the logger takes over the broker, and what a durable value
// waits meanwhile, beside the same without lines. It must not know the logger's insides.
import { join } from "node:path";
import { node } from "./broker-peers.ts";
import { alone, type BenchContext, compare, median, type Row, readPeer } from "./harness.ts";
import { startGateway } from "./store-stage.ts";

const goal = 50_000;

/** The flood and the calm take turns, so that both meet the same machine. */
export async function logRows(context: BenchContext): Promise<readonly Row[]> {
  const { isQuick, say } = context;
  const ms = String(isQuick ? 3000 : 10_000);
  const rounds = isQuick ? 3 : 5;
  // The rate is of eight services; the same line comes again every 40 batches and is not counted.
  const logger = { linesPerSecondMax: 100_000, repeatMs: 0 };
  const gateway = await startGateway(context, { logger });
  const endpoint = `ipc://${join(gateway.folder, "..", "run", "admin", "broker.sock")}`;
  const lines: number[] = [];
  const calm: Readonly<Record<string, number>>[] = [];
  const beside: Readonly<Record<string, number>>[] = [];
  for (let round = 0; round < rounds; round += 1) {
    say(`log: round ${round + 1} of ${rounds}`);
    calm.push(await gateway.load("singles", ms, "5"));
    const [flood, single] = await Promise.all([
      readPeer(node("./store-log-load", endpoint, ms, String(goal * 1.04))),
      gateway.load("singles", ms, "5"),
    ]);
    lines.push((flood as { perSecond: number }).perSecond);
    beside.push(single);
  }
  await gateway.end();
  const of = (found: readonly Readonly<Record<string, number>>[], name: string) =>
    found.map((one) => one[name] ?? Number.NaN);
  return [
    compare({
      job: "log: lines in, secrets taken out, in batches of 500",
      unit: "lines/s",
      ours: lines,
      peer: [goal],
      goal: 1,
    }),
    compare({
      job: `one set, flush now, beside ${goal} lines/s, p99; peer: without lines`,
      unit: "ms",
      ours: of(beside, "p99"),
      peer: of(calm, "p99"),
      goal: 0.5,
      isLessBetter: true,
    }),
    alone("the same, p50", "ms", [median(of(beside, "p50"))]),
  ];
}
