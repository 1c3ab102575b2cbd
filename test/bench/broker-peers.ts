// The processes of the broker bench: our broker as `plantd run broker` starts it, the C broker,
// nats-server, the workers of each, and the load generators. It must not know what is compared.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { extname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { findProgram, installTools, mayInstall } from "../../src/main/tools.ts";
import { systemClock as clock } from "../../src/util/clock.ts";
import { freePort } from "../fakes/patience.ts";
import { brokerFlags } from "../system/site.ts";
import { installForeign } from "./foreign-package.ts";
import { type BenchContext, readPeer, startPeer, stopPeer } from "./harness.ts";
import { secondsOf } from "./process-figures.ts";

export type Words = readonly [string, ...string[]];

/** What is asked for; a service that drivers may serve and admins may call, by the real rules. */
export const service = "org.plantd.module.Bench";
const patienceMs = 15_000;
const extension = extname(fileURLToPath(import.meta.url));

/** One of our modules as a program. */
export function node(path: string, ...words: readonly string[]): Words {
  const file = fileURLToPath(new URL(`${path}${extension}`, import.meta.url));
  return [process.execPath, "--disable-warning=ExperimentalWarning", file, ...words];
}

/** A broker that runs, and how its peers reach it. */
export interface Broker {
  readonly pid: number;
  /** Addresses for those who ask and those who serve. */
  readonly clients: string;
  readonly workers: string;
  end(): Promise<void>;
}

export interface OurOptions {
  readonly transport?: "zmtp" | "zeromq";
  /** Further keys of the section `broker`. */
  readonly settings?: Readonly<Record<string, number>>;
  /** Flags of Node beside those of the units. */
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

let runs = 0;

/**
 * Starts `plantd run broker` with the real rules of admission; none where the configuration is not
 * understood.
 */
export async function startOurs(context: BenchContext, options: OurOptions = {}): Promise<Broker> {
  runs += 1;
  const folder = join(context.folder, `o${runs}`);
  mkdirSync(folder);
  const { transport = "zmtp", settings = {} } = options;
  const broker = { ...(transport === "zmtp" ? {} : { transport }), ...settings };
  const config = join(folder, "c.yaml");
  writeFileSync(config, JSON.stringify({ broker, log: { level: "info" } }));
  // As plantd-broker.service has it.
  const unit = { MALLOC_ARENA_MAX: "1", PLANTD_DATA_DIR: folder, PLANTD_CONFIG: config };
  const env = { ...process.env, ...options.env, ...unit };
  const main = fileURLToPath(new URL(`../../src/main/plantd${extension}`, import.meta.url));
  const words = [...brokerFlags, ...(options.flags ?? []), main, "run", "broker"];
  const child = spawn(process.execPath, words, { env, stdio: ["ignore", "pipe", "inherit"] });
  const end = () => endGently(child);
  context.defer(end);
  const heard: string[] = [];
  const lines = createInterface(child.stdout);
  const ready = new Promise<boolean>((resolve) => {
    lines.on("line", (line) => {
      heard.push(line);
      if (line.includes('"ready"')) resolve(true);
    });
    child.once("exit", () => resolve(false));
  });
  if (!(await ready)) throw new Error(`plantd run broker did not start: ${heard.join("\n")}`);
  const at = (principal: string) => `ipc://${join(folder, "run", principal, "broker.sock")}`;
  return { pid: child.pid ?? 0, clients: at("admin"), workers: at("driver"), end };
}

/** SIGTERM first, so that a profile or a figure is written; then what always works. */
async function endGently(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGTERM");
  const stopped = new AbortController();
  const late = clock.sleep(3000, stopped.signal).then(() => "late");
  if ((await Promise.race([gone, late])) === "late") await stopPeer(child);
  stopped.abort();
}

/** The programs in C, compiled; nothing where that cannot be had. */
export interface Programs {
  readonly mdp: string;
  readonly nats: string;
  readonly crowd: string;
}

/** Compiles the peers in C, with libzmq's headers installed if need be. */
export function buildPrograms(context: BenchContext): Programs | undefined {
  const isThere = () => existsSync("/usr/include/zmq.h") && findProgram("gcc") !== undefined;
  if (!isThere() && mayInstall()) {
    context.say("Installing libzmq3-dev and gcc …");
    installTools([{ name: "gcc", debian: "libzmq3-dev gcc libc6-dev" }]);
  }
  const build = (name: string, ...libraries: readonly string[]) => {
    const source = fileURLToPath(new URL(`./${name}.c`, import.meta.url));
    const program = join(context.folder, name);
    const words = ["-O2", "-o", program, source, ...libraries];
    const { status, stderr } = spawnSync("gcc", words, { encoding: "utf8" });
    if (status !== 0)
      context.say(`${name}.c does not compile: ${stderr?.slice(0, 500) ?? "no gcc"}`);
    return status === 0 ? program : undefined;
  };
  const [mdp, nats, crowd] = [build("mdp", "-lzmq"), build("nats"), build("crowd")];
  if (mdp !== undefined && nats !== undefined && crowd !== undefined) return { mdp, nats, crowd };
  context.say(
    "Without gcc and libzmq3-dev (apt-get install libzmq3-dev gcc libc6-dev) nothing can be loaded.",
  );
  return undefined;
}

/** Starts the C broker that only routes. */
export async function startC(context: BenchContext, programs: Programs): Promise<Broker> {
  const endpoint = `ipc://${join(context.folder, "c.sock")}`;
  const child = await startPeer(context, [programs.mdp, "broker", endpoint, service]);
  const end = () => stopPeer(child);
  return { pid: child.pid ?? 0, clients: endpoint, workers: endpoint, end };
}

/** Starts a nats-server of our own; its addresses are its port. Nothing where there is none. */
export async function startNats(context: BenchContext): Promise<Broker | undefined> {
  if (findProgram("nats-server") === undefined && mayInstall()) {
    context.say("Installing nats-server …");
    installTools([{ name: "nats-server", debian: "nats-server" }]);
  }
  const program = findProgram("nats-server");
  if (program === undefined) {
    context.say("There is no nats-server (apt-get install nats-server): left out.");
    return undefined;
  }
  const port = await freePort();
  const words = ["-a", "127.0.0.1", "-p", String(port)];
  const child = spawn(program, words, { stdio: "ignore" });
  const end = () => stopPeer(child);
  context.defer(end);
  const untilMs = clock.monotonicMs() + patienceMs;
  while (clock.monotonicMs() < untilMs && child.exitCode === null) {
    if (await answers(port)) {
      return { pid: child.pid ?? 0, clients: String(port), workers: String(port), end };
    }
    await clock.sleep(50);
  }
  context.say("nats-server does not start: left out.");
  return undefined;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.once("data", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** The folder of NATS's Node client; nothing where it cannot be had. */
export function obtainNatsClient(context: BenchContext): string | undefined {
  const wanted = { folder: "nats", name: "@nats-io/transport-node", version: "3.4.0" };
  const folder = installForeign(context, wanted);
  if (folder === undefined) context.say(`${wanted.name} could not be installed: left out.`);
  return folder;
}

/** How a load generator loads: clients × requests in flight, or so many per second in all. */
export interface Load {
  readonly clients: number;
  readonly window: number;
  /** Bytes of the body. */
  readonly size: number;
  readonly ms: number;
  readonly rate?: number;
}

/** What a load generator in C found. */
export interface Loaded {
  readonly perSecond: number;
  readonly p50us: number;
  readonly p99us: number;
  /** Processor time of the broker per request. */
  readonly cpuUs: number;
  /** Replies that were wrong, came twice or never, and requests refused or not sent in time. */
  readonly faults: number;
}

/** Runs a load generator in C to its end. */
export async function runLoad(
  broker: Broker,
  generator: Words,
  { clients, window, size, ms, rate = 0 }: Load,
): Promise<Loaded> {
  const fromSeconds = secondsOf(broker.pid);
  const numbers = [clients, window, size, ms, rate].map(String);
  const [program, ...words] = generator;
  const found = (await readPeer([program, ...words, ...numbers])) as Record<string, number>;
  const { count = 0, total = 0, p50us = 0, p99us = 0 } = found;
  const { wrong = 0, refused = 0, lost = 0, skipped = 0 } = found;
  return {
    perSecond: (1000 * count) / ms,
    p50us,
    p99us,
    cpuUs: (1e6 * (secondsOf(broker.pid) - fromSeconds)) / Math.max(1, total),
    faults: wrong + refused + lost + skipped,
  };
}
