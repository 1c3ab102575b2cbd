// Bench of the store, in one process: durable values per second, single sets, gets, changes; beside
// it what the device and the same database allow. It must not know the store's insides.
import { closeSync, fdatasyncSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { openDisk } from "../../src/disk/disk.ts";
import { openJournal } from "../../src/journal/journal.ts";
import { type State, type StateConfig, startState } from "../../src/state/state.ts";
import { systemClock as clock, readBootId } from "../../src/util/clock.ts";
import { openLog } from "../../src/util/log.ts";
import { systemRandom as random } from "../../src/util/random.ts";
import { alone, type BenchContext, compare, quantile, type Row } from "./harness.ts";
import { measureSqlite, obtainSqlite } from "./sqlite-peer.ts";

const pointsPerCall = 100;
const inFlight = 200;

type Call = (operation: string, args: unknown) => Promise<unknown>;

function caller(state: State): Call {
  const signal = new AbortController().signal;
  return async (operation, args) =>
    await state.operations[operation]?.({
      operation,
      args,
      body: [],
      trace: "",
      signal,
      remainingMs: () => 60_000,
      partial: async () => {},
    });
}

async function openStore(context: BenchContext): Promise<Call> {
  const log = openLog({ service: "bench", level: "error" });
  const config: StateConfig = {
    flushMaxMs: 50,
    mapMiB: 2048,
    pointsMax: 100_000,
    recordsPerCommitMax: 20_000,
    keepMs: 0,
    checkpointMs: 60_000,
    backups: join(context.folder, "b"),
  };
  const journal = await openJournal(
    { clock, random, log },
    { ...config, folder: join(context.folder, "s"), roomBytes: config.mapMiB * 1_048_576 },
  );
  const state = await startState({ clock, log, random, boot: readBootId(), journal }, config);
  context.defer(async () => {
    await state[Symbol.asyncDispose]();
    await journal[Symbol.asyncDispose]();
  });
  return caller(state);
}

let number = 0;

function setMany(flush: "now" | "group", count: number): unknown {
  number += 1;
  const points = Array.from({ length: count }, (_, at) => ({
    scope: "device/meter",
    key: `register-${at}`,
    value: number + at / 10,
  }));
  return { source: "bench", run: "1", number, flush, points };
}

/** Points per second with several requests in flight, flushed in groups. */
async function measureSets(call: Call, ms: number): Promise<number> {
  const from = clock.monotonicMs();
  let done = 0;
  const worker = async (source: number) => {
    while (clock.monotonicMs() - from < ms) {
      const args = setMany("group", pointsPerCall) as object;
      await call("set-many", { ...args, source: `bench${source}` });
      done += pointsPerCall;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, (_, at) => worker(at)));
  return (1000 * done) / (clock.monotonicMs() - from);
}

/** Times of single durable sets, sorted, in milliseconds. */
async function measureSingles(count: number, run: () => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  for (let at = 0; at < count; at += 1) {
    const from = clock.monotonicMs();
    await run();
    times.push(clock.monotonicMs() - from);
  }
  return times.sort((a, b) => a - b);
}

async function measureGets(call: Call, ms: number): Promise<number> {
  const from = clock.monotonicMs();
  let done = 0;
  while (clock.monotonicMs() - from < ms) {
    for (let at = 0; at < 100; at += 1) {
      await call("get", { scope: "device/meter", key: `register-${at}` });
    }
    done += 100;
  }
  return (1000 * done) / (clock.monotonicMs() - from);
}

async function measureChanges(call: Call): Promise<number> {
  const from = clock.monotonicMs();
  let after = 0;
  for (;;) {
    const reply = await call("changes", { stream: "state", after, limit: 5000 });
    const { last, head } = reply as { last: number; head: number };
    after = last;
    if (after >= head || after >= 500_000) break;
  }
  return (1000 * after) / (clock.monotonicMs() - from);
}

/** The floor: a write of the same size and a flush of the file, nothing else. */
async function measureDevice(context: BenchContext, count: number): Promise<number[]> {
  const file = openSync(join(context.folder, "floor"), "w");
  const page = Buffer.alloc(4096, 1);
  const times = await measureSingles(count, async () => {
    writeSync(file, page, 0, page.length, 0);
    fdatasyncSync(file);
  });
  closeSync(file);
  return times;
}

/** The same values as rows of their own, overwritten in commits of 1,000, without any log. */
async function measureRows(context: BenchContext, ms: number): Promise<number> {
  await using disk = await openDisk({ folder: join(context.folder, "r"), roomBytes: 1e9 });
  const from = clock.monotonicMs();
  let done = 0;
  while (clock.monotonicMs() - from < ms) {
    const writes = Array.from({ length: 1000 }, (_, at) => ({
      table: "t",
      key: Buffer.from(`device/meter register-${at}`),
      value: Buffer.from(JSON.stringify({ value: done + at / 10, quality: "good" })),
    }));
    await disk.commit(writes);
    done += writes.length;
  }
  return (1000 * done) / (clock.monotonicMs() - from);
}

/** Runs the bench. */
export async function run(context: BenchContext): Promise<readonly Row[]> {
  const { isQuick, say } = context;
  const peer = obtainSqlite(context);
  const sqlite = { sets: [] as number[], gets: [] as number[] };
  const ms = isQuick ? 2000 : 10_000;
  const repeats = isQuick ? 3 : 5;
  const call = await openStore(context);
  const found = { sets: [], rows: [], p50: [], p99: [], gets: [], changes: [] } as Record<
    string,
    number[]
  >;
  const floor = { p50: [] as number[], p99: [] as number[] };
  for (let round = 0; round < repeats; round += 1) {
    say(`round ${round + 1} of ${repeats}`);
    found.sets?.push(await measureSets(call, ms));
    found.rows?.push(await measureRows(context, ms / 4));
    const singles = await measureSingles(300, () => call("set-many", setMany("now", 1)));
    const device = await measureDevice(context, 300);
    found.p50?.push(quantile(singles, 0.5));
    found.p99?.push(quantile(singles, 0.99));
    floor.p50.push(quantile(device, 0.5));
    floor.p99.push(quantile(device, 0.99));
    found.gets?.push(await measureGets(call, ms / 4));
    found.changes?.push(await measureChanges(call));
    if (peer === undefined) continue;
    const path = join(context.folder, `peer-${round}.db`);
    const { sets, gets } = await measureSqlite(peer, path, ms / 2);
    sqlite.sets.push(sets);
    sqlite.gets.push(gets);
  }
  const { sets = [], rows = [], p50 = [], p99 = [], gets = [], changes = [] } = found;
  const ms99 = { unit: "ms", isLessBetter: true } as const;
  return [
    compare({
      job: "set-many of 100, durable, group 50 ms; peer: LMDB rows in commits of 1,000",
      unit: "points/s",
      ours: sets,
      peer: rows,
      goal: 1,
    }),
    compare({
      job: "single set, durable, p50; peer: write and fdatasync",
      ...ms99,
      ours: p50,
      peer: floor.p50,
      goal: 0.25,
    }),
    compare({
      job: "single set, durable, p99; peer: write and fdatasync",
      ...ms99,
      ours: p99,
      peer: floor.p99,
      goal: 0.1,
    }),
    compare({
      job: "set-many of 100, durable, group 50 ms; peer: better-sqlite3, WAL, FULL, log and values",
      ...{ unit: "points/s", ours: sets, peer: sqlite.sets, goal: 1 },
    }),
    compare({
      job: "get, in process; peer: better-sqlite3 and JSON.parse",
      ...{ unit: "gets/s", ours: gets, peer: sqlite.gets, goal: 1 },
    }),
    alone("changes, 5,000 at a time", "records/s", changes),
  ];
}
