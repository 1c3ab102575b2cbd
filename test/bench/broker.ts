// Bench of the broker: requests per second over IPC, 64 bytes, beside a C broker on libzmq and a
// zeromq.js broker that only route. It must not know the broker's insides.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { installTools, mayInstall } from "../../src/main/tools.ts";
import { type BenchContext, compare, type Row, readPeer, startPeer, stopPeer } from "./harness.ts";

type Words = readonly [string, ...string[]];

/** One set of processes: what brokers, what serves, what asks. */
interface Setting {
  readonly broker: (endpoint: string) => Words;
  readonly worker: (endpoint: string) => Words;
  readonly load: (endpoint: string, window: number, ms: number) => Words;
}

interface Result {
  readonly perSecond: number;
  readonly p50us: number;
}

const clients = 2;
const workers = 2;
const window = 50;
const extension = extname(fileURLToPath(import.meta.url));

function node(path: string, ...words: readonly string[]): Words {
  const file = fileURLToPath(new URL(`${path}${extension}`, import.meta.url));
  return [process.execPath, "--disable-warning=ExperimentalWarning", file, ...words];
}

/** Compiles the C peer, with libzmq's headers installed if need be; nothing where that fails. */
function buildC(context: BenchContext): string | undefined {
  const header = "/usr/include/zmq.h";
  if (!existsSync(header) && mayInstall()) {
    context.say("Installing libzmq3-dev …");
    installTools([{ name: "libzmq3-dev", debian: "libzmq3-dev gcc libc6-dev" }]);
  }
  const source = fileURLToPath(new URL("./mdp.c", import.meta.url));
  const program = join(context.folder, "mdp");
  const { status } = spawnSync("gcc", ["-O2", "-o", program, source, "-lzmq"], { stdio: "ignore" });
  if (status === 0) return program;
  context.say("No C compiler or no libzmq3-dev: the peers in C are left out.");
  return undefined;
}

let runs = 0;

async function runOnce(context: BenchContext, setting: Setting, ms: number): Promise<Result> {
  runs += 1;
  const endpoint = `ipc://${join(context.folder, `${runs}.sock`)}`;
  const started = [await startPeer(context, setting.broker(endpoint))];
  for (let at = 0; at < workers; at += 1) {
    started.push(await startPeer(context, setting.worker(endpoint)));
  }
  await readPeer(setting.load(endpoint, window, 100));
  const results = await Promise.all(
    Array.from({ length: clients }, () => readPeer(setting.load(endpoint, window, ms))),
  );
  const alone = (await readPeer(setting.load(endpoint, 1, ms / 3))) as {
    count: number;
    ms: number;
  };
  for (const child of started) await stopPeer(child);
  const all = results as readonly { count: number; ms: number }[];
  const perSecond = all.reduce((sum, { count, ms: took }) => sum + (1000 * count) / took, 0);
  return { perSecond, p50us: (1000 * alone.ms) / alone.count };
}

/** Runs the bench. */
export async function run(context: BenchContext): Promise<readonly Row[]> {
  const ourBroker = (endpoint: string) =>
    node("../system/bus-part", "broker", JSON.stringify({ endpoint }));
  const plainBroker = (endpoint: string) => node("./zeromq-peer", "broker", endpoint);
  const settings = new Map<string, Setting>([
    [
      "ours",
      {
        broker: ourBroker,
        worker: (endpoint) => node("../system/bus-part", "echo", JSON.stringify({ endpoint })),
        load: (endpoint, ...rest) => node("./broker-load", endpoint, ...rest.map(String)),
      },
    ],
    [
      "zeromq.js",
      {
        broker: plainBroker,
        worker: (endpoint) => node("./zeromq-peer", "worker", endpoint),
        load: (endpoint, ...rest) => node("./zeromq-peer", "load", endpoint, ...rest.map(String)),
      },
    ],
  ]);
  const program = buildC(context);
  if (program !== undefined) {
    const ends = {
      worker: (endpoint: string): Words => [program, "worker", endpoint],
      load: (endpoint: string, ...rest: readonly number[]): Words => [
        program,
        "load",
        endpoint,
        ...rest.map((value) => String(Math.round(value))),
      ],
    };
    const worker = (endpoint: string): Words => [program, "plant-worker", endpoint];
    settings.set("C, ours between", { ...ends, worker, broker: ourBroker });
    settings.set("C, zeromq.js between", { ...ends, broker: plainBroker });
    settings.set("C", { ...ends, broker: (endpoint) => [program, "broker", endpoint] });
  }
  const rounds = context.isQuick ? 3 : 5;
  const ms = context.isQuick ? 1000 : 3000;
  const results = new Map<string, Result[]>([...settings.keys()].map((name) => [name, []]));
  for (let round = 1; round <= rounds; round += 1) {
    for (const [name, setting] of settings) {
      const result = await runOnce(context, setting, ms);
      results.get(name)?.push(result);
      context.say(`round ${round}/${rounds}, ${name}: ${Math.round(result.perSecond)} requests/s`);
    }
  }
  return rowsOf(results);
}

function rowsOf(results: ReadonlyMap<string, readonly Result[]>): readonly Row[] {
  const rates = (name: string) => (results.get(name) ?? []).map(({ perSecond }) => perSecond);
  const waits = (name: string) => (results.get(name) ?? []).map(({ p50us }) => p50us);
  const unit = "requests/s";
  const rows: Row[] = [
    compare({
      job: "client, broker and worker of ours; peer: all three bare zeromq.js",
      unit,
      ours: rates("ours"),
      peer: rates("zeromq.js"),
      goal: 1,
    }),
    compare({
      job: "one call at a time, mean; peer: bare zeromq.js",
      unit: "us",
      ours: waits("ours"),
      peer: waits("zeromq.js"),
      goal: 1,
      isLessBetter: true,
    }),
  ];
  if (!results.has("C")) return rows;
  const between = { unit, ours: rates("C, ours between"), goal: 1 };
  rows.push(
    compare({
      ...between,
      job: "our broker between peers in C; peer: a zeromq.js broker that only routes",
      peer: rates("C, zeromq.js between"),
    }),
    compare({
      ...between,
      job: "our broker between peers in C; peer: a C broker that only routes",
      peer: rates("C"),
    }),
  );
  return rows;
}
