// The verdict: a table of rules over the facts, most important first; the worst severity found
// is the state. It must not know where the facts come from.
import type { WireError } from "../util/errors.ts";
import type { DeviceStatus, Reason, StatusDocument, Verdict, VerdictState } from "./document.ts";
import { describeBytes, describeCount, describeDuration, explain } from "./words.ts";

/** The facts a verdict is drawn from. */
export type Facts = Omit<StatusDocument, "verdict" | "schema"> & {
  /** What goes wrong on the asking side. */
  readonly local: readonly WireError[];
};

/** A rule's finding: a reason and what to do about it. */
interface Finding extends Reason {
  readonly next: string;
}

/** Reads facts, finds nothing or some things wrong. */
type Rule = (facts: Facts) => readonly Finding[];

/** Free space of the data folder below which a gateway is degraded, and below which it fails. */
const diskLowShare = 0.1;
const diskFullShare = 0.02;
/** Age of the oldest waiting record, with the link up, that counts as not draining. */
const backlogOldMs = 10 * 60_000;
/** Part of a queue in use that counts as full. */
const fullShare = 0.8;
/** A worker that is restarted takes less than this to come back. */
const forsakenMs = 5000;
/** Reasons a verdict names; the rest are counted. */
const reasonsMax = 8;

/** All rules, most important first. */
const rules: readonly Rule[] = [
  partsDown,
  queuesFull,
  forsaken,
  storeReplaced,
  storeTroubled,
  diskSpace,
  linesFailed,
  devicesFailing,
  localTrouble,
  linkAway,
  backlogStuck,
  publishingPaused,
  notEnrolled,
  nothingConfigured,
  clockUnsynced,
];

/** Draws the verdict. */
export function judge(facts: Facts): Verdict {
  const found = rules.flatMap((rule) => rule(facts));
  const weight = { fault: 0, degraded: 1, note: 2 } as const;
  const sorted = found
    .map((finding, order) => ({ finding, order }))
    .sort((a, b) => weight[a.finding.severity] - weight[b.finding.severity] || a.order - b.order)
    .map(({ finding }) => finding);
  const worst = sorted[0]?.severity ?? "note";
  const state: VerdictState = worst === "note" ? "ok" : worst;
  const why = sorted
    .slice(0, reasonsMax)
    .map(({ text, code, severity, since }) => ({ text, code, severity, since }));
  const next = sorted.find((finding) => finding.next !== "")?.next ?? "";
  return { state, words: headline(facts), why, next };
}

function headline(facts: Facts): string {
  const { link, outbox } = facts;
  const words = isBrokerDown(facts) ? [] : [devicesInWords(facts.devices)];
  const down = facts.parts.filter((part) => part.state === "down");
  const isForbidden = down.some(({ code }) => code === "SOCKET_FORBIDDEN");
  if (isForbidden) words.unshift("not known: this account may not ask");
  else if (down.length > 0) words.unshift(`${down.map((part) => part.name).join(", ")} down`);
  if (link.enrolled === false) words.push("not enrolled");
  else if (link.state !== "unknown") words.push(`link ${link.state}`);
  if (link.paused === true) words.push("paused");
  const jammed = [...queuesFull(facts), ...forsaken(facts)].length;
  if (jammed > 0) words.unshift(jammed === 1 ? "1 service jammed" : `${jammed} services jammed`);
  if (outbox.waiting !== null) words.push(`${describeCount(outbox.waiting)} waiting`);
  return words.join(" · ");
}

function isBrokerDown({ parts }: Pick<Facts, "parts">): boolean {
  return parts.some(({ name, state }) => name === "broker" && state === "down");
}

function devicesInWords(devices: readonly DeviceStatus[]): string {
  const enabled = devices.filter((device) => device.state !== "disabled");
  const total = enabled.length;
  if (total === 0) return "no devices";
  const noun = total === 1 ? "device" : "devices";
  for (const state of ["silent", "faulty", "unknown", "starting"] as const) {
    const count = enabled.filter((device) => device.state === state).length;
    if (count > 0) return `${count} of ${total} ${noun} ${state}`;
  }
  return total === 1 ? "the device answers" : `all ${total} devices answer`;
}

function partsDown({ parts }: Facts): readonly Finding[] {
  const broker = parts.find((part) => part.name === "broker");
  if (broker?.state === "down") {
    const code = broker.code ?? "BROKER_UNREACHABLE";
    const text = broker.words ?? "the broker does not answer";
    const steps: Record<string, string> = {
      BROKER_UNREACHABLE: "plantd run",
      SOCKET_FORBIDDEN: explain("SOCKET_FORBIDDEN")?.next ?? "",
    };
    const next = steps[code] ?? `plant explain ${code}`;
    return [finding("fault", code, text, null, next)];
  }
  return parts
    .filter((part) => part.state === "down" && !part.name.startsWith("driver:"))
    .map((part) => {
      if (part.code === "DENIED") {
        const text = `who asks here may not ask ${part.name}: how it is, is not known`;
        return finding("degraded", "DENIED", text, null, "plant explain DENIED");
      }
      const severity = part.name === "store" ? "fault" : "degraded";
      const effect: Record<string, string> = {
        store: "nothing can be kept",
        sync: "nothing reaches the centre",
      };
      const text = `${part.name} does not answer: ${effect[part.name] ?? part.words ?? "down"}`;
      return finding(severity, "PART_DOWN", text, null, "plant explain PART_DOWN");
    });
}

function queuesFull({ broker }: Facts): readonly Finding[] {
  return (broker?.services ?? [])
    .filter(({ waiting, waitingMax }) => waitingMax !== null && waiting >= waitingMax * fullShare)
    .map(({ service, waiting, waitingMax }) => {
      const text = `${describeCount(waiting)} of ${describeCount(waitingMax ?? 0)} requests wait for ${service}`;
      return finding("degraded", "QUEUE_FULL", text, null, "plant broker queue");
    });
}

/** Requests for nobody; of a part that is down, its own rule tells. */
function forsaken({ broker, parts }: Facts): readonly Finding[] {
  if (parts.some(({ state }) => state === "down")) return [];
  return (broker?.services ?? [])
    .filter(({ workers, oldestMs }) => workers === 0 && oldestMs >= forsakenMs)
    .map(({ service, waiting }) => {
      const verb = waiting === 1 ? "request waits" : "requests wait";
      const text = `${describeCount(waiting)} ${verb} for ${service}, which nobody serves`;
      return finding("degraded", "NO_SERVICE", text, null, "plant broker queue");
    });
}

function storeReplaced({ box }: Facts): readonly Finding[] {
  const { loss } = box.store;
  if (loss === null) return [];
  const text = `the database was damaged and replaced: ${loss.words}`;
  return [finding("degraded", "STORE_REPLACED", text, loss.time, "plant backup losses")];
}

const checkWords: Readonly<Record<string, string>> = {
  room: "the store's room",
  commits: "commits of the store",
  flush: "a flush to the medium",
  damage: "damage in the store",
  checkpoint: "the store's checkpoint",
  snapshots: "snapshots of the store",
  consumers: "the store",
};
/** Checks whose failing means that nothing can be kept. */
const vital: ReadonlySet<string> = new Set(["room", "commits"]);

/** What the store itself does not let pass. */
function storeTroubled({ box }: Facts): readonly Finding[] {
  return box.store.checks
    .filter(({ status }) => status !== "pass")
    .map(({ name, status, code, words }) => {
      const severity = status === "fail" && vital.has(name) ? "fault" : "degraded";
      const known = code !== null && explain(code) !== undefined ? code : "STORE_FAILED";
      const text = `${checkWords[name] ?? name}: ${words}`;
      return finding(severity, known, text, null, `plant explain ${known}`);
    });
}

function diskSpace({ box }: Facts): readonly Finding[] {
  const { disk } = box;
  if (disk === null || disk.total === 0) return [];
  const share = disk.free / disk.total;
  if (share >= diskLowShare) return [];
  const text = `the data folder has ${describeBytes(disk.free)} free (${Math.round(share * 100)} %)`;
  const severity = share < diskFullShare ? "fault" : "degraded";
  return [finding(severity, "DISK_LOW", text, null, "plant explain DISK_LOW")];
}

function linesFailed({ buses, parts }: Facts): readonly Finding[] {
  if (isBrokerDown({ parts })) return []; // nobody can be asked
  const failed = buses.filter((bus) => bus.state === "failed" || bus.state === "down");
  const severity = failed.length === buses.length ? "fault" : "degraded";
  return failed.map((bus) => {
    const code = bus.code ?? (bus.state === "down" ? "PART_DOWN" : "LINE_FAILED");
    const text =
      bus.state === "down"
        ? `${bus.line}: its driver does not answer`
        : `${bus.line}: the port cannot be used${bus.reason === null ? "" : `: ${bus.reason}`}`;
    return finding(severity, code, text, null, `plant explain ${code}`);
  });
}

function devicesFailing({ devices, time, buses }: Facts): readonly Finding[] {
  const reachable = new Set(buses.filter((bus) => bus.state === "open").map((bus) => bus.line));
  const enabled = devices.filter((device) => device.state !== "disabled");
  const failing = enabled.filter(({ state }) => state === "silent" || state === "faulty");
  const severity = failing.length === enabled.length ? "fault" : "degraded";
  return failing
    .filter((device) => reachable.has(device.line))
    .map((device) => {
      const known = device.code !== null && explain(device.code) !== undefined;
      const preset = device.state === "silent" ? "DEVICE_SILENT" : "DEVICE_FAULTY";
      const code = known && device.code !== null ? device.code : preset;
      const since = device.state === "silent" ? (device.lastGood ?? device.since) : device.since;
      const place = device.unit === null ? device.line : `${device.line} unit ${device.unit}`;
      const what = device.state === "silent" ? "no answer" : "answers wrongly";
      const age = since === null ? "" : ` for ${describeDuration(time - since)}`;
      const text = `${device.name} (${place}) ${what}${age}`;
      return finding(severity, code, text, since, `plant explain ${code}`);
    });
}

function localTrouble({ local }: Facts): readonly Finding[] {
  return local.map(({ code, message }) =>
    finding("degraded", code, message, null, explain(code)?.next ?? ""),
  );
}

function linkAway({ link, time }: Facts): readonly Finding[] {
  if (link.enrolled !== true || link.state === "up" || link.state === "unknown") return [];
  const age = link.since === null ? "" : ` for ${describeDuration(time - link.since)}`;
  const why = link.words ?? link.reason;
  const reason = why === null ? "" : `: ${why}`;
  const text = `no link to the centre${age}${reason}${nextAttempt(link, time)}`;
  const code = link.reason !== null && explain(link.reason) !== undefined ? link.reason : null;
  const next = `plant explain ${code ?? "LINK_AWAY"}`;
  return [finding("degraded", "LINK_AWAY", text, link.since, next)];
}

function nextAttempt({ retryAt }: Facts["link"], time: number): string {
  return retryAt === null || retryAt <= time
    ? ""
    : ` · tries again in ${describeDuration(retryAt - time)}`;
}

function publishingPaused({ link }: Facts): readonly Finding[] {
  if (link.paused !== true || link.enrolled !== true) return [];
  const text = "publishing is paused: records wait on this gateway";
  return [finding("degraded", "OUTBOX_PAUSED", text, null, "plant outbox resume")];
}

function backlogStuck({ link, outbox, time }: Facts): readonly Finding[] {
  if (link.state !== "up" || link.paused === true) return [];
  if (!outbox.waiting || outbox.oldest === null) return [];
  const age = time - outbox.oldest;
  if (age < backlogOldMs || outbox.drainMs !== null) return [];
  const count = describeCount(outbox.waiting);
  const text = `${count} records wait, the oldest for ${describeDuration(age)}`;
  return [finding("degraded", "BACKLOG_STUCK", text, outbox.oldest, "plant outbox")];
}

function notEnrolled({ link }: Facts): readonly Finding[] {
  if (link.enrolled !== false) return [];
  const text = "not enrolled at a centre: data is kept on this gateway only";
  return [finding("note", "NOT_ENROLLED", text, null, "plant enroll URL CODE")];
}

function nothingConfigured({ buses, parts }: Facts): readonly Finding[] {
  const isBrokerUp = parts.some((part) => part.name === "broker" && part.state === "ok");
  if (buses.length > 0 || !isBrokerUp) return [];
  const text = "no line is configured, so nothing is measured";
  return [finding("note", "NO_LINES", text, null, "plant explain NO_LINES")];
}

function clockUnsynced({ box }: Facts): readonly Finding[] {
  if (box.clock.synced !== false) return [];
  return [finding("note", "CLOCK_UNSYNCED", "the clock is not synchronised", null, "")];
}

function finding(
  severity: Finding["severity"],
  code: string,
  text: string,
  since: number | null,
  next: string,
): Finding {
  return { severity, code, text, since, next };
}
