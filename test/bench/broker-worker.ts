// A worker for the broker bench: our worker, an echo of any body and a stream of numbers.
// It must not know who asks. Usage: ENDPOINT SERVICE
import { systemClock as clock } from "../../src/util/clock.ts";
import { openLog } from "../../src/util/log.ts";
import { systemRandom as random } from "../../src/util/random.ts";
import { type Frames, type RawRequest, startWorker } from "../../src/worker/worker.ts";

const [endpoint = "", service = ""] = process.argv.slice(2);
const log = openLog({ service: "worker", level: "error" });

/** Parts of 64 bytes that begin with their number, until the time in the second frame is over. */
async function pour(request: RawRequest, ms: Uint8Array): Promise<Frames> {
  const untilMs = clock.monotonicMs() + Number(Buffer.from(ms).toString());
  let number = 0;
  while (number % 64 !== 0 || clock.monotonicMs() < untilMs) {
    const part = Buffer.allocUnsafe(64);
    part.writeUInt32BE(number);
    await request.partial([part]);
    number += 1;
  }
  return [Buffer.from(String(number))];
}

await startWorker({ clock, log, random }, { endpoint, service, concurrency: 64 }, (request) => {
  const [body, ms] = request.body;
  return ms === undefined || body?.length !== 4 ? request.body : pour(request, ms);
});
process.stdout.write("ready\n");
