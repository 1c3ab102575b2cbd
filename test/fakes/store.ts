// A store in a temporary folder for tests: journal and state on a real disk, time and chance fake.
// It must not know what the tests ask.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Journal, type JournalOptions, openJournal } from "../../src/journal/journal.ts";
import { type State, type StateConfig, startState } from "../../src/state/state.ts";
import type { ClockSync } from "../../src/util/clock.ts";
import type { Log } from "../../src/util/log.ts";
import { type Random, seededRandom } from "../../src/util/random.ts";
import { endlessRoom, type WorkerRequest } from "../../src/worker/worker.ts";
import { type FakeClock, fakeClock } from "./clock.ts";

/** A log that says nothing. */
export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  within: () => silentLog,
};

/** A folder that goes away at the end of the block. */
export function temporaryFolder(): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "ps-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

export const bootId = "b".repeat(32);

/** Settings of a small store that flushes every request at once. */
export const storeConfig: StateConfig = {
  flushMaxMs: 0,
  mapMiB: 64,
  aheadMiB: 0,
  flushesPerHourMax: 0,
  pointsMax: 10_000,
  valuesMiB: 64,
  recordsPerCommitMax: 20_000,
  keepMs: 60_000,
  quota: { state: 55, event: 8, log: 8, metric: 4 },
  thinAfterMs: 21_600_000,
  checkpointMs: 1_000_000_000,
  metricEveryMs: 0,
  checkMs: 4000,
  quarantinesMax: 2,
  snapshotEveryMs: 604_800_000,
  snapshotsMax: 2,
  rollupMinuteDays: 14,
  rollupDays: 1100,
  rollupPercent: 15,
  backups: "",
  store: "",
  updatePending: "",
};

/** What JSON gave: any shape. */
type Parsed = ReturnType<typeof JSON.parse>;

export interface TestStore extends AsyncDisposable {
  readonly clock: FakeClock;
  readonly journal: Journal;
  readonly state: State;
  /** Asks an operation as a worker would; arguments and reply through JSON, or a text of JSON. */
  call(operation: string, args?: unknown, request?: Partial<WorkerRequest>): Promise<Parsed>;
}

/** Opens a journal with settings of its own. */
export function openTestJournal(
  folder: string,
  options: Partial<JournalOptions> = {},
  deps: { clock?: FakeClock; random?: Random } = {},
): Promise<Journal> {
  const { clock = fakeClock(), random = seededRandom(process.hrtime()[1]) } = deps;
  const { flushMaxMs, recordsPerCommitMax, keepMs } = storeConfig;
  const roomBytes = storeConfig.mapMiB * 1_048_576;
  return openJournal(
    { clock, random, log: silentLog },
    { folder: join(folder, "s"), roomBytes, flushMaxMs, recordsPerCommitMax, keepMs, ...options },
  );
}

/** Opens journal and state in a folder. */
export async function openTestStore(
  folder: string,
  settings: Partial<StateConfig> = {},
  clock: FakeClock = fakeClock(),
  place: Pick<JournalOptions, "keepsFormat"> & { readonly sync?: () => ClockSync } = {},
): Promise<TestStore> {
  const random = seededRandom(process.hrtime()[1]);
  const places = {
    backups: join(folder, "b"),
    store: join(folder, "s"),
    updatePending: join(folder, "update-pending"),
  };
  const config = { ...storeConfig, ...places, ...settings };
  const { flushMaxMs, recordsPerCommitMax, keepMs, quota, mapMiB } = config;
  const roomBytes = mapMiB * 1_048_576;
  const options = { roomBytes, flushMaxMs, recordsPerCommitMax, keepMs, quota };
  const { sync = () => "ntp" as const, ...kept } = place;
  const journal = await openTestJournal(folder, { ...options, ...kept }, { clock, random });
  const deps = { clock, log: silentLog, random, boot: bootId, journal, sync };
  const state = await startState(deps, config);
  return {
    clock,
    journal,
    state,
    async call(operation, args, request) {
      const run = state.operations[operation];
      if (run === undefined) throw new Error(`no operation ${operation}`);
      const data = await run({
        operation,
        args: args === undefined ? undefined : JSON.parse(textOf(args)),
        body: [],
        trace: "0".repeat(32),
        signal: new AbortController().signal,
        remainingMs: () => 5000,
        room: endlessRoom,
        ...request,
        // As JSON, like all that crosses the bus.
        partial: async (part) => await request?.partial?.(JSON.parse(JSON.stringify(part))),
      });
      return data === undefined ? undefined : JSON.parse(JSON.stringify(data));
    },
    async [Symbol.asyncDispose]() {
      await state[Symbol.asyncDispose]();
      await journal[Symbol.asyncDispose]();
    },
  };
}

function textOf(args: unknown): string {
  return typeof args === "string" ? args : JSON.stringify(args);
}
