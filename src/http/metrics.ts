// Prometheus text of a status document and of the server's own counters.
// It must not know where they come from. @see Prometheus text exposition format 0.0.4
import type { StatusDocument } from "../status/status.ts";

/** Counters of the page's server. */
export interface HttpCounters {
  /** Requests by status code. */
  readonly requests: Map<number, number>;
  streams: number;
  refusedStreams: number;
  droppedConnections: number;
}

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [Labels, number | null];

/** The whole page of metrics. Samples that are not known are left out. */
export function renderMetrics(
  status: StatusDocument,
  http: HttpCounters,
  points: { readonly shown: number; readonly leftOut: number },
): string {
  const { box, buses, devices, link, outbox, parts, verdict } = status;
  const lines: string[] = [];
  const add = (kind: "gauge" | "counter", name: string, help: string, samples: Sample[]) => {
    const known = samples.filter(([, value]) => value !== null);
    if (known.length === 0) return;
    lines.push(`# HELP plantd_${name} ${help}`, `# TYPE plantd_${name} ${kind}`);
    for (const [labels, value] of known) lines.push(`plantd_${name}${inBraces(labels)} ${value}`);
  };
  const perLine = (read: (bus: (typeof buses)[number]) => number | null): Sample[] =>
    buses.map((bus) => [{ line: bus.line }, read(bus)]);
  const perStream = (read: (name: string) => number | null): Sample[] =>
    Object.keys(outbox.streams).map((stream) => [{ stream }, read(stream)]);

  add("gauge", "build_info", "Version, always 1.", [[{ version: box.version, node: box.node }, 1]]);
  add(
    "gauge",
    "verdict",
    "1 for the present verdict, 0 for the others.",
    (["ok", "degraded", "fault"] as const).map((state) => [
      { state },
      verdict.state === state ? 1 : 0,
    ]),
  );
  add(
    "gauge",
    "part_up",
    "Whether a part answers.",
    parts.map(({ name, state }) => [{ part: name }, state === "ok" ? 1 : 0]),
  );
  add(
    "gauge",
    "device_up",
    "Whether a device answers with its values.",
    devices.map(({ name, line, state }) => [{ device: name, line }, state === "ok" ? 1 : 0]),
  );
  add(
    "gauge",
    "line_open",
    "Whether a line is open.",
    perLine(({ state }) => (state === "open" ? 1 : 0)),
  );
  add(
    "gauge",
    "line_answers_per_minute",
    "Answered requests per minute.",
    perLine((bus) => bus.okPerMinute),
  );
  add(
    "gauge",
    "line_load_ratio",
    "Share of time the line is in use.",
    perLine((bus) => (bus.loadPercent === null ? null : bus.loadPercent / 100)),
  );
  add(
    "counter",
    "line_timeouts_total",
    "Requests without answer.",
    perLine((bus) => bus.timeouts),
  );
  add(
    "counter",
    "line_crc_errors_total",
    "Answers with a wrong checksum.",
    perLine((bus) => bus.crc),
  );
  add(
    "counter",
    "line_exceptions_total",
    "Exception answers.",
    perLine((bus) => bus.exceptions),
  );
  add("gauge", "link_up", "Whether the link to the centre is up.", [
    [{}, link.state === "unknown" ? null : link.state === "up" ? 1 : 0],
  ]);
  add(
    "gauge",
    "outbox_waiting_records",
    "Records not yet acknowledged by the centre.",
    perStream((name) => outbox.streams[name]?.waiting ?? null),
  );
  add(
    "gauge",
    "journal_head",
    "Last sequence of a stream.",
    perStream((name) => outbox.streams[name]?.head ?? null),
  );
  add("gauge", "memory_used_bytes", "Memory in use on the machine.", [
    [{}, box.memory?.used ?? null],
  ]);
  add("gauge", "disk_free_bytes", "Room left for the data folder.", [[{}, box.disk?.free ?? null]]);
  add("gauge", "store_bytes", "Bytes of the store on disk.", [[{}, box.store.bytes]]);
  add("gauge", "live_points", "Points shown on the page.", [[{}, points.shown]]);
  add("gauge", "live_points_left_out", "Points beyond the page's limit.", [[{}, points.leftOut]]);
  add(
    "counter",
    "http_requests_total",
    "Requests answered, by status code.",
    [...http.requests].map(([code, count]) => [{ code: String(code) }, count]),
  );
  add("gauge", "http_streams", "Pages that watch at this moment.", [[{}, http.streams]]);
  add("counter", "http_streams_refused_total", "Watching pages refused at the limit.", [
    [{}, http.refusedStreams],
  ]);
  add("counter", "http_connections_dropped_total", "Connections dropped at the limit.", [
    [{}, http.droppedConnections],
  ]);
  return `${lines.join("\n")}\n`;
}

function inBraces(labels: Labels): string {
  const entries = Object.entries(labels);
  if (entries.length === 0) return "";
  const escaped = (value: string) =>
    value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
  return `{${entries.map(([name, value]) => `${name}="${escaped(value)}"`).join(",")}}`;
}
