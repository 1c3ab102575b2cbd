// The centre's page as text: gateways, latest values, events, lines. One file, no other request.
// It must not know where the facts come from.
import { createHash } from "node:crypto";
import { isoTime } from "../util/clock.ts";
import { html, type Markup, policyOf, raw } from "../util/html.ts";
import { describeUnit, describeValue } from "../util/readings.ts";
import type { DeviceSummary, ToldRecord, ToldValue } from "./fleet.ts";
import { ageInWords, pageScript, pageStyle } from "./page-assets.ts";

/** What one gateway's part of the page shows. */
export interface DevicePart {
  readonly summary: DeviceSummary;
  readonly values: readonly ToldValue[];
  readonly events: readonly ToldRecord[];
  readonly lines: readonly ToldRecord[];
}

export interface PageFacts {
  /** Milliseconds since 1970 UTC. */
  readonly now: number;
  readonly version: string;
  /** Whether the centre reaches its MQTT broker. */
  readonly link: { readonly isUp: boolean; readonly reason?: string };
  readonly devices: readonly DeviceSummary[];
  /** Gateways shown in full. */
  readonly parts: readonly DevicePart[];
  /** Set on the page of one gateway. */
  readonly only?: string;
}

/** Rows of values of one gateway on the page; the rest is in the API. */
const valuesMax = 500;

/** What the page may load. */
export const pagePolicy = policyOf(pageStyle, pageScript);

/** An age in words; the script keeps it going. */
function age(now: number, wall: number): Markup {
  return html`<time data-wall="${Math.round(wall)}" title="${isoTime(wall)}">${ageInWords(now - wall)}</time>`;
}

/** An id for an element, from a name that may hold anything. */
function idOf(...names: readonly string[]): string {
  return `x${createHash("sha1").update(names.join("\0")).digest("hex").slice(0, 12)}`;
}

const stateWords: Readonly<Record<DeviceSummary["state"], string>> = {
  up: "● up",
  down: "▲ down",
  unknown: "○ not heard",
  waiting: "◇ waits for its code",
};

export function renderPage(facts: PageFacts): string {
  const { devices, only } = facts;
  const title = only === undefined ? "plantd centre" : `${only} · plantd centre`;
  const home = only === undefined ? "plantd centre" : html`<a href="/">plantd centre</a>`;
  const none = html`<p class="hint">No gateway yet. Make one: <code>plantd central add NAME</code></p>`;
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<link rel="icon" href="data:,">
<style>${raw(pageStyle)}</style>
</head>
<body data-now="${facts.now}">
<header><h1>${home}</h1>
${renderVerdict(facts)}</header>
<main id="live">
${devices.length === 0 ? none : renderFleet(facts)}
${facts.parts.map((part) => renderPart(facts.now, part))}
</main>
<footer id="foot">plantd-edge ${facts.version} · <a href="/api/v1/devices">API</a> ·
<a href="/metrics">metrics</a> · <span id="fresh">as of ${isoTime(facts.now)}</span></footer>
<script>${raw(pageScript)}</script>
</body>
</html>
`;
  return page.markup;
}

function renderVerdict({ devices, link }: PageFacts): Markup {
  const away = devices.filter(({ state }) => state === "down").length;
  const up = devices.filter(({ state }) => state === "up").length;
  const text = link.isUp
    ? `${up} of ${devices.length} gateways up`
    : `No link to the MQTT broker: ${link.reason ?? "connecting"}`;
  const grade = !link.isUp ? "bad" : away > 0 ? "warn" : "good";
  const word = { good: "WELL", warn: "SOME AWAY", bad: "CUT OFF" }[grade];
  return html`<p id="verdict" class="${grade}" role="status"><b>${word}</b> ${text}</p>`;
}

function renderFleet({ devices, now }: PageFacts): Markup {
  const rows = devices.map((device) => {
    const { id, state, lastBatchAt, generation, epoch } = device;
    const waiting = Object.values(device.streams).reduce(
      (sum, { head, position }) => sum + Math.max(0, head - position),
      0,
    );
    return html`<tr id="${idOf("fleet", id)}">
<th scope="row"><a href="/device/${encodeURIComponent(id)}">${id}</a></th>
<td class="${state}">${stateWords[state]}</td>
<td>${lastBatchAt === undefined ? "never" : age(now, lastBatchAt)}</td>
<td class="number">${waiting}</td>
<td class="number">${device.points}</td>
<td class="number">${device.lost === 0 ? "none" : device.lost}</td>
<td title="${epoch}">${generation ?? "–"}</td></tr>`;
  });
  return html`<section><h2>Gateways</h2><div class="wide"><table><thead><tr><th>gateway</th><th>state</th>
<th>last batch</th><th class="number">on the way</th><th class="number">points</th><th class="number">lost</th><th>generation</th></tr></thead>
<tbody>${rows}</tbody></table></div></section>`;
}

function renderPart(now: number, { summary, values, events, lines }: DevicePart): Markup {
  const { id } = summary;
  const shown = values.slice(0, valuesMax);
  const more = values.length - shown.length;
  const table = html`<div class="wide"><table class="values"><thead><tr><th>point</th><th class="number">value</th><th>unit</th>
<th>quality</th><th>age</th></tr></thead><tbody>${shown.map((value) =>
    renderValue(now, id, value),
  )}</tbody></table></div>${more > 0 && html`<p class="hint">${more} more in the API</p>`}`;
  const told = events.map((record) => renderEvent(now, record));
  return html`<section id="${idOf("part", id)}"><h2>${id}</h2>
${shown.length === 0 ? html`<p class="hint">No values yet.</p>` : table}
${renderList("Events", id, told)}
${renderList("Log", id, lines.map(renderLine))}</section>`;
}

function renderValue(now: number, device: string, value: ToldValue): Markup {
  const { scope, key, unit, quality, reason, time } = value;
  const owner = scope.replace(/^device\//, "");
  const text = describeValue(value.value);
  const mark = { good: "✓ good", uncertain: "? uncertain" }[quality] ?? "✕ bad";
  const why = reason !== undefined && html` <small>${reason}</small>`;
  return html`<tr id="${idOf(device, scope, key)}"><th scope="row"><small>${owner}</small>
${key}</th><td class="number">${shorten(text, 80)}</td>
<td>${describeUnit(unit)}</td><td class="${quality}">${mark}${why}</td>
<td>${age(now, time.wall)}</td></tr>`;
}

function renderEvent(now: number, record: ToldRecord): Markup {
  const { event, time } = record as { event?: unknown; time?: { wall?: number } };
  const told = typeof event === "object" && event !== null ? event : {};
  const { severity, message, kind } = told as Record<string, unknown>;
  const text = [severity, kind, message].filter((word) => typeof word === "string").join(" · ");
  const when = typeof time?.wall === "number" && html`${age(now, time.wall)} ago`;
  return html`${when} ${shorten(text || JSON.stringify(event) || "", 300)}`;
}

/** A line of ours in words: when, how bad, who, what; anything else as it came. */
function renderLine(record: ToldRecord): string {
  const { text } = record as { text?: unknown };
  const line = typeof text === "string" ? text : "";
  const told = readLine(line);
  if (typeof told?.message !== "string") return shorten(line, 300);
  const { timestamp, level, service, message, code, fields } = told;
  const when = String(timestamp).replace("T", " ").replace(/\.\d+/, "");
  const reason = isRecord(fields) ? fields.reason : undefined;
  const words = [when, level, service, message, reason, code];
  return shorten(words.filter((word) => typeof word === "string").join(" · "), 300);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

function readLine(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const line: unknown = JSON.parse(text);
    return isRecord(line) ? line : undefined;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return undefined;
  }
}

function renderList(title: string, id: string, items: readonly (Markup | string)[]): Markup {
  if (items.length === 0) return html``;
  const list = items.map((item) => html`<li>${item}</li>`);
  return html`<h3>${title}</h3><ol id="${idOf(title, id)}">${list}</ol>`;
}

function shorten(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max - 1)}…`;
}
