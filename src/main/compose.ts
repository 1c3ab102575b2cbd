// Which parts a process runs and how each is put together: rooms, sockets, settings. Every part
// meets the others over the broker alone, with a client of its own. It must not decide anything.
import { join } from "node:path";
import type { LineAdapter } from "../../drivers/kit/kit.ts";
import { makeAdmission, rightsOf } from "../access/access.ts";
import type { Config, LineConfig } from "../config/config.ts";
import { readBootId } from "../util/clock.ts";
import { clockSyncReader } from "../util/clock-sync.ts";
import { PlantError } from "../util/errors.ts";
import type { LogLevels } from "../util/log-levels.ts";
import { brokerEndpoint, type Principal } from "../util/paths.ts";
import { ensureKeyPair, type Listener, transportNamed } from "../wire/wire.ts";
import { endlessRoom } from "../worker/worker.ts";
import { gatewayParts, type PartName } from "./command-line.ts";
import { hear, type LogRoad } from "./log-road.ts";
import { connect, type Offer, offer, type PartContext, peerOf, together } from "./part-context.ts";
import type { Part, PartPlan } from "./supervise.ts";
import { counterProof, type Proof } from "./watchdog.ts";

export type { PartContext } from "./part-context.ts";

/** The parts to run, in the order they start: the named ones, or the whole gateway. */
export function namesOf(asked: readonly PartName[], config: Config): readonly PartName[] {
  const drivers = Object.keys(config.lines).map((line): PartName => `driver:${line}`);
  const wanted = new Set<PartName>(asked.length > 0 ? asked : [...gatewayParts, ...drivers]);
  const order = (name: PartName) => {
    const at = gatewayParts.indexOf(name as (typeof gatewayParts)[number]);
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
      return import("./store-part.ts").then(({ startStorePart }) => startStorePart(context));
    case "sync":
      return startSyncPart(context);
    case "central":
      return startCentralPart(context);
    default:
      return startDriverPart(context, name.slice("driver:".length));
  }
}

/** The broker, with a socket for every principal and one for the network where configured. */
async function startBrokerPart(context: PartContext): Promise<Part> {
  const { startBroker } = await import("../broker/broker.ts");
  const { clock, random, log, paths, config, version } = context;
  const { endpoint: _, network, services: policies, transport, ...settings } = config.broker;
  const local = Object.keys(rightsOf(config.access)).map((principal) => ({
    principal,
    endpoint: brokerEndpoint(paths, principal),
  }));
  const listeners = [...local, ...network, ...oldNetwork(context)];
  const isLocked = network.some(({ keys }) => keys.length > 0);
  const curve = isLocked ? { curve: ensureKeyPair(paths.brokerKey) } : {};
  const admits = makeAdmission(config.access);
  const running = await startBroker(
    { clock, random, log, admits, version, transport: transportNamed(transport) },
    { ...settings, policies, listeners, ...curve },
  );
  return { running, proof: counterProof("broker", () => running.progress) };
}

/** The listener of `broker.endpoint`, which has no keys and so is of open mode alone. */
function oldNetwork({ config, log }: PartContext): Listener[] {
  const { endpoint } = config.broker;
  if (endpoint === "") return [];
  if (config.access.mode === "open") return [{ principal: "network", endpoint }];
  log.warn("Nobody may come in by broker.endpoint without keys: write broker.network", {
    endpoint,
    next: "plant broker key --new NAME",
  });
  return [];
}

/** The page's server, with a client that may read. */
async function startHttpPart(context: PartContext): Promise<Part> {
  const { startHttp } = await import("../http/http.ts");
  const { clock, log, paths, config, version } = context;
  await using opened = new AsyncDisposableStack();
  const client = opened.use(await connect(context, "http"));
  const server = opened.use(await startHttp({ clock, log, client, version, paths }, config));
  const running = together([client, server], opened.move());
  return { running, proof: pageProof("http", `${server.url}healthz`) };
}

async function startEchoPart(context: PartContext): Promise<Part> {
  const { start } = await import("../../drivers/echo/echo.ts");
  const { clock, random, log } = context;
  const running = await start({ clock, random, log }, peerOf(context, "driver"));
  return { running, proof: eventLoopProof("echo") };
}

/** Brings what is kept to the centre. */
async function startSyncPart(context: PartContext): Promise<Part> {
  const { startSync } = await import("../sync/sync.ts");
  const { clock, random, log, paths, config, version } = context;
  await using opened = new AsyncDisposableStack();
  const client = opened.use(await connect(context, "sync"));
  const boot = readBootId();
  const sync = opened.use(
    await startSync(
      { clock, random, log, boot, client, paths, version, clockSync: clockSyncReader(clock) },
      config.sync,
    ),
  );
  const worker = opened.use(await offer(context, "sync", sync));
  const running = together([client, sync, worker], opened.move());
  return { running, proof: answerProof("sync", sync.operations) };
}

/** The centre; it meets gateways over MQTT and HTTP alone. */
async function startCentralPart(context: PartContext): Promise<Part> {
  const { startCentral } = await import("../central/central.ts");
  const { clock, random, log, paths, config, version } = context;
  const running = await startCentral({ clock, random, log, paths, version }, config.central);
  return { running, proof: pageProof("central", `${running.url}healthz`) };
}

/** The machine's own health as points. */
async function startMetricPart(context: PartContext): Promise<Part> {
  const { start } = await import("../../drivers/metric/metric.ts");
  const { clock, random, log } = context;
  const running = await start({ clock, random, log }, peerOf(context, "driver"));
  return { running, proof: eventLoopProof("metric") };
}

/**
 * One line: its devices polled, its service offered.
 * @throws PlantError LINE_UNKNOWN; what is wrong with its profiles.
 */
async function startDriverPart(context: PartContext, name: string): Promise<Part> {
  const settings = context.config.lines[name];
  if (settings === undefined) throw new PlantError("LINE_UNKNOWN", { line: name });
  const [{ startLine }, adapter] = await Promise.all([
    import("../../drivers/kit/kit.ts"),
    makeAdapter(settings, context.paths.profiles),
  ]);
  const { clock, random, log } = context;
  await using opened = new AsyncDisposableStack();
  const client = opened.use(await connect(context, "driver"));
  const clockSync = clockSyncReader(clock);
  const deps = { clock, random, log, client, boot: readBootId(), clockSync };
  const line = opened.use(startLine(deps, { name, config: settings }, adapter));
  const worker = opened.use(await offer(context, "driver", line));
  const running = together([client, line, worker], opened.move());
  return { running, proof: counterProof(`driver:${name}`, () => line.progress) };
}

async function makeAdapter(config: LineConfig, profiles: string): Promise<LineAdapter> {
  if (config.kind === "serial") {
    const { loadSerialProfile, serialAdapter } = await import("../../drivers/serial/serial.ts");
    return serialAdapter(config, (id) => loadSerialProfile(id, join(profiles, "serial")));
  }
  const { loadProfile, modbusAdapter } = await import("../../drivers/modbus/modbus.ts");
  return modbusAdapter(config, (id) => loadProfile(id, join(profiles, "modbus")));
}

/** Proof by the answer a service gives about itself, good or bad, asked without the bus. */
function answerProof(part: string, operations: Offer["operations"]): Proof {
  return {
    part,
    check: async (signal) => {
      await operations.health?.({
        operation: "health",
        args: undefined,
        body: [],
        trace: "0".repeat(32),
        signal,
        remainingMs: () => Number.POSITIVE_INFINITY,
        partial: async () => {},
        room: endlessRoom,
      });
      return true;
    },
  };
}

/** Proof that a page answers: its listener, and all that stands between. */
function pageProof(part: string, url: string): Proof {
  const check = async (signal: AbortSignal) => {
    const { askPage } = await import("./local-page.ts"); // node:http costs 6 MB
    return (await askPage({ url, signal })).status === 200;
  };
  return { part, check };
}

/** Proof of parts without work of their own: that the process still takes turns. */
function eventLoopProof(part: string): Proof {
  return { part, check: async () => true };
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
  { road, levels }: { readonly road: LogRoad; readonly levels: LogLevels },
): PartPlan[] {
  if (names.every((name) => name === "central")) return [];
  const start = async (): Promise<Part> => {
    const { clock, log } = context;
    await using opened = new AsyncDisposableStack();
    const client = opened.use(await connect(context, principalOf(names)));
    const service = "org.plantd.Logger";
    let isThere = false;
    // Lines of no part are of the process: by its one part, or by a name of its own.
    const parts = names.length === 1 ? names : [...names, "plantd"];
    // Who asks a service that nobody offers leaves a request in the broker's queue.
    const deliver = async (lines: readonly string[], signal: AbortSignal) => {
      if (!isThere) {
        const [found] = await client.request("mmi.service", [Buffer.from(service)], { signal });
        isThere = found !== undefined && Buffer.from(found).toString() === "200";
        if (!isThere) throw new PlantError("NO_SERVICE", { service });
      }
      try {
        const { configured: level, revision } = levels;
        const process = { parts, level, revision };
        hear(levels, await client.call(service, "append", { lines, process }, { signal }));
      } catch (error) {
        isThere = false;
        throw error;
      }
    };
    const carrier = opened.use(road.start({ clock, log, deliver }));
    const running = together([client, carrier], opened.move());
    return { running, proof: eventLoopProof("log") };
  };
  return [{ name: "log", start }];
}
