// How far the machine's wall clock can be trusted, as the machine says. It must not set it.
import { existsSync, readFileSync } from "node:fs";
import type { Clock, ClockSync } from "./clock.ts";

/** Where a machine says so. */
export interface ClockSigns {
  /** One word of `none`, `rtc`, `ntp`, `central`, by what sets the clock of an appliance. */
  readonly word: string;
  /** Files that are there once the clock is synchronised. */
  readonly synchronized: readonly string[];
  /** Folder of the battery clock. */
  readonly rtc: string;
}

const signs: ClockSigns = {
  word: "/run/plantd/clock-sync",
  synchronized: ["/run/systemd/timesync/synchronized", "/run/chrony/synchronized"],
  rtc: "/sys/class/rtc/rtc0",
};

/** How long a look is good for. */
const freshMs = 5000;
/** A battery clock further from the wall clock than this did not set it. */
const rtcApartMs = 3_600_000;
/** A clock that shows less was never set: 2024-01-01. */
const leastMs = 1_704_067_200_000;

/**
 * How far the wall clock is trusted: what the appliance says, else `ntp` where the machine is
 * synchronised, else `rtc` where a battery clock agrees with it, else `none`. @see
 * systemd-timesyncd(8), sysfs class/rtc
 */
export function readClockSync(clock: Clock, from: ClockSigns = signs): ClockSync {
  const word = readWord(from.word);
  if (word === "none" || word === "rtc" || word === "ntp" || word === "central") return word;
  const wallMs = clock.wallMs();
  if (wallMs < leastMs) return "none";
  if (from.synchronized.some((path) => existsSync(path))) return "ntp";
  const rtcMs = Number(readWord(`${from.rtc}/since_epoch`) || Number.NaN) * 1000;
  return Math.abs(rtcMs - wallMs) <= rtcApartMs ? "rtc" : "none";
}

/** A reader for hot paths: it looks at the machine at most every few seconds. */
export function clockSyncReader(clock: Clock, from: ClockSigns = signs): () => ClockSync {
  let known: ClockSync | undefined;
  let readAtMs = 0;
  return () => {
    const nowMs = clock.monotonicMs();
    if (known === undefined || nowMs - readAtMs >= freshMs) {
      known = readClockSync(clock, from);
      readAtMs = nowMs;
    }
    return known;
  };
}

/** The text of a small file; empty where there is none to read. */
function readWord(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}
