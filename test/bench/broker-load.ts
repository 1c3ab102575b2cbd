// A load generator for the broker bench: our client, some requests in flight or one stream.
// It must not know the other peers. Usage: ENDPOINT SERVICE requests|stream WINDOW MS
import { randomBytes } from "node:crypto";
import { type Client, startClient } from "../../src/client/client.ts";
import { systemClock as clock } from "../../src/util/clock.ts";
import { openLog } from "../../src/util/log.ts";
import { systemRandom as random } from "../../src/util/random.ts";

const [endpoint = "", service = "", kind = "requests", window = "50", ms = "1000"] =
  process.argv.slice(2);
const log = openLog({ service: "load", level: "error" });
const warmMs = Math.max(300, Number(ms) / 4);

interface Result {
  readonly count: number;
  readonly ms: number;
  readonly wrong: number;
}

/** What a request of the other peers carries too: 64 bytes, and the very same back. */
async function requests(client: Client): Promise<Result> {
  const startMs = clock.monotonicMs() + warmMs;
  const untilMs = startMs + Number(ms);
  const sent = randomBytes(64);
  const body = [sent];
  let count = 0;
  let wrong = 0;
  const ask = async () => {
    for (;;) {
      const [answer] = await client.request(service, body);
      const nowMs = clock.monotonicMs();
      if (answer === undefined || !sent.equals(answer)) wrong += 1;
      if (nowMs >= untilMs) return;
      if (nowMs >= startMs) count += 1;
    }
  };
  await Promise.all(Array.from({ length: Number(window) }, ask));
  return { count, wrong, ms: Number(ms) };
}

/** Parts of one stream; the worker numbers them. */
async function stream(client: Client): Promise<Result> {
  const startMs = clock.monotonicMs() + warmMs;
  const untilMs = startMs + Number(ms);
  const pourMs = String(warmMs + Number(ms) + 100);
  const parts = client.streamRaw(service, [Buffer.from("pour"), Buffer.from(pourMs)]);
  let expected = 0;
  let count = 0;
  let wrong = 0;
  for await (const [part] of parts) {
    const isNext =
      part?.length === 64 && new DataView(part.buffer, part.byteOffset).getUint32(0) === expected;
    if (!isNext) wrong += 1;
    expected += 1;
    if (expected % 64 !== 0) continue;
    const nowMs = clock.monotonicMs();
    if (nowMs >= untilMs) break;
    if (nowMs >= startMs) count += 64;
  }
  return { count, wrong, ms: Number(ms) };
}

const client = await startClient({ clock, log, random }, { endpoint });
const result = await (kind === "stream" ? stream(client) : requests(client));
process.stdout.write(`${JSON.stringify(result)}\n`);
await client[Symbol.asyncDispose]();
process.exit(0);
