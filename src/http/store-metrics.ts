// What store and logger say of themselves as families of samples. What one of them does not tell is
// left out. It must not know how they were asked.
import { counter, type Family, gauge, type Sample, single } from "./exposition.ts";

/** What `stats` of the store and of the logger answered; nothing of one that did not. */
export interface StoreReport {
  readonly store?: unknown;
  readonly logger?: unknown;
}

/** A row: name, the figure's name, what it is, and what to multiply by for the unit. */
type Row = readonly [name: string, key: string, help: string, factor?: number];

const milli = 0.001;

const gaugeRows: readonly Row[] = [
  ["store_room_bytes", "roomBytes", "Room of the store."],
  ["store_live_bytes", "liveBytes", "Room of the store in use."],
  ["store_readers", "readers", "Places for readers of the database in use."],
  ["store_waiting_records", "waiting", "Records that wait for the disk."],
  ["store_points", "points", "Points with a value."],
  ["store_expiring_points", "expiring", "Points that go when their time is over."],
  ["store_scopes", "scopes", "Scopes."],
  ["store_watchers", "watchers", "Watches of points."],
  ["store_changes_waiting", "changesWaiting", "Requests that wait for records."],
  ["store_sources", "sources", "Sources whose last numbers are known."],
  ["store_consumers", "consumers", "Consumers that hold records."],
  ["store_epochs", "epochs", "Epochs of which records are kept."],
  ["store_format", "format", "Format of the database."],
  ["store_checkpoint_age_seconds", "checkpointAgeMs", "Age of the last checkpoint.", milli],
  ["store_quarantines", "quarantines", "Damaged databases kept aside."],
  ["store_losses_unseen", "losses", "Replacements of the database nobody has seen."],
];

const counterRows: readonly Row[] = [
  ["store_run_seconds_total", "runMs", "Time the store has run since it was made.", milli],
  ["store_commits_total", "commits", "Commits to the database."],
  ["store_commits_failed_total", "failedCommits", "Commits of records that failed."],
  ["store_records_total", "records", "Records written."],
  ["store_put_bytes_total", "bytesPut", "Bytes of keys and values given to commits."],
  ["store_flushes_total", "flushes", "Times the device was told to write."],
  ["store_device_written_bytes_total", "deviceBytes", "Bytes the store wrote to the device."],
  ["store_medium_written_bytes_total", "mediumBytes", "Bytes the medium was given by whomever."],
  ["store_trimmed_blocks_total", "trimmedBlocks", "Blocks removed from the log."],
  ["store_damaged_reads_total", "damagedReads", "Reads that found damage."],
];

const streamRows: readonly Row[] = [
  ["store_stream_bytes", "bytes", "Room a stream takes."],
  ["store_stream_quota_bytes", "quotaBytes", "Room a stream may take before it makes room."],
  ["store_stream_first_sequence", "first", "First sequence kept of a stream."],
  ["store_stream_head_sequence", "head", "Last sequence of a stream."],
  ["store_stream_acked_sequence", "acked", "Sequence up to which nobody holds a stream."],
];

const loggerRows: readonly Row[] = [
  ["log_lines_redacted_total", "redacted", "Lines in which a secret was left out."],
  ["log_lines_dropped_total", "dropped", "Lines dropped above the rate of their service."],
  ["log_lines_repeated_total", "repeated", "Lines counted instead of written again."],
  ["log_lines_lost_total", "lost", "Lines the stream log did not get."],
];

/** Families of the store, then of the logger. */
export function storeFamilies({ store, logger }: StoreReport): Family[] {
  return [...databaseFamilies(recordOf(store)), ...loggerFamilies(recordOf(logger))];
}

type Figures = Readonly<Record<string, unknown>>;

function databaseFamilies(stats: Figures): Family[] {
  const flush = (quantile: string, key: string): Sample => [
    { quantile },
    scaled(stats, key, milli),
  ];
  return [
    ...gaugeRows.map(([name, key, help, factor]) =>
      gauge(name, help, single(scaled(stats, key, factor))),
    ),
    ...counterRows.map(([name, key, help, factor]) =>
      counter(name, help, single(scaled(stats, key, factor))),
    ),
    gauge("store_flush_seconds", "How long commits of the last five minutes took.", [
      flush("0.5", "flushP50Ms"),
      flush("0.99", "flushP99Ms"),
    ]),
    ...checkFamilies(stats),
    ...streamFamilies(stats),
    ...ageFamilies(stats),
  ];
}

const statuses = ["pass", "warn", "fail"];

function checkFamilies({ checks, failed, damaged }: Figures): Family[] {
  const samples = listOf(checks).flatMap(({ name, status }) =>
    statuses.map((each): Sample => {
      return [{ check: String(name), status: each }, each === status ? 1 : 0];
    }),
  );
  const lastHour = (found: unknown) => numberIn(recordOf(found), "lastHour");
  return [
    gauge("store_check", "1 for the present status of a check, 0 for the others.", samples),
    gauge("store_troubles_last_hour", "What went wrong in the last hour.", [
      [{ kind: "failed-commit" }, lastHour(failed)],
      [{ kind: "damaged-read" }, lastHour(damaged)],
    ]),
  ];
}

function streamFamilies({ streams, consumerList, rollup }: Figures): Family[] {
  const perStream = Object.entries(recordOf(streams));
  const waiting = listOf(consumerList).flatMap(({ consumer, streams: places }) =>
    Object.entries(recordOf(places)).map(([stream, place]): Sample => {
      return [{ consumer: String(consumer), stream }, numberIn(recordOf(place), "waiting")];
    }),
  );
  return [
    ...streamRows.map(([name, key, help]) =>
      gauge(
        name,
        help,
        perStream.map(([stream, found]): Sample => [{ stream }, numberIn(recordOf(found), key)]),
      ),
    ),
    gauge("store_consumer_waiting_records", "Records a consumer has not acknowledged.", waiting),
    gauge(
      "store_rollup_waiting_records",
      "Records not yet in the aggregates of the history.",
      single(numberIn(recordOf(rollup), "waiting")),
    ),
  ];
}

function ageFamilies(stats: Figures): Family[] {
  const wear = recordOf(stats.wear);
  const snapshots = recordOf(stats.snapshots);
  const perStream = Object.entries(recordOf(wear.perStream));
  return [
    gauge(
      "store_wear_today_bytes",
      "Bytes written to the device on this running day.",
      single(numberIn(wear, "todayBytes")),
    ),
    gauge(
      "store_wear_per_day_bytes",
      "Bytes written to the device on a day of the last week.",
      single(numberIn(wear, "perDayBytes")),
    ),
    gauge(
      "store_wear_stream_bytes",
      "Bytes written to the device over all days kept, by stream.",
      perStream.map(([stream, bytes]): Sample => [{ stream }, Number(bytes)]),
    ),
    gauge("store_snapshots", "Snapshots kept.", single(numberIn(snapshots, "count"))),
    gauge(
      "store_snapshot_age_seconds",
      "Age of the newest snapshot.",
      single(scaled(snapshots, "ageMs", milli)),
    ),
    counter(
      "store_snapshots_failed_total",
      "Snapshots that could not be made.",
      single(numberIn(snapshots, "failed")),
    ),
  ];
}

function loggerFamilies(stats: Figures): Family[] {
  const byLevel = Object.entries(recordOf(stats.byLevel));
  const levels = listOf(stats.levels).map(({ part, level, configured }): Sample => {
    const present = level === "configured" ? (configured ?? level) : level;
    return [{ part: String(part), level: String(present) }, 1];
  });
  return [
    counter(
      "log_lines_total",
      "Lines taken by the logger.",
      byLevel.map(([level, count]): Sample => [{ level }, Number(count)]),
    ),
    ...loggerRows.map(([name, key, help]) => counter(name, help, single(numberIn(stats, key)))),
    gauge("log_waiting_lines", "Lines on their way to disk.", single(numberIn(stats, "waiting"))),
    gauge("log_level", "From which level on a part writes, always 1.", levels),
  ];
}

function recordOf(value: unknown): Figures {
  return typeof value === "object" && value !== null ? (value as Figures) : {};
}

function listOf(value: unknown): Figures[] {
  return Array.isArray(value) ? value.map(recordOf) : [];
}

function numberIn(figures: Figures, key: string): number | null {
  const value = figures[key];
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

function scaled(figures: Figures, key: string, factor = 1): number | null {
  const value = numberIn(figures, key);
  return value === null ? null : value * factor;
}
