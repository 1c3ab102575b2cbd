// The part that opens the database: values, events, log lines.
// It must not decide anything.
import { readBootId } from "../util/clock.ts";
import { keptLines, levelMemory } from "./log-store.ts";
import { offer, type PartContext, together } from "./part-context.ts";
import type { Part } from "./supervise.ts";
import { queueProof } from "./watchdog.ts";

/** The only part that opens the database: values, events, log lines. */
export async function startStorePart(context: PartContext): Promise<Part> {
  const [{ openJournal }, { startState }, { startLogger }] = await Promise.all([
    import("../journal/journal.ts"),
    import("../state/state.ts"),
    import("../logger/logger.ts"),
  ]);
  const { clock, random, log, paths, config } = context;
  const { mapMiB, aheadMiB, flushMaxMs, flushesPerHourMax, recordsPerCommitMax } = config.store;
  const { keepMs, quota } = config.store;
  const sizes = { roomBytes: mapMiB * 2 ** 20, aheadBytes: aheadMiB * 2 ** 20 };
  await using opened = new AsyncDisposableStack();
  const journal = opened.use(
    await openJournal(
      { clock, random, log },
      {
        folder: paths.store,
        ...sizes,
        flushMaxMs,
        flushesPerHourMax,
        recordsPerCommitMax,
        keepMs,
        quota,
      },
    ),
  );
  const state = opened.use(
    await startState(
      { clock, random, log, journal, boot: readBootId() },
      { ...config.store, backups: paths.backups },
    ),
  );
  const logger = opened.use(
    await startLogger(
      {
        clock,
        appendLines: state.appendLines,
        kept: keptLines(journal),
        levelMemory: levelMemory(state.operations),
      },
      config.logger,
    ),
  );
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
