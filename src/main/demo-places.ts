// Where the demo keeps its files, and what the configurations in them say: two meters on a serial
// line, a pump on Modbus TCP, a scale on another port. It must not know processes.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PlantError } from "../util/errors.ts";
import { makeFolder } from "../util/folder.ts";

/** The folders of one running demo. */
export interface Places {
  readonly folder: string;
  /** Data folder of the gateway: `PLANTD_DATA_DIR` for `plant`. */
  readonly gateway: string;
  readonly centre: string;
  readonly mosquitto: string;
  readonly logs: string;
  /** Both ends of each serial cable: the gateway's, then the device's. */
  cable(line: string): readonly [string, string];
  readonly simulatorConfig: string;
}

/** A folder with this file was made by the demo and may be emptied by it. */
const mark = "plantd-demo.pid";
const copiesMax = 16;

/**
 * Takes the first folder no other demo uses, and empties it.
 * @throws PlantError DEMO_FOLDER for a folder that holds something else.
 */
export function claimPlaces(wanted: string): Places {
  for (let copy = 1; copy <= copiesMax; copy += 1) {
    const folder = copy === 1 ? wanted : `${wanted}-${copy}`;
    if (isInUse(folder)) continue;
    const holds = existsSync(folder) ? readdirSync(folder) : [];
    if (holds.length > 0 && !holds.includes(mark)) throw new PlantError("DEMO_FOLDER", { folder });
    take(folder);
    return placesIn(folder);
  }
  throw new PlantError("LIMIT_REACHED", { limit: "the number of demos", max: copiesMax });
}

/** Makes the folder anew. @throws PlantError USAGE where nothing can be written. */
function take(folder: string): void {
  try {
    rmSync(folder, { recursive: true, force: true });
    makeFolder(folder, 0o700);
    writeFileSync(join(folder, mark), `${process.pid}\n`);
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? String(error);
    const message = `nothing can be written to ${folder} (${reason}); name another with --folder`;
    throw new PlantError("USAGE", { message }, { cause: error });
  }
}

function isInUse(folder: string): boolean {
  const path = join(folder, mark);
  if (!existsSync(path)) return false;
  const pid = Number(readFileSync(path, "utf8"));
  return pid > 0 && pid !== process.pid && existsSync(`/proc/${pid}`);
}

function placesIn(folder: string): Places {
  const places: Places = {
    folder,
    gateway: join(folder, "gateway"),
    centre: join(folder, "centre"),
    mosquitto: join(folder, "mosquitto"),
    logs: join(folder, "logs"),
    cable: (line) => [join(folder, "tty", line), join(folder, "tty", `${line}-device`)],
    simulatorConfig: join(folder, "simulator.yaml"),
  };
  for (const path of [places.gateway, places.centre, places.mosquitto, places.logs]) {
    mkdirSync(path, { recursive: true });
  }
  mkdirSync(join(folder, "tty"));
  return places;
}

/** The lines of the demo's gateway, in the order they are shown. */
export const lineNames = ["rs485-1", "lan-1", "scale-1"] as const;

/** Their devices. */
export const deviceNames = ["meter-1", "meter-2", "pump-1", "scale-1"] as const;

/** Ports of loopback the demo listens on. */
export interface Ports {
  readonly page: number;
  readonly centrePage: number;
  /** The simulated pump. */
  readonly pump: number;
  readonly mqtt: number;
  /** What the gateway takes for the MQTT broker: a wire that can be cut. */
  readonly uplink: number;
}

/** The MQTT addresses of the centre, its own and the one it tells gateways. */
export function addresses(ports: Ports): { mqtt: string; publicMqtt: string } {
  return {
    mqtt: `mqtts://127.0.0.1:${ports.mqtt}`,
    publicMqtt: `mqtts://127.0.0.1:${ports.uplink}`,
  };
}

/** Writes the configurations of gateway, centre and simulator. */
export function writeConfigs(places: Places, ports: Ports): void {
  const end = (side: 0 | 1) => (line: string) => places.cable(line)[side];
  writeFileSync(
    join(places.gateway, "plantd.yaml"),
    `gateway: { name: gw-demo, site: demo pump house }
http: { port: ${ports.page} }
sync: { backoffCeilingMs: 3000 } # so that nobody waits for the uplink he has just joined
${linesText(end(0), ports.pump)}`,
  );
  writeFileSync(places.simulatorConfig, linesText(end(1), ports.pump));
  writeFileSync(
    join(places.centre, "plantd.yaml"),
    `central:
  port: ${ports.centrePage}
  mqtt: ${addresses(ports).mqtt}
  publicMqtt: ${addresses(ports).publicMqtt}
`,
  );
}

/** The lines, seen from one of their ends. */
function linesText(path: (line: string) => string, pump: number): string {
  return `lines:
  rs485-1:
    kind: modbus-rtu
    path: ${JSON.stringify(path("rs485-1"))}
    baud: 19200
    parity: even
    timeoutMs: 300
    devices:
      meter-1: { profile: eastron-sdm630, unit: 1 }
      meter-2: { profile: carlo-gavazzi-em340, unit: 17 }
  lan-1:
    kind: modbus-tcp
    host: 127.0.0.1
    port: ${pump}
    devices:
      pump-1: { profile: plantd-demo-pump, unit: 1 }
  scale-1:
    kind: serial
    path: ${JSON.stringify(path("scale-1"))}
    baud: 9600
    parity: even
    devices:
      scale-1: { profile: mettler-sics }
`;
}
