// Every setting once: type, unit, range, default, and why. It must not know who reads a setting.
import { v } from "../util/shape.ts";
import { network, networkFlaws, policies, principals } from "./bus-rules.ts";
import { choice, flag, name, note, pathTo, section, text, whole } from "./setting.ts";

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

const share = (preset: number, why: string) => whole("%", 1, 75, preset, why);

const shares = v.pipe(
  section({
    state: share(55, "values: what a gateway is for"),
    event: share(8, "alarms, results and audit: they also have a reserve of their own"),
    log: share(8, "lines: the first to go when room runs short"),
    metric: share(4, "measurements of the machine"),
  }),
  v.check(
    ({ state, event, log, metric }) => state + event + log + metric <= 80,
    "at most 80 together: the rest is for current values, aggregates and the reserve",
  ),
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
        peersMax: whole(
          "peers",
          1,
          100_000,
          10_000,
          "peers the broker knows at one time: connections that have spoken, about 1 KiB each",
        ),
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
      aheadMiB: whole(
        "MiB",
        0,
        1_048_576,
        4,
        "zeros written ahead of use, so that a flush finds its place ready; 0 writes none",
      ),
      flushesPerHourMax: whole(
        "flushes/h",
        0,
        1_000_000,
        0,
        "flushes above which polled values wait longer, up to 10 times flushMaxMs; 0 for any number",
      ),
      pointsMax: whole("points", 1, 10_000_000, 100_000, "points with a current value"),
      valuesMiB: whole(
        "MiB",
        1,
        16_384,
        64,
        "memory for current values that are texts or JSON; numbers take none of it",
      ),
      recordsPerCommitMax: whole("records", 1, 100_000, 20_000, "records in one transaction"),
      keepMs: whole(
        "ms",
        0,
        31_536_000_000,
        86_400_000,
        "how long acknowledged records stay, in running time from their acknowledgement",
      ),
      quota: shares,
      thinAfterMs: whole(
        "ms",
        0,
        31_536_000_000,
        21_600_000,
        "age from which values become aggregates when room runs short; younger ones stay raw while they fit half of their share",
      ),
      checkpointMs: whole(
        "ms",
        100,
        86_400_000,
        60_000,
        "time between two checkpoints of current values",
      ),
      metricEveryMs: whole(
        "ms",
        0,
        604_800_000,
        3_600_000,
        "time between two records of the store's own figures in the stream metric, while anything changes; 0 makes none",
      ),
      checkMs: whole(
        "ms",
        100,
        60_000,
        4000,
        "time for looking at the database before it is opened; it rises when openings fail",
      ),
      quarantinesMax: whole("folders", 1, 10, 2, "damaged databases that are kept aside"),
      snapshotEveryMs: whole(
        "ms",
        60_000,
        604_800_000,
        86_400_000,
        "time between two snapshots of the database on the same medium",
      ),
      snapshotsMax: whole("files", 0, 20, 2, "snapshots that are kept; 0 makes none"),
      rollupMinuteDays: whole(
        "days",
        1,
        3650,
        14,
        "running time for which history has minutes of all points; then quarter-hours",
      ),
      rollupDays: whole(
        "days",
        1,
        36_500,
        1100,
        "running time for which history has quarter-hours",
      ),
      rollupPercent: whole(
        "percent",
        1,
        50,
        15,
        "most of the store's room that history's minutes and quarter-hours take",
      ),
    }),
    logger: section({
      ringMax: whole("lines", 10, 1_000_000, 5000, "lines kept in memory for plant log"),
      ringBytesMax: whole(
        "bytes",
        65_536,
        1_073_741_824,
        4_194_304,
        "size of the lines kept in memory; the oldest go first",
      ),
      batchMax: whole("lines", 1, 10_000, 500, "lines in one request"),
      linesPerSecondMax: whole(
        "lines/s",
        1,
        100_000,
        200,
        "lines one part may write in the long run; a burst may be ten times that",
      ),
      repeatMs: whole(
        "ms",
        0,
        3_600_000,
        10_000,
        "time in which the same line again is counted instead of written; 0 writes all",
      ),
      redact: v.optional(
        v.pipe(
          v.array(v.pipe(v.string(), v.minLength(1), v.maxLength(100))),
          v.maxLength(100),
          note("further names of fields whose values no log line may show"),
        ),
        [],
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
