// The centre's page as text: gateways, latest values, events, lines. One file, no other request.
// It must not know where the facts come from.
import { createHash } from "node:crypto";
import { isoTime } from "../util/clock.ts";
import type { DeviceSummary, ToldRecord, ToldValue } from "./fleet.ts";
import { pageScript, pageStyle } from "./page-assets.ts";

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

function hashOf(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}

/** What the page may load: itself. @see W3C Content Security Policy Level 3 */
export const pagePolicy = [
  "default-src 'none'",
  `style-src ${hashOf(pageStyle)}`,
  `script-src ${hashOf(pageScript)}`,
  "connect-src 'self'",
  "img-src data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escapeText(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? "");
}

/** An age in words; the script keeps it going. */
function age(now: number, wall: number): string {
  return `<time data-wall="${Math.round(wall)}" title="${isoTime(wall)}">${words(now - wall)}</time>`;
}

function words(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129_600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
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
  const parts = facts.parts.map((part) => renderPart(facts.now, part)).join("");
  const none = `<p class="hint">No gateway yet. Make one: <code>plantd central add NAME</code></p>`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeText(title)}</title>
<link rel="icon" href="data:,">
<style>${pageStyle}</style>
</head>
<body data-now="${facts.now}">
<header><h1>${only === undefined ? "plantd centre" : `<a href="/">plantd centre</a>`}</h1>
${renderVerdict(facts)}</header>
<main id="live">
${devices.length === 0 ? none : renderFleet(facts)}
${parts}
</main>
<footer id="foot">plantd-edge ${escapeText(facts.version)} · <a href="/api/v1/devices">API</a> ·
<a href="/metrics">metrics</a> · <span id="fresh">as of ${isoTime(facts.now)}</span></footer>
<script>${pageScript}</script>
</body>
</html>
`;
}

function renderVerdict({ devices, link }: PageFacts): string {
  const away = devices.filter(({ state }) => state === "down").length;
  const up = devices.filter(({ state }) => state === "up").length;
  const text = link.isUp
    ? `${up} of ${devices.length} gateways up`
    : `No link to the MQTT broker: ${escapeText(link.reason ?? "connecting")}`;
  const grade = !link.isUp ? "bad" : away > 0 ? "warn" : "good";
  const word = { good: "WELL", warn: "SOME AWAY", bad: "CUT OFF" }[grade];
  return `<p id="verdict" class="${grade}" role="status"><b>${word}</b> ${text}</p>`;
}

function renderFleet({ devices, now }: PageFacts): string {
  const rows = devices.map((device) => {
    const { id, state, lastBatchAt, generation, epoch } = device;
    const waiting = Object.values(device.streams).reduce(
      (sum, { head, position }) => sum + Math.max(0, head - position),
      0,
    );
    return `<tr id="${idOf("fleet", id)}">
<th scope="row"><a href="/device/${encodeURIComponent(id)}">${escapeText(id)}</a></th>
<td class="${state}">${stateWords[state]}</td>
<td>${lastBatchAt === undefined ? "never" : age(now, lastBatchAt)}</td>
<td class="number">${waiting}</td>
<td class="number">${device.points}</td>
<td class="number">${device.lost === 0 ? "none" : device.lost}</td>
<td title="${escapeText(epoch ?? "")}">${generation === undefined ? "–" : `${generation}`}</td></tr>`;
  });
  return `<section><h2>Gateways</h2><div class="wide"><table><thead><tr><th>gateway</th><th>state</th>
<th>last batch</th><th>on the way</th><th>points</th><th>lost</th><th>generation</th></tr></thead>
<tbody>${rows.join("")}</tbody></table></div></section>`;
}

function renderPart(now: number, part: DevicePart): string {
  const { id } = part.summary;
  const shown = part.values.slice(0, valuesMax);
  const more = part.values.length - shown.length;
  const values = `<div class="wide"><table><thead><tr><th>point</th><th>value</th><th>unit</th>
<th>quality</th><th>age</th></tr></thead><tbody>${shown
    .map((value) => renderValue(now, id, value))
    .join(
      "",
    )}</tbody></table></div>${more > 0 ? `<p class="hint">${more} more in the API</p>` : ""}`;
  const empty = `<p class="hint">No values yet.</p>`;
  return `<section id="${idOf("part", id)}"><h2>${escapeText(id)}</h2>
${shown.length === 0 ? empty : values}
${renderList(
  "Events",
  id,
  part.events.map((record) => renderEvent(now, record)),
)}
${renderList("Log", id, part.lines.map(renderLine))}</section>`;
}

function renderValue(now: number, device: string, value: ToldValue): string {
  const { scope, key, unit = "", quality, reason, time } = value;
  const text = typeof value.value === "string" ? value.value : JSON.stringify(value.value);
  const mark = { good: "✓ good", uncertain: "? uncertain" }[quality] ?? "✕ bad";
  const why = reason === undefined ? "" : ` <small>${escapeText(reason)}</small>`;
  return `<tr id="${idOf(device, scope, key)}"><th scope="row"><small>${escapeText(scope)}</small>
${escapeText(key)}</th><td class="number">${escapeText(shorten(text ?? "null", 80))}</td>
<td>${escapeText(unit)}</td><td class="${escapeText(quality)}">${mark}${why}</td>
<td>${age(now, time.wall)}</td></tr>`;
}

function renderEvent(now: number, record: ToldRecord): string {
  const { event, time } = record as { event?: unknown; time?: { wall?: number } };
  const told = typeof event === "object" && event !== null ? event : {};
  const { severity, message, kind } = told as Record<string, unknown>;
  const text = [severity, kind, message].filter((word) => typeof word === "string").join(" · ");
  const when = typeof time?.wall === "number" ? `${age(now, time.wall)} ago` : "";
  return `${when} ${escapeText(shorten(text || JSON.stringify(event) || "", 300))}`;
}

function renderLine(record: ToldRecord): string {
  const { text } = record as { text?: unknown };
  return escapeText(shorten(typeof text === "string" ? text : "", 300));
}

function renderList(title: string, id: string, items: readonly string[]): string {
  if (items.length === 0) return "";
  const list = items.map((item) => `<li>${item}</li>`).join("");
  return `<h3>${title}</h3><ol id="${idOf(title, id)}">${list}</ol>`;
}

function shorten(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max - 1)}…`;
}
