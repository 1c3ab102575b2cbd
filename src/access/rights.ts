// Who may serve which service and call which operation, by the socket a peer comes in by. Pure.
// It must not know sockets or messages.
import type { Principal } from "../util/paths.ts";

/** How much of a service somebody may call: every operation, none, or those that are named. */
export type Reach = "all" | "none" | "some";

/** Answers the broker's questions about its peers; asked for every request, so quick. */
export interface Admission {
  /** Whether somebody may offer a service. Nobody may offer what the broker answers itself. */
  mayServe(principal: string, service: string): boolean;
  /** Where this is `some`, the operation decides. */
  mayCall(principal: string, service: string): Reach;
  /** @param operation the first frame of the request's body, as text. */
  mayCallOperation(principal: string, service: string, operation: string): boolean;
}

/**
 * What somebody may do. A pattern is names joined by dots; for `call` the last of them names the
 * operation. `*` as the last name stands for all that may follow, elsewhere for exactly one name.
 */
export interface Rights {
  readonly serve: readonly string[];
  readonly call: readonly string[];
}

/** The section `access` of the configuration. */
export interface AccessConfig {
  /** `open` admits everybody to everything: for development. */
  readonly mode: "open" | "closed";
  /** A list that is there stands in the place of the built-in one; `default` in it means that. */
  readonly principals: Readonly<Record<string, Partial<Rights>>>;
}

const operations = (service: string, names: readonly string[]) =>
  names.map((name) => `${service}.${name}`);
const state = "org.plantd.State";
const append = "org.plantd.Logger.append";
const status = "org.plantd.Sync.status";
const read = [
  ...["get", "get-many", "list", "history", "history-many", "watch", "schema-get"],
  ...["stats", "position", "health"],
];
const plantdWords = ["state-get", "state-set", "set", "list-keys"];
const change = [
  ...["set-many", "compare-and-set", "delete", "delete-many", "schema-set", "schema-delete"],
  ...["create-scope", "delete-scope", "list-scopes", "changes"],
  ...["consumer-list", "consumer-remove", "upgrade"],
];
const backups = [
  ...["create", "list", "verify", "restore", "read", "put"].map((name) => `backup-${name}`),
  ...["snapshot-list", "snapshot-create", "losses", "export", "import"],
];

/** What the principals of a gateway may, where the configuration says nothing else. */
export const builtInRights: Readonly<Record<Principal, Rights>> = {
  store: { serve: [state, "org.plantd.Logger"], call: [append] },
  sync: {
    serve: ["org.plantd.Sync"],
    call: [append, ...operations(state, ["position", "changes", "ack", "append-event"])],
  },
  http: {
    serve: [],
    call: [
      append,
      ...operations(state, ["stats", "position", "list", "watch", "changes", "history-many"]),
      "org.plantd.Logger.stats",
      status,
      "org.plantd.driver.*.status",
    ],
  },
  driver: {
    serve: ["org.plantd.driver.*", "org.plantd.module.*"],
    call: [append, ...operations(state, ["set-many", "append-event", "append-metrics"])],
  },
  technician: {
    serve: [],
    call: [
      ...operations(state, [...read, ...plantdWords, ...change, ...backups]),
      ...operations("org.plantd.Logger", ["tail", "follow", "levels", "set-level"]),
      ...operations("org.plantd.Logger", ["stats", "health"]),
      "org.plantd.Sync.*",
      "org.plantd.driver.*",
      "org.plantd.module.*",
    ],
  },
  admin: { serve: [], call: ["*"] },
  appliance: {
    serve: ["org.plantd.Appliance"],
    call: [append, ...operations(state, ["append-event", "append-metrics", "upgrade"]), status],
  },
};

/** Stands in a list for the principal's built-in one. */
const builtIn = "default";
/** What the broker answers itself; open to whoever is a principal at all. */
const internal = "mmi.";
/** Services whose verdict is remembered per principal; names are free, so memory is not. */
const rememberedMax = 1024;

type Names = readonly string[];

/** What somebody may do with one service. */
interface Verdict {
  readonly isServed: boolean;
  readonly reach: Reach;
  /** Where reach is `some`. */
  readonly operations: ReadonlySet<string>;
}

interface Holder {
  readonly serve: readonly Names[];
  readonly call: readonly Names[];
  readonly verdicts: Map<string, Verdict>;
}

/** The rules of one gateway, ready to be asked. */
export function makeAdmission(config: AccessConfig): Admission {
  if (config.mode === "open") return everybody;
  const holders = new Map(
    Object.entries(rightsOf(config)).map(([name, { serve, call }]): [string, Holder] => [
      name,
      { serve: serve.map(namesOf), call: call.map(namesOf), verdicts: new Map() },
    ]),
  );
  const judge = (principal: string, service: string): Verdict => {
    const holder = holders.get(principal);
    return holder === undefined ? nothing : verdictOf(holder, service);
  };
  return {
    mayServe: (principal, service) => judge(principal, service).isServed,
    mayCall: (principal, service) => judge(principal, service).reach,
    mayCallOperation(principal, service, operation) {
      const { reach, operations } = judge(principal, service);
      return reach === "all" || (reach === "some" && operations.has(operation));
    },
  };
}

/** The rights of everybody who has a socket: built in, and as configured. */
export function rightsOf(
  config: Pick<AccessConfig, "principals">,
): Readonly<Record<string, Rights>> {
  const all: Record<string, Rights> = { ...builtInRights };
  for (const [name, given] of Object.entries(config.principals)) {
    const own = Object.hasOwn(builtInRights, name) ? builtInRights[name as Principal] : noRights;
    all[name] = {
      serve: listOf(given.serve, own.serve),
      call: listOf(given.call, own.call),
    };
  }
  return all;
}

function listOf(given: Names | undefined, own: Names): Names {
  return given === undefined ? own : given.flatMap((one) => (one === builtIn ? own : [one]));
}

const noRights: Rights = { serve: [], call: [] };
const nothing: Verdict = { isServed: false, reach: "none", operations: new Set() };
const question: Verdict = { isServed: false, reach: "all", operations: new Set() };

const everybody: Admission = {
  mayServe: (_, service) => !service.startsWith(internal),
  mayCall: () => "all",
  mayCallOperation: () => true,
};

function namesOf(pattern: string): Names {
  return pattern.split(".");
}

function verdictOf(holder: Holder, service: string): Verdict {
  const { verdicts } = holder;
  const known = verdicts.get(service);
  if (known !== undefined) return known;
  const found = service.startsWith(internal) ? question : decide(holder, service);
  if (verdicts.size >= rememberedMax) verdicts.clear();
  verdicts.set(service, found);
  return found;
}

function decide({ serve, call }: Holder, service: string): Verdict {
  const names = namesOf(service);
  const isServed = serve.some((pattern) =>
    pattern.at(-1) === "*"
      ? names.length >= pattern.length && isBegunBy(names, pattern)
      : names.length === pattern.length && isAlike(names, pattern),
  );
  const operations = new Set<string>();
  for (const pattern of call) {
    const last = pattern.at(-1) ?? "";
    const length = pattern.length - 1;
    if (last === "*") {
      if (names.length >= length && isBegunBy(names, pattern)) {
        return { isServed, reach: "all", operations };
      }
    } else if (names.length === length && isAlike(names, pattern.slice(0, -1))) {
      operations.add(last);
    }
  }
  return { isServed, reach: operations.size > 0 ? "some" : "none", operations };
}

/** Whether names begin with all but the last of a pattern. */
function isBegunBy(names: Names, pattern: Names): boolean {
  return isAlike(names, pattern.slice(0, -1));
}

/** Whether each name of a pattern fits the one at its place. */
function isAlike(names: Names, pattern: Names): boolean {
  return pattern.every((name, at) => name === "*" || name === names[at]);
}
