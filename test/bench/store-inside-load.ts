// The store alone in a process, asked by its operations: groups of a thousand values, single
// values, reads. Usage: FOLDER MS. It must not know its peers.
import { join } from "node:path";
import { openJournal } from "../../src/journal/journal.ts";
import { startState } from "../../src/state/state.ts";
import { systemClock as clock, readBootId } from "../../src/util/clock.ts";
import { openLog } from "../../src/util/log.ts";
import { systemRandom as random } from "../../src/util/random.ts";
import { endlessRoom } from "../../src/worker/worker.ts";
import { storeConfig } from "../fakes/store.ts";
import { quantile } from "./harness.ts";

const [folder = "", msText = "1000"] = process.argv.slice(2);
const ms = Number(msText);
const perCall = 1000;
const log = openLog({ service: "bench", level: "error" });
const config = { ...storeConfig, flushMaxMs: 50, mapMiB: 2048, checkpointMs: 60_000 };
const journal = await openJournal(
  { clock, random, log },
  { ...config, folder: join(folder, "s"), roomBytes: config.mapMiB * 1_048_576 },
);
const state = await startState(
  { clock, log, random, boot: readBootId(), journal },
  { ...config, backups: join(folder, "b") },
);
const signal = new AbortController().signal;
let number = 0;

async function call(operation: string, args: unknown): Promise<unknown> {
  const request = { operation, args, body: [], trace: "", signal, remainingMs: () => 60_000 };
  return await state.operations[operation]?.({
    ...request,
    partial: async () => {},
    room: endlessRoom,
  });
}

/** The same values as the peers': a hundred points. */
function setMany(source: string, count: number): Promise<unknown> {
  number += 1;
  const points = Array.from({ length: count }, (_, at) => ({
    scope: "device/meter",
    key: `register-${at % 100}`,
    value: number + at / 10,
  }));
  return call("set-many", { source, run: "1", number, flush: "now", points });
}

/** How many per second, when one run of `run` does `each`. */
async function rate(run: () => Promise<unknown>, each: number): Promise<number> {
  const from = clock.monotonicMs();
  let done = 0;
  for (; clock.monotonicMs() - from < ms; done += each) await run();
  return (1000 * done) / (clock.monotonicMs() - from);
}

const sets = await rate(() => setMany("one", perCall), perCall);
const flows = await Promise.all(
  Array.from({ length: 16 }, (_, at) => rate(() => setMany(`many${at}`, perCall), perCall)),
);
const times: number[] = [];
await rate(async () => {
  const from = clock.monotonicMs();
  await setMany("single", 1);
  times.push(clock.monotonicMs() - from);
}, 1);
const gets = await rate(async () => {
  for (let at = 0; at < perCall; at += 1) {
    await call("get", { scope: "device/meter", key: `register-${at % 100}` });
  }
}, perCall);
const mean = times.reduce((sum, time) => sum + time, 0) / times.length;
const singleP99Ms = quantile(
  times.toSorted((a, b) => a - b),
  0.99,
);
const flowing = flows.reduce((sum, one) => sum + one, 0);
const result = { sets, singleMs: mean, gets, flowing, singleP99Ms };
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
