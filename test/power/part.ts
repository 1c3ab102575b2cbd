// The recorded process: the real journal and state, loaded by a workload; everything it asks and
// everything it is answered goes to the file of marks, which lies outside the store's folder.
import { openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { openDisk } from "../../src/disk/disk.ts";
import { type Journal, openJournal } from "../../src/journal/journal.ts";
import { type State, type StateConfig, startState } from "../../src/state/state.ts";
import { systemClock as clock, readBootId } from "../../src/util/clock.ts";
import { asPlantError } from "../../src/util/errors.ts";
import { seededRandom, systemRandom } from "../../src/util/random.ts";
import { endlessRoom } from "../../src/worker/worker.ts";
import { silentLog, storeConfig } from "../fakes/store.ts";
import type { Mark, Order } from "./ledger.ts";
import { consumer, Lane, passphrase, type Request, type Turn } from "./workload.ts";

const [folder = "", marksPath = "", orderText = "{}"] = process.argv.slice(2);
const order = JSON.parse(orderText) as Order;
const { mix, seed, life } = order;
const random = seededRandom(seed + 1000 * life);
const log = silentLog;
const marks = openSync(marksPath, "a");

function mark(what: Mark): void {
  writeSync(marks, `${JSON.stringify(what)}\n`);
}

interface Store {
  readonly journal: Journal;
  readonly state: State;
}

const settings: StateConfig = {
  ...storeConfig,
  flushMaxMs: 2,
  mapMiB: 16,
  aheadMiB: 1,
  checkpointMs: 10,
  ...mix.settings,
  backups: join(folder, "b"),
};

/** The end of a process whose store cannot go on: whoever runs it starts it anew. */
function leave(what: "unopened" | "ended", error: unknown): never {
  mark({ what, code: asPlantError(error).code });
  process.exit(3);
}

async function open(): Promise<Store> {
  mark({ what: "opening" });
  const options = {
    ...settings,
    folder: join(folder, "s"),
    roomBytes: settings.mapMiB * 1_048_576,
    aheadBytes: settings.aheadMiB * 1_048_576,
  };
  const journal = await openJournal({ clock, random: systemRandom, log }, options).catch(
    (error: unknown) => leave("unopened", error),
  );
  void journal.ended.then((error) => {
    // Those whose requests failed hear of it first.
    if (error !== undefined) setImmediate(() => leave("ended", error));
  });
  const boot = readBootId();
  const state = await startState({ clock, log, random: systemRandom, boot, journal }, settings);
  mark({ what: "opened", epochs: journal.lineage.map(({ epoch }) => epoch) });
  return { journal, state };
}

async function close({ state, journal }: Store): Promise<void> {
  mark({ what: "closing" });
  try {
    await state[Symbol.asyncDispose]();
    await journal[Symbol.asyncDispose]();
  } catch (error) {
    leave("ended", error);
  }
}

/** Asks an operation, with a mark before and one after the answer. */
async function ask({ state }: Store, request: Request): Promise<unknown> {
  const run = state.operations[request.operation];
  const signal = new AbortController().signal;
  mark({ what: "asked", request });
  try {
    const data = await run?.({
      operation: request.operation,
      args: request.args,
      body: [],
      trace: "",
      signal,
      remainingMs: () => 5000,
      partial: async () => {},
      room: endlessRoom,
    });
    mark({ what: "answered", id: request.id, data: (data ?? {}) as Record<string, unknown> });
    return data;
  } catch (error) {
    mark({ what: "refused", id: request.id, code: asPlantError(error).code });
    return undefined;
  }
}

let id = order.firstId;
const padMax = mix.padMax ?? 300;
const run = `${seed}-${life}`;
const lanes = mix.lanes.map((kind, at) => new Lane(`${kind}-${at}`, kind, { random, run, padMax }));

async function load(store: Store): Promise<void> {
  const streams = ["state", "event", "log"] as const;
  const work = async (lane: Lane) => {
    for (let step = 0; step < mix.steps; step += 1) {
      const heads = streams.map((stream) => [stream, store.journal.head(stream)]);
      id += 1;
      await ask(store, lane.next(id, Object.fromEntries(heads)));
      if (random.unit() < 0.2) await clock.sleep(random.unit() * 6);
    }
  };
  await Promise.all(lanes.map(work));
}

async function backUp(store: Store, operation: string, args: object): Promise<unknown> {
  id += 1;
  return await ask(store, { id, lane: "backup", operation, args: { ...args, passphrase } });
}

/** Breaks the store as a checkpoint would that trims what it does not hold. */
async function trimTooFar(): Promise<void> {
  await using disk = await openDisk({ folder: join(folder, "s"), roomBytes: 2 ** 24 });
  const rows = [...disk.range("log", { to: Buffer.from([1]) })];
  await disk.commit(rows.slice(0, -1).map(({ key }) => ({ table: "log", key })));
}

/** Does one turn; the store that is open after it, or nothing when the life is over. */
async function turn(store: Store, kind: Turn): Promise<Store | undefined> {
  switch (kind) {
    case "reopen":
      await close(store);
      return await open();
    case "trim-too-far":
      await close(store);
      await trimTooFar();
      return await open();
    case "backup":
      await backUp(store, "backup-create", {});
      return store;
    case "restore": {
      const { path } = order as { path?: string };
      const listed = (await store.state.operations["backup-list"]?.({
        operation: "backup-list",
        args: {},
      } as never)) as { backups: { path: string }[] };
      const restored = await backUp(store, "backup-restore", {
        path: path ?? listed.backups.at(-1)?.path,
      });
      if (restored !== undefined) {
        mark({ what: "opened", epochs: store.journal.lineage.map(({ epoch }) => epoch) });
      }
      return store;
    }
    case "kill":
      process.kill(process.pid, "SIGKILL");
      return undefined;
    case "end":
      await close(store);
      mark({ what: "closed" });
      return undefined;
  }
}

let store: Store | undefined = await open();
if (life === 0) {
  id += 1;
  await ask(store, {
    id,
    lane: "position",
    operation: "position",
    args: { consumer, register: true },
  });
}
for (const kind of order.turns) {
  if (store === undefined) break;
  if (kind === "kill") {
    const going = load(store);
    await clock.sleep(10 + random.unit() * 30);
    await turn(store, kind);
    await going;
  }
  await load(store);
  store = await turn(store, kind);
}
process.exit(0);
