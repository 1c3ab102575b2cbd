// The page of metrics: the status document, the bus, and the server's own counters as families.
// It must not know where they come from.
import { assemble, type StatusDocument, silentBus } from "../status/status.ts";
import { PlantError } from "../util/errors.ts";
import { type BusReport, busFamilies } from "./broker-metrics.ts";
import { counter, type Family, gauge, renderFamilies, type Sample, single } from "./exposition.ts";
import { type StoreReport, storeFamilies } from "./store-metrics.ts";

export type { BusReport } from "./broker-metrics.ts";
export type { StoreReport } from "./store-metrics.ts";

/** Counters of the page's server. */
export interface HttpCounters {
  /** Requests by status code. */
  readonly requests: Map<number, number>;
  streams: number;
  refusedStreams: number;
  droppedConnections: number;
}

/** Everything there is to measure at one moment. */
export interface Measured {
  readonly status: StatusDocument;
  readonly http: HttpCounters;
  readonly points: { readonly shown: number; readonly leftOut: number };
  /** What the broker said of itself; nothing where it did not answer. */
  readonly bus?: BusReport | undefined;
  /** What store and logger said of themselves. */
  readonly store?: StoreReport;
}

/** The whole page. Samples that are not known are left out. */
export function renderMetrics(measured: Measured): string {
  return renderFamilies(familiesOf(measured));
}

function familiesOf({ status, http, points, bus, store = {} }: Measured): Family[] {
  return [
    ...healthFamilies(status),
    ...lineFamilies(status),
    ...linkFamilies(status),
    ...boxFamilies(status),
    ...storeFamilies(store),
    ...(bus === undefined ? [] : busFamilies(bus)),
    ...pageFamilies(http, points),
  ];
}

function healthFamilies({ box, verdict, parts, devices }: StatusDocument): Family[] {
  return [
    gauge("build_info", "Version, always 1.", [[{ version: box.version, node: box.node }, 1]]),
    gauge(
      "verdict",
      "1 for the present verdict, 0 for the others.",
      (["ok", "degraded", "fault"] as const).map((state) => [
        { state },
        verdict.state === state ? 1 : 0,
      ]),
    ),
    gauge(
      "part_up",
      "Whether a part answers.",
      parts.map(({ name, state }) => [{ part: name }, state === "ok" ? 1 : 0]),
    ),
    gauge(
      "device_up",
      "Whether a device answers with its values.",
      devices.map(({ name, line, state }) => [{ device: name, line }, state === "ok" ? 1 : 0]),
    ),
  ];
}

function lineFamilies({ buses }: StatusDocument): Family[] {
  const perLine = (read: (bus: (typeof buses)[number]) => number | null): Sample[] =>
    buses.map((bus) => [{ line: bus.line }, read(bus)]);
  const share = (percent: number | null) => (percent === null ? null : percent / 100);
  return [
    gauge(
      "line_open",
      "Whether a line is open.",
      perLine(({ state }) => (state === "open" ? 1 : 0)),
    ),
    gauge(
      "line_answers_per_minute",
      "Answered requests per minute.",
      perLine(({ okPerMinute }) => okPerMinute),
    ),
    gauge(
      "line_load_ratio",
      "Share of time the line is in use.",
      perLine(({ loadPercent }) => share(loadPercent)),
    ),
    counter(
      "line_timeouts_total",
      "Requests without answer.",
      perLine(({ timeouts }) => timeouts),
    ),
    counter(
      "line_crc_errors_total",
      "Answers with a wrong checksum.",
      perLine(({ crc }) => crc),
    ),
    counter(
      "line_exceptions_total",
      "Exception answers.",
      perLine(({ exceptions }) => exceptions),
    ),
  ];
}

function linkFamilies({ link, outbox }: StatusDocument): Family[] {
  const perStream = (key: "waiting" | "head"): Sample[] =>
    Object.entries(outbox.streams).map(([stream, counts]) => [{ stream }, counts[key]]);
  const isUp = link.state === "unknown" ? null : Number(link.state === "up");
  return [
    gauge("link_up", "Whether the link to the centre is up.", single(isUp)),
    gauge(
      "outbox_waiting_records",
      "Records not yet acknowledged by the centre.",
      perStream("waiting"),
    ),
    gauge("journal_head", "Last sequence of a stream.", perStream("head")),
  ];
}

function boxFamilies({ box }: StatusDocument): Family[] {
  return [
    gauge("memory_used_bytes", "Memory in use on the machine.", single(box.memory?.used ?? null)),
    gauge("disk_free_bytes", "Room left for the data folder.", single(box.disk?.free ?? null)),
    gauge("store_bytes", "Bytes of the store on disk.", single(box.store.bytes)),
  ];
}

function pageFamilies(http: HttpCounters, points: Measured["points"]): Family[] {
  return [
    gauge("live_points", "Points shown on the page.", single(points.shown)),
    gauge("live_points_left_out", "Points beyond the page's limit.", single(points.leftOut)),
    counter(
      "http_requests_total",
      "Requests answered, by status code.",
      [...http.requests].map(([code, count]) => [{ code: String(code) }, count]),
    ),
    gauge("http_streams", "Pages that watch at this moment.", single(http.streams)),
    counter(
      "http_streams_refused_total",
      "Watching pages refused at the limit.",
      single(http.refusedStreams),
    ),
    counter(
      "http_connections_dropped_total",
      "Connections dropped at the limit.",
      single(http.droppedConnections),
    ),
  ];
}

/** Name, kind and meaning of every metric there may be, in the order of the page. */
export function listMetrics(): readonly Pick<Family, "name" | "kind" | "help">[] {
  const unheard = { ok: false, error: new PlantError("NO_SERVICE").toWire() } as const;
  const status = assemble({
    gateway: "",
    site: "",
    time: 0,
    services: unheard,
    queue: unheard,
    stats: unheard,
    position: unheard,
    sync: unheard,
    drivers: {},
    box: {
      version: "",
      node: "",
      uptimeMs: null,
      load: null,
      cores: 1,
      memory: null,
      disk: null,
      clock: { synced: null },
    },
    local: [],
  });
  const http = { requests: new Map(), streams: 0, refusedStreams: 0, droppedConnections: 0 };
  return familiesOf({ status, http, points: { shown: 0, leftOut: 0 }, bus: silentBus });
}
