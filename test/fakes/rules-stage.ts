// One broker for many rules, frame by frame, and what tests of them ask it: who is served, what
// waits, how a count grew. It must not know our codec, nor any rule.
import assert from "node:assert/strict";
import { type BrokerProcess, type Described, startBrokerProcess } from "./mdp-broker.ts";
import { until } from "./patience.ts";
import {
  dialects,
  type ForeignDialect,
  openWorker,
  type RawPeer,
  type RawWorker,
} from "./raw-peer.ts";

/** Time a rule may take on a slow machine. */
export const limit = { timeout: 60_000 };
/** The foreign dialects, and those of them that have parts. */
export const names = Object.keys(dialects) as ForeignDialect[];
export const withPartials = names.filter((name) => dialects[name].partial !== undefined);
/** DISCONNECT in RFC 18. */
export const disconnect = ["MDPW02", "\x06"];

/** Times are short; names of services say which of them is theirs. */
const config = `
broker:
  heartbeatMs: 50
  livenessMs: 500
  busyTimeoutMs: 700
  requestTtlMs: 60000
  requestsPerPeerMax: 200
  framesMax: 8
  messageBytesMax: 100000
  services:
    "patient.*": {busyTimeoutMs: 60000}
    "busy.*": {busyTimeoutMs: 1500}
    "repeated.*": {retry: if-lost, attemptsMax: 2}
    "short.*": {queueMax: 2}
    "brief.*": {queueTtlMs: 200}
`;

export interface RulesStage extends AsyncDisposable {
  readonly broker: BrokerProcess;
  readonly endpoint: string;
  serves(service: string): Promise<boolean>;
  /** Workers of a service. */
  servedBy(service: string): Promise<number>;
  /** Requests that wait for a service. */
  queuedFor(service: string): Promise<number>;
  /** Waits until the broker has read so many requests that wait. */
  waiting(service: string, count: number): Promise<void>;
  /** Workers, each registered before the next comes: the first is the first of a list. */
  openWorkers(service: string, count: number): Promise<RawWorker[]>;
  /** How a count grew by what was done. */
  growth(
    look: (counts: Described) => number | undefined,
    deed: () => Promise<void>,
  ): Promise<number>;
}

/** Starts a broker that serves all rules of a file; each has services of its own. */
export async function openRulesStage(): Promise<RulesStage> {
  const broker = await startBrokerProcess(config);
  const { endpoint } = broker;
  const stage: RulesStage = {
    broker,
    endpoint,
    serves: async (service) => (await broker.ask("mmi.service", service))[0] === "200",
    async servedBy(service) {
      const [text = ""] = await broker.ask("mmi.workers", "");
      const { workers } = JSON.parse(text) as { workers: readonly { service: string }[] };
      return workers.filter((worker) => worker.service === service).length;
    },
    async queuedFor(name) {
      const [text = ""] = await broker.ask("mmi.queue", "");
      const { services } = JSON.parse(text) as { services: { service: string; queued: number }[] };
      return services.find(({ service }) => service === name)?.queued ?? 0;
    },
    async waiting(service, count) {
      await until(`${count} wait`, async () => (await stage.queuedFor(service)) === count);
    },
    async openWorkers(service, count) {
      const opened: RawWorker[] = [];
      while (opened.length < count) {
        opened.push(await openWorker(endpoint, service));
        const isThere = async () => (await stage.servedBy(service)) === opened.length;
        await until("it is registered", isThere);
      }
      return opened;
    },
    async growth(look, deed) {
      const before = look(await broker.describe()) ?? 0;
      await deed();
      return (look(await broker.describe()) ?? 0) - before;
    },
    [Symbol.asyncDispose]: () => broker[Symbol.asyncDispose](),
  };
  return stage;
}

export function closeAll(peers: readonly Disposable[]): void {
  for (const peer of peers) peer[Symbol.dispose]();
}

/** Holds when the broker had the occasion to speak to them, and spoke to `witness` only. */
export async function isSilentTo(peers: readonly RawPeer[], witness: RawPeer): Promise<void> {
  const before = peers.map((peer) => peer.beatsHeard);
  await witness.beats(4);
  assert.deepEqual(
    peers.map((peer) => peer.beatsHeard),
    before,
  );
  for (const peer of peers) assert.deepEqual(peer.untaken, []);
}
