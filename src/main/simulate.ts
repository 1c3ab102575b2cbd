// `plantd simulate`: field devices on the other ends of the configured lines, for the demo, tests
// and people without hardware. It must not know how a device behaves.
import { join } from "node:path";
import { loadProfile } from "../../drivers/modbus/modbus.ts";
import { loadSerialProfile } from "../../drivers/serial/serial.ts";
import { startSimulation } from "../../drivers/simulator/simulator.ts";
import type { Config } from "../config/config.ts";
import type { Clock } from "../util/clock.ts";
import type { Log } from "../util/log.ts";

export interface SimulateDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** Folder of profiles beside the configuration. */
  readonly profiles: string;
  /** Aborts when the process was asked to end. */
  readonly signal: AbortSignal;
}

/** Simulates until asked to end; commands come on standard input. @returns the exit code. */
export async function simulate(
  { clock, log, profiles, signal }: SimulateDeps,
  { lines }: Pick<Config, "lines">,
  isPaced: boolean,
): Promise<number> {
  const source = {
    modbus: (id: string) => loadProfile(id, join(profiles, "modbus")),
    serial: (id: string) => loadSerialProfile(id, join(profiles, "serial")),
  };
  await using simulation = await startSimulation(
    { clock, log, profiles: source },
    { lines, isPaced, commands: process.stdin },
  );
  log.info("ready", { lines: Object.keys(lines) });
  const asked = new Promise<undefined>((resolve) => {
    signal.addEventListener("abort", () => resolve(undefined), { once: true });
    if (signal.aborted) resolve(undefined);
  });
  const error = await Promise.race([asked, simulation.ended]);
  if (error === undefined) return 0;
  log.error("the simulation failed", { error });
  return 1;
}
