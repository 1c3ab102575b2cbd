// Settings of the bus that are lists of rules: who may do what, who comes in by the network, which
// service is served otherwise. It must not know who keeps the rules.
import { principals as builtIn } from "../util/paths.ts";
import { v } from "../util/shape.ts";
import { note, optionalWhole, pathTo } from "./setting.ts";

/** One name of a pattern: printable ASCII without dot and `*`, or `*` alone. */
const part = String.raw`(?:\*|[!-)+\-/-~]+)`;
const servePattern = new RegExp(`^(?!mmi\\.)${part}(?:\\.${part})*$`);
const callPattern = new RegExp(`^(?:\\*|default|${part}(?:\\.${part})+)$`);

const serviceWords =
  "a service such as com.example.Pump, or com.example.*; mmi.* is the broker's own";

function patterns(form: RegExp, words: string) {
  const one = v.pipe(v.string(words), v.maxLength(320, words), v.regex(form, words));
  const many = "a list of at most 256 patterns";
  return v.exactOptional(v.pipe(v.array(one, many), v.maxLength(256, many)));
}

const rights = v.strictObject({
  serve: patterns(servePattern, serviceWords),
  call: patterns(callPattern, "a call such as com.example.Pump.start, or com.example.*"),
});

const principalName = v.pipe(
  v.string(),
  v.regex(/^[a-z][a-z0-9-]{0,31}$/, "a name of a-z, 0-9 and -, from a letter, at most 32 long"),
);

/** Where `default` stands in lists of principals that have none; whatever else is wrong there. */
function defaultsOfNobody(all: unknown): (readonly (string | number)[])[] {
  return Object.entries(Object(all) as object)
    .filter(([name]) => !builtIn.some((one) => one === name))
    .flatMap(([name, lists]) =>
      Object.entries(Object(lists) as object).map(([verb, list]) => {
        const at: unknown = Array.isArray(list) ? list.indexOf("default") : -1;
        return [name, verb, Number(at)] as const;
      }),
    )
    .filter(([, , at]) => at >= 0);
}

/** One address of the network, and who comes in by it. */
const networkListener = v.strictObject({
  endpoint: v.pipe(
    v.string(),
    v.regex(
      /^tcp:\/\/(\[[^\]]+\]|[^:/[\]]+):\d{1,5}$/,
      "tcp://address:port, as in tcp://0.0.0.0:7200",
    ),
    note("address and port to listen on"),
  ),
  principal: v.pipe(v.string(), note("who its peers are, built in or of access.principals")),
  keys: v.optional(
    v.pipe(
      v.array(
        v.pipe(
          v.string(),
          v.regex(/^[0-9a-zA-Z.\-:+=^!/*?&<>()[\]{}@%$#]{40}$/, "a public key of 40 characters"),
        ),
        "a list of public keys",
      ),
      v.maxLength(1024, "at most 1024 keys"),
      note(
        "public keys that are let in, of plant broker key --new; without any, in open mode only",
      ),
    ),
    [],
  ),
});

/** Addresses of the network the broker listens on. */
export const network = v.optional(
  v.pipe(
    v.array(networkListener, "a list of endpoints, each with principal and keys"),
    v.maxLength(64, "at most 64 endpoints"),
    note("addresses of the network to listen on, one per principal, encrypted; see below"),
  ),
  [],
);

/** Network listeners nobody should have: of nobody's, or open to all while the rest is closed. */
export function networkFlaws(config: unknown): { path: (string | number)[]; message: string }[] {
  const { access, broker } = config as {
    access: { mode: string; principals: object };
    broker: { network: v.InferOutput<typeof network> };
  };
  const known = [...new Set([...builtIn, ...Object.keys(access.principals)])];
  const endpoints = broker.network.map(({ endpoint }) => endpoint);
  return broker.network.flatMap(({ endpoint, principal, keys }, at) => {
    const path = ["broker", "network", at];
    const flaws: { path: (string | number)[]; message: string }[] = [];
    if (Number(/\d+$/.exec(endpoint)?.[0]) > 65_535) {
      flaws.push({ path: [...path, "endpoint"], message: "a port is at most 65535" });
    }
    if (!known.includes(principal)) {
      const message = `there is no principal ${principal}; there are ${known.join(", ")}`;
      flaws.push({ path: [...path, "principal"], message });
    }
    const first = endpoints.indexOf(endpoint);
    if (first < at && !endpoint.endsWith(":0")) {
      const message = `broker.network.${first} listens there already: take another port`;
      flaws.push({ path: [...path, "endpoint"], message });
    }
    if (keys.length === 0 && access.mode === "closed") {
      const message =
        "without keys anybody could come in; plant broker key --new NAME makes a pair";
      flaws.push({ path, message });
    }
    return flaws;
  });
}

/** What may be another for one service; what is absent is as for all services. */
const policy = v.strictObject({
  retry: v.exactOptional(
    v.pipe(
      v.picklist(["never", "if-lost"], "one of never, if-lost"),
      note(
        "what becomes of a request whose worker is lost: an error to who asked, or another worker; " +
          "if-lost is for services that may do the same thing twice",
      ),
    ),
  ),
  attemptsMax: optionalWhole("attempts", 1, 10, "workers that get one request, the first included"),
  busyTimeoutMs: optionalWhole("ms", 100, 3_600_000, "silence allowed to a worker that is working"),
  queueMax: optionalWhole("requests", 1, 100_000, "requests waiting; more are refused"),
  queueTtlMs: optionalWhole("ms", 100, 3_600_000, "longest wait for a worker, deadline or not"),
});

/** Services that are served otherwise, by their names or patterns of them. */
export const policies = v.optional(
  v.pipe(
    v.record(
      v.pipe(v.string(), v.maxLength(320, serviceWords), v.regex(servePattern, serviceWords)),
      policy,
      "a group of services",
    ),
    v.maxEntries(256, "a group of at most 256 services"),
    note("services that are served otherwise; see below"),
  ),
  {},
);

/** Whoever is admitted beside those built in, and what of theirs is another. */
export const principals = v.optional(
  v.pipe(
    v.record(principalName, rights, "a group of principals"),
    v.maxEntries(64, "a group of at most 64 principals"),
    v.rawCheck(({ dataset, addIssue }) => {
      for (const path of defaultsOfNobody(dataset.value)) {
        const message = `no principal ${path[0]} is built in, so it has no default`;
        addIssue({ message, path: pathTo(dataset.value, path) });
      }
    }),
    note("who may serve and call what; see below"),
  ),
  {},
);
