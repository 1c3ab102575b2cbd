// Joins what the centre knows to what its web application shows.
// It must not know HTTP or rows.
import type { KeySet } from "../access/access.ts";
import type { DiskStats } from "../disk/disk.ts";
import type { LinkState } from "../uplink/uplink.ts";
import type { Clock } from "../util/clock.ts";
import type { Enrolment } from "./enrolment.ts";
import { findSummary, listGaps, listSummaries, listValues, readHistory } from "./fleet.ts";
import type { IngestState } from "./ingest.ts";
import type { Intake } from "./intake.ts";
import { type DevicePart, renderPage } from "./page.ts";
import type { Facade, Health } from "./web.ts";

/** Gateways shown in full on the page of all. */
const partsMax = 8;
const eventsShown = 10;
const linesShown = 20;

export interface FacadeDeps {
  readonly clock: Clock;
  readonly state: IngestState;
  readonly enrolment: Enrolment;
  readonly intake: Pick<Intake, "counters">;
  readonly keySet: KeySet;
  readonly version: string;
  /** The link to the MQTT broker; none when there is no broker. */
  readonly link: () => LinkState | undefined;
  /** Messages dropped before ingest. */
  readonly dropped: () => number;
  readonly disk: () => DiskStats;
  /** Tells the pages that something changed. */
  readonly announce: () => void;
  readonly onChange: (listener: () => void) => () => void;
}

export function createFacade(deps: FacadeDeps): Facade {
  const { state, enrolment, clock, version } = deps;
  return {
    summaries: () => listSummaries(state),
    summary: (device) => findSummary(state, device),
    values: (device) => listValues(state, device),
    history: (device, query) => readHistory(state, device, query),
    gaps: (device) => listGaps(state, device),
    async createDevice(device) {
      const made = await enrolment.createDevice(device);
      deps.announce();
      return made;
    },
    enrol: (body) => enrolment.enrol(body),
    keySet: () => deps.keySet.text,
    health: () => healthOf(deps),
    metrics: () => metricsOf(deps),
    onChange: deps.onChange,
    page(only) {
      const devices = listSummaries(state);
      const shown = only === undefined ? devices.slice(0, partsMax) : [findSummary(state, only)];
      const parts = shown
        .filter((summary) => summary.state !== "waiting")
        .map((summary) => partOf(state, summary));
      const link = deps.link();
      const reason = link?.reason?.message ?? (link === undefined ? "none is set" : undefined);
      return renderPage({
        now: clock.wallMs(),
        version,
        link: { isUp: link?.status === "up", ...(reason === undefined ? {} : { reason }) },
        devices,
        parts,
        ...(only === undefined ? {} : { only }),
      });
    },
  };
}

function partOf(state: IngestState, summary: DevicePart["summary"]): DevicePart {
  const newest = (stream: "event" | "log", limit: number) =>
    readHistory(state, summary.id, { stream, limit, isReverse: true }).records;
  return {
    summary,
    values: listValues(state, summary.id),
    events: newest("event", eventsShown),
    lines: newest("log", linesShown),
  };
}

function healthOf(deps: FacadeDeps): Health {
  const link = deps.link();
  const disk = deps.disk();
  const isRoomy = disk.liveBytes < disk.roomBytes * 0.95;
  const linkStatus = link?.status === "up" ? "pass" : "fail";
  const checks = [
    {
      name: "mqtt",
      status: link === undefined ? "warn" : linkStatus,
      ...(link?.reason === undefined ? {} : { output: link.reason.code }),
    },
    { name: "store", status: isRoomy ? "pass" : "fail" },
  ];
  const worst = ["fail", "warn"].find((each) => checks.some(({ status }) => status === each));
  return { status: (worst ?? "pass") as Health["status"], version: deps.version, checks };
}

/** @see Prometheus, text exposition format 0.0.4 */
function metricsOf(deps: FacadeDeps): string {
  const { state, enrolment, intake } = deps;
  const disk = deps.disk();
  const counters: Readonly<Record<string, number>> = {
    ...state.counters,
    commits: intake.counters.commits,
    commits_failed: intake.counters.commitsFailed,
    defects: intake.counters.defects,
    answers_lost: intake.counters.answersLost,
    messages_dropped: deps.dropped(),
    enrolments: enrolment.counters.enrolled,
    enrolments_refused: enrolment.counters.refused,
  };
  const gauges = {
    mqtt_up: deps.link()?.status === "up" ? 1 : 0,
    devices_active: state.devices.size,
    store_live_bytes: disk.liveBytes,
    store_room_bytes: disk.roomBytes,
  };
  const lines = [
    ...Object.entries(counters).flatMap(([name, value]) => [
      `# TYPE plantd_central_${name}_total counter`,
      `plantd_central_${name}_total ${value}`,
    ]),
    ...Object.entries(gauges).flatMap(([name, value]) => [
      `# TYPE plantd_central_${name} gauge`,
      `plantd_central_${name} ${value}`,
    ]),
  ];
  return `${lines.join("\n")}\n`;
}
