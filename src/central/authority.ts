// The certificate authority of the centre: certificates issued from public keys, no requests.
// The only importer of @peculiar/x509. It must not know where keys and certificates are kept.
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import { isIP } from "node:net";
import * as x509 from "@peculiar/x509";
import { pemOf, type SigningKey } from "../util/ed25519.ts";
import type { Random } from "../util/random.ts";

x509.cryptoProvider.set(webcrypto);

/** What a certificate is for. */
export type Purpose = "authority" | "server" | "client";

/** A certificate to be issued. */
export interface CertificateRequest {
  readonly purpose: Purpose;
  /** Common name; for a client it is the name the MQTT broker knows it by. */
  readonly name: string;
  /** Raw 32 bytes of the Ed25519 public key that is certified. */
  readonly publicKey: Uint8Array;
  /** Host names and addresses a server answers to; empty for others. */
  readonly hosts?: readonly string[];
  /** Milliseconds since 1970 UTC; X.509 keeps whole seconds. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** Who signs: the authority's key, and its certificate unless it signs itself. */
export interface Issuer {
  readonly key: SigningKey;
  /** PEM; absent when the certificate issued is the authority's own. */
  readonly certificate?: string;
}

const algorithm = { name: "Ed25519" };
const usages = x509.KeyUsageFlags;

/**
 * Issues one certificate, in PEM.
 * @see RFC 5280, RFC 8410
 */
export async function issueCertificate(
  issuer: Issuer,
  request: CertificateRequest,
  random: Random,
): Promise<string> {
  const publicKey = await importPublicKey(request.publicKey);
  const subject = [{ CN: [request.name] }];
  const parent =
    issuer.certificate === undefined ? undefined : new x509.X509Certificate(issuer.certificate);
  const parentKey = parent === undefined ? publicKey : await parent.publicKey.export();
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(random),
    subject,
    issuer: parent === undefined ? subject : parent.subject,
    notBefore: dateOf(request.notBefore),
    notAfter: dateOf(request.notAfter),
    signingAlgorithm: algorithm,
    publicKey,
    signingKey: await importPrivateKey(issuer.key),
    extensions: [
      ...extensionsFor(request),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(parentKey),
    ],
  });
  return `${certificate.toString("pem")}\n`;
}

/** What a program needs to know of a certificate it holds. */
export interface CertificateFacts {
  /** Milliseconds since 1970 UTC. */
  readonly notAfter: number;
  /** Raw 32 bytes of the certified key. */
  readonly publicKey: Uint8Array;
  /** Host names and addresses, sorted. */
  readonly hosts: readonly string[];
}

/** Reads a certificate in PEM. */
export function readCertificate(pem: string): CertificateFacts {
  const certificate = new x509.X509Certificate(pem);
  const names = certificate.getExtension(x509.SubjectAlternativeNameExtension);
  const spki = new Uint8Array(certificate.publicKey.rawData);
  return {
    notAfter: certificate.notAfter.getTime(),
    publicKey: spki.subarray(spki.length - 32),
    hosts: (names?.names.toJSON() ?? []).map(({ value }) => value).sort(),
  };
}

function extensionsFor(request: CertificateRequest): x509.Extension[] {
  if (request.purpose === "authority") {
    return [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(usages.keyCertSign | usages.cRLSign, true),
    ];
  }
  const isServer = request.purpose === "server";
  const role = isServer ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth;
  const names = (request.hosts ?? []).map((host) => ({
    type: isIP(host) === 0 ? ("dns" as const) : ("ip" as const),
    value: host,
  }));
  return [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.KeyUsagesExtension(usages.digitalSignature, true),
    new x509.ExtendedKeyUsageExtension([role]),
    ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)]),
  ];
}

/** 127 random bits, positive and never zero. */
function serialNumber(random: Random): string {
  const bytes = random.bytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return Buffer.from(bytes).toString("hex");
}

function dateOf(wallMs: number) {
  // biome-ignore lint/style/noRestrictedGlobals: converts a given time, reads no clock
  return new Date(wallMs);
}

function importPublicKey(raw: Uint8Array): Promise<webcrypto.CryptoKey> {
  return webcrypto.subtle.importKey("raw", Buffer.from(raw), algorithm, true, ["verify"]);
}

function importPrivateKey(key: SigningKey): Promise<webcrypto.CryptoKey> {
  const der = Buffer.from(pemOf(key).replace(/-----[^-]+-----|\s/g, ""), "base64");
  return webcrypto.subtle.importKey("pkcs8", der, algorithm, false, ["sign"]);
}
