// The door of the status room: asks every part at once, each with a short deadline, and tells how
// the gateway is. It must not know who shows it.
import type { Client } from "../client/client.ts";
import type { Clock } from "../util/clock.ts";
import { asPlantError, PlantError, type WireError } from "../util/errors.ts";
import { check, type v } from "../util/shape.ts";
import {
  type Answer,
  type Answers,
  driverShape,
  positionShape,
  statsShape,
  syncShape,
} from "./answers.ts";
import { assemble } from "./assemble.ts";
import { readBox } from "./box.ts";
import { askQueue } from "./broker.ts";
import type { StatusDocument } from "./document.ts";

export type { Answer, Answers } from "./answers.ts";
export { assemble } from "./assemble.ts";
export {
  type AskOptions,
  askBroker,
  askQueue,
  askWorkers,
  type BrokerReport,
  isForsaken,
  type QueueReport,
  type ServiceReport,
  silentBus,
  type WorkersReport,
} from "./broker.ts";
export type {
  BrokerStatus,
  BusStatus,
  DeviceStatus,
  Reason,
  StatusDocument,
  VerdictState,
} from "./document.ts";
export { createDrain, type Drain } from "./drain.ts";
export { listPoints, type Point, pointId, readPoints } from "./points.ts";
export {
  describeBytes,
  describeCount,
  describeDuration,
  describeUnit,
  describeValue,
  type ErrorDocument,
  errorDocument,
  explain,
} from "./words.ts";

/** Services by their names on the bus. */
export const services = {
  state: "org.plantd.State",
  sync: "org.plantd.Sync",
  logger: "org.plantd.Logger",
  echo: "org.plantd.module.Echo",
  driver: "org.plantd.driver.",
} as const;

/** The consumer of the journal whose watermark is what the centre has acknowledged. */
export const centreConsumer = "sync";

export interface StatusDeps {
  readonly clock: Clock;
  readonly client: Client;
}

export interface StatusConfig {
  readonly gateway: string;
  readonly site: string;
  readonly version: string;
  /** The data folder, whose free space is told. */
  readonly dataFolder: string;
  /** Lines that should have a driver, by configuration. */
  readonly lines: readonly string[];
  /** Time every part has for its answer, in milliseconds. */
  readonly deadlineMs: number;
  /** What goes wrong on this side. */
  readonly local?: readonly WireError[];
}

/** Asks all parts and draws the verdict. Never fails: what does not answer shows as down. */
export async function askStatus(
  deps: StatusDeps,
  config: StatusConfig,
  drain?: { estimate(waiting: number | null, monotonicMs: number): number | null },
): Promise<StatusDocument> {
  const answers = await askAll(deps, config);
  const draft = assemble(answers);
  if (drain === undefined) return draft;
  const drainMs = drain.estimate(draft.outbox.waiting, deps.clock.monotonicMs());
  return drainMs === null ? draft : assemble(answers, drainMs);
}

async function askAll(deps: StatusDeps, config: StatusConfig): Promise<Answers> {
  const { clock, client } = deps;
  const { deadlineMs, gateway, site } = config;
  const box = readBox(config.version, config.dataFolder);
  const registered = await answerOf(() => listServices(client, deadlineMs));
  const ask = <S extends v.GenericSchema>(
    service: string,
    operation: string,
    shape: S,
    args = {},
  ) =>
    answerOf<v.InferOutput<S>>(async () => {
      if (!registered.ok) throw PlantError.fromWire(registered.error);
      if (!registered.data.includes(service)) throw new PlantError("NO_SERVICE", { service });
      return check(
        shape,
        await client.call(service, operation, args, { deadlineMs }),
        "REMOTE_SHAPE",
      );
    });
  const lines = new Set([...config.lines, ...linesAmong(registered)]);
  const drivers = Promise.all(
    [...lines].map(async (line) => {
      return [line, await ask(`${services.driver}${line}`, "status", driverShape)] as const;
    }),
  );
  const [queue, stats, position, sync] = await Promise.all([
    answerOf(() => askQueue(client, { deadlineMs })),
    ask(services.state, "stats", statsShape),
    ask(services.state, "position", positionShape, { consumer: centreConsumer }),
    ask(services.sync, "status", syncShape),
  ]);
  return {
    gateway,
    site,
    time: clock.wallMs(),
    services: registered,
    queue,
    stats,
    position,
    sync,
    drivers: Object.fromEntries(await drivers),
    box: await box,
    local: config.local ?? [],
  };
}

/** A request on the bus has a body, also where it says nothing. */
const emptyFrame = new Uint8Array(0);

/** Names of the services registered at the broker. @throws PlantError as `Client.request`. */
export async function listServices(client: Client, deadlineMs: number): Promise<string[]> {
  const frames = await client.request("mmi.services", [emptyFrame], { deadlineMs });
  return frames.map((frame) => Buffer.from(frame).toString()).filter((name) => name !== "");
}

/** The lines whose drivers are registered. */
function linesAmong(registered: Answer<readonly string[]>): string[] {
  if (!registered.ok) return [];
  return registered.data
    .filter((name) => name.startsWith(services.driver))
    .map((name) => name.slice(services.driver.length));
}

async function answerOf<T>(ask: () => Promise<T>): Promise<Answer<T>> {
  try {
    return { ok: true, data: await ask() };
  } catch (error) {
    return { ok: false, error: asPlantError(error).toWire() };
  }
}
