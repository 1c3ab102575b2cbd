// The writer of lines of the log bench: batches of different lines at a steady pace over the broker,
// its findings as one line of JSON. It must not know the logger's insides. Usage: ENDPOINT MS RATE
import { startClient } from "../../src/client/client.ts";
import { systemClock as clock, isoTime } from "../../src/util/clock.ts";
import { openLog } from "../../src/util/log.ts";
import { systemRandom as random } from "../../src/util/random.ts";

const [endpoint = "", ...words] = process.argv.slice(2);
const [ms = 0, rate = 0] = words.map(Number);
const log = openLog({ service: "load", level: "error" });
const linesPerCall = 500;
/** Texts made beforehand, so that making them costs this process little. */
const variants = 40;

/** As parts write them: one in ten with an address that holds a password, one in 100 a warning. */
function lineOf(at: number, round: number): string {
  const secret = at % 10 === 0 ? { url: `mqtts://gw:hush-${at}@hub.example:8883` } : {};
  return JSON.stringify({
    level: at % 100 === 0 ? "warn" : "info",
    service: `plantd-part${at % 8}`,
    timestamp: isoTime(1_790_000_000_000 + at),
    context: "driver:line1.bus",
    fields: { unit: at % 247, device: `meter-${at % 50}`, waitedMs: round, ...secret },
    message: `The device answered late: request ${round}-${at} of the line`,
  });
}

const client = await startClient({ clock, log, random }, { endpoint });
const found = { lines: 0, accepted: 0, repeated: 0 };
let round = 0;
const batches = Array.from({ length: variants }, () => {
  round += 1;
  return Array.from({ length: linesPerCall }, (_, at) => lineOf(at, round));
});
const from = clock.monotonicMs();
const writer = async (): Promise<void> => {
  for (;;) {
    const call = found.lines / linesPerCall;
    const waitMs = from + (call * linesPerCall * 1000) / rate - clock.monotonicMs();
    found.lines += linesPerCall;
    if (waitMs > 0) await clock.sleep(waitMs);
    if (clock.monotonicMs() - from >= ms) return;
    const lines = batches[call % variants];
    const reply = await client.call("org.plantd.Logger", "append", { lines });
    const { accepted, repeated = 0 } = reply as { accepted: number; repeated?: number };
    found.accepted += accepted;
    found.repeated += repeated;
  }
};
await Promise.all([writer(), writer(), writer(), writer()]);
const seconds = (clock.monotonicMs() - from) / 1000;
const result = { perSecond: (found.accepted + found.repeated) / seconds };
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
