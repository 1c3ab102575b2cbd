// What the broker answers about itself, read leniently: a field of another version is zero, the
// rest still shows. It must not know who shows it.
import type { Client } from "../client/client.ts";
import { PlantError } from "../util/errors.ts";
import { check, v } from "../util/shape.ts";

const count = v.optional(v.fallback(v.number(), 0), 0);
const text = v.optional(v.fallback(v.string(), ""), "");
const counts = v.optional(v.fallback(v.record(v.string(), v.number()), {}), {});

const serviceShape = v.looseObject({
  service: v.string(),
  workers: count,
  busy: count,
  concurrency: count,
  queued: count,
  oldestMs: count,
  policy: v.optional(
    v.looseObject({ retry: text, attemptsMax: count, queueMax: count, queueTtlMs: count }),
    {},
  ),
  totals: counts,
  latency: v.optional(
    v.looseObject({
      count,
      sumMs: count,
      p50Ms: count,
      p99Ms: count,
      buckets: v.optional(v.fallback(v.array(v.tuple([v.number(), v.number()])), []), []),
    }),
    {},
  ),
});

const queueShape = v.looseObject({ services: v.array(serviceShape), more: count });

const workersShape = v.looseObject({
  workers: v.array(
    v.looseObject({
      service: v.string(),
      principal: text,
      dialect: text,
      busy: count,
      concurrency: count,
      silentMs: count,
      paused: v.optional(v.fallback(v.boolean(), false), false),
    }),
  ),
  more: count,
});

const brokerShape = v.looseObject({
  version: text,
  uptimeMs: count,
  services: count,
  workers: count,
  clients: count,
  peers: count,
  queued: count,
  dispatched: count,
  bytesHeld: count,
  counters: counts,
  refused: counts,
  wire: v.optional(
    v.looseObject({
      connections: count,
      accepted: count,
      messagesIn: count,
      messagesOut: count,
      bytesIn: count,
      bytesOut: count,
      dropped: count,
      refused: counts,
    }),
    {},
  ),
});

/** `mmi.queue`: every service with its load, policy, totals and answer times. */
export type QueueReport = v.InferOutput<typeof queueShape>;
export type ServiceReport = QueueReport["services"][number];
/** `mmi.workers`: every worker. */
export type WorkersReport = v.InferOutput<typeof workersShape>;
/** `mmi.broker`: counts of the broker and its sockets since its start. */
export type BrokerReport = v.InferOutput<typeof brokerShape>;

/** What a broker that tells nothing is taken to say. */
export const silentBus = {
  broker: check(brokerShape, {}),
  queue: check(queueShape, { services: [] }),
} as const;

export interface AskOptions {
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
}

/** @throws PlantError as `Client.request`; REMOTE_SHAPE for an answer of another shape. */
export async function askQueue(client: Client, options: AskOptions): Promise<QueueReport> {
  return check(queueShape, await ask(client, "mmi.queue", options), "REMOTE_SHAPE");
}

/** @throws as `askQueue`. */
export async function askWorkers(client: Client, options: AskOptions): Promise<WorkersReport> {
  return check(workersShape, await ask(client, "mmi.workers", options), "REMOTE_SHAPE");
}

/** @throws as `askQueue`. */
export async function askBroker(client: Client, options: AskOptions): Promise<BrokerReport> {
  return check(brokerShape, await ask(client, "mmi.broker", options), "REMOTE_SHAPE");
}

/** A request on the bus has a body, also where it says nothing. */
const emptyFrame = new Uint8Array(0);

async function ask(client: Client, service: string, options: AskOptions): Promise<unknown> {
  const [frame = emptyFrame] = await client.request(service, [emptyFrame], options);
  try {
    return JSON.parse(Buffer.from(frame).toString());
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new PlantError("REMOTE_SHAPE", { reason: `${service} is no JSON` }, { cause: error });
  }
}

/** Whether a service is asked for that nobody serves. */
export function isForsaken({ queued, workers }: ServiceReport): boolean {
  return queued > 0 && workers === 0;
}
