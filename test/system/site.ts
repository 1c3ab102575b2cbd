// A whole site of real processes for tests: centre, mosquitto, and a gateway with one process per
// part, restarted when they die. It must not know what a test does to them.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Client, startClient } from "../../src/client/client.ts";
import { systemClock } from "../../src/util/clock.ts";
import { openLog } from "../../src/util/log.ts";
import { brokerEndpoint, findPaths } from "../../src/util/paths.ts";
import { systemRandom } from "../../src/util/random.ts";
import { freePort, until } from "../fakes/patience.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
/** What units and image run. */
const built = join(root, root.endsWith("/.build/") ? "" : ".build", "src", "main");

/** What the units pass to Node. */
export const nodeFlags = ["--expose-gc", "--max-semi-space-size=1"];
/** What the store's unit passes instead. */
export const storeFlags = [...nodeFlags, "--heap-growing-percent=30"];
/** What the broker's unit passes instead. */
export const brokerFlags = [
  "--expose-gc",
  "--max-semi-space-size=4",
  "--no-parallel-scavenge",
  "--heap-growing-percent=30",
];

const flagsOf: Readonly<Record<string, readonly string[]>> = {
  broker: brokerFlags,
  store: storeFlags,
};

/** A supervised process. */
interface Unit {
  readonly name: string;
  readonly words: readonly string[];
  child: ChildProcess | undefined;
  /** Whether it is started again when it ends. */
  isWanted: boolean;
}

export interface Site extends AsyncDisposable {
  readonly folder: string;
  readonly centreUrl: string;
  /** The gateway's own page. */
  readonly pageUrl: string;
  /** Units that can be killed, mosquitto among them. */
  readonly names: readonly string[];
  /** Process id of a unit; undefined while it is not running. */
  pidOf(name: string): number | undefined;
  /** kill -9; the unit starts again by itself unless `stay` is given. */
  kill(name: string, options?: { readonly stay: boolean }): Promise<void>;
  /** Starts a unit that was killed with `stay`. */
  revive(name: string): void;
  /** A client of the gateway's broker, as a technician's. */
  client(): Promise<Client>;
  /** Runs `plant` and returns its standard output; fails the test on another exit code. */
  plant(...words: string[]): string;
  /** JSON from the centre's REST API. */
  fetchJson(path: string): Promise<unknown>;
  /** The end of a unit's log, for messages of failing tests. */
  logOf(name: string): string;
}

export interface SiteOptions {
  /** YAML of the gateway; defaults when absent. */
  readonly config?: string;
  /** Modbus profiles beside the configuration, by name. */
  readonly profiles?: Readonly<Record<string, string>>;
  /** Driver lines of that YAML to start, by name. */
  readonly lines?: readonly string[];
  /** Joins a port of its own with mosquitto's, and returns it: where the gateway will connect. */
  readonly relay?: (port: number) => Promise<number>;
}

/** Starts everything and enrols the gateway; returns when the link is up. */
export async function startSite(options: SiteOptions = {}): Promise<Site> {
  const folder = mkdtempSync(join(tmpdir(), "pl-"));
  const [http, centre, mqtt] = [await freePort(), await freePort(), await freePort()];
  const gatewayData = join(folder, "g");
  const centreData = join(folder, "c");
  mkdirSync(gatewayData);
  mkdirSync(centreData);
  writeFileSync(join(gatewayData, "plantd.yaml"), options.config ?? "");
  const profiles = join(gatewayData, "profiles", "modbus");
  mkdirSync(profiles, { recursive: true });
  for (const [id, text] of Object.entries(options.profiles ?? {})) {
    writeFileSync(join(profiles, `${id}.yaml`), text);
  }
  const gatewayEnv = {
    ...process.env,
    PLANTD_DATA_DIR: gatewayData,
    PLANTD_HTTP_PORT: `${http}`,
    PLANTD_SYNC_BACKOFF_BASE_MS: "100",
    PLANTD_SYNC_BACKOFF_CEILING_MS: "1000",
  };
  const uplink = await (options.relay?.(mqtt) ?? mqtt);
  const centreEnv = {
    ...process.env,
    PLANTD_CENTRAL_PUBLIC_MQTT: `mqtts://127.0.0.1:${uplink}`,
    PLANTD_DATA_DIR: centreData,
    PLANTD_CENTRAL_PORT: `${centre}`,
    PLANTD_CENTRAL_MQTT: `mqtts://127.0.0.1:${mqtt}`,
  };
  const main = join(built, "plantd.js");
  const units = new Map<string, Unit>();
  let isOver = false;

  function start(unit: Unit): void {
    const env = unit.name === "central" || unit.name === "mosquitto" ? centreEnv : gatewayEnv;
    const log = join(folder, `${unit.name.replaceAll(":", "-")}.log`);
    const [program = "", ...words] = unit.words;
    const child = spawn(program, words, { env, stdio: ["ignore", "pipe", "pipe"] });
    const append = (chunk: Buffer) => writeFileSync(log, chunk, { flag: "a" });
    child.stdout?.on("data", append);
    child.stderr?.on("data", append);
    unit.child = child;
    child.on("exit", () => {
      unit.child = undefined;
      if (isOver || !unit.isWanted) return;
      void systemClock.sleep(100).then(() => {
        if (!isOver && unit.isWanted && unit.child === undefined) start(unit);
      });
    });
  }
  function add(name: string, words: readonly string[]): void {
    const unit: Unit = { name, words, child: undefined, isWanted: true };
    units.set(name, unit);
    start(unit);
  }
  function unitOf(name: string): Unit {
    const unit = units.get(name);
    if (unit === undefined) throw new Error(`no unit ${name}`);
    return unit;
  }
  const run = (...words: string[]) => {
    const flags = flagsOf[words[0] ?? ""] ?? nodeFlags;
    return [process.execPath, ...flags, main, "run", ...words];
  };
  const site: Site = {
    folder,
    centreUrl: `http://127.0.0.1:${centre}`,
    pageUrl: `http://127.0.0.1:${http}`,
    get names() {
      return [...units.keys()];
    },
    pidOf: (name) => unitOf(name).child?.pid,
    async kill(name, how) {
      const unit = unitOf(name);
      if (how?.stay) unit.isWanted = false;
      const child = unit.child;
      if (child === undefined) return;
      await new Promise<void>((resolve) => {
        child.once("exit", () => resolve());
        child.kill("SIGKILL");
      });
    },
    revive(name) {
      const unit = unitOf(name);
      unit.isWanted = true;
      if (unit.child === undefined) start(unit);
    },
    client: () =>
      startClient(
        {
          clock: systemClock,
          log: openLog({ service: "test", level: "error", write: () => {} }),
          random: systemRandom,
        },
        { endpoint: brokerEndpoint(findPaths(gatewayEnv), "technician") },
      ),
    plant(...words) {
      const result = spawnSync(process.execPath, [join(built, "plant.js"), ...words], {
        env: gatewayEnv,
        encoding: "utf8",
        timeout: 30_000,
      });
      if (result.status !== 0) {
        throw new Error(`plant ${words.join(" ")}: exit ${result.status}\n${result.stderr}`);
      }
      return result.stdout;
    },
    async fetchJson(path) {
      const response = await globalThis.fetch(`${site.centreUrl}${path}`);
      if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
      return response.json();
    },
    logOf(name) {
      try {
        return readFileSync(join(folder, `${name.replaceAll(":", "-")}.log`), "utf8").slice(-4000);
      } catch {
        return "";
      }
    },
    async [Symbol.asyncDispose]() {
      isOver = true;
      for (const unit of units.values()) {
        unit.isWanted = false;
        await site.kill(unit.name);
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };

  try {
    add("central", run("central"));
    for (const part of ["broker", "store", "sync", "http"]) add(part, run(part));
    for (const line of options.lines ?? []) add(`driver:${line}`, run(`driver:${line}`));
    await until("the centre answers", () => site.fetchJson("/healthz"), {
      limitMs: 20_000,
      errorsMeanNotYet: true,
    });
    const mosquitto = join(centreData, "mosquitto");
    const central = (...words: string[]) => {
      const result = spawnSync(process.execPath, [main, "central", ...words], {
        env: centreEnv,
        encoding: "utf8",
        timeout: 30_000,
      });
      if (result.status !== 0)
        throw new Error(`plantd central ${words.join(" ")}: ${result.stderr}`);
      return result.stdout;
    };
    add("mosquitto", ["mosquitto", "-c", central("mosquitto-config", mosquitto).trim()]);
    const code = central("add", "gw-test").trim();
    await until(
      "the gateway enrols",
      () => {
        site.plant("enroll", site.centreUrl, code);
        return true;
      },
      { limitMs: 20_000, errorsMeanNotYet: true },
    );
    await until(
      "the link is up",
      async () => {
        const status = JSON.parse(site.plant("outbox", "--json"));
        return JSON.stringify(status).includes('"link":"up"');
      },
      { limitMs: 20_000, errorsMeanNotYet: true },
    );
    return site;
  } catch (error) {
    const logs = [...units.keys()].map((name) => `--- ${name}\n${site.logOf(name)}`).join("\n");
    await site[Symbol.asyncDispose]();
    throw new Error(`the site did not start\n${logs}`, { cause: error });
  }
}
