// The stage of the broker bench: brokers beside one another with their workers, up for all rounds.
// It must not know what is compared with what.
import {
  type Broker,
  node,
  obtainNatsClient,
  type Programs,
  service,
  startC,
  startNats,
  startOurs,
  type Words,
} from "./broker-peers.ts";
import { type BenchContext, readPeer, startPeer, stopPeer } from "./harness.ts";

const workers = 2;
/** Processes that ask, and requests in flight of each, where all parties are Node. */
const [askers, askerWindow] = [2, 100];
/** What the peers in Node ask for. */
const nodeService = `${service}Node`;

/** A broker with the generator that loads it. */
interface Loadable {
  readonly broker: Broker;
  readonly generator: Words;
}

type LoadName = "ours" | "oursRfc18" | "zeromq" | "c" | "cRfc18" | "nats";

export interface Stage {
  readonly loads: Readonly<Partial<Record<LoadName, Loadable>>>;
  /** Where our Node processes and NATS's meet, and NATS's client. */
  readonly ours: Broker;
  readonly nats: { readonly broker: Broker; readonly client: string } | undefined;
  /** A broker of ours that nobody talks to. */
  readonly idle: Broker;
  /** Ends all of it. */
  end(): Promise<void>;
}

/** Ours on libzmq; none where the configuration knows no such transport. */
async function startZeromq(context: BenchContext): Promise<Broker | undefined> {
  try {
    return await startOurs(context, { transport: "zeromq" });
  } catch (error) {
    context.say(`ours on libzmq is left out: ${error instanceof Error ? error.message : error}`);
    return undefined;
  }
}

/** Starts all brokers and their workers. */
export async function startStage(context: BenchContext, programs: Programs): Promise<Stage> {
  const { mdp } = programs;
  const peers: { end(): PromiseLike<void> }[] = [];
  const own = (broker: Broker) => {
    peers.push(broker);
    return broker;
  };
  const serve = async (words: Words) => {
    for (let at = 0; at < workers; at += 1) {
      const child = await startPeer(context, words);
      peers.push({ end: () => stopPeer(child) });
    }
  };
  const serveC = (broker: Broker, dialect: string, name: string) =>
    serve([mdp, "worker", broker.workers, dialect, name]);
  const askC = (broker: Broker, dialect: string, name: string): Loadable => ({
    broker,
    generator: [mdp, "load", broker.clients, dialect, name],
  });
  const idle = own(await startOurs(context));
  const ours = own(await startOurs(context));
  const c = own(await startC(context, programs));
  const zeromq = await startZeromq(context);
  await serveC(ours, "plant", service);
  await serveC(c, "plant", service);
  await serveC(c, "rfc18", service);
  await serve(node("./broker-worker", ours.workers, nodeService));
  const loads: Partial<Record<LoadName, Loadable>> = {
    ours: askC(ours, "plant", service),
    oursRfc18: askC(ours, "rfc18", service),
    c: askC(c, "plant", service),
    cRfc18: askC(c, "rfc18", service),
  };
  if (zeromq !== undefined) {
    await serveC(own(zeromq), "plant", service);
    loads.zeromq = askC(zeromq, "plant", service);
  }
  const nats = await startNats(context);
  const client = nats === undefined ? undefined : obtainNatsClient(context);
  if (nats !== undefined) {
    await serve([programs.nats, "worker", nats.workers, service]);
    loads.nats = { broker: own(nats), generator: [programs.nats, "load", nats.clients, service] };
    if (client !== undefined) {
      await serve(node("./nats-peer", client, nats.workers, nodeService, "worker"));
    }
  }
  return {
    loads,
    ours,
    nats: nats === undefined || client === undefined ? undefined : { broker: nats, client },
    idle,
    end: async () => {
      for (const peer of peers.reverse()) await peer.end();
    },
  };
}

interface Asked {
  readonly count: number;
  readonly ms: number;
  readonly wrong: number;
}

/** Requests per second of several processes that ask at once. */
async function askWith(words: Words): Promise<{ perSecond: number; faults: number }> {
  const all = (await Promise.all(
    Array.from({ length: askers }, () => readPeer(words)),
  )) as readonly Asked[];
  return {
    perSecond: all.reduce((sum, { count, ms }) => sum + (1000 * count) / ms, 0),
    faults: all.reduce((sum, { wrong }) => sum + wrong, 0),
  };
}

/** Clients, brokers and workers in Node: requests and a stream, ours; requests, NATS. */
export async function measureNode(
  { say }: BenchContext,
  { ours, nats }: Stage,
  ms: number,
): Promise<readonly (readonly [string, number])[]> {
  const found: [string, number][] = [];
  const rest = [String(askerWindow), String(ms)];
  const requests = await askWith(
    node("./broker-load", ours.clients, nodeService, "requests", ...rest),
  );
  found.push(["all ours", requests.perSecond]);
  const poured = (await readPeer(
    node("./broker-load", ours.clients, nodeService, "stream", "1", String(ms)),
  )) as Asked;
  found.push(["partials", (1000 * poured.count) / poured.ms]);
  const faults = requests.faults + poured.wrong;
  found.push(["faults", faults]);
  if (faults > 0) say(`${faults} replies to our client were wrong`);
  if (nats === undefined) return found;
  const { client, broker } = nats;
  const asked = await askWith(
    node("./nats-peer", client, broker.clients, nodeService, "load", ...rest),
  );
  found.push(["all nats", asked.perSecond]);
  return found;
}
