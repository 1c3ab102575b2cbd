// Who may ask what of the page's server: method, Host name, length of the address. Pure.
// It must not know the answers.
import { PlantError } from "../util/errors.ts";

/** Longest address that is answered, in characters. */
const urlMax = 1024;

/** What a request says of itself. */
export interface RequestFacts {
  readonly method: string;
  readonly host: string | undefined;
  readonly url: string;
}

/** A request that is not answered: status code and why. */
export interface Refusal {
  readonly status: number;
  readonly error: PlantError;
}

/**
 * Refuses what this server does not serve. The Host must be a name it knows, whatever the port,
 * so that a foreign page cannot reach it under a name of its own (DNS rebinding).
 * @see RFC 9110, 15.5.20 (421 Misdirected Request)
 */
export function refuse(facts: RequestFacts, hosts: ReadonlySet<string>): Refusal | undefined {
  const { method, host, url } = facts;
  if (host === undefined || !isKnownHost(host, hosts)) {
    return {
      status: 421,
      error: new PlantError("HTTP_HOST", { host: (host ?? "").slice(0, 100) }),
    };
  }
  if (method !== "GET" && method !== "HEAD") {
    return { status: 405, error: new PlantError("HTTP_METHOD", { method }) };
  }
  if (url.length > urlMax) {
    const error = new PlantError("LIMIT_REACHED", { limit: "The address", max: urlMax });
    return { status: 414, error };
  }
  return undefined;
}

function isKnownHost(host: string, hosts: ReadonlySet<string>): boolean {
  const name = host.toLowerCase();
  return hosts.has(name) || hosts.has(name.replace(/:\d{1,5}$/, ""));
}

/** The names a server answers to: loopback, where it listens, and those configured. */
export function knownHosts(listening: string, further: readonly string[]): ReadonlySet<string> {
  const isAny = listening === "0.0.0.0" || listening === "::";
  const own = listening.includes(":") ? `[${listening}]` : listening;
  const names = ["localhost", "127.0.0.1", "[::1]", ...(isAny ? [] : [own]), ...further];
  return new Set(names.map((name) => name.toLowerCase()));
}
