// A real store and a real centre with a real mosquitto over mutual TLS between them: what the
// store keeps is at the centre, whatever breaks. It must not know envelopes.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import {
  type Central,
  createDeviceCode,
  startCentral,
  writeMosquittoConfig,
} from "../../src/central/central.ts";
import type { Client } from "../../src/client/client.ts";
import { parseConfig } from "../../src/config/config.ts";
import { type Journal, openJournal } from "../../src/journal/journal.ts";
import { type State, startState } from "../../src/state/state.ts";
import { type Sync, startSync } from "../../src/sync/sync.ts";
import { systemClock as clock, readBootId } from "../../src/util/clock.ts";
import { openLog } from "../../src/util/log.ts";
import { findPaths, type Paths } from "../../src/util/paths.ts";
import { systemRandom as random } from "../../src/util/random.ts";
import { fakeBus } from "../fakes/bus.ts";
import { endChild, freePort, until } from "../fakes/patience.ts";

const said: string[] = [];
const log = openLog({ service: "test", level: "warn", write: (line) => said.push(line) });
const boot = readBootId();
const bus = fakeBus();
const version = "test";
const settings = {
  ...parseConfig("", {}).sync,
  batchRecordsMax: 100,
  batchAgeMs: 10,
  resendMs: 300,
  backoffBaseMs: 50,
  backoffCeilingMs: 300,
};
const storeSettings = { ...parseConfig("", {}).store, flushMaxMs: 0, mapMiB: 32 };
let folder: string;
let gateway: Paths;
let site: Paths;
let conf: string;
let broker: ChildProcess | undefined;
let central: Central;
let journal: Journal;
let state: State;
let sync: Sync;
let client: Client;
let number = 0;

async function openStore(): Promise<void> {
  const options = { ...storeSettings, folder: gateway.store, roomBytes: 32 * 1_048_576 };
  journal = await openJournal({ clock, random, log }, options);
  const deps = { clock, log, random, boot, journal };
  state = await startState(deps, { ...storeSettings, backups: gateway.backups });
  bus.serve(state.service, state.operations);
}

async function closeStore(): Promise<void> {
  await state[Symbol.asyncDispose]();
  await journal[Symbol.asyncDispose]();
}

async function openSync(): Promise<void> {
  sync = await startSync({ clock, log, random, boot, client, paths: gateway, version }, settings);
}

/** What JSON gave: any shape. */
type Parsed = ReturnType<typeof JSON.parse>;

async function ask(operation: string, args: unknown): Promise<Parsed> {
  bus.serve("org.plantd.Sync", sync.operations);
  return await client.call("org.plantd.Sync", operation, args);
}

/** Writes a row of values of one counter, `from` to `to`. */
async function write(from: number, to: number): Promise<void> {
  for (let value = from; value <= to; value += 1) {
    number += 1;
    const points = [{ scope: "device/meter", key: "counter", value }];
    const args = { source: "test", run: "1", number, flush: "now", points };
    await client.call("org.plantd.State", "set-many", args);
  }
}

async function get(path: string): Promise<Parsed> {
  const { request } = await import("undici");
  const { body } = await request(`${central.url}${path}`);
  return await body.json();
}

/** The counter's history at the centre, oldest first. */
async function arrived(): Promise<number[]> {
  const values: number[] = [];
  const path = "/api/v1/devices/gw-1/history?scope=device/meter&key=counter&limit=1000";
  let after = "";
  for (;;) {
    const { records, next } = await get(`${path}${after}`);
    values.push(...(records ?? []).map(({ value }: { value: number }) => value));
    if (next === undefined) return values;
    after = `&after=${next}`;
  }
}

/** Waits until the centre holds exactly the values from 1 to `last`, each once, in order. */
async function untilArrived(last: number): Promise<void> {
  const expected = Array.from({ length: last }, (_, at) => at + 1);
  let values: number[] = [];
  try {
    await until(`value ${last}`, async () => {
      values = await arrived();
      return values.length >= last;
    });
  } catch (error) {
    assert.fail(`${(error as Error).message}\n${values.length} values: ${values.slice(-5)}`);
  }
  assert.deepEqual(values, expected);
}

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "py-"));
  gateway = findPaths({ PLANTD_DATA_DIR: join(folder, "g") });
  site = findPaths({ PLANTD_DATA_DIR: join(folder, "c") });
  const port = await freePort();
  const mqtt = `mqtts://127.0.0.1:${port}`;
  conf = await writeMosquittoConfig(
    { clock, random, paths: site },
    { mqtt, publicMqtt: "" },
    { port, folder: join(folder, "m") },
  );
  broker = spawn("mosquitto", ["-c", conf], { stdio: "ignore" });
  const config = { ...parseConfig("", {}).central, mqtt, port: 0, mapMiB: 64 };
  central = await startCentral({ clock, log, random, paths: site, version }, config);
  client = bus.client();
  await openStore();
  await openSync();
});

after(async () => {
  await sync?.[Symbol.asyncDispose]();
  await closeStore();
  await central?.[Symbol.asyncDispose]();
  await endChild(broker);
  rmSync(folder, { recursive: true, force: true });
});

test("a gateway that was never enrolled waits, and says so", async () => {
  await write(1, 10);
  const status = await ask("status", {});
  assert.equal(status.enrolled, false);
  assert.equal(status.link, "down");
  await assert.rejects(ask("enroll", { url: central.url, code: "hello" }), {
    code: "ENROL_CODE_MALFORMED",
  });
});

test("an enrolled gateway brings what waited, and its key is for its owner alone", async () => {
  const { code } = await createDeviceCode(site, central.url, "gw-1");
  const answer = await ask("enroll", { url: central.url, code });
  assert.equal(answer.device, "gw-1");
  assert.equal(statSync(join(gateway.identity, "device.key")).mode & 0o777, 0o600);
  await untilArrived(10);
  await write(11, 300);
  await untilArrived(300);
  await until("everything is acknowledged", async () => {
    const { streams, link } = await ask("status", {});
    return link === "up" && streams.state.waiting === 0;
  });
});

test("an enrolled gateway keeps its identity, and its code, unless told to replace it", async () => {
  const { code } = await createDeviceCode(site, central.url, "gw-other");
  await assert.rejects(ask("enroll", { url: central.url, code }), {
    code: "NEEDS_CONSENT",
    message: /gw-1 at http/,
  });
  assert.equal((await ask("status", {})).device, "gw-1");
});

test("what was written while the broker was dead arrives after its return", async () => {
  await endChild(broker);
  await write(301, 500);
  broker = spawn("mosquitto", ["-c", conf], { stdio: "ignore" });
  await untilArrived(500);
});

test("a store that opens again under a running sync goes on in its new epoch", async () => {
  await closeStore();
  await openStore();
  await write(501, 600);
  await untilArrived(600);
});

test("sync that starts again goes on where the centre stands", async () => {
  await sync[Symbol.asyncDispose]();
  await write(601, 700);
  await openSync();
  await untilArrived(700);
  const { counters } = await ask("status", {});
  assert.ok(counters.records <= 200, `${counters.records} records were sent for 100`);
});

test("a pause lets the backlog grow, and its end drains it", async () => {
  await ask("pause", {});
  await write(701, 800);
  const { streams, paused } = await ask("status", {});
  assert.equal(paused, true);
  assert.ok(streams.state.waiting > 0);
  await ask("resume", {});
  await untilArrived(800);
});

test("a gateway told to replace its identity is the other device from then on", async () => {
  const { code } = await createDeviceCode(site, central.url, "gw-next");
  const answer = await ask("enroll", { url: central.url, code, replace: true });
  assert.equal(answer.device, "gw-next");
  await until("the link is up again", async () => (await ask("status", {})).link === "up");
  assert.equal((await ask("status", {})).device, "gw-next");
});
