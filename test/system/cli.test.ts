// `plant` as a process of its own against a real bus: what it prints, how it exits.
// It must not know how a command works.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { startBroker } from "../../src/broker/broker.ts";
import { parseConfig } from "../../src/config/config.ts";
import { systemClock as clock } from "../../src/util/clock.ts";
import { openLog } from "../../src/util/log.ts";
import { brokerEndpoint, findPaths } from "../../src/util/paths.ts";
import { systemRandom as random } from "../../src/util/random.ts";
import type { Running } from "../../src/util/running.ts";
import { startWorker } from "../../src/worker/worker.ts";
import { until } from "../fakes/patience.ts";
import { fakeParts, pointOf, stampAt } from "../fakes/plant-parts.ts";

const root = fileURLToPath(new URL("../..", import.meta.url)).replace(/\.build\/$/, "");
const built = join(root, ".build", "src", "main", "plant.js");
const main = existsSync(built) ? built : join(root, "src", "main", "plant.ts");
const folder = mkdtempSync(join(tmpdir(), "pc-"));
const log = openLog({ service: "test", level: "error", write: () => {} });
const parts = fakeParts();
const running: Running[] = [];
const children = new Set<ChildProcess>();
const limit = { timeout: 30_000 };

before(async () => {
  const endpoint = brokerEndpoint(findPaths({ PLANTD_DATA_DIR: folder }), "technician");
  const listeners = [{ principal: "technician", endpoint }];
  const config = { ...parseConfig("", {}).broker, listeners };
  running.push(await startBroker({ clock, log, random }, config));
  const served = {
    "org.plantd.State": parts.state,
    "org.plantd.Sync": parts.sync,
    "org.plantd.driver.rs485-1": parts.driver,
    "org.plantd.module.Echo": { echo: ({ args }: { args: unknown }) => args },
  };
  for (const [service, operations] of Object.entries(served)) {
    const settings = { endpoint, service, concurrency: 8 };
    running.unshift(await startWorker({ clock, log, random }, settings, operations));
  }
});

after(async () => {
  for (const child of children) child.kill("SIGKILL");
  for (const one of running) await one[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

function spawnPlant(words: readonly string[], data = folder): ChildProcess {
  const env = { ...process.env, PLANTD_DATA_DIR: data, PLANTD_RUN_DIR: join(data, "run") };
  const all = ["--disable-warning=ExperimentalWarning", main, ...words];
  const child = spawn(process.execPath, all, { env, stdio: ["pipe", "pipe", "pipe"] });
  children.add(child);
  child.once("exit", () => children.delete(child));
  return child;
}

interface Result {
  readonly exit: number | null;
  readonly out: string;
  readonly err: string;
}

async function collect(child: ChildProcess): Promise<Result> {
  let out = "";
  let err = "";
  child.stdout!.on("data", (chunk) => {
    out += String(chunk);
  });
  child.stderr!.on("data", (chunk) => {
    err += String(chunk);
  });
  const [exit] = (await once(child, "close")) as [number | null];
  return { exit, out, err };
}

const plant = (...words: string[]) => collect(spawnPlant(words));

test("plant status reads a whole gateway over the bus", limit, async () => {
  const { exit, out, err } = await plant("status", "--json");
  assert.equal(err, "");
  const status = JSON.parse(out);
  assert.equal(status.schema, "plant.status/1");
  assert.deepEqual(
    status.parts.map((part: { name: string; state: string }) => `${part.name} ${part.state}`),
    ["broker ok", "store ok", "sync ok", "driver:rs485-1 ok"],
  );
  assert.equal(exit, 0);
});

test("plant echo, values and set go through the bus and back", limit, async () => {
  const echoed = await plant("echo", "grüezi", "--count", "2");
  assert.match(echoed.out, /^reply {2}1 .*\nreply {2}2 .*\n2 sent · 0 lost · min/, echoed.err);
  const values = await plant("values", "meter-1");
  assert.match(values.out, /meter-1\/voltage +230\.2 {2}V/);
  const set = await plant("set", "meter-1/limit", "-5.5", "--json");
  assert.equal(JSON.parse(set.out).value, -5.5, set.err);
});

test("no broker: exit 7 with the next step, in words and in JSON", limit, async () => {
  const nowhere = join(folder, "nowhere");
  const words = await collect(spawnPlant(["values"], nowhere));
  assert.equal(words.exit, 7);
  assert.equal(words.out, "");
  assert.match(words.err, /next {4}plantd run/);
  const json = await collect(spawnPlant(["values", "--json"], nowhere));
  assert.equal(json.exit, 7);
  assert.equal(JSON.parse(json.out).code, "BROKER_UNREACHABLE");
});

test("an endpoint where nobody listens is exit 7 too", limit, async () => {
  const { exit, err } = await plant("outbox", "--endpoint", "tcp://127.0.0.1:1");
  assert.equal(exit, 7, err);
});

test("an endpoint that cannot be one is a usage error", limit, async () => {
  const { exit, err } = await plant("outbox", "--endpoint", "nonsense");
  assert.match(err, /ENDPOINT_UNUSABLE/);
  assert.notEqual(exit, 0);
});

test("Ctrl-C ends watching with 130, and what was printed stays", limit, async () => {
  const child = spawnPlant(["values", "--changed", "--json"]);
  const result = collect(child);
  const told = once(child.stderr!, "data");
  await told;
  let revision = 50;
  const heard = once(child.stdout!, "data");
  let isHeard = false;
  void heard.then(() => {
    isHeard = true;
  });
  await until("a point is told", () => {
    revision += 1;
    parts.publish(pointOf("voltage", revision, { revision, time: stampAt(clock.wallMs()) }));
    return isHeard;
  });
  child.kill("SIGINT");
  const { exit, out } = await result;
  assert.equal(exit, 130);
  assert.equal(JSON.parse(out.split("\n")[0] ?? "").schema, "plant.point/1");
});

test("a reader that goes away is no crash", limit, async () => {
  const child = spawnPlant(["values", "--watch=100ms", "--for", "20s"]);
  let err = "";
  child.stderr!.on("data", (chunk) => {
    err += String(chunk);
  });
  child.stdout!.once("data", () => child.stdout!.destroy());
  const [, signal] = (await once(child, "exit")) as [number | null, string | null];
  assert.equal(signal, null);
  assert.ok(!err.includes("EPIPE"), err);
});

test("a wrong configuration is shown flaw by flaw, with exit 9", limit, async () => {
  const file = join(folder, "wrong.yaml");
  writeFileSync(file, "http:\n  prot: 1\nlog:\n  level: loud\n");
  const { exit, out } = await plant("config", "check", file);
  assert.equal(exit, 9);
  assert.match(out, /wrong\.yaml:2:3 http\.prot.*\n.*wrong\.yaml:4:3 log\.level/);
});

test("the code of an enrolment may come from standard input", limit, async () => {
  const child = spawnPlant(["enroll", "https://hub.example", "-"]);
  child.stdin!.end("SECRET-CODE\n");
  const { exit, out } = await collect(child);
  assert.equal(exit, 0);
  assert.match(out, /enrolled as gw-0417 at hub/);
});

test("a passphrase is not asked where there is no terminal", limit, async () => {
  const { exit, err } = await plant("backup", "create");
  assert.equal(exit, 2);
  assert.match(err, /--passphrase-file/);
});
