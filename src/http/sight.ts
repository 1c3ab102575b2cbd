// What the page sees: the status, asked again when it is old and somebody looks, the live values
// and the events. It must not know how it is shown.
import type { Client } from "../client/client.ts";
import type { Config } from "../config/config.ts";
import {
  askBroker,
  askQueue,
  askStatus,
  createDrain,
  type StatusDocument,
  services,
} from "../status/status.ts";
import type { Clock } from "../util/clock.ts";
import { PlantError } from "../util/errors.ts";
import type { Log } from "../util/log.ts";
import type { Paths } from "../util/paths.ts";
import { type Running, startLoop } from "../util/running.ts";
import type { BusReport } from "./broker-metrics.ts";
import { startEvents } from "./events.ts";
import { createHours } from "./hours.ts";
import { type LivePoint, startLive } from "./live.ts";
import type { PageFacts } from "./page.ts";
import type { StoreReport } from "./store-metrics.ts";

export interface SightDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly client: Client;
  /** Version of this runtime. */
  readonly version: string;
  readonly paths: Paths;
}

/** The sections of the configuration that tell what the gateway is. */
export type SightConfig = Pick<Config, "gateway" | "lines">;

/** A status older than this is asked afresh, in milliseconds. */
const freshMs = 1000;
/** The backlog is sampled this often, also when nobody looks. */
const sampleMs = 5000;
const backlogMax = 60;
const deadlineMs = 1500;

/** The present view of the gateway. */
export interface Sight extends Running {
  /** Counts changes of values. */
  readonly version: number;
  /** Changes when rows appear or go. */
  readonly layout: number;
  /** Everything a page shows, of all devices or of one; at most a second old. */
  facts(device?: string): Promise<PageFacts>;
  /** What the broker says of itself; undefined when it does not. */
  bus(): Promise<BusReport | undefined>;
  /** What store and logger say of themselves; without one that does not. */
  store(): Promise<StoreReport>;
}

function isStoreHeard({ parts }: StatusDocument): boolean {
  return parts.some(({ name, state }) => name === "store" && state === "ok");
}

/** Starts to watch. Nothing of it fails: what cannot be seen shows as down. */
export function startSight(deps: SightDeps, config: SightConfig): Sight {
  const { clock, client, version, paths } = deps;
  const live = startLive(deps);
  const events = startEvents(deps);
  const hours = createHours<LivePoint>(deps, (curves) => live.putHours(curves));
  const drain = createDrain();
  const backlog: number[] = [];
  let last: { readonly status: StatusDocument; readonly atMs: number } | undefined;
  let sampleDueMs = 0;
  let heardMs: number | undefined;
  let asking: Promise<StatusDocument> | undefined;

  const ask = async (): Promise<StatusDocument> => {
    const status = await askStatus(
      { clock, client },
      {
        gateway: config.gateway.name,
        site: config.gateway.site,
        version,
        dataFolder: paths.data,
        lines: Object.keys(config.lines),
        deadlineMs,
      },
      drain,
    );
    last = { status, atMs: clock.monotonicMs() };
    if (isStoreHeard(status)) heardMs = status.time;
    const { waiting } = status.outbox;
    if (waiting !== null && last.atMs >= sampleDueMs) {
      sampleDueMs = last.atMs + sampleMs * 0.9;
      backlog.push(waiting);
      if (backlog.length > backlogMax) backlog.shift();
    }
    return status;
  };
  const current = (): Promise<StatusDocument> => {
    if (last !== undefined && clock.monotonicMs() - last.atMs < freshMs) {
      return Promise.resolve(last.status);
    }
    asking ??= ask().finally(() => {
      asking = undefined;
    });
    return asking;
  };
  const sampler = startLoop({
    clock,
    pauseMs: sampleMs,
    round: async () => void (await current()),
  });

  return {
    ended: Promise.race([live.ended, events.ended, sampler.ended]),
    get version() {
      return live.version;
    },
    get layout() {
      return live.layout;
    },
    async facts(device) {
      const status = { ...(await current()), time: clock.wallMs() };
      const points = live.list(device);
      await hours.look(points);
      const { leftOut } = live;
      const rest = {
        ...(device === undefined ? {} : { device }),
        ...(heardMs === undefined || isStoreHeard(status) ? {} : { asOf: heardMs }),
      };
      return { status, points, events: events.list(), backlog: [...backlog], leftOut, ...rest };
    },
    bus: () => askBus(client),
    store: () => askStore(client),
    async [Symbol.asyncDispose]() {
      await Promise.all([
        live[Symbol.asyncDispose](),
        events[Symbol.asyncDispose](),
        sampler[Symbol.asyncDispose](),
      ]);
    },
  };
}

async function askStore(client: Client): Promise<StoreReport> {
  const ask = async (service: string): Promise<unknown> => {
    try {
      return await client.call(service, "stats", {}, { deadlineMs });
    } catch (error) {
      if (error instanceof PlantError) return undefined;
      throw error;
    }
  };
  const [store, logger] = await Promise.all([ask(services.state), ask(services.logger)]);
  return { store, logger };
}

async function askBus(client: Client): Promise<BusReport | undefined> {
  try {
    const [broker, queue] = await Promise.all([
      askBroker(client, { deadlineMs }),
      askQueue(client, { deadlineMs }),
    ]);
    return { broker, queue };
  } catch (error) {
    // Whatever the broker cannot tell is missing from the metrics; the status says that it is down.
    if (error instanceof PlantError) return undefined;
    throw error;
  }
}
