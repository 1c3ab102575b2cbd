// Bench of the way to the centre, real processes, mutual TLS: a backlog drained, bytes on the wire,
// and the time from a change to its commit at the embedded centre; beside one JSON message per point
// through the same broker. It must not know the protocol.
import { readFileSync } from "node:fs";
import { Agent, get } from "node:http";
import { type AddressInfo, connect, createServer } from "node:net";
import { join } from "node:path";
import { connectAsync, type MqttClient } from "mqtt";
import type { Client } from "../../src/client/client.ts";
import { systemClock as clock } from "../../src/util/clock.ts";
import { seededRandom } from "../../src/util/random.ts";
import { drained } from "../system/ledger.ts";
import { type Site, startSite } from "../system/site.ts";
import { alone, type BenchContext, compare, quantile, type Row } from "./harness.ts";

const device = "gw-test";
/** Points of one polling cycle of a meter. */
const perCall = 50;
const callsInFlight = 32;
const random = seededRandom(1);
const peerWindow = 500;
const patienceMs = 40_000;

/** A relay that counts what passes, both ways. */
interface Meter {
  readonly port: number;
  bytes: number;
}

async function startMeter(context: BenchContext, target: number): Promise<Meter> {
  const meter = { port: 0, bytes: 0 };
  const server = createServer((near) => {
    const far = connect({ port: target, host: "127.0.0.1", noDelay: true });
    near.setNoDelay(true);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on("data", (chunk: Buffer) => {
        meter.bytes += chunk.length;
      });
      from.pipe(to);
      from.on("error", () => to.destroy());
      from.on("close", () => to.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.defer(() => void server.close());
  meter.port = (server.address() as AddressInfo).port;
  return meter;
}

let number = 0;

/** Points as a driver sends them; the last digits are noise, so that they cannot be foreseen. */
function points(count: number): { scope: string; key: string; value: number; unit: string }[] {
  number += 1;
  return Array.from({ length: count }, (_, at) => ({
    scope: "device/meter-1",
    key: `register-${at % perCall}`,
    value: Math.round(23_000 + 500 * random.unit()) / 100,
    unit: "V",
  }));
}

async function write(client: Client, count: number, source: string): Promise<void> {
  const list = points(count);
  const args = { source, run: "1", number, flush: "now", points: list };
  await client.call("org.plantd.State", "set-many", args, { deadlineMs: 20_000 });
}

async function writeBacklog(client: Client, count: number): Promise<void> {
  let left = count;
  const worker = async (_: unknown, at: number) => {
    while (left > 0) {
      left -= perCall;
      await write(client, perCall, `bench-${at}`);
    }
  };
  await Promise.all(Array.from({ length: callsInFlight }, worker));
}

/** Records of the stream of values that wait for the centre. */
async function waiting(client: Client): Promise<number> {
  const status = (await client.call("org.plantd.Sync", "status", {})) as {
    streams: Record<string, { waiting: number }>;
  };
  return status.streams.state?.waiting ?? 0;
}

interface Drain {
  readonly perSecond: number;
  readonly bytesPerPoint: number;
}

async function drainOurs(client: Client, meter: Meter, count: number): Promise<Drain> {
  await client.call("org.plantd.Sync", "pause", {});
  await writeBacklog(client, count);
  const before = meter.bytes;
  const from = clock.monotonicMs();
  await client.call("org.plantd.Sync", "resume", {});
  let left = 1;
  let sawBacklog = false;
  while (left > 0 || !sawBacklog) {
    await clock.sleep(5);
    left = await waiting(client);
    if (left > 0) sawBacklog = true;
    if (clock.monotonicMs() - from > patienceMs) throw new Error("the backlog did not drain");
  }
  const seconds = (clock.monotonicMs() - from) / 1000;
  return { perSecond: count / seconds, bytesPerPoint: (meter.bytes - before) / count };
}

async function drainPeer(peer: MqttClient, meter: Meter, count: number): Promise<Drain> {
  const before = meter.bytes;
  const from = clock.monotonicMs();
  const wall = clock.wallMs();
  const list = points(count);
  let next = 0;
  const worker = async () => {
    for (let at = next++; at < list.length; at = next++) {
      const text = JSON.stringify({ ...list[at], quality: "good", time: wall + at });
      await peer.publishAsync(`plantd/v1/${device}/up/bench`, text, { qos: 1 });
    }
  };
  await Promise.all(Array.from({ length: peerWindow }, worker));
  const seconds = (clock.monotonicMs() - from) / 1000;
  return { perSecond: count / seconds, bytesPerPoint: (meter.bytes - before) / count };
}

/** The peer comes in as the gateway does: by its certificate. */
async function connectPeer(context: BenchContext, site: Site, meter: Meter): Promise<MqttClient> {
  const folder = join(site.folder, "g", "identity");
  const peer = await connectAsync(`mqtts://127.0.0.1:${meter.port}`, {
    clientId: "bench-peer",
    protocolVersion: 5,
    reconnectPeriod: 0,
    ca: readFileSync(join(folder, "ca.pem")),
    cert: readFileSync(join(folder, "client.pem")),
    key: readFileSync(join(folder, "device.key")),
  });
  context.defer(() => peer.endAsync(true));
  return peer;
}

function fetchText(url: string, agent: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    get(url, { agent }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => resolve(Buffer.concat(chunks).toString()));
    }).on("error", reject);
  });
}

/** Milliseconds from the call that sets a value until the centre shows it, the link being idle. */
async function waitOurs(client: Client, site: Site, samples: number): Promise<number[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const times: number[] = [];
  for (let at = 0; at < samples; at += 1) {
    await clock.sleep(400);
    const value = 1_000_000 + at;
    number += 1;
    const from = clock.monotonicMs();
    await client.call("org.plantd.State", "set-many", {
      ...{ source: "bench-single", run: "1", number, flush: "now" },
      points: [{ scope: "bench", key: "single", value }],
    });
    for (;;) {
      const text = await fetchText(`${site.centreUrl}/api/v1/devices/${device}/values`, agent);
      if (text.includes(String(value))) break;
      if (clock.monotonicMs() - from > patienceMs) throw new Error("a value did not arrive");
    }
    times.push(clock.monotonicMs() - from);
  }
  agent.destroy();
  return times.sort((a, b) => a - b);
}

async function waitPeer(peer: MqttClient, samples: number): Promise<number[]> {
  const times: number[] = [];
  for (let at = 0; at < samples; at += 1) {
    await clock.sleep(20);
    const text = JSON.stringify(points(1)[0]);
    const from = clock.monotonicMs();
    await peer.publishAsync(`plantd/v1/${device}/up/bench`, text, { qos: 1 });
    times.push(clock.monotonicMs() - from);
  }
  return times.sort((a, b) => a - b);
}

/** Runs the bench. */
export async function run(context: BenchContext): Promise<readonly Row[]> {
  const { isQuick, say } = context;
  const [count, rounds, samples] = isQuick ? [20_000, 3, 8] : [100_000, 5, 40];
  let meter: Meter = { port: 0, bytes: 0 };
  say("Starting a gateway, mosquitto and a centre …");
  const site = await startSite({
    async relay(port) {
      meter = await startMeter(context, port);
      return meter.port;
    },
  });
  context.defer(() => site[Symbol.asyncDispose]());
  const client = await site.client();
  context.defer(() => client[Symbol.asyncDispose]());
  const peer = await connectPeer(context, site, meter);
  await write(client, perCall, "bench-first");
  await drained(site);
  const ours: Drain[] = [];
  const theirs: Drain[] = [];
  const waits: number[][] = [];
  const peerWaits: number[][] = [];
  for (let round = 1; round <= rounds; round += 1) {
    ours.push(await drainOurs(client, meter, count));
    theirs.push(await drainPeer(peer, meter, count));
    waits.push(await waitOurs(client, site, samples));
    peerWaits.push(await waitPeer(peer, samples * 5));
    say(`round ${round} of ${rounds}: ${Math.round(ours.at(-1)?.perSecond ?? 0)} points/s`);
  }
  const peerWords = "peer: a JSON message per point, QoS 1, acknowledged by the broker alone";
  const at = (share: number) => (all: readonly number[]) => quantile(all, share);
  const brokers = "a message to the broker and back, no centre and no disk";
  return [
    compare({
      job: `backlog of ${count} points, mutual TLS, committed and acknowledged; ${peerWords}`,
      ...{ unit: "points/s", goal: 1 },
      ours: ours.map(({ perSecond }) => perSecond),
      peer: theirs.map(({ perSecond }) => perSecond),
    }),
    compare({
      job: `bytes on the wire per point, TLS and acknowledgements included; ${peerWords}`,
      ...{ unit: "B", goal: 10, isLessBetter: true },
      ours: ours.map(({ bytesPerPoint }) => bytesPerPoint),
      peer: theirs.map(({ bytesPerPoint }) => bytesPerPoint),
    }),
    alone("change to commit at the centre, idle link, p50", "ms", waits.map(at(0.5))),
    alone("change to commit at the centre, idle link, p99", "ms", waits.map(at(0.99))),
    alone(`${brokers}, p50`, "ms", peerWaits.map(at(0.5))),
    alone(`${brokers}, p99`, "ms", peerWaits.map(at(0.99))),
  ];
}
