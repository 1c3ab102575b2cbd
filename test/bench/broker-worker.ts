// A worker for the broker bench: our worker, an echo and a stream of numbers.
// It must not know who asks. Usage: ENDPOINT SERVICE
import { systemClock as clock } from "../../src/util/clock.ts";
import { openLog } from "../../src/util/log.ts";
import { systemRandom as random } from "../../src/util/random.ts";
import { startWorker, type WorkerRequest } from "../../src/worker/worker.ts";

const [endpoint = "", service = ""] = process.argv.slice(2);
const log = openLog({ service: "worker", level: "error" });

async function pour({ args, signal, partial }: WorkerRequest): Promise<number> {
  const untilMs = clock.monotonicMs() + Number((args as { ms?: unknown }).ms);
  let number = 0;
  while (!signal.aborted && (number % 64 !== 0 || clock.monotonicMs() < untilMs)) {
    await partial(number);
    number += 1;
  }
  return number;
}

await startWorker(
  { clock, log, random },
  { endpoint, service, concurrency: 64 },
  { echo: ({ args }) => args, pour },
);
process.stdout.write("ready\n");
