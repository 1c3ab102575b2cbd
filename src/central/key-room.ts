// The keys and certificates of the centre, made at its first start, kept in files of mode 0600.
// It must not know what is signed with them.
import { existsSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import type { Clock } from "../util/clock.ts";
import {
  generateSigningKey,
  keyId,
  pemOf,
  type SigningKey,
  signingKeyFromPem,
} from "../util/ed25519.ts";
import type { Random } from "../util/random.ts";
import { issueCertificate, readCertificate } from "./authority.ts";
import type { MosquittoFiles } from "./mosquitto.ts";
import { readOrMake, writePrivately } from "./private-files.ts";

const dayMs = 86_400_000;
/** Life of the authority: longer than the gateways it certifies stay in the field. */
const authorityDays = 25 * 365;
/** Life of the certificates the centre and its MQTT broker show. */
const ownDays = 2 * 365;
/** Life of a gateway's certificate; renewal by proof of the key works after its end too. */
const deviceDays = 2 * 365;
/** Own certificates are issued anew when less than this is left of them. */
const renewDays = 60;

/** Name of the centre at its MQTT broker; no device may have it. */
export const centralName = "central";

/** The files under `tls/`: what the centre shows, and what mosquitto needs. */
export interface ClientIdentity {
  /** PEM texts. */
  readonly authority: string;
  readonly certificate: string;
  readonly key: string;
}

/** Keys in memory, and what is issued with them. */
export interface KeyRoom {
  /** Signs the key set. */
  readonly root: SigningKey;
  /** Signs what goes down: welcomes, acknowledgements, tokens. */
  readonly signing: SigningKey;
  /** Certificate of the authority, PEM. */
  readonly authority: string;
  /** What the centre shows its MQTT broker: the name `central`. */
  readonly client: ClientIdentity;
  /** What mosquitto needs. */
  readonly mosquitto: MosquittoFiles;
  /** Who may write through the API: `Authorization: Bearer <this>`. */
  readonly adminToken: string;
  /** A client certificate for a device, PEM. */
  certifyDevice(device: string, publicKey: Uint8Array): Promise<string>;
}

export interface KeyRoomDeps {
  readonly clock: Clock;
  readonly random: Random;
  /** Folder of the centre. */
  readonly folder: string;
}

/** The file of the administration token in the centre's folder. */
export function adminTokenPath(folder: string): string {
  return join(folder, "admin-token");
}

/**
 * Opens the keys; makes what is missing and renews own certificates near their end.
 * @param hosts names and addresses the MQTT broker is reached by, beside loopback.
 */
export async function openKeyRoom(deps: KeyRoomDeps, hosts: readonly string[]): Promise<KeyRoom> {
  const { clock, random, folder } = deps;
  const keyFile = (name: string) => join(folder, "keys", `${name}.pem`);
  const keyOf = (name: string) =>
    signingKeyFromPem(readOrMake(keyFile(name), () => pemOf(generateSigningKey())));
  const root = keyOf("root");
  const signing = keyOf("signing");
  const authorityKey = keyOf("authority");
  const server = keyOf("mqtt-server");
  const client = keyOf("mqtt-client");
  const adminToken = readOrMake(
    adminTokenPath(folder),
    () => `${Buffer.from(random.bytes(32)).toString("base64url")}\n`,
  ).trim();

  const notBefore = () => clock.wallMs() - dayMs;
  const notAfter = (days: number) => clock.wallMs() + days * dayMs;
  const tls = join(folder, "tls");
  const authorityPath = join(tls, "ca.crt");
  if (!existsSync(authorityPath)) {
    const name = `plantd centre ${keyId(authorityKey.publicKey).slice(0, 8)}`;
    const authority = await issueCertificate(
      { key: authorityKey },
      {
        purpose: "authority",
        name,
        publicKey: authorityKey.publicKey,
        notBefore: notBefore(),
        notAfter: notAfter(authorityDays),
      },
      random,
    );
    writePrivately(authorityPath, authority);
  }
  const authority = readFileSync(authorityPath, "utf8");
  const issuer = { key: authorityKey, certificate: authority };

  const own = async (name: "server" | "client", key: SigningKey, names: readonly string[]) => {
    const path = join(tls, `${name}.crt`);
    if (!isFresh(path, key, names, notAfter(renewDays))) {
      const request = {
        purpose: name,
        name: name === "client" ? centralName : "plantd MQTT broker",
        publicKey: key.publicKey,
        hosts: names,
        notBefore: notBefore(),
        notAfter: notAfter(ownDays),
      };
      writePrivately(path, await issueCertificate(issuer, request, random));
    }
    return readFileSync(path, "utf8");
  };
  const names = [...new Set(["127.0.0.1", "::1", "localhost", hostname(), ...hosts])].sort();
  const serverCertificate = await own("server", server, names);
  const clientCertificate = await own("client", client, []);

  return {
    root,
    signing,
    authority,
    client: { authority, certificate: clientCertificate, key: pemOf(client) },
    mosquitto: {
      "ca.crt": authority,
      "server.crt": serverCertificate,
      "server.key": pemOf(server),
    },
    adminToken,
    certifyDevice: (device, publicKey) =>
      issueCertificate(
        issuer,
        {
          purpose: "client",
          name: device,
          publicKey,
          notBefore: notBefore(),
          notAfter: notAfter(deviceDays),
        },
        random,
      ),
  };
}

/** Whether the certificate at `path` is for this key and these names, and lives past `until`. */
function isFresh(path: string, key: SigningKey, names: readonly string[], until: number): boolean {
  if (!existsSync(path)) return false;
  const facts = readCertificate(readFileSync(path, "utf8"));
  return (
    facts.notAfter > until &&
    Buffer.compare(facts.publicKey, key.publicKey) === 0 &&
    facts.hosts.join() === [...names].sort().join()
  );
}
