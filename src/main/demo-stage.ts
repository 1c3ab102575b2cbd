// Raises the demo's plant: simulated devices on their wires, mosquitto, centre, gateway, and the
// enrolment between them; and holds the handles that break things. It must not know the terminal.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type PtyPair, startPtyPair } from "../../drivers/simulator/simulator.ts";
import { createDeviceCode, writeMosquittoConfig } from "../central/central.ts";
import { startClient } from "../client/client.ts";
import type { Clock } from "../util/clock.ts";
import { PlantError } from "../util/errors.ts";
import type { Log } from "../util/log.ts";
import { brokerEndpoint, findPaths } from "../util/paths.ts";
import type { Random } from "../util/random.ts";
import { type Child, type ChildPlan, type House, openHouse } from "./demo-house.ts";
import { addresses, lineNames, type Places, type Ports, writeConfigs } from "./demo-places.ts";
import { obtain, type Program } from "./demo-programs.ts";
import { freePorts, type Relay, startRelay } from "./demo-relay.ts";
import { tools } from "./tools.ts";

/** Name of the gateway at the centre. */
export const gatewayName = "gw-demo";

export interface StageDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly places: Places;
  /** Tells a finished step. */
  readonly step: (text: string) => void;
  /** Aborts when the demo ends. */
  readonly signal: AbortSignal;
  /** Ends the demo, because something cannot work. */
  readonly die: (reason: string) => void;
}

/** The standing plant. Disposal ends every process and joins nothing any more. */
export interface Stage extends AsyncDisposable {
  /** Addresses of the two pages. */
  readonly page: string;
  readonly centrePage: string;
  readonly children: readonly Child[];
  readonly uplink: Relay;
  /** Ends every process of the gateway as a power cut would; they come back after a second. */
  killGateway(): number;
  /** Pulls the serial wire, or plugs it in; tells whether it is in. */
  switchWire(): Promise<boolean>;
  /** Lets meter-2 answer too late, or in time. */
  slowDown(isSlow: boolean): void;
}

const coreParts = ["broker", "store", "sync", "http"];
const driverParts = lineNames.map((line) => `driver:${line}`);
const wire = "rs485-1";
const enrolMs = 30_000;

/** Raises the plant. @throws PlantError; what was started is ended again. */
export async function raiseStage(deps: StageDeps): Promise<Stage> {
  const { clock, places, step } = deps;
  await using stack = new AsyncDisposableStack();
  const mosquitto = obtainPrograms(places, step);
  const ports = await choosePorts(deps.random);
  const uplink = stack.use(await startRelay(ports.uplink, ports.mqtt));
  writeConfigs(places, ports);
  const cables = new Map<string, PtyPair>();
  for (const line of [wire, "scale-1"]) {
    cables.set(line, await startPtyPair({ clock }, places.cable(line)));
  }
  stack.defer(async () => {
    for (const cable of cables.values()) await cable[Symbol.asyncDispose]();
  });
  const house = stack.use(openHouse(deps));
  const simulator = house.start(
    plantd(places, {
      name: "simulator",
      words: ["simulate", "--paced", "--config", places.simulatorConfig],
      data: places.folder,
      readyWhen: "simulating",
    }),
  );
  const gateway = startParts(house, places, coreParts);
  const centre = await startCentre(deps, house, { program: mosquitto, ports });
  // Devices have power before somebody asks them: no gateway begins its life with a warning.
  await allReady([simulator], deps.signal);
  gateway.push(...startParts(house, places, driverParts));
  await allReady([simulator, ...gateway, ...centre], deps.signal);
  step(`${house.children.length} processes ready: ${house.children.map(nameOf).join(", ")}`);
  await enrol(deps, ports);
  step(`gateway ${gatewayName} enrolled with a one-time code; it holds its own key`);
  const all = stack.move();
  return {
    page: `http://127.0.0.1:${ports.page}/`,
    centrePage: `http://127.0.0.1:${ports.centrePage}/`,
    children: house.children,
    uplink,
    killGateway() {
      for (const child of gateway) child.kill();
      return gateway.length;
    },
    async switchWire() {
      const cable = cables.get(wire);
      if (cable === undefined) {
        cables.set(wire, await startPtyPair({ clock }, places.cable(wire)));
        return true;
      }
      cables.delete(wire);
      await cable[Symbol.asyncDispose]();
      return false;
    },
    slowDown(isSlow) {
      simulator.tell(isSlow ? `fault line=${wire} kind=late ms=800 unit=17` : `heal line=${wire}`);
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

const nameOf = (child: Child) => child.name;

/** socat into the search path, where the simulator and systemd's messages look for it. */
function obtainPrograms(places: Places, step: (text: string) => void): Program {
  const cache = fileURLToPath(new URL("../../.cache", import.meta.url)).replace("/.build/", "/");
  const socat = obtain(tools.socat, cache, step);
  process.env.PATH = `${join(socat.path, "..")}:${process.env.PATH ?? ""}`;
  const mosquitto = obtain(tools.mosquitto, cache, step);
  step(`MQTT broker ${mosquitto.path}; files in ${places.folder}`);
  return mosquitto;
}

/** Ports people may know for the pages, where they are free. */
const preferredPorts = [8480, 8490, 0, 0, 0];

async function choosePorts(random: Random): Promise<Ports> {
  const [page = 0, centrePage = 0, pump = 0, mqtt = 0, uplink = 0] = await freePorts(
    preferredPorts,
    random,
  );
  return { page, centrePage, pump, mqtt, uplink };
}

/** A process of ours: compiled beside this file, or its source when this runs from source. */
function plantd(
  places: Places,
  what: { name: string; words: readonly string[]; data: string; readyWhen: string },
): ChildPlan {
  const ending = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const main = fileURLToPath(new URL(`./plantd.${ending}`, import.meta.url));
  const flags = ["--disable-warning=ExperimentalWarning", "--expose-gc", "--max-semi-space-size=1"];
  return {
    name: what.name,
    program: process.execPath,
    words: [...flags, main, ...what.words],
    env: { PLANTD_DATA_DIR: what.data, ...runFolder(what.data) },
    folder: what.data,
    logFile: join(places.logs, `${what.name.replace(":", "-")}.log`),
    readyWhen: what.readyWhen,
  };
}

/** Sockets by a relative path where the absolute one is longer than a socket's may be. */
function runFolder(data: string): { PLANTD_RUN_DIR?: string } {
  const longest = join(data, "run", "technician", "broker.sock");
  return Buffer.byteLength(longest) > 107 ? { PLANTD_RUN_DIR: "run" } : {};
}

function startParts(house: House, places: Places, parts: readonly string[]): Child[] {
  return parts.map((part) =>
    house.start(
      plantd(places, {
        name: part,
        words: ["run", part],
        data: places.gateway,
        readyWhen: '"message":"ready"',
      }),
    ),
  );
}

/** The centre's keys first; then mosquitto, which is configured with them, and the centre. */
async function startCentre(
  { clock, random, places }: StageDeps,
  house: House,
  { program, ports }: { program: Program; ports: Ports },
): Promise<Child[]> {
  const config = await writeMosquittoConfig(
    { clock, random, paths: findPaths({ PLANTD_DATA_DIR: places.centre }) },
    addresses(ports),
    { folder: places.mosquitto, port: ports.mqtt },
  );
  return [
    house.start({
      name: "mosquitto",
      program: program.path,
      words: ["-c", config],
      env: program.env,
      folder: places.mosquitto,
      logFile: join(places.logs, "mosquitto.log"),
    }),
    house.start(
      plantd(places, {
        name: "central",
        words: ["run", "central"],
        data: places.centre,
        readyWhen: '"message":"ready"',
      }),
    ),
  ];
}

async function allReady(children: readonly Child[], signal: AbortSignal): Promise<void> {
  const stopped = new Promise<"stopped">((resolve) => {
    signal.addEventListener("abort", () => resolve("stopped"), { once: true });
    if (signal.aborted) resolve("stopped");
  });
  const ready = Promise.all(children.map((child) => child.ready));
  if ((await Promise.race([ready, stopped])) === "stopped") throw new PlantError("CANCELLED");
}

/** Makes the gateway known to the centre and hands it the one-time code, as a person would. */
async function enrol(deps: StageDeps, ports: Ports): Promise<void> {
  const { clock, random, log, places, signal } = deps;
  const url = `http://127.0.0.1:${ports.centrePage}`;
  const paths = findPaths({ PLANTD_DATA_DIR: places.centre });
  const { code } = await createDeviceCode(paths, url, gatewayName);
  const env = { PLANTD_DATA_DIR: places.gateway, ...runFolder(places.gateway) };
  if (env.PLANTD_RUN_DIR !== undefined) process.chdir(places.gateway);
  const endpoint = brokerEndpoint(findPaths(env), "technician");
  await using client = await startClient({ clock, random, log }, { endpoint });
  const options = { deadlineMs: enrolMs, signal };
  await client.call("org.plantd.Sync", "enroll", { url, code }, options);
}
