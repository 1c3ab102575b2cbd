// The centre with a real mosquitto over mutual TLS: enrolment, ingest, rights, death and return.
// It must not know the centre's rows.
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  codeSecret,
  type EnrolmentAnswer,
  makeRequest,
  openAnswer,
  openKeySet,
  parseCode,
} from "../../src/access/access.ts";
import type { BatchRecord, LineageEntry } from "../../src/batch/batch.ts";
import { createDeviceCode, writeMosquittoConfig } from "../../src/central/central.ts";
import { postJson } from "../../src/fetch/fetch.ts";
import { startUplink, type Uplink } from "../../src/uplink/uplink.ts";
import { systemClock as clock } from "../../src/util/clock.ts";
import { pemOf } from "../../src/util/ed25519.ts";
import { openLog } from "../../src/util/log.ts";
import { findPaths, type Paths } from "../../src/util/paths.ts";
import { systemRandom as random } from "../../src/util/random.ts";
import {
  defineRecord,
  epochId,
  type FakeGateway,
  fakeGateway,
  type Heard,
  hear,
  pointRecord,
} from "../fakes/gateway.ts";
import { endChild, freePort, until } from "../fakes/patience.ts";

const waitMs = 20_000;
const partPath = fileURLToPath(new URL("central-part.ts", import.meta.url)).replace(
  /\.ts$/,
  import.meta.url.endsWith(".ts") ? ".ts" : ".js",
);
const log = openLog({ service: "test", level: "error", write: () => {} });

let folder: string;
let paths: Paths;
let mqtt: string;
let webPort: number;
let url: string;
let mosquittoConf: string;
let mosquitto: ChildProcess | undefined;
let central: ChildProcess | undefined;
const said: string[] = [];

async function startPart(): Promise<void> {
  const words = JSON.stringify({ data: paths.data, mqtt, port: webPort });
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", partPath, words]);
  central = child;
  let heard = "";
  child.stdout.on("data", (chunk: Buffer) => {
    heard += chunk.toString();
    said.push(chunk.toString());
  });
  child.stderr.on("data", (chunk: Buffer) => said.push(chunk.toString()));
  url = await until("the centre starts", () => /ready (\S+)/.exec(heard)?.[1], {
    seen: () => said.join(""),
  });
}

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

/** A question by the system's own client of HTTP. */
async function get(path: string): Promise<Answer> {
  const { request } = await import("node:http");
  return new Promise((resolve, reject) => {
    const asked = request(`${url}${path}`, (answer) => {
      let text = "";
      answer.on("data", (chunk: Buffer) => {
        text += chunk.toString();
      });
      answer.on("end", () => {
        resolve({
          status: answer.statusCode ?? 0,
          body: text.startsWith("{") ? JSON.parse(text) : { text },
        });
      });
    });
    asked.on("error", reject);
    asked.end();
  });
}

const isReady = async () => {
  try {
    return (await get("/readyz")).status === 200 ? true : undefined;
  } catch {
    return undefined;
  }
};

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "pc-"));
  paths = findPaths({ PLANTD_DATA_DIR: join(folder, "d") });
  const port = await freePort();
  webPort = await freePort();
  mqtt = `mqtts://127.0.0.1:${port}`;
  mosquittoConf = await writeMosquittoConfig(
    { clock, random, paths },
    { mqtt, publicMqtt: "" },
    { port, folder: join(folder, "m") },
  );
  // The centre first, its broker later: it keeps trying.
  await startPart();
  assert.equal((await get("/readyz")).status, 503);
  mosquitto = spawn("mosquitto", ["-c", mosquittoConf]);
  mosquitto.stderr?.on("data", (chunk: Buffer) => said.push(chunk.toString()));
  await until("the centre finds its broker", isReady);
});

after(async () => {
  for (const uplink of uplinks) await uplink[Symbol.asyncDispose]();
  await endChild(central, "SIGTERM");
  await endChild(mosquitto, "SIGTERM");
  rmSync(folder, { recursive: true, force: true });
});

const uplinks: Uplink[] = [];

interface Enrolled {
  readonly gateway: FakeGateway;
  readonly answer: EnrolmentAnswer;
}

async function enrol(id: string): Promise<Enrolled> {
  const { code } = await createDeviceCode(paths, url, id);
  const gateway = fakeGateway(id);
  const secret = codeSecret(parseCode(code));
  const facts = { serial: id, version: "1", nonce: random.bytes(16) };
  const signed = makeRequest(facts, gateway.key, secret);
  const { status, body } = await postJson(`${url}/api/v1/enrol`, signed, {
    timeoutMs: waitMs,
    maxBytes: 1_000_000,
  });
  assert.equal(status, 200);
  return { gateway, answer: openAnswer(body, signed, secret) };
}

interface Station extends Enrolled {
  readonly uplink: Uplink;
  readonly heard: Heard[];
  readonly topics: string[];
  greet(lineage: readonly LineageEntry[]): Promise<Extract<Heard, { type: "welcome" }>>;
}

async function connect(enrolled: Enrolled, more: readonly string[] = []): Promise<Station> {
  const { gateway, answer } = enrolled;
  const root = new Uint8Array(Buffer.from(answer.root, "base64url"));
  const [key] = openKeySet(answer.keySet, root, 1).content.keys;
  const centreKey = new Uint8Array(Buffer.from(key!.key, "base64url"));
  const uplink = await startUplink(
    { clock, log, random },
    {
      url: answer.endpoints.mqtt,
      clientId: gateway.id,
      tls: { ca: answer.ca, cert: answer.clientCert, key: pemOf(gateway.key) },
      subscriptions: [`plantd/v1/${gateway.id}/down/#`, ...more],
      windowMax: 32,
      backoff: { baseMs: 50, ceilingMs: 500 },
    },
  );
  uplinks.push(uplink);
  const heard: Heard[] = [];
  const topics: string[] = [];
  uplink.onMessage(({ topic, payload }) => {
    topics.push(topic);
    if (topic.startsWith(`plantd/v1/${gateway.id}/`)) heard.push(hear(payload, centreKey));
  });
  await until(`${gateway.id} connects`, () => uplink.state.status === "up" || undefined);
  return {
    ...enrolled,
    uplink,
    heard,
    topics,
    async greet(lineage) {
      const seen = heard.length;
      const { topic, payload } = gateway.hello(lineage);
      let asked = Number.NEGATIVE_INFINITY;
      return until("a welcome comes", async () => {
        const welcome = heard.slice(seen).find(({ type }) => type === "welcome");
        if (welcome?.type === "welcome") {
          Object.assign(gateway.generations, welcome.generations);
          return welcome;
        }
        if (clock.monotonicMs() - asked > 2000) {
          asked = clock.monotonicMs();
          await uplink.publish(topic, payload, { qos: 1 });
        }
        return undefined;
      });
    },
  };
}

const epoch = epochId("a");
const lineage = [{ epoch, parent: null, cuts: {} }];
const ackedTo = (station: Station) =>
  Math.max(0, ...station.heard.map((each) => (each.type === "ack" ? each.sequence : 0)));

async function send(station: Station, records: readonly BatchRecord[]): Promise<void> {
  const { topic, payload } = station.gateway.batch({ epoch }, records);
  await station.uplink.publish(topic, payload, { qos: 1 });
}

async function readLedger(id: string): Promise<{ sequence: number; value: unknown }[]> {
  const told: { sequence: number; value: unknown }[] = [];
  let after: unknown;
  do {
    const cursor = after === undefined ? "" : `&after=${String(after)}`;
    const { body } = await get(`/api/v1/devices/${id}/history?limit=1000${cursor}`);
    told.push(...(body.records as { sequence: number; value: unknown }[]));
    after = body.next;
  } while (after !== undefined);
  return told;
}

test("a gateway enrols, greets, sends, and is acknowledged after the commit", async () => {
  const station = await connect(await enrol("gw-1"));
  await station.greet(lineage);
  await send(station, [defineRecord(1, 0, "level"), pointRecord(2, 0, 41), pointRecord(3, 0, 42)]);
  await until("an acknowledgement comes", () => ackedTo(station) === 3 || undefined);
  const { body } = await get("/api/v1/devices/gw-1/values");
  assert.partialDeepStrictEqual(body.values, [{ key: "level", value: 42, sequence: 3, epoch }]);
  const page = String((await get("/")).body.text);
  assert.ok(page.includes("gw-1") && page.includes("42"));
});

test("openssl agrees with every certificate", async () => {
  const { answer } = await enrol("gw-ssl");
  const ca = join(paths.central, "tls", "ca.crt");
  const device = join(folder, "device.crt");
  writeFileSync(device, answer.clientCert);
  const verify = (...words: string[]) => {
    const { status, stderr } = spawnSync("openssl", [
      "verify",
      "-x509_strict",
      "-CAfile",
      ca,
      ...words,
    ]);
    assert.equal(status, 0, stderr.toString());
  };
  verify("-purpose", "sslclient", device);
  verify("-purpose", "sslclient", join(paths.central, "tls", "client.crt"));
  const server = join(paths.central, "tls", "server.crt");
  verify(
    "-purpose",
    "sslserver",
    "-verify_ip",
    "127.0.0.1",
    "-verify_hostname",
    "localhost",
    server,
  );
  const wrong = spawnSync("openssl", ["verify", "-CAfile", ca, "-purpose", "sslserver", device]);
  assert.notEqual(wrong.status, 0, "a device's certificate is no server's");
});

test("a device can neither write nor read another's topics", async () => {
  const victim = await connect(await enrol("gw-v"));
  const thief = await connect(await enrol("gw-t"), ["plantd/v1/gw-v/#", "plantd/v1/+/up/#"]);
  const forged = victim.gateway.hello(lineage);
  await assert.rejects(thief.uplink.publish(forged.topic, forged.payload, { qos: 1 }), {
    code: "LINK_REFUSED",
  });
  await victim.greet(lineage);
  await thief.greet(lineage);
  assert.deepEqual(
    thief.topics.filter((topic) => !topic.startsWith("plantd/v1/gw-t/down/")),
    [],
  );
});

test("without a certificate of the authority nobody gets in", async () => {
  const { answer } = await enrol("gw-x");
  const stranger = await startUplink(
    { clock, log, random },
    {
      url: mqtt,
      clientId: "stranger",
      tls: { ca: answer.ca },
      subscriptions: [],
      windowMax: 1,
      backoff: { baseMs: 50, ceilingMs: 50 },
    },
  );
  uplinks.push(stranger);
  await until("it is refused", () => stranger.state.reason !== undefined || undefined);
  assert.notEqual(stranger.state.status, "up");
});

test("killed between commits the centre loses nothing that it acknowledged", async () => {
  const station = await connect(await enrol("gw-k"));
  await station.greet(lineage);
  const total = 3000;
  const record = (sequence: number) =>
    sequence === 1 ? defineRecord(1, 0, "count") : pointRecord(sequence, 0, sequence);
  let sent = 0;
  let kills = 0;
  while (ackedTo(station) < total) {
    while (sent < total && sent < ackedTo(station) + 400) {
      const upTo = Math.min(total, sent + 20);
      const batch = Array.from({ length: upTo - sent }, (_, at) => record(sent + 1 + at));
      await send(station, batch);
      sent = upTo;
    }
    const before = ackedTo(station);
    if (kills < 3 && before > kills * 700 + 100) {
      kills += 1;
      await endChild(central, "SIGKILL");
      const acked = ackedTo(station);
      await startPart();
      await until("the centre is back", isReady);
      const ledger = await readLedger("gw-k");
      assert.ok(ledger.length >= acked, `${ledger.length} records for ${acked} acknowledged`);
      const welcome = await station.greet(lineage);
      sent = welcome.positions[epoch]?.state ?? 0;
      assert.equal(sent, ledger.length);
      continue;
    }
    await until("an acknowledgement comes", () => ackedTo(station) > before || undefined);
  }
  assert.equal(kills, 3);
  const ledger = await readLedger("gw-k");
  assert.deepEqual(
    ledger.map(({ sequence }) => sequence),
    Array.from({ length: total }, (_, at) => at + 1),
  );
  assert.ok(ledger.every(({ sequence, value }) => sequence === 1 || value === sequence));
});

test("a broker that forgets everything costs nothing: the gateway greets and goes on", async () => {
  const station = await connect(await enrol("gw-b"));
  await station.greet(lineage);
  await send(station, [defineRecord(1, 0, "level"), pointRecord(2, 0, 1)]);
  await until("an acknowledgement comes", () => ackedTo(station) === 2 || undefined);
  await endChild(mosquitto, "SIGKILL");
  rmSync(join(folder, "m", "data"), { recursive: true });
  await writeMosquittoConfig(
    { clock, random, paths },
    { mqtt, publicMqtt: "" },
    { port: Number(URL.parse(mqtt)?.port), folder: join(folder, "m") },
  );
  await until("the link breaks", () => station.uplink.state.status !== "up" || undefined);
  mosquitto = spawn("mosquitto", ["-c", mosquittoConf]);
  await until("the centre finds its broker", isReady);
  await until("the gateway finds it", () => station.uplink.state.status === "up" || undefined);
  const welcome = await station.greet(lineage);
  assert.deepEqual(welcome.positions[epoch], { state: 2 });
  await send(station, [pointRecord(3, 0, 2)]);
  await until("an acknowledgement comes", () => ackedTo(station) === 3 || undefined);
});

test("the admin token is asked for, and a wrong code is refused without a hint", async () => {
  const strangers = { central: join(folder, "nowhere") };
  await assert.rejects(createDeviceCode(strangers, url, "gw-2"), { code: "CENTRE_NOT_STARTED" });
  await assert.rejects(createDeviceCode(paths, url, "a/b"), { code: "REQUEST_MALFORMED" });
  const { status } = await postJson(
    `${url}/api/v1/devices`,
    { id: "gw-2" },
    { timeoutMs: waitMs, maxBytes: 10_000 },
  );
  assert.equal(status, 401);
});
