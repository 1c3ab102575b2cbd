// A process that only asks and answers, over and over, and measures how long it waits: run beside
// whatever the broker is put through. Prints one line of JSON when told to stop.

import { startClient } from "../../src/client/client.ts";
import { systemClock as clock } from "../../src/util/clock.ts";
import { openLog } from "../../src/util/log.ts";
import { systemRandom as random } from "../../src/util/random.ts";
import { startWorker } from "../../src/worker/worker.ts";

const [endpoint = ""] = process.argv.slice(2);
const deps = { clock, random, log: openLog({ service: "probe", level: "error" }) };
const service = "probe.echo";
await using _ = await startWorker(deps, { endpoint, service }, { echo: ({ args }) => args });
await using client = await startClient(deps, { endpoint });
await client.call(service, "echo", 0, { deadlineMs: 10_000 });

let isOver = false;
let failures = "";
const waits: number[] = [];
process.stdin.on("data", () => {
  isOver = true;
});
process.stdout.write("ready\n");
/** The longest this process itself was not let run, which is no fault of the broker. */
let ownLagMs = 0;
for (let number = 1; !isOver; number += 1) {
  const fromMs = clock.monotonicMs();
  await clock.sleep(2);
  const lagMs = clock.monotonicMs() - fromMs - 2;
  ownLagMs = Math.max(ownLagMs, lagMs);
  const askedMs = clock.monotonicMs();
  try {
    const reply = await client.call(service, "echo", number, { deadlineMs: 5000 });
    if (reply !== number) failures += `${number} was answered by ${JSON.stringify(reply)}; `;
  } catch (error) {
    failures += `${number}: ${String(error)}; `;
  }
  waits.push(clock.monotonicMs() - askedMs);
}
waits.sort((a, b) => a - b);
const at = (share: number) => Math.round(10 * (waits[Math.floor(share * (waits.length - 1))] ?? 0));
const figures = { p50Ms: at(0.5) / 10, p99Ms: at(0.99) / 10, longestMs: at(1) / 10 };
const ownLag = Math.round(ownLagMs * 10) / 10;
process.stdout.write(
  `${JSON.stringify({ asked: waits.length, ...figures, ownLagMs: ownLag, failures })}\n`,
);
process.exit(0);
