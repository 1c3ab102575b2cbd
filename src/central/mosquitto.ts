// The configuration of a stock mosquitto in front of the centre: mutual TLS, and topics by name.
// It must not know what travels on the topics.
import { join } from "node:path";
import { makeFolder } from "../util/folder.ts";
import { writePrivately } from "./private-files.ts";

/** Where mosquitto listens and what it may use. Paths are absolute. */
interface MosquittoSettings {
  readonly port: number;
  /** Address to listen on. */
  readonly host: string;
  /** PEM files: the authority, the server's certificate and its key. */
  readonly authorityFile: string;
  readonly certificateFile: string;
  readonly keyFile: string;
  /** The access list written beside the configuration. */
  readonly aclFile: string;
  /** Folder of mosquitto's own database. */
  readonly persistenceFolder: string;
  /** User it becomes when it is started by root. */
  readonly user?: string;
}

/** Largest packet a peer may send, in bytes: a batch of 256 KiB before compression fits. */
const packetBytesMax = 4_194_304;
/** Messages kept for a peer that is away; the gateway keeps its own backlog, so few are enough. */
const queuedMessagesMax = 1000;
const queuedBytesMax = 67_108_864;
/** Messages on their way to one peer: the Receive Maximum gateways see. */
const inflightMessagesMax = 64;

/**
 * The text of the configuration file.
 * @see mosquitto.conf(5)
 */
function mosquittoConfig(settings: MosquittoSettings): string {
  const lines = [
    "# Written by plantd central mosquitto-config: mutual TLS, names from certificates.",
    "per_listener_settings false",
    "allow_anonymous false",
    `acl_file ${settings.aclFile}`,
    ...(settings.user === undefined ? [] : [`user ${settings.user}`]),
    "",
    "persistence true",
    `persistence_location ${settings.persistenceFolder}/`,
    "autosave_interval 60",
    "persistent_client_expiration 14d",
    "",
    `max_packet_size ${packetBytesMax}`,
    `max_inflight_messages ${inflightMessagesMax}`,
    `max_queued_messages ${queuedMessagesMax}`,
    `max_queued_bytes ${queuedBytesMax}`,
    "max_keepalive 300",
    "",
    `listener ${settings.port} ${settings.host}`,
    "protocol mqtt",
    // Named before a listener it would open one more, on port 1883 and without TLS.
    "max_connections 10000",
    `cafile ${settings.authorityFile}`,
    `certfile ${settings.certificateFile}`,
    `keyfile ${settings.keyFile}`,
    "tls_version tlsv1.3",
    "require_certificate true",
    "use_identity_as_username true",
    "",
    "log_dest stderr",
    "log_type error",
    "log_type warning",
    "log_type notice",
    "connection_messages false",
  ];
  return `${lines.join("\n")}\n`;
}

/** The text of the access list: each device its own topics, the centre all of them. */
function mosquittoAcl(): string {
  return [
    "# A device writes up and reads down under its own name, which is its certificate's.",
    "pattern write plantd/v1/%u/up/#",
    "pattern read plantd/v1/%u/down/#",
    "",
    "# The centre reads what comes up and writes what goes down.",
    "user central",
    "topic read plantd/v1/+/up/#",
    "topic write plantd/v1/+/down/#",
    "",
  ].join("\n");
}

/** Where mosquitto listens, and who it becomes. */
export interface MosquittoPlacement {
  readonly port: number;
  /** Address to listen on; loopback unless told. */
  readonly host?: string;
  /**
   * User mosquitto becomes when root starts it; unless told, root stays root. Another user needs
   * to be given the folder.
   */
  readonly user?: string;
}

/** Texts of the files mosquitto needs of the centre, by name. */
export type MosquittoFiles = Readonly<Record<"ca.crt" | "server.crt" | "server.key", string>>;

/**
 * Writes into `folder` what mosquitto needs and nothing it must not read: `mosquitto.conf`,
 * `acl`, copies of the certificates and the server's key, and the folder `data`.
 * @returns the path of `mosquitto.conf`, for `mosquitto -c`.
 */
export function placeMosquitto(
  folder: string,
  placement: MosquittoPlacement,
  files: MosquittoFiles,
): string {
  const data = join(folder, "data");
  makeFolder(data, 0o700);
  const user = placement.user ?? (process.getuid?.() === 0 ? "root" : undefined);
  const config = mosquittoConfig({
    port: placement.port,
    host: placement.host ?? "127.0.0.1",
    authorityFile: join(folder, "ca.crt"),
    certificateFile: join(folder, "server.crt"),
    keyFile: join(folder, "server.key"),
    aclFile: join(folder, "acl"),
    persistenceFolder: data,
    ...(user === undefined ? {} : { user }),
  });
  for (const [name, text] of Object.entries({ ...files, acl: mosquittoAcl() })) {
    writePrivately(join(folder, name), text);
  }
  const path = join(folder, "mosquitto.conf");
  writePrivately(path, config);
  return path;
}
