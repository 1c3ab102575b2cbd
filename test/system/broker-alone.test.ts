// The broker as a process of its own, with an echo service, a page and `plant` beside it, each
// allowed what it needs and no more. It must not know how any of them works.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Client, startClient } from "../../src/client/client.ts";
import { askPage } from "../../src/main/local-page.ts";
import { askBroker, askQueue } from "../../src/status/status.ts";
import { systemClock as clock } from "../../src/util/clock.ts";
import { PlantError } from "../../src/util/errors.ts";
import { openLog } from "../../src/util/log.ts";
import { brokerEndpoint, findPaths } from "../../src/util/paths.ts";
import { systemRandom as random } from "../../src/util/random.ts";
import { startWorker } from "../../src/worker/worker.ts";
import { until } from "../fakes/patience.ts";
import { endAll, mainPath, type Spawned, start } from "../fakes/process.ts";
import { readMetrics } from "../fakes/prometheus.ts";

const data = mkdtempSync(join(tmpdir(), "pb-"));
const paths = findPaths({ PLANTD_DATA_DIR: data, PLANTD_RUN_DIR: join(data, "run") });
const log = openLog({ service: "test", level: "error", write: () => {} });
const limit = { timeout: 30_000 };
const echo = "org.plantd.module.Echo";
let page = "";
let echoes: Spawned;

const yaml = `
http: { port: 0 }
access:
  principals:
    guest:
      serve: [com.example.Pump]
      call: [${echo}.echo, com.example.*.state]
    http: { call: [default, com.example.Pump.state] }
broker:
  services:
    com.example.*: { queueMax: 1, busyTimeoutMs: 5000 }
`;

before(async () => {
  mkdirSync(data, { recursive: true });
  writeFileSync(join(data, "plantd.yaml"), yaml);
  await ready(run("broker"));
  echoes = run("echo");
  const pages = run("http");
  await ready(echoes);
  await ready(pages);
  page = /"url":"(http:[^"]+)"/.exec(pages.said())?.[1] ?? "";
});

after(() => {
  endAll();
  rmSync(data, { recursive: true, force: true });
});

function run(part: string): Spawned {
  return start(mainPath("plantd"), ["run", part, "--data-dir", data]);
}

async function ready(process: Spawned): Promise<void> {
  assert.ok(await process.until('"message":"ready"'), process.said());
}

function spawnPlant(...words: string[]): Spawned {
  const env = { PLANTD_DATA_DIR: data, PLANTD_RUN_DIR: paths.run };
  return start(mainPath("plant"), words, { env });
}

/** What a command printed to standard output, and how it ended. */
async function plant(...words: string[]) {
  const command = spawnPlant(...words);
  const exit = await command.ended();
  return { exit, out: command.said().replace(command.errors(), ""), err: command.errors() };
}

function clientOf(principal: string): Promise<Client> {
  const endpoint = brokerEndpoint(paths, principal);
  return startClient({ clock, random, log }, { endpoint, deadlineMs: 5000 });
}

async function codeOf(answer: Promise<unknown>): Promise<string> {
  return answer.then(
    () => "",
    (error: unknown) => (error instanceof PlantError ? error.code : `${error}`),
  );
}

async function metrics() {
  const { text } = await askPage({ url: `${page}metrics`, signal: AbortSignal.timeout(5000) });
  return readMetrics(text);
}

test("plant broker shows who serves what, in words and in JSON", limit, async () => {
  const services = await plant("broker", "services");
  assert.equal(services.exit, 0, services.err);
  assert.match(services.out, /^org\.plantd\.module\.Echo +1 /m);
  const workers = await plant("broker", "workers", "--json");
  const [worker] = JSON.parse(workers.out).workers;
  assert.deepEqual([worker.service, worker.principal, worker.dialect], [echo, "driver", "plant"]);
  const queue = await plant("broker", "queue", "--json");
  // Log lines and the page wait for the store, which does not run here.
  const forsaken = JSON.parse(queue.out).services as { service: string; workers: number }[];
  assert.ok(!forsaken.some(({ service }) => service === echo), queue.out);
  assert.equal(queue.exit, forsaken.length > 0 ? 1 : 0);
  assert.match((await plant("broker", "queue")).out, /^\d+ waiting · \d+ at work\n/);
});

test("plant echo and plant broker ping measure the way", limit, async () => {
  const words = ["echo", "--size", "100000", "--count", "20", "--interval", "0", "--json"];
  const { exit, out, err } = await plant(...words);
  assert.equal(exit, 0, err);
  const lines = out.trim().split("\n");
  assert.equal(lines.length, 21);
  const { sent, lost, minMs, medianMs, p99Ms } = JSON.parse(lines.at(-1) ?? "");
  assert.deepEqual([sent, lost], [20, 0]);
  assert.ok(0 < minMs && minMs <= medianMs && medianMs <= p99Ms);
  const ping = await plant("broker", "ping", "--count", "2");
  assert.equal(ping.exit, 0, ping.err);
  assert.match(ping.out, /^reply {2}1 .* ms\nreply {2}2 .* ms\n2 sent · 0 lost · min .*\n$/);
});

test("metrics of the bus are there with nothing but broker and page", limit, async () => {
  await plant("echo", "--count", "3", "--interval", "0");
  const { flaws, value } = await metrics();
  assert.deepEqual(flaws, []);
  const of = { service: echo };
  const replies = value("plantd_broker_service_replies_total", of) ?? 0;
  assert.ok(replies >= 3, `${replies}`);
  assert.equal(value("plantd_broker_service_answer_seconds_count", of), replies);
  assert.ok((value("plantd_broker_service_answer_seconds_sum", of) ?? 0) > 0);
  assert.equal(value("plantd_broker_service_workers", of), 1);
  assert.ok((value("plantd_broker_connections") ?? 0) >= 2);
  assert.ok((value("plantd_broker_wire_bytes_total", { direction: "in" }) ?? 0) > 0);
});

test("interrupted, plant echo still sums up", limit, async () => {
  const child = spawnPlant("echo", "--count", "100000", "--interval", "20ms");
  assert.ok(await child.until(/^reply {2}2 /m), child.said());
  child.signal("SIGINT");
  assert.equal(await child.ended(), 130);
  assert.match(child.said(), /^\d+ sent · 0 lost · min .* · p99 .*$/m);
});

test(
  "a principal of the configuration may do what is written, operation by operation",
  limit,
  async () => {
    await using guest = await clientOf("guest");
    assert.deepEqual(await guest.call(echo, "echo", { text: "x" }), { text: "x" });
    assert.equal(await codeOf(guest.call(echo, "health", {})), "DENIED");
    assert.equal(await codeOf(guest.call("org.plantd.State", "get", {})), "DENIED");
    const endpoint = brokerEndpoint(paths, "guest");
    const settings = { endpoint, service: "com.example.Pump", concurrency: 1 };
    const operations = { state: () => "on", start: () => "started" };
    await using _ = await startWorker({ clock, random, log }, settings, operations);
    await using technician = await clientOf("technician");
    await using admin = await clientOf("admin");
    await using http = await clientOf("http");
    for (const client of [guest, admin, http]) {
      assert.equal(await client.call("com.example.Pump", "state", {}), "on");
    }
    assert.equal(await admin.call("com.example.Pump", "start", {}), "started");
    for (const client of [guest, http, technician]) {
      assert.equal(await codeOf(client.call("com.example.Pump", "start", {})), "DENIED");
    }
  },
);

test("what a service has of its own is what the broker goes by", limit, async () => {
  const endpoint = brokerEndpoint(paths, "guest");
  const settings = { endpoint, service: "com.example.Pump", concurrency: 1 };
  const never = () => new Promise(() => {});
  await using _ = await startWorker({ clock, random, log }, settings, { state: never });
  await using guest = await clientOf("guest");
  const served = async () => (await askQueue(guest, { deadlineMs: 5000 })).services;
  const { policy } = await until("the worker is registered", async () =>
    (await served()).find(({ service, workers }) => service === "com.example.Pump" && workers > 0),
  );
  assert.deepEqual([policy.queueMax, policy.retry], [1, "never"]);
  const ask = () => codeOf(guest.call("com.example.Pump", "state", {}, { deadlineMs: 1000 }));
  const codes = await Promise.all([ask(), ask(), ask()]);
  assert.ok(
    codes.some((code) => code === "QUEUE_FULL"),
    codes.join(" "),
  );
});

test("what is denied is counted, told by plant, and shown in the metrics", limit, async () => {
  await using guest = await clientOf("guest");
  const deniedNow = async () => (await askBroker(guest, { deadlineMs: 5000 })).refused.denied ?? 0;
  const before = await deniedNow();
  assert.equal(await codeOf(guest.call("org.plantd.Sync", "enroll", {})), "DENIED");
  const count = await deniedNow();
  assert.equal(count, before + 1);
  assert.equal((await metrics()).value("plantd_broker_refused_total", { reason: "denied" }), count);
  assert.match((await plant("broker", "queue")).out, new RegExp(`^REFUSED .*denied ${count}`, "m"));
});

test("a service nobody may serve has no worker, however often it registers", limit, async () => {
  const endpoint = brokerEndpoint(paths, "guest");
  const settings = { endpoint, service: "org.plantd.State", concurrency: 1 };
  await using _ = await startWorker({ clock, random, log }, settings, { get: () => "forged" });
  await using admin = await clientOf("admin");
  const asked = admin.call("org.plantd.State", "get", {}, { deadlineMs: 500 });
  assert.match(await codeOf(asked), /NO_SERVICE|TIME_RAN_OUT/);
  const { out } = await plant("broker", "workers");
  assert.doesNotMatch(out, /org\.plantd\.State/);
});

test(
  "an echo service that stands still is a loss; nobody there is told at once",
  limit,
  async () => {
    echoes.signal("SIGSTOP");
    const still = await plant("echo", "--count", "2", "--interval", "0", "--timeout", "300ms");
    echoes.signal("SIGCONT");
    assert.equal(still.exit, 1, still.err);
    assert.match(still.out, /^lost {3}1 .*\nlost {3}2 .*\n2 sent · 2 lost \(100 %\)\n$/);
    const again = await plant("echo", "--count", "1");
    assert.equal(again.exit, 0, again.out);
    const gone = await plant("echo", "--service", "com.example.Gone");
    assert.equal(gone.exit, 7);
    assert.match(gone.err, /NO_SERVICE/);
  },
);

test("broker and echo service start in one process at the same moment", limit, async () => {
  const other = join(data, "o");
  const both = start(mainPath("plantd"), ["run", "broker", "echo", "--data-dir", other]);
  await ready(both);
  const env = { PLANTD_DATA_DIR: other };
  const words = ["echo", "--count", "1"];
  const served = async () => (await start(mainPath("plant"), words, { env }).ended()) === 0;
  let isServed = await served();
  for (let round = 0; round < 20 && !isServed; round += 1) isServed = await served();
  assert.ok(isServed, both.said());
  both.signal("SIGTERM");
  assert.equal(await both.ended(), 0);
});

test("without a broker there is exit 7 and the next step", limit, async () => {
  const env = { PLANTD_DATA_DIR: join(data, "other") };
  const command = start(mainPath("plant"), ["broker", "services"], { env });
  assert.equal(await command.ended(), 7);
  assert.match(command.errors(), /next {4}plantd run/);
});
