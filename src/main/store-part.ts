// The part that opens the database: values, events, log lines.
// It must not decide anything.
import { existsSync } from "node:fs";
import type { Guard, Journal } from "../journal/journal.ts";
import type { State } from "../state/state.ts";
import { readBootId } from "../util/clock.ts";
import { clockSyncReader } from "../util/clock-sync.ts";
import type { Running } from "../util/running.ts";
import { keptLines, levelMemory } from "./log-store.ts";
import { offer, type PartContext, together } from "./part-context.ts";
import type { Part } from "./supervise.ts";
import { queueProof } from "./watchdog.ts";

/** The database and what works on it, as one. */
interface Store {
  readonly journal: Journal;
  readonly state: State;
}

/** An opening that stands this long went well, whether or not anybody wrote. */
const standsMs = 10_000;
const lookMs = 500;

/** The only part that opens the database: values, events, log lines. */
export async function startStorePart(context: PartContext): Promise<Part> {
  const [{ openGuarded }, { startLogger }] = await Promise.all([
    import("../journal/journal.ts"),
    import("../logger/logger.ts"),
  ]);
  const { clock, log, paths, config } = context;
  const { mapMiB, checkMs, quarantinesMax } = config.store;
  await using opened = new AsyncDisposableStack();
  const { store, guard } = await openGuarded(
    { clock, log },
    { folder: paths.store, roomBytes: mapMiB * 2 ** 20, checkMs, quarantinesMax },
    () => openStore(context),
  );
  opened.defer(() => closeStore(store, guard));
  await store.state.attach(guard);
  opened.use(watchOpening(context, store.journal, guard));
  const logger = opened.use(
    await startLogger(
      {
        clock,
        appendLines: store.state.appendLines,
        kept: keptLines(store.journal),
        levelMemory: levelMemory(store.state.operations),
      },
      config.logger,
    ),
  );
  const { journal, state } = store;
  const workers = await Promise.all(
    [state, logger].map((service) => offer(context, "store", service)),
  );
  for (const worker of workers) opened.use(worker);
  const running = together([journal, state, logger, ...workers], opened.move());
  const work = () => {
    const { waiting = 0, commits = 0, failedCommits = 0 } = journal.stats();
    return { waiting, done: commits + failedCommits };
  };
  return { running, proof: queueProof("store", work) };
}

/** @throws PlantError STORE_DAMAGED, whereupon it is replaced and opened again. */
async function openStore(context: PartContext): Promise<Store> {
  const [{ openJournal }, { startState }] = await Promise.all([
    import("../journal/journal.ts"),
    import("../state/state.ts"),
  ]);
  const { clock, random, log, paths, config } = context;
  const { mapMiB, aheadMiB, flushMaxMs, flushesPerHourMax, recordsPerCommitMax } = config.store;
  const { keepMs, quota } = config.store;
  const sizes = { roomBytes: mapMiB * 2 ** 20, aheadBytes: aheadMiB * 2 ** 20 };
  const keepsFormat = existsSync(paths.updatePending);
  const place = { folder: paths.store, ...sizes, keepsFormat };
  const journal = await openJournal(
    { clock, random, log },
    { ...place, flushMaxMs, flushesPerHourMax, recordsPerCommitMax, keepMs, quota },
  );
  try {
    const { backups, updatePending } = paths;
    const state = await startState(
      { clock, random, log, journal, boot: readBootId(), sync: clockSyncReader(clock) },
      { ...config.store, backups, store: paths.store, updatePending },
    );
    return { journal, state };
  } catch (error) {
    await journal[Symbol.asyncDispose]();
    throw error;
  }
}

/** Closes the database; only what closed well is said to be closed. */
async function closeStore({ journal, state }: Store, guard: Guard): Promise<void> {
  await state[Symbol.asyncDispose]();
  await journal[Symbol.asyncDispose]();
  const { epoch } = journal;
  const { streams } = await import("../journal/journal.ts");
  const heads = Object.fromEntries(streams.map((stream) => [stream, journal.head(stream)]));
  if ((await journal.ended) === undefined) guard.closed({ epoch, heads });
}

/** Says that the opening went well, once something was written or it has stood for a while. */
function watchOpening({ clock }: PartContext, journal: Journal, guard: Guard): Running {
  const stop = new AbortController();
  const headsOf = () => journal.head("state") + journal.head("event") + journal.head("log");
  const before = headsOf();
  const untilMs = clock.monotonicMs() + standsMs;
  const watch = async () => {
    while (!stop.signal.aborted) {
      await clock.sleep(lookMs, stop.signal);
      if (stop.signal.aborted) return;
      if (headsOf() === before && clock.monotonicMs() < untilMs) continue;
      guard.succeeded();
      return;
    }
  };
  const watching = watch();
  return {
    ended: new Promise(() => {}),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await watching;
    },
  };
}
