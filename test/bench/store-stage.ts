// The gateway of the store bench: a broker and a store as processes of their own, as their units
// start them, and our load generators. It must not know what is measured.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { extname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { brokerFlags, storeFlags } from "../system/site.ts";
import { node } from "./broker-peers.ts";
import { type BenchContext, readPeer, stopPeer } from "./harness.ts";

const extension = extname(fileURLToPath(import.meta.url));

/** A broker and a store that run. */
export interface Gateway {
  /** Process id of the store. */
  readonly pid: number;
  /** Folder of the database. */
  readonly folder: string;
  /** Milliseconds from the start of the store's process until it was ready. */
  readonly startMs: number;
  /** Runs one job of the load generator to its end and returns what it found. */
  load(job: string, ...words: readonly string[]): Promise<Readonly<Record<string, number>>>;
  end(): Promise<void>;
}

export interface GatewayOptions {
  /** Settings of the sections `store` and `logger`. */
  readonly store?: Readonly<Record<string, number>>;
  readonly logger?: Readonly<Record<string, number | string>>;
  /** An existing data folder; a new one when absent. */
  readonly folder?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Further flags of the store's Node. */
  readonly flags?: readonly string[];
}

let runs = 0;

/** Starts both, waits until they are ready. */
export async function startGateway(
  context: BenchContext,
  options: GatewayOptions = {},
): Promise<Gateway> {
  runs += 1;
  const folder = options.folder ?? join(context.folder, `g${runs}`);
  mkdirSync(folder, { recursive: true });
  const config = join(folder, "c.yaml");
  const { store = {}, logger = {} } = options;
  writeFileSync(config, JSON.stringify({ store, logger, log: { level: "info" } }));
  const unit = { MALLOC_ARENA_MAX: "1", PLANTD_DATA_DIR: folder, PLANTD_CONFIG: config };
  const children: ChildProcess[] = [];
  const start = async (part: string, flags: readonly string[]) => {
    const main = fileURLToPath(new URL(`../../src/main/plantd${extension}`, import.meta.url));
    const env = { ...process.env, ...unit, ...(part === "store" ? options.env : {}) };
    const words = [...flags, main, "run", part];
    const child = spawn(process.execPath, words, { env, stdio: ["ignore", "pipe", "inherit"] });
    context.defer(() => stopPeer(child));
    children.push(child);
    await readyOf(child, part);
    return child;
  };
  await start("broker", brokerFlags);
  const from = performance.now();
  const { pid = 0 } = await start("store", [...storeFlags, ...(options.flags ?? [])]);
  const startMs = performance.now() - from;
  const endpoint = `ipc://${join(folder, "run", "admin", "broker.sock")}`;
  return {
    pid,
    folder: join(folder, "store"),
    startMs,
    load: async (job, ...words) => {
      const found = await readPeer(node("./store-load", endpoint, job, ...words));
      return found as Readonly<Record<string, number>>;
    },
    end: async () => {
      for (const child of children.reverse()) await endGently(child);
    },
  };
}

/** The store's end writes its checkpoint. */
async function endGently(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  await gone;
}

function readyOf(child: ChildProcess, part: string): Promise<void> {
  const heard: string[] = [];
  return new Promise((resolve, reject) => {
    if (child.stdout === null) return;
    createInterface(child.stdout).on("line", (line) => {
      if (heard.length < 20) heard.push(line);
      if (line.includes('"ready"')) resolve();
    });
    child.once("exit", () => reject(new Error(`plantd run ${part} ended: ${heard.join("\n")}`)));
  });
}
