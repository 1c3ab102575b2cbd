// Which parts a process runs and how each is put together: rooms, sockets, settings. Every part
// meets the others over the broker alone, with a client of its own. It must not decide anything.

import type { LineAdapter } from "../../drivers/kit/kit.ts";
import { isAdmitted } from "../access/access.ts";
import { type Client, startClient } from "../client/client.ts";
import type { Config, LineConfig } from "../config/config.ts";
import { type Clock, readBootId } from "../util/clock.ts";
import { PlantError } from "../util/errors.ts";
import type { Log } from "../util/log.ts";
import { brokerEndpoint, type Paths, type Principal, principals } from "../util/paths.ts";
import type { Random } from "../util/random.ts";
import type { Running } from "../util/running.ts";
import { gatewayParts, type PartName } from "./command-line.ts";
import { askPage } from "./local-page.ts";
import type { LogRoad } from "./log-road.ts";
import type { Part, PartPlan } from "./supervise.ts";
import { counterProof, type Proof } from "./watchdog.ts";

/** What every part is made from. */
export interface PartContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly paths: Paths;
  readonly config: Config;
  readonly version: string;
}

/** The parts to run, in the order they start: the named ones, or the whole gateway. */
export function namesOf(asked: readonly PartName[], config: Config): readonly PartName[] {
  const drivers = Object.keys(config.lines).map((line): PartName => `driver:${line}`);
  const wanted = new Set<PartName>(asked.length > 0 ? asked : [...gatewayParts, ...drivers]);
  const order = (name: PartName) => {
    const at = gatewayParts.findIndex((part) => part === name);
    return at < 0 ? gatewayParts.length : at;
  };
  return [...wanted].sort((a, b) => order(a) - order(b));
}

/** A plan for each part. */
export function planParts(context: PartContext, names: readonly PartName[]): PartPlan[] {
  return names.map((name) => ({
    name,
    start: () => startPart({ ...context, log: context.log.within(name) }, name),
  }));
}

function startPart(context: PartContext, name: PartName): Promise<Part> {
  switch (name) {
    case "broker":
      return startBrokerPart(context);
    case "http":
      return startHttpPart(context);
    case "echo":
      return startEchoPart(context);
    case "metric":
      return startMetricPart(context);
    case "store":
    case "sync":
    case "central":
      throw new PlantError("USAGE", { message: `unknown part ${name}` });
    default:
      return startDriverPart(context, name.slice("driver:".length));
  }
}

/** The broker, with a socket for every principal and one for the network where configured. */
async function startBrokerPart(context: PartContext): Promise<Part> {
  const { startBroker } = await import("../broker/broker.ts");
  const { clock, random, log, paths, config } = context;
  const { endpoint, ...settings } = config.broker;
  const local = principals.map((principal) => ({
    principal,
    endpoint: brokerEndpoint(paths, principal),
  }));
  const listeners = endpoint === "" ? local : [...local, { principal: "network", endpoint }];
  const { mode } = config.access;
  if (endpoint !== "" && mode === "closed") {
    log.warn("peers of the network endpoint are denied everything while access.mode is closed");
  }
  const running = await startBroker(
    {
      clock,
      random,
      log,
      admits: (principal, verb, service) => isAdmitted(mode, principal, verb, service),
    },
    { ...settings, listeners },
  );
  return { running, proof: counterProof("broker", () => running.progress) };
}

/** The page's server, with a client that may read. */
async function startHttpPart(context: PartContext): Promise<Part> {
  const { startHttp } = await import("../http/http.ts");
  const { clock, log, paths, config, version } = context;
  let url = "";
  const running = await joinClient(context, "http", async (client) => {
    const server = await startHttp({ clock, log, client, version, paths }, config);
    url = server.url;
    return server;
  });
  return { running, proof: pageProof("http", `${url}healthz`) };
}

async function startEchoPart(context: PartContext): Promise<Part> {
  const { start } = await import("../../drivers/echo/echo.ts");
  const { clock, random, log, paths } = context;
  const running = await start(
    { clock, random, log },
    { endpoint: brokerEndpoint(paths, "driver") },
  );
  return { running, proof: eventLoopProof("echo") };
}

/** The machine's own health as points. */
async function startMetricPart(context: PartContext): Promise<Part> {
  const { start } = await import("../../drivers/metric/metric.ts");
  const { clock, random, log, paths } = context;
  const running = await start(
    { clock, random, log },
    { endpoint: brokerEndpoint(paths, "driver") },
  );
  return { running, proof: eventLoopProof("metric") };
}

/**
 * One line: its devices polled, its service offered.
 * @throws PlantError LINE_UNKNOWN; what is wrong with its profiles.
 */
async function startDriverPart(context: PartContext, name: string): Promise<Part> {
  const settings = context.config.lines[name];
  if (settings === undefined) throw new PlantError("LINE_UNKNOWN", { line: name });
  const [{ startLine }, { startWorker }, adapter] = await Promise.all([
    import("../../drivers/kit/kit.ts"),
    import("../worker/worker.ts"),
    makeAdapter(settings),
  ]);
  const { clock, random, log, paths } = context;
  const ends: Proof[] = [];
  const running = await joinClient(context, "driver", async (client) => {
    const deps = { clock, random, log, client, boot: readBootId() };
    const line = startLine(deps, { name, config: settings }, adapter);
    const { service, operations } = line;
    const worker = await startWorker(
      { clock, random, log },
      { endpoint: brokerEndpoint(paths, "driver"), service, concurrency: 16 },
      operations,
    );
    ends.push(counterProof(`driver:${name}`, () => line.progress));
    return inOrder(worker, line);
  });
  return { running, proof: ends[0] ?? eventLoopProof(name) };
}

async function makeAdapter(config: LineConfig): Promise<LineAdapter> {
  if (config.kind === "serial") {
    const { serialAdapter } = await import("../../drivers/serial/serial.ts");
    return serialAdapter(config);
  }
  const { loadProfile, modbusAdapter } = await import("../../drivers/modbus/modbus.ts");
  return modbusAdapter(config, loadProfile);
}

/** Services that end together, in this order. */
function inOrder(...services: readonly Running[]): Running {
  return {
    ended: Promise.race(services.map((service) => service.ended)),
    async [Symbol.asyncDispose]() {
      for (const service of services) await service[Symbol.asyncDispose]();
    },
  };
}

/** Proof that a page answers: its listener, and all that stands between. */
function pageProof(part: string, url: string): Proof {
  return { part, check: async (signal) => (await askPage({ url, signal })).status === 200 };
}

/** A service and the client it is given: they end together, the client last. */
async function joinClient(
  context: PartContext,
  principal: Principal,
  start: (client: Client) => Promise<Running>,
): Promise<Running> {
  const client = await connect(context, principal);
  try {
    const running = await start(client);
    return {
      ended: Promise.race([running.ended, client.ended]),
      async [Symbol.asyncDispose]() {
        await running[Symbol.asyncDispose]();
        await client[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await client[Symbol.asyncDispose]();
    throw error;
  }
}

/** Proof of parts without work of their own: that the process still takes turns. */
function eventLoopProof(part: string): Proof {
  return { part, check: async () => true };
}

/** A client of the broker for one principal. */
function connect(context: PartContext, principal: Principal): Promise<Client> {
  const { clock, random, log, paths } = context;
  return startClient({ clock, random, log }, { endpoint: brokerEndpoint(paths, principal) });
}

/** The principal a process speaks as when it speaks for itself. */
function principalOf(names: readonly PartName[]): Principal {
  if (names.length !== 1) return "admin";
  const name = names[0];
  if (name === "store" || name === "sync" || name === "http") return name;
  return name === "broker" ? "admin" : "driver";
}

/** Carries this process's log lines to the logger; not from the centre, which has none. */
export function planLogRoad(
  context: PartContext,
  names: readonly PartName[],
  road: LogRoad,
): PartPlan[] {
  if (names.every((name) => name === "central")) return [];
  const start = async (): Promise<Part> => {
    const { clock, log } = context;
    const running = await joinClient(context, principalOf(names), async (client) =>
      road.start({
        clock,
        log,
        deliver: async (lines, signal) => {
          await client.call("org.plantd.Logger", "append", { lines }, { signal });
        },
      }),
    );
    return { running, proof: eventLoopProof("log") };
  };
  return [{ name: "log", start }];
}
