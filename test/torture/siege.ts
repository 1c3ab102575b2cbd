// A broker of its own under siege: hostile peers beside a healthy pair, and what must hold while
// it lasts and afterwards. It must not know how the broker works.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { startClient } from "../../src/client/client.ts";
import { systemClock as clock } from "../../src/util/clock.ts";
import { openLog } from "../../src/util/log.ts";
import { seededRandom, systemRandom } from "../../src/util/random.ts";
import { endChild, until } from "../fakes/patience.ts";
import { mainPath, start } from "../fakes/process.ts";
import { besiege } from "./hostile-peers.ts";

export interface SiegeFigures {
  readonly frames: number;
  /** One sentence each; empty is good. */
  readonly violations: readonly string[];
  /** What the healthy pair measured; waits in milliseconds. */
  readonly probe: {
    readonly asked: number;
    readonly p50Ms: number;
    readonly p99Ms: number;
    readonly longestMs: number;
    readonly ownLagMs: number;
  };
  /** Memory of its own of the broker's process in the middle and at the end, in MiB. */
  readonly memoryMiB: readonly number[];
  readonly broker: unknown;
}

const flags = ["--max-semi-space-size=1"];
const peers = 12;
/** What the broker may have grown by between the middle and the end. */
const growthMaxMiB = 24;

/** Anonymous memory of a process, in MiB. @see proc(5) */
function memoryOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Math.round(Number(/RssAnon:\s+(\d+)/.exec(status)?.[1]) / 1024);
}

function socketsOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** Sends about `frames` hostile frames at a broker started for it. */
export async function siege(
  order: { readonly frames: number; readonly seed: number },
  progress: (words: string) => void,
): Promise<SiegeFigures> {
  const folder = mkdtempSync(join(tmpdir(), "sg-"));
  const path = join(folder, "run", "admin", "broker.sock");
  const env = { PLANTD_ACCESS_MODE: "open" };
  const broker = start(mainPath("plantd"), ["run", "broker", "--data-dir", folder], { env, flags });
  const probeFile = fileURLToPath(
    new URL(`./bus-probe${extname(import.meta.url)}`, import.meta.url),
  );
  try {
    if (!(await broker.until('"message":"ready"'))) throw new Error(broker.said());
    const probe = spawn(process.execPath, [probeFile, `ipc://${path}`]);
    try {
      await once(probe.stdout, "data");
      const socketsBefore = socketsOf(broker.pid) + 2;
      const memory: number[] = [];
      const frames = await besiege(
        { clock, random: seededRandom(order.seed) },
        {
          path,
          frames: order.frames,
          peers,
          progress(sent) {
            memory.push(memoryOf(broker.pid));
            progress(`${sent} frames, broker ${memory.at(-1)} MiB`);
          },
        },
      );
      let counts: BrokerCounts = await ask(path);
      await until(
        "the broker lets go of what its peers left",
        async () => {
          counts = await ask(path);
          return isQuiet(counts) && socketsOf(broker.pid) <= socketsBefore;
        },
        {
          seen: () =>
            `${socketsOf(broker.pid)} of ${socketsBefore} descriptors, ${JSON.stringify(counts)}`,
        },
      );
      const told = once(probe.stdout, "data");
      probe.stdin.write("enough\n");
      const figures = JSON.parse(String((await told)[0])) as SiegeFigures["probe"] & {
        failures: string;
      };
      const middle = memory[Math.floor(memory.length / 2)] ?? 0;
      const last = memoryOf(broker.pid);
      const violations = judge(figures.failures, last - middle);
      broker.signal("SIGTERM");
      const ended = await broker.ended();
      if (ended !== 0) violations.push(`the broker ended with ${ended}: ${broker.errors()}`);
      const errors = broker.said().match(/.*"level":"error".*/g) ?? [];
      for (const line of errors.slice(0, 5)) violations.push(`the broker said: ${line}`);
      const { failures: _, ...measured } = figures;
      const memoryMiB = [middle, last];
      return { frames, violations, probe: measured, memoryMiB, broker: counts };
    } finally {
      await endChild(probe);
    }
  } finally {
    broker.signal("SIGKILL");
    await broker.ended();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Some of what the broker tells of itself. */
interface BrokerCounts {
  readonly queued: number;
  readonly dispatched: number;
  readonly peers: number;
  readonly wire: { readonly connections: number };
}

/** Only the healthy pair, the log of the broker itself, and who asks are left. */
function isQuiet({ queued, dispatched, peers, wire }: BrokerCounts): boolean {
  return queued <= 1 && dispatched <= 1 && peers <= 4 && wire.connections <= 4;
}

async function ask(path: string): Promise<BrokerCounts> {
  const log = openLog({ service: "siege", level: "error" });
  const endpoint = `ipc://${path}`;
  await using client = await startClient({ clock, log, random: systemRandom }, { endpoint });
  const [frame] = await client.request("mmi.broker", [Buffer.alloc(0)]);
  return JSON.parse(String(Buffer.from(frame ?? []))) as BrokerCounts;
}

function judge(failures: string, grownMiB: number): string[] {
  const violations: string[] = [];
  if (failures !== "") violations.push(`the healthy pair: ${failures.slice(0, 1000)}`);
  if (grownMiB > growthMaxMiB) violations.push(`memory grew by ${grownMiB} MiB`);
  return violations;
}
