// What a service is run by: the settings of the broker, and those of patterns that name it.
// It must not know services at work.

/** How requests to a service are kept and repeated. */
export interface Policy {
  /** `if-lost`: a request whose worker was lost goes to another, unless a part went out. */
  readonly retry: "never" | "if-lost";
  /** Workers a request is given to, the first included. */
  readonly attemptsMax: number;
  /** Silence allowed to a worker at work; not less than the liveness of an idle one. */
  readonly busyTimeoutMs: number;
  readonly queueMax: number;
  /** Longest wait for a worker; Infinity: the deadline, or `requestTtlMs` without one. */
  readonly queueTtlMs: number;
}

/** What one pattern sets; the rest comes from less exact patterns and the broker's settings. */
export type PolicySettings = { readonly [K in keyof Policy]?: Policy[K] | undefined };

/** Bounds and times of a broker: the section `broker` of the configuration. */
export interface BrokerSettings {
  readonly heartbeatMs: number;
  readonly livenessMs: number;
  readonly busyTimeoutMs: number;
  readonly requestTtlMs: number;
  readonly queueMax: number;
  readonly peersMax: number;
  /** Connections at one time, of peers that never spoke too; `peersMax` when absent. */
  readonly connectionsMax?: number | undefined;
  readonly servicesMax: number;
  readonly requestsPerPeerMax: number;
  readonly framesMax: number;
  readonly messageBytesMax: number;
  /** What the sockets hold of all peers together, received and to be sent. */
  readonly receiveBytesTotalMax?: number | undefined;
  readonly sendBytesTotalMax?: number | undefined;
  /**
   * By service or pattern: `*` as the last name stands for all that may follow, elsewhere for
   * exactly one name.
   */
  readonly policies?: Readonly<Record<string, PolicySettings>> | undefined;
}

/** Attempts where a policy repeats and does not say how often. */
const attemptsMax = 3;

/** The policy of each service: each setting by the most exact pattern that has it. */
export function makePolicies(settings: BrokerSettings): (service: string) => Policy {
  const { livenessMs, busyTimeoutMs, queueMax } = settings;
  const patterns = Object.entries(settings.policies ?? {})
    .sort(([a], [b]) => exactness(b) - exactness(a))
    .map(([pattern, policy]) => ({ form: formOf(pattern), policy }));
  return (service) => {
    const fitting = patterns.filter(({ form }) => form.test(service));
    const first = <K extends keyof Policy>(name: K, preset: Policy[K]): Policy[K] =>
      fitting.find(({ policy }) => policy[name] !== undefined)?.policy[name] ?? preset;
    return {
      retry: first("retry", "never"),
      attemptsMax: first("attemptsMax", attemptsMax),
      busyTimeoutMs: Math.max(livenessMs, first("busyTimeoutMs", busyTimeoutMs)),
      queueMax: first("queueMax", queueMax),
      queueTtlMs: first("queueTtlMs", Number.POSITIVE_INFINITY),
    };
  };
}

function formOf(pattern: string): RegExp {
  const parts = pattern.split(".").map((part, at, all) => {
    if (part !== "*") return RegExp.escape(part);
    return at === all.length - 1 ? ".+" : "[^.]+";
  });
  return new RegExp(`^${parts.join("\\.")}$`);
}

/** A whole name before any pattern, one with more letters before one with fewer. */
function exactness(pattern: string): number {
  const letters = pattern.replaceAll("*", "").length;
  return pattern.includes("*") ? letters : Number.POSITIVE_INFINITY;
}
