// A load generator for the broker bench: our client, some requests in flight, for some time.
// It must not know the other peers.
import { startClient } from "../../src/client/client.ts";
import { systemClock as clock } from "../../src/util/clock.ts";
import { openLog } from "../../src/util/log.ts";
import { systemRandom as random } from "../../src/util/random.ts";

const [endpoint = "", window = "50", ms = "1000"] = process.argv.slice(2);
const log = openLog({ service: "load", level: "error" });
const client = await startClient({ clock, log, random }, { endpoint });
const body = [Buffer.from("echo"), Buffer.from(JSON.stringify("a".repeat(62)))];
await client.request("org.plantd.module.Echo", body);
const from = clock.monotonicMs();
const until = from + Number(ms);
let count = 0;

async function ask(): Promise<void> {
  while (clock.monotonicMs() < until) {
    await client.request("org.plantd.module.Echo", body);
    count += 1;
  }
}

await Promise.all(Array.from({ length: Number(window) }, ask));
process.stdout.write(`${JSON.stringify({ count, ms: clock.monotonicMs() - from })}\n`);
process.exit(0);
