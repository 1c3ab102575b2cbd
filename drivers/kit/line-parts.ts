// What a line is made from, and what its parts share. It must not know what any of them does.
import type { Client } from "../../src/client/client.ts";
import type { LineConfig } from "../../src/config/config.ts";
import type { Clock, ClockSync } from "../../src/util/clock.ts";
import type { Log } from "../../src/util/log.ts";
import type { Random } from "../../src/util/random.ts";
import type { BusOwner } from "./bus-owner.ts";
import type { DeviceDesk } from "./device-desk.ts";
import type { LineAdapter, TimedSample } from "./device-plan.ts";
import type { Reporter } from "./reporter.ts";

export interface LineDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  /** Boot id of the machine, for stamps. */
  readonly boot: string;
  readonly client: Client;
  /** How far the wall clock can be trusted now; `none` when absent. */
  readonly clockSync?: () => ClockSync;
}

export interface LineOptions {
  readonly name: string;
  readonly config: LineConfig;
  /** Samples that wait while the store is away, 10,000 if absent; at least two per point. */
  readonly samplesMax?: number;
}

/** What the parts of a line share. */
export interface LineParts {
  readonly deps: LineDeps;
  readonly options: LineOptions;
  readonly adapter: LineAdapter;
  readonly bus: BusOwner;
  readonly reporter: Reporter;
  readonly desks: ReadonlyMap<string, DeviceDesk>;
  /** Records what is new in these samples. */
  record(samples: readonly TimedSample[], flush: "now" | "group"): void;
  /** Polls a device's groups at once. */
  hasten(device: string): void;
  /** Polls that were due while the one before was under way. */
  overruns(): number;
}
