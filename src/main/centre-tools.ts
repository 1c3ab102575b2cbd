// `plantd central …`: what an operator of a centre does from the command line.
// It must not know how the centre works.
import { resolve } from "node:path";
import { createDeviceCode, writeMosquittoConfig } from "../central/central.ts";
import type { Config } from "../config/config.ts";
import { type Clock, isoTime } from "../util/clock.ts";
import { PlantError } from "../util/errors.ts";
import type { Paths } from "../util/paths.ts";
import type { Random } from "../util/random.ts";
import type { Command } from "./command-line.ts";

export interface CentreToolDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly paths: Paths;
  readonly config: Config;
}

type CentreCommand = Extract<Command, { kind: "central-add" | "mosquitto-config" }>;

/** MQTT over TLS, where the configuration names no port. */
const mqttsPort = 8883;

/** Carries out one command; data goes to standard output, talk to standard error. */
export async function administer(command: CentreCommand, deps: CentreToolDeps): Promise<number> {
  const { paths, config } = deps;
  const { central } = config;
  if (command.kind === "central-add") {
    const url = `http://${central.host}:${central.port}`;
    const { device, code, expiresAt } = await createDeviceCode(paths, url, command.device);
    process.stderr.write(`One-time code of ${device}, good until ${isoTime(expiresAt)}. On it:\n`);
    process.stderr.write(`  plant enroll ${url} ${code}\n`);
    process.stdout.write(`${code}\n`);
    return 0;
  }
  const address = URL.parse(central.mqtt);
  if (address === null) {
    throw new PlantError("USAGE", {
      message:
        "central.mqtt says where mosquitto listens, e.g. mqtts://127.0.0.1:8883; it is empty",
    });
  }
  const path = await writeMosquittoConfig(deps, central, {
    folder: resolve(command.folder),
    host: address.hostname.replace(/^\[|\]$/g, ""),
    port: Number(address.port) || mqttsPort,
  });
  process.stderr.write("Start it with:\n");
  process.stderr.write(`  mosquitto -c ${path}\n`);
  process.stdout.write(`${path}\n`);
  return 0;
}
