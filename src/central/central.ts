// The centre: enrolment, ingest and its page in one process over one embedded store.
// The door of the room. It must not know gateways from inside.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { base64url, issueKeySet, type KeySet } from "../access/access.ts";
import type { Config } from "../config/config.ts";
import { openDisk } from "../disk/disk.ts";
import { postJson } from "../fetch/fetch.ts";
import { startUplink, type Uplink } from "../uplink/uplink.ts";
import { type Clock, readBootId, stampNow } from "../util/clock.ts";
import { keyId } from "../util/ed25519.ts";
import { PlantError } from "../util/errors.ts";
import type { Log } from "../util/log.ts";
import type { Paths } from "../util/paths.ts";
import type { Random } from "../util/random.ts";
import type { Running } from "../util/running.ts";
import { check, v } from "../util/shape.ts";
import { openDiskShelf } from "./disk-shelf.ts";
import { type DeviceCode, openEnrolment } from "./enrolment.ts";
import { createFacade } from "./facade.ts";
import { forgetDevice, openIngest } from "./ingest.ts";
import { startIntake } from "./intake.ts";
import { adminTokenPath, centralName, type KeyRoom, openKeyRoom } from "./key-room.ts";
import { type MosquittoPlacement, placeMosquitto } from "./mosquitto.ts";
import { pagePolicy } from "./page.ts";
import { centreIdChange, readCentreId } from "./rows.ts";
import { readThrough, type Shelf } from "./shelf.ts";
import { createWeb } from "./web.ts";
import { startWebServer } from "./web-server.ts";

export {
  type IngestCounter,
  type IngestEffect,
  type IngestInput,
  type IngestOptions,
  type IngestState,
  ingestStep,
  openIngest,
} from "./ingest.ts";
export type { MosquittoPlacement } from "./mosquitto.ts";
export type { Change, Row, RowRange, Shelf, ShelfReader } from "./shelf.ts";

export interface CentralDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  readonly paths: Paths;
  /** Version of this software. */
  readonly version: string;
}

/** A running centre. */
export interface Central extends Running {
  /** Address of its page and API. */
  readonly url: string;
  /** Its id, which gateways pin. */
  readonly id: string;
}

const subscriptions = [
  "$share/ingest/plantd/v1/+/up/s/#",
  "$share/ingest/plantd/v1/+/up/hello",
  "plantd/v1/+/up/on",
  "plantd/v1/+/up/twin",
  "plantd/v1/+/up/live",
];
const windowMax = 256;
const backoff = { baseMs: 500, ceilingMs: 10_000 };
const sessionSeconds = 3600;

/**
 * Starts the centre. It serves its page and enrols from the start and keeps trying to reach its
 * MQTT broker, whose certificates it makes.
 * @throws PlantError STORE_LOCKED, CENTRE_PORT_UNUSABLE.
 */
export async function startCentral(deps: CentralDeps, config: Config["central"]): Promise<Central> {
  const { clock, random, paths } = deps;
  const log = deps.log.within("central");
  await using opened = new AsyncDisposableStack();
  const keys = await openKeyRoom(keyRoomDeps(deps), hostsOf(config));
  const disk = opened.use(
    await openDisk({ folder: join(paths.central, "store"), roomBytes: config.mapMiB * 2 ** 20 }),
  );
  const shelf = openDiskShelf(disk);
  const id = await readOrMakeId(shelf, random);
  const keySet = makeKeySet(keys, id);
  const boot = readBootId();
  const now = () => stampNow(clock, boot, "ntp");

  const pending = new Map<string, Uint8Array | undefined>();
  const state = openIngest({
    reader: readThrough(shelf, pending),
    answers: { centre: id, signer: { key: keys.signing, kid: keyId(keys.signing.publicKey) } },
    heldBytesMax: config.heldBytesMax,
  });
  const listeners = new Set<() => void>();
  const announce = () => {
    for (const listener of listeners) listener();
  };
  const enrolment = openEnrolment({
    clock,
    random,
    log,
    shelf,
    keys,
    keySet,
    centre: id,
    mqtt: () => config.publicMqtt || config.mqtt,
    codeHours: config.codeHours,
    onEnrolled: (device) => {
      forgetDevice(state, device);
      announce();
    },
  });
  let uplink: Uplink | undefined;
  const intake = opened.use(
    startIntake({
      clock,
      log,
      shelf,
      state,
      pending,
      now,
      send: (topic, payload) => send(uplink, topic, payload),
      onChange: announce,
    }),
  );
  if (config.mqtt !== "") {
    uplink = opened.use(await startLink(deps, config.mqtt, keys));
    uplink.onMessage(({ topic, payload }) => {
      uplink?.confirm();
      return intake.take(topic, payload);
    });
  }
  const facade = createFacade({
    clock,
    state,
    enrolment,
    intake,
    keySet,
    version: deps.version,
    link: () => uplink?.state,
    dropped: () => uplink?.dropped ?? 0,
    disk: () => disk.stats(),
    announce,
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  });
  const hosts = new Set(["localhost", "127.0.0.1", "[::1]", config.host, ...config.hosts]);
  const { adminToken } = keys;
  const web = createWeb({ clock, log, facade, adminToken, hosts, pagePolicy });
  const server = opened.use(await startWebServer(web, config));
  log.info("the centre is up", { url: server.url, centre: id, mqtt: config.mqtt });
  const parts = opened.move();
  const { promise: ended, resolve: end } = Promise.withResolvers<Error | undefined>();
  for (const part of [intake, server, ...(uplink === undefined ? [] : [uplink])]) {
    part.ended.then(end, end);
  }
  return {
    url: server.url,
    id,
    ended,
    async [Symbol.asyncDispose]() {
      await parts.disposeAsync();
      end(undefined);
    },
  };
}

function keyRoomDeps(deps: Pick<CentralDeps, "clock" | "random" | "paths">) {
  return { clock: deps.clock, random: deps.random, folder: deps.paths.central };
}

async function send(uplink: Uplink | undefined, topic: string, payload: Uint8Array): Promise<void> {
  await uplink?.publish(topic, payload, { qos: 1, expirySeconds: 60 });
}

function startLink(deps: CentralDeps, url: string, keys: KeyRoom): Promise<Uplink> {
  const { authority, certificate, key } = keys.client;
  return startUplink(deps, {
    url,
    clientId: `${centralName}-${keyId(keys.signing.publicKey).slice(0, 8)}`,
    tls: { ca: authority, cert: certificate, key },
    sessionExpirySeconds: sessionSeconds,
    subscriptions,
    windowMax,
    backoff,
  });
}

async function readOrMakeId(shelf: Shelf, random: Random): Promise<string> {
  const known = readCentreId(shelf);
  if (known !== undefined) return known;
  const id = base64url(random.bytes(16));
  await shelf.commit([centreIdChange(id)]);
  return id;
}

/** The first key set; it says the same at every start, so its version stays. */
function makeKeySet(keys: KeyRoom, centre: string): KeySet {
  const key = base64url(keys.signing.publicKey);
  const uses = ["message" as const, "token" as const, "command" as const];
  return issueKeySet(
    { v: 1, version: 1, centre, issued: 0, keys: [{ key, uses }], revoked: [] },
    keys.root,
  );
}

/** Host names by which gateways and the centre reach the MQTT broker. */
function hostsOf(config: Pick<Config["central"], "mqtt" | "publicMqtt">): string[] {
  return [config.mqtt, config.publicMqtt].flatMap((address) => {
    const host = URL.parse(address)?.hostname.replace(/^\[|\]$/g, "");
    return host === undefined || host === "" ? [] : [host];
  });
}

/**
 * Writes what a stock mosquitto needs to stand before this centre into `folder`: `mosquitto.conf`,
 * `acl`, certificates. The keys of the centre are made when it has never started.
 * @returns the path of `mosquitto.conf`, for `mosquitto -c`.
 */
export async function writeMosquittoConfig(
  deps: Pick<CentralDeps, "clock" | "random" | "paths">,
  config: Pick<Config["central"], "mqtt" | "publicMqtt">,
  placement: MosquittoPlacement & { readonly folder: string },
): Promise<string> {
  const keys = await openKeyRoom(keyRoomDeps(deps), hostsOf(config));
  return placeMosquitto(placement.folder, placement, keys.mosquitto);
}

const codeAnswer = v.object({ device: v.string(), code: v.string(), expiresAt: v.number() });
const errorAnswer = v.object({
  error: v.object({ code: v.string(), message: v.string(), detail: v.optional(v.unknown()) }),
});

/**
 * Asks a running centre on this machine for a device and its one-time code.
 * @throws PlantError CENTRE_NOT_STARTED when there is no admin token; FETCH_FAILED; what the
 * centre answers, e.g. REQUEST_MALFORMED, NOT_ALLOWED; CENTRE_REFUSED for anything else.
 */
export async function createDeviceCode(
  paths: Pick<Paths, "central">,
  url: string,
  device: string,
): Promise<DeviceCode> {
  const token = readAdminToken(paths.central);
  const { status, body } = await postJson(
    `${url}/api/v1/devices`,
    { id: device },
    {
      timeoutMs: 10_000,
      maxBytes: 65_536,
      headers: { authorization: `Bearer ${token}` },
    },
  );
  if (status === 201) return check(codeAnswer, body);
  if (v.is(errorAnswer, body)) throw PlantError.fromWire(body.error as never);
  throw new PlantError("CENTRE_REFUSED", { url, status });
}

function readAdminToken(folder: string): string {
  try {
    return readFileSync(adminTokenPath(folder), "utf8").trim();
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new PlantError("CENTRE_NOT_STARTED", { folder, reason }, { cause: error });
  }
}
