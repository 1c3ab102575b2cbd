// The sections of the page as HTML: verdict, values, lines, link, box, events. Each is drawn whole
// for the first paint and again when its facts change. It must not know how it gets to the page.
import {
  type DeviceStatus,
  describeBytes,
  describeCount,
  describeDuration,
  describeUnit,
  describeValue,
  explain,
  type StatusDocument,
  type VerdictState,
} from "../status/status.ts";
import { html, type Markup } from "../util/html.ts";
import type { RecentEvent } from "./events.ts";
import { shortAge, sparkPoints } from "./face.ts";
import type { LivePoint } from "./live.ts";

const stateWords = { ok: "OK", degraded: "Degraded", fault: "Fault" } as const;

/** State by shape: a disc, a triangle, an octagon. */
export const shapes: Readonly<Record<VerdictState, string>> = {
  ok: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Z",
  degraded: "M12 2.5 22.5 21h-21Z",
  fault: "M8 2.5h8L21.5 8v8L16 21.5H8L2.5 16V8Z",
};

function shape(state: VerdictState): Markup {
  return html`<svg class="shape ${state}" viewBox="0 0 24 24" aria-hidden="true"><path d="${shapes[state]}"/></svg>`;
}

function chip(state: VerdictState | "idle", words: string): Markup {
  const mark = state === "idle" ? "" : shape(state);
  return html`<span class="chip ${state}">${mark}${words}</span>`;
}

function age(time: number | null, now: number): Markup {
  if (time === null || time === 0) return html`<span class="age">–</span>`;
  return html`<span class="age" data-t="${time}">${shortAge(now - time)}</span>`;
}

/** The verdict bar. */
export function verdictSection({ verdict, gateway, site }: StatusDocument): Markup {
  const { state, words } = verdict;
  return html`<div class="bar ${state}">${shape(state)}
<div class="state"><strong class="word">${stateWords[state]}</strong><span class="fresh" id="fresh">live</span></div>
<p role="status">${words}</p>
<div class="who"><strong>${gateway}</strong>${site}</div></div>`;
}

/** What is wrong, with causes and the next step; empty when all is well. */
export function reasonsSection({ verdict, time }: StatusDocument): Markup {
  if (verdict.why.length === 0) return html``;
  const items = verdict.why.map((reason) => {
    const entry = explain(reason.code);
    const state = reason.severity === "note" ? "idle" : reason.severity;
    const words = { fault: "fault", degraded: "warning", note: "note" }[reason.severity];
    const causes = entry?.causes ?? [];
    return html`<li class="reason ${state}">${chip(state, words)}
<div><p class="what">${reason.text}</p>
${causes.length > 0 && html`<p class="likely"><span>Likely</span> ${causes.join(" · ")}</p>`}
<p class="likely"><span>Do</span> ${entry?.next ?? verdict.next}</p></div>
<div class="code"><code>${reason.code}</code>${age(reason.since, time)}</div></li>`;
  });
  return html`<h2>Why</h2><ul class="reasons">${items}</ul>
${verdict.next !== "" && html`<p class="next">Next <code>${verdict.next}</code></p>`}`;
}

/** Over the values while the store does not answer: of what moment they are. */
export function storeSection(asOf: number | undefined): Markup {
  if (asOf === undefined) return html``;
  const digits = { hour: "2-digit", minute: "2-digit", second: "2-digit" } as const;
  const format = { ...digits, hourCycle: "h23", timeZoneName: "short" } as const;
  const moment = new Intl.DateTimeFormat("sv-SE", format).format(asOf);
  return html`<p class="asof" role="status">Values as of ${moment}; the store does not answer.</p>`;
}

const deviceStates: Readonly<Record<DeviceStatus["state"], VerdictState | "idle">> = {
  ok: "ok",
  silent: "degraded",
  faulty: "degraded",
  unknown: "idle",
  disabled: "idle",
  starting: "idle",
};

/** Live values, one panel per device, in the order of their names. */
export function valuesSection(
  status: StatusDocument,
  points: readonly LivePoint[],
  only?: string,
): Markup {
  const known = new Map(status.devices.map((device) => [device.name, device]));
  const names = [...new Set([...known.keys(), ...points.map(({ device }) => device)])].sort();
  const shown = only === undefined ? names : names.filter((name) => name === only);
  if (shown.length === 0)
    return html`<h2>Values</h2><p class="none">No device has reported yet.</p>`;
  const panels = shown.map((name) =>
    devicePanel(
      name,
      known.get(name),
      points.filter(({ device }) => device === name),
      status.time,
    ),
  );
  return html`<h2>Values</h2><div class="devices">${panels}</div>`;
}

function devicePanel(
  name: string,
  device: DeviceStatus | undefined,
  points: readonly LivePoint[],
  now: number,
): Markup {
  const state = device === undefined ? "idle" : deviceStates[device.state];
  const place =
    device === undefined
      ? ""
      : [device.profile, device.line, device.unit === null ? null : `unit ${device.unit}`]
          .filter((word) => word !== null)
          .join(" · ");
  const rows = points.map((live) => pointRow(live, now));
  const body =
    rows.length === 0
      ? html`<p class="none">No value yet.</p>`
      : html`<table class="values"><caption class="hidden">Values of ${name}</caption><thead><tr><th scope="col">Point</th><th scope="col" class="n">Value</th><th scope="col" class="trend">Trend</th><th scope="col">Quality</th><th scope="col" class="n">Age</th></tr></thead><tbody>${rows}</tbody></table>`;
  return html`<section class="panel"><header><h3><a id="d-${name}" href="/device/${encodeURIComponent(name)}">${name}</a></h3><span class="place">${place}</span><span data-device="${name}">${chip(state, device?.state ?? "unknown")}</span></header>${body}</section>`;
}

function pointRow(live: LivePoint, now: number): Markup {
  const { id, point } = live;
  const { key, unit, quality } = point;
  const text = describeValue(point.value);
  return html`<tr id="p${id}" class="q-${quality}"><th scope="row">${breakable(key)}</th><td class="n v${text.length > 11 && " long"}"><span>${text}</span>${unit !== undefined && html` <small>${describeUnit(unit)}</small>`}</td><td class="trend">${trend(live)}</td><td class="q">${qualityWords(point)}</td><td class="n">${age(point.time.wall, now)}</td></tr>`;
}

/** The curve of the last hour; of the last samples while the store has not told it. */
function trend({ samples, hour }: LivePoint): Markup {
  const box = html`viewBox="0 0 120 28" preserveAspectRatio="none" role="img"`;
  if (hour !== undefined) {
    return html`<svg ${box} aria-label="${hour.words}"><path d="${hour.path}"/></svg>`;
  }
  const low = samples.length > 0 ? Math.min(...samples) : 0;
  const high = samples.length > 0 ? Math.max(...samples) : 0;
  const words =
    samples.length < 2
      ? ""
      : `last ${samples.length} samples from ${describeValue(low)} to ${describeValue(high)}`;
  return html`<svg ${box} aria-label="${words}" data-s="${samples.join(",")}"><polyline points="${sparkPoints(samples)}"/></svg>`;
}

/** A name that may be broken after its underscores and hyphens. */
function breakable(name: string): Markup {
  const [first = "", ...rest] = name.split(/(?<=[_-])/);
  return html`${first}${rest.map((piece) => html`<wbr>${piece}`)}`;
}

/** The reason where there is one, else the quality. */
export function qualityWords(point: LivePoint["point"]): string {
  const { quality, reason } = point;
  return reason === undefined ? quality : reason.replaceAll("-", " ");
}

/** The lines, one row each. */
export function linesSection({ buses }: StatusDocument): Markup {
  if (buses.length === 0) return html`<h2>Lines</h2><p class="none">No line is configured.</p>`;
  const rows = buses.map((bus) => {
    const isOpen = bus.state === "open";
    const state = isOpen ? "ok" : bus.state === "opening" ? "idle" : "fault";
    const { p50, p99 } = bus.turnaroundMs;
    const turnaround = p50 === null ? "–" : `${Math.round(p50)} / ${Math.round(p99 ?? p50)} ms`;
    return html`<tr><th scope="row">${bus.line}<small>${bus.settings ?? bus.kind}</small></th><td data-label="State">${chip(state, bus.state)}</td><td class="n" data-label="Devices">${bus.devicesOk} / ${bus.devicesTotal}</td><td class="n" data-label="Answers/min">${count(bus.okPerMinute)}</td><td class="n" data-label="Timeouts">${count(bus.timeouts)}</td><td class="n" data-label="CRC errors">${count(bus.crc)}</td><td class="n" data-label="Load">${bus.loadPercent === null ? "–" : `${Math.round(bus.loadPercent)} %`}</td><td class="n" data-label="Turnaround">${turnaround}</td><td class="trend" data-label="Last hour">${bars(bus.lastHour)}</td></tr>`;
  });
  return html`<h2>Lines</h2><section class="panel"><table class="cards"><thead><tr><th scope="col">Line</th><th scope="col">State</th><th scope="col" class="n">Devices</th><th scope="col" class="n">Answers/min</th><th scope="col" class="n">Timeouts</th><th scope="col" class="n">CRC errors</th><th scope="col" class="n">Load</th><th scope="col" class="n">Turnaround</th><th scope="col">Last hour</th></tr></thead><tbody>${rows}</tbody></table></section>`;
}

function count(value: number | null): string {
  return value === null ? "–" : describeCount(value);
}

function bars(values: readonly number[]): Markup {
  if (values.length === 0) return html`–`;
  const top = Math.max(1, ...values);
  const rects = values.map((value, at) => {
    const height = Math.max(1, Math.round((value / top) * 26));
    return html`<rect x="${at * 12}" y="${28 - height}" width="9" height="${height}"/>`;
  });
  const words = `answers per six minutes, oldest first: ${values.join(", ")}`;
  return html`<svg class="bars" viewBox="0 0 120 28" preserveAspectRatio="none" role="img" aria-label="${words}">${rects}</svg>`;
}

function tile(name: string, value: string | Markup, note: string | Markup = ""): Markup {
  return html`<div class="tile"><dt>${name}</dt><dd>${value}<small>${note}</small></dd></div>`;
}

/** The link to the centre and what waits for it. `backlog` are its last samples. */
export function linkSection(status: StatusDocument, backlog: readonly number[]): Markup {
  const { link, outbox, time } = status;
  const isUp = link.state === "up";
  const state = isUp ? "ok" : link.enrolled === false ? "idle" : "degraded";
  const words = link.enrolled === false ? "not enrolled" : link.state;
  const since = link.since === null ? "" : `for ${describeDuration(time - link.since)}`;
  const drain = outbox.drainMs === null ? "" : `empty in about ${describeDuration(outbox.drainMs)}`;
  const trend = html`<svg class="wide" viewBox="0 0 120 28" preserveAspectRatio="none" role="img" aria-label="records waiting over the last minutes"><polyline points="${sparkPoints(backlog)}"/></svg>`;
  return html`<h2>Link</h2><dl class="tiles">
${tile("Link", chip(state, words), link.paused === true ? "publishing is paused" : since)}
${tile("Centre", link.centre ?? link.mqtt ?? "–", link.centre === null ? "" : (link.mqtt ?? ""))}
${tile("Last acknowledgement", age(link.lastAck, time))}
${tile("Waiting", html`<span id="waiting">${outbox.waiting === null ? "–" : describeCount(outbox.waiting)}</span>`, drain)}
${tile("Oldest waiting", age(outbox.oldest, time))}
<div class="tile"><dt>Backlog</dt><dd>${trend}</dd></div></dl>`;
}

/** The machine and the parts that run on it. */
export function boxSection({ box, parts }: StatusDocument): Markup {
  const { memory, disk, clock } = box;
  const clockWords =
    clock.synced === null ? "–" : clock.synced ? "synchronised" : "not synchronised";
  const share = (part: number, whole: number) =>
    whole === 0 ? "" : `${Math.round((part / whole) * 100)} %`;
  return html`<h2>Box</h2><dl class="tiles">
${tile("Version", box.version, `Node ${box.node}`)}
${tile("Up", box.uptimeMs === null ? "–" : describeDuration(box.uptimeMs))}
${tile("Load", box.load === null ? "–" : box.load.toFixed(2), `${box.cores} cores`)}
${tile("Memory", memory === null ? "–" : describeBytes(memory.used), memory === null ? "" : share(memory.used, memory.total))}
${tile("Disk free", disk === null ? "–" : describeBytes(disk.free), disk === null ? "" : share(disk.free, disk.total))}
${storeTiles(box)}${tile("Clock", clockWords)}</dl>
<ul class="parts">${parts.map((part) => html`<li>${chip(part.state === "ok" ? "ok" : "fault", `${part.name} ${part.state === "ok" ? "answers" : "down"}`)}</li>`)}</ul>`;
}

/** How full the store is, what it wears the medium, and how old what would replace it is. */
function storeTiles({ store }: StatusDocument["box"]): Markup {
  const { room, wearPerDay, snapshotAgeMs, checks } = store;
  const shown = (name: string, words: string): string | Markup => {
    const status = checks.find((check) => check.name === name)?.status ?? "pass";
    return status === "pass" ? words : chip(status === "fail" ? "fault" : "degraded", words);
  };
  const used = room === null ? "–" : `${Math.round((room.used / Math.max(1, room.total)) * 100)} %`;
  const size = room === null ? "" : `of ${describeBytes(room.total)} used`;
  const wear = wearPerDay === null ? "–" : `${describeBytes(wearPerDay)}/day`;
  const copy = snapshotAgeMs === null ? "–" : `${describeDuration(snapshotAgeMs)} old`;
  return html`${tile("Store room", shown("room", used), size)}
${tile("Wear", wear, "written by the store")}
${tile("Snapshot", shown("snapshots", copy))}
`;
}

/** Recent events, newest first. */
export function eventsSection(events: readonly RecentEvent[], now: number): Markup {
  if (events.length === 0)
    return html`<h2>Events</h2><p class="none">Nothing has happened yet.</p>`;
  const marks = { info: "idle", warning: "degraded", alarm: "fault" } as const;
  const items = events
    .slice(0, 20)
    .map(
      (event) =>
        html`<li>${chip(marks[event.severity], event.severity)}<span>${event.message}</span><small>${event.source}</small>${age(event.time, now)}</li>`,
    );
  return html`<h2>Events</h2><ul class="panel events">${items}</ul>`;
}
