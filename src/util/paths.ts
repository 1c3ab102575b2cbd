// Where a gateway keeps its files and sockets. It must not know what is in them.
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

/** Who a local peer is: the socket it comes in by. The configuration may name more. */
export const principals = [
  "store",
  "sync",
  "http",
  "driver",
  "technician",
  "admin",
  "appliance",
] as const;
export type Principal = (typeof principals)[number];

/** The folders of one gateway. */
export interface Paths {
  readonly data: string;
  readonly store: string;
  readonly identity: string;
  readonly backups: string;
  /** Made by an updater, removed when the update is confirmed: formats are kept until then. */
  readonly updatePending: string;
  readonly central: string;
  /** The broker's own keys. */
  readonly brokerKey: string;
  /** Folder of the sockets, one folder in it per principal. */
  readonly run: string;
  /** The configuration file, whether or not it exists. */
  readonly config: string;
  /** Profiles of this gateway's own, beside the configuration: `modbus/` and `serial/`. */
  readonly profiles: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** The folders, from `PLANTD_DATA_DIR`, `PLANTD_RUN_DIR` and `PLANTD_CONFIG`. */
export function findPaths(env: Environment): Paths {
  const data = resolve(env.PLANTD_DATA_DIR ?? ".plantd");
  const isUnit = env.PLANTD_DATA_DIR === undefined && existsSync("/run/plantd");
  const run = env.PLANTD_RUN_DIR ?? (isUnit ? "/run/plantd" : join(data, "run"));
  const config = resolve(env.PLANTD_CONFIG ?? join(data, "plantd.yaml"));
  return {
    data,
    store: join(data, "store"),
    identity: join(data, "identity"),
    backups: join(data, "backups"),
    updatePending: join(data, "update-pending"),
    central: join(data, "central"),
    brokerKey: join(data, "broker", "broker.key"),
    run,
    config,
    profiles: join(dirname(config), "profiles"),
  };
}

/** The broker's endpoint for one principal. */
export function brokerEndpoint(paths: Paths, principal: string): string {
  return `ipc://${join(paths.run, principal, "broker.sock")}`;
}
