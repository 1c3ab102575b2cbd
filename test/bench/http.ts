// Bench of the gateway's page: requests per second and waits of three addresses, beside a bare
// node:http server that answers as many bytes. It must not know what the answers say.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { Agent, get } from "node:http";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { systemClock as clock } from "../../src/util/clock.ts";
import { startSite } from "../system/site.ts";
import { type BenchContext, compare, quantile, type Row, stopPeer } from "./harness.ts";

const connections = 8;
const addresses = ["/api/v1/status", "/", "/metrics"];

interface Result {
  readonly perSecond: number;
  readonly p99ms: number;
}

/** One request on a connection that stays; the bytes of its body. */
function ask(url: string, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent }, (response) => {
      let bytes = 0;
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
      });
      response.on("error", reject);
      response.on("end", () => {
        if (response.statusCode === 200) resolve(bytes);
        else reject(new Error(`${url}: ${response.statusCode}`));
      });
    });
    request.on("error", reject);
  });
}

async function load(url: string, ms: number): Promise<Result> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const times: number[] = [];
  const from = clock.monotonicMs();
  const worker = async () => {
    while (clock.monotonicMs() - from < ms) {
      const asked = clock.monotonicMs();
      await ask(url, agent);
      times.push(clock.monotonicMs() - asked);
    }
  };
  await Promise.all(Array.from({ length: connections }, worker));
  const perSecond = (1000 * times.length) / (clock.monotonicMs() - from);
  agent.destroy();
  return {
    perSecond,
    p99ms: quantile(
      times.sort((a, b) => a - b),
      0.99,
    ),
  };
}

async function startBare(context: BenchContext): Promise<string> {
  const file = new URL(`./http-peer${extname(fileURLToPath(import.meta.url))}`, import.meta.url);
  const child = spawn(process.execPath, [fileURLToPath(file)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  context.defer(() => stopPeer(child));
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  return `http://127.0.0.1:${line.toString().trim().split(" ")[1]}`;
}

/** Runs the bench. */
export async function run(context: BenchContext): Promise<readonly Row[]> {
  const { isQuick, say } = context;
  const [ms, rounds] = isQuick ? [1200, 3] : [5000, 5];
  say("Starting a gateway …");
  const site = await startSite();
  context.defer(() => site[Symbol.asyncDispose]());
  const bare = await startBare(context);
  const rows: Row[] = [];
  for (const address of addresses) {
    const ours: Result[] = [];
    const peer: Result[] = [];
    const agent = new Agent();
    const bytes = await ask(`${site.pageUrl}${address}`, agent);
    await load(`${site.pageUrl}${address}`, 300);
    await load(`${bare}/${bytes}`, 300);
    for (let round = 1; round <= rounds; round += 1) {
      ours.push(await load(`${site.pageUrl}${address}`, ms));
      peer.push(await load(`${bare}/${bytes}`, ms));
      say(`${address}, round ${round} of ${rounds}: ${Math.round(ours.at(-1)?.perSecond ?? 0)}/s`);
    }
    const job = `GET ${address}, ${bytes} B, ${connections} connections`;
    const rates = (list: readonly Result[]) => list.map(({ perSecond }) => perSecond);
    const waits = (list: readonly Result[]) => list.map(({ p99ms }) => p99ms);
    const peerWords = "peer: bare node:http, as many bytes";
    rows.push(
      compare({
        job: `${job}; ${peerWords}`,
        ...{ unit: "requests/s", goal: 0.3, ours: rates(ours), peer: rates(peer) },
      }),
      compare({
        job: `${job}, p99; ${peerWords}`,
        ...{ unit: "ms", isLessBetter: true, goal: 0.3, ours: waits(ours), peer: waits(peer) },
      }),
    );
  }
  return rows;
}
