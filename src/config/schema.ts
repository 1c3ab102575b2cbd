// Every setting once: type, unit, range, default, and why. It must not know who reads a setting.
import { principals as builtIn } from "../util/paths.ts";
import { v } from "../util/shape.ts";

/** What documentation says of a setting. */
export type SettingNote = {
  readonly unit?: string;
  readonly why: string;
};

function note<T>(why: string, unit?: string): v.MetadataAction<T, SettingNote> {
  return v.metadata<T, SettingNote>({ why, ...(unit === undefined ? {} : { unit }) });
}

/** A whole number with a unit, a range and a default. */
function whole(unit: string, min: number, max: number, preset: number, why: string) {
  const range = `a whole number from ${min} to ${max} (${unit})`;
  return v.optional(
    v.pipe(
      v.number(range),
      v.integer(range),
      v.minValue(min, range),
      v.maxValue(max, range),
      note(why, unit),
    ),
    preset,
  );
}

/** A whole number that may be absent. */
function optionalWhole(unit: string, min: number, max: number, why: string) {
  return v.exactOptional(whole(unit, min, max, min, why).wrapped);
}

function flag(preset: boolean, why: string) {
  return v.optional(v.pipe(v.boolean("true or false"), note(why)), preset);
}

function text(preset: string, why: string) {
  return v.optional(v.pipe(v.string("a text"), v.maxLength(1024), note(why)), preset);
}

function choice<const T extends readonly string[]>(options: T, preset: T[number], why: string) {
  const message = `one of ${options.join(", ")}`;
  return v.optional(v.pipe(v.picklist(options, message), note(why)), preset);
}

/** A place below a value, as issues of valibot name it. */
function pathTo(value: unknown, keys: readonly (string | number)[]) {
  const items: v.ObjectPathItem[] = [];
  let input = value as Record<string, unknown>;
  for (const each of keys) {
    const key = String(each);
    items.push({ type: "object", origin: "value", input, key, value: input[key] });
    input = input[key] as Record<string, unknown>;
  }
  return items as [v.ObjectPathItem, ...v.ObjectPathItem[]];
}

/** A section with every key optional; unknown keys are refused. */
function section<E extends v.ObjectEntries>(entries: E) {
  return v.optional(v.strictObject(entries, "a group of keys"), {} as never);
}

/** Names of lines, devices and points: they become parts of addresses and file names. */
const name = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/, "a name of letters, digits, - and _, at most 63"),
);

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
const network = v.optional(
  v.pipe(
    v.array(networkListener, "a list of endpoints, each with principal and keys"),
    v.maxLength(64, "at most 64 endpoints"),
    note("addresses of the network to listen on, one per principal, encrypted; see below"),
  ),
  [],
);

/** Network listeners nobody should have: of nobody's, or open to all while the rest is closed. */
function networkFlaws(config: unknown): { path: (string | number)[]; message: string }[] {
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
const policies = v.optional(
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
const principals = v.optional(
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

const port = (preset: number, why: string) => whole("port", 0, 65_535, preset, why);

const device = v.strictObject({
  profile: v.pipe(v.string(), note("name of the device profile, without .yaml")),
  unit: whole("unit identifier", 0, 255, 1, "address of the device on its line"),
  intervalMs: whole("ms", 20, 86_400_000, 1000, "time between two polls of each group"),
  enabled: flag(true, "a disabled device is neither polled nor written"),
});

const devices = v.optional(v.record(name, device), {});

const serialSettings = {
  path: v.pipe(
    v.string(),
    v.minLength(1),
    note("device file of the port, best by /dev/serial/by-path"),
  ),
  baud: whole("baud", 50, 4_000_000, 9600, "speed of the line"),
  parity: choice(["none", "even", "odd"], "even", "the serial-line standard prescribes even"),
  dataBits: whole("bits", 7, 8, 8, "bits per character; Modbus RTU needs 8"),
  stopBits: whole("bits", 1, 2, 1, "stop bits; 2 when there is no parity"),
};

const timing = {
  timeoutMs: whole("ms", 10, 60_000, 500, "longest wait for the first byte of an answer"),
  turnaroundMs: whole("ms", 0, 1000, 10, "pause before a request, for devices that need one"),
  queueMax: whole("requests", 1, 10_000, 256, "requests waiting for the line; more are refused"),
  lateTimeouts: whole(
    "timeouts",
    3,
    100,
    3,
    "how long an unanswered request may still be answered late; until then no request looks like it",
  ),
  recordMaxMs: whole(
    "ms",
    1000,
    86_400_000,
    60_000,
    "longest time without a record of a good value that does not change",
  ),
};

const tcpSettings = {
  host: v.pipe(v.string(), v.minLength(1), note("host name or address of the device or converter")),
  port: port(502, "502 is the port of Modbus TCP"),
  connectTimeoutMs: whole("ms", 100, 60_000, 3000, "longest wait for a connection"),
};

const line = v.variant(
  "kind",
  [
    v.strictObject({ kind: v.literal("modbus-rtu"), ...serialSettings, ...timing, devices }),
    v.strictObject({ kind: v.literal("modbus-tcp"), ...tcpSettings, ...timing, devices }),
    v.strictObject({ kind: v.literal("serial"), ...serialSettings, ...timing, devices }),
  ],
  "kind must be one of modbus-rtu, modbus-tcp, serial",
);

const sections = v.strictObject(
  {
    gateway: section({
      name: v.optional(v.pipe(name, note("name of this gateway on pages and in logs")), "gateway"),
      site: text("", "where it stands, in words"),
    }),
    access: section({
      mode: choice(
        ["closed", "open"],
        "closed",
        "open lets any local peer serve and call: development only",
      ),
      principals,
    }),
    log: section({
      level: choice(["debug", "info", "warn", "error"], "info", "least severity that is written"),
    }),
    broker: v.pipe(
      section({
        network,
        endpoint: text(
          "",
          "as network, of the principal network and without keys: in open mode only; older name",
        ),
        transport: choice(
          ["zmtp", "zeromq"],
          "zmtp",
          "what carries local sockets: our own, or libzmq, which is slower; TCP is always libzmq",
        ),
        heartbeatMs: whole("ms", 50, 60_000, 1000, "time between two signs of life, both ways"),
        livenessMs: whole(
          "ms",
          100,
          600_000,
          4000,
          "silence after which an idle peer counts as dead; at least two heartbeats",
        ),
        busyTimeoutMs: whole(
          "ms",
          100,
          3_600_000,
          60_000,
          "silence allowed to a worker that is working",
        ),
        requestTtlMs: whole(
          "ms",
          100,
          3_600_000,
          30_000,
          "longest life of a request without a deadline",
        ),
        queueMax: whole(
          "requests",
          1,
          100_000,
          1000,
          "requests waiting per service; more are refused",
        ),
        connectionsMax: whole(
          "connections",
          1,
          65_000,
          10_000,
          "connections at one time, of peers that never spoke too; each needs a file handle",
        ),
        peersMax: whole("peers", 1, 100_000, 1024, "peers the broker knows at one time"),
        servicesMax: whole("services", 1, 100_000, 256, "services the broker knows at one time"),
        requestsPerPeerMax: whole("requests", 1, 100_000, 1024, "open requests of one client"),
        framesMax: whole("frames", 4, 1024, 32, "frames in one message"),
        messageBytesMax: whole("bytes", 1024, 268_435_456, 16_777_216, "size of one message"),
        receiveBytesTotalMax: whole(
          "bytes",
          1_048_576,
          1_073_741_824,
          33_554_432,
          "received of all peers and not yet handed on; beyond it nobody is read, or the largest goes",
        ),
        sendBytesTotalMax: whole(
          "bytes",
          1_048_576,
          1_073_741_824,
          67_108_864,
          "unread by all peers together; beyond it whoever left most unread loses its connection",
        ),
        services: policies,
      }),
      v.forward(
        v.partialCheck(
          [["heartbeatMs"], ["livenessMs"]],
          ({ heartbeatMs, livenessMs }) => livenessMs >= 2 * heartbeatMs,
          "at least twice broker.heartbeatMs: one beat may be late",
        ),
        ["livenessMs"],
      ),
    ),
    store: section({
      flushMaxMs: whole(
        "ms",
        0,
        60_000,
        50,
        "longest wait of a polled value for its flush to disk",
      ),
      mapMiB: whole(
        "MiB",
        16,
        1_048_576,
        512,
        "room for the whole store; fixed, it bounds the disk",
      ),
      pointsMax: whole("points", 1, 10_000_000, 100_000, "points with a current value"),
      recordsPerCommitMax: whole("records", 1, 100_000, 20_000, "records in one transaction"),
      keepMs: whole("ms", 0, 31_536_000_000, 86_400_000, "how long acknowledged records stay"),
      checkpointMs: whole(
        "ms",
        100,
        86_400_000,
        60_000,
        "time between two checkpoints of current values",
      ),
    }),
    logger: section({
      ringMax: whole("lines", 10, 1_000_000, 5000, "lines kept for plant log"),
      batchMax: whole("lines", 1, 10_000, 500, "lines in one request"),
      linesPerSecondMax: whole(
        "lines/s",
        1,
        100_000,
        200,
        "lines one part may write in the long run; a burst may be ten times that",
      ),
      keepLevel: choice(
        ["debug", "info", "warn", "error"],
        "warn",
        "least severity that is kept on disk and sent to the centre",
      ),
    }),
    sync: section({
      batchRecordsMax: whole("records", 1, 100_000, 5000, "records in one batch"),
      batchBytesMax: whole(
        "bytes",
        1024,
        16_777_216,
        262_144,
        "size of one batch before compression",
      ),
      batchAgeMs: whole("ms", 0, 600_000, 250, "longest wait of a record for companions"),
      windowMax: whole("batches", 1, 256, 32, "batches on their way, not yet acknowledged"),
      resendMs: whole(
        "ms",
        100,
        600_000,
        2000,
        "least wait for an acknowledgement before sending again",
      ),
      backoffBaseMs: whole("ms", 10, 600_000, 1000, "first wait before connecting again"),
      backoffCeilingMs: whole("ms", 10, 3_600_000, 300_000, "longest wait before connecting again"),
      helloMs: whole(
        "ms",
        1000,
        3_600_000,
        300_000,
        "time between two greetings on one connection",
      ),
    }),
    http: section({
      host: text("127.0.0.1", "address the page listens on; loopback is reached by ssh -L"),
      port: port(8480, "port of the page; 0 takes a free one"),
      connectionsMax: whole("connections", 1, 10_000, 64, "connections at one time"),
      hosts: v.optional(
        v.pipe(v.array(v.string()), note("further Host names the page answers to")),
        [],
      ),
    }),
    lines: v.optional(v.record(name, line), {}),
    central: section({
      host: text("127.0.0.1", "address the centre's page listens on"),
      port: port(8490, "port of the centre's page; 0 takes a free one"),
      hosts: v.optional(
        v.pipe(v.array(v.string()), note("further Host names the centre's page answers to")),
        [],
      ),
      mqtt: text("", "MQTT broker of the centre, e.g. mqtts://127.0.0.1:8883"),
      publicMqtt: text("", "MQTT address told to gateways when they enrol; mqtt when empty"),
      mapMiB: whole("MiB", 16, 1_048_576, 4096, "room for the centre's embedded store"),
      codeHours: whole("h", 1, 720, 72, "life of an enrolment code"),
      heldBytesMax: whole("bytes", 1024, 268_435_456, 8_388_608, "early batches held per stream"),
    }),
  },
  "a group of sections",
);

/** The whole configuration. */
export const schema = v.pipe(
  sections,
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return;
    for (const { path, message } of networkFlaws(dataset.value)) {
      addIssue({ message, path: pathTo(dataset.value, path) });
    }
  }),
);

/** The configuration after defaults. */
export type Config = v.InferOutput<typeof schema>;
/** One physical line and the devices on it. */
export type LineConfig = Config["lines"][string];
/** One device of a line. */
export type DeviceConfig = v.InferOutput<typeof device>;
