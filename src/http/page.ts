// The whole page: head with its security policy, the sections in their order, style and script
// inlined, so that one request shows everything. It must not know how facts are gathered.
import { readFileSync } from "node:fs";
import type { StatusDocument, VerdictState } from "../status/status.ts";
import { html, policyOf, raw } from "../util/html.ts";
import type { RecentEvent } from "./events.ts";
import { shortAge, sparkPoints } from "./face.ts";
import type { LivePoint } from "./live.ts";
import {
  boxSection,
  eventsSection,
  linesSection,
  linkSection,
  reasonsSection,
  shapes,
  storeSection,
  valuesSection,
  verdictSection,
} from "./sections.ts";

/** All that a page shows. */
export interface PageFacts {
  readonly status: StatusDocument;
  readonly points: readonly LivePoint[];
  readonly events: readonly RecentEvent[];
  /** Records waiting, last samples, oldest first. */
  readonly backlog: readonly number[];
  /** Points that exist beyond the page's limit. */
  readonly leftOut: number;
  /** When the store last answered, in ms since 1970; only while it does not. */
  readonly asOf?: number;
  /** The one device a page is about; all when absent. */
  readonly device?: string;
}

const style = ["page.css", "panels.css", "narrow.css"].map(readBeside).join("");
const script = `"use strict";${sparkPoints.toString()};${shortAge.toString()};${readBeside("page.mjs")}`;

/** A file that lies beside this one, also once compiled. */
function readBeside(name: string): string {
  return readFileSync(new URL(name, import.meta.url), "utf8");
}

/** What this page may load. */
export const contentPolicy = policyOf(style, script);

/** The sections that are sent again when they change, by the id of their element. */
export function renderSections(facts: PageFacts): Readonly<Record<string, string>> {
  const { status, points, events, backlog, device, asOf } = facts;
  const own = {
    verdict: verdictSection(status),
    store: storeSection(asOf),
    values: valuesSection(status, points, device),
    link: linkSection(status, backlog),
  };
  const all =
    device === undefined
      ? {
          ...own,
          why: reasonsSection(status),
          lines: linesSection(status),
          box: boxSection(status),
          events: eventsSection(events, status.time),
        }
      : { ...own, events: eventsSection(eventsOf(events, device), status.time) };
  return Object.fromEntries(Object.entries(all).map(([id, section]) => [id, section.markup]));
}

function eventsOf(events: readonly RecentEvent[], device: string): readonly RecentEvent[] {
  return events.filter(
    ({ message, source }) => message.includes(device) || source.includes(device),
  );
}

/** The title carries the state, so that a tab tells it. */
export function titleOf({ verdict, gateway }: StatusDocument, device?: string): string {
  const marks: Readonly<Record<VerdictState, string>> = { ok: "●", degraded: "▲", fault: "■" };
  return `${marks[verdict.state]} ${device === undefined ? "" : `${device} · `}${gateway}`;
}

/** Sections with a link under the verdict. */
const jumpWords: Readonly<Record<string, string>> = {
  values: "Values",
  lines: "Lines",
  link: "Link",
  box: "Box",
  events: "Events",
};

/** The page, ready to send. */
export function renderPage(facts: PageFacts): string {
  const { status, device, leftOut } = facts;
  const sections = renderSections(facts);
  const order =
    device === undefined
      ? ["why", "store", "values", "lines", "link", "box", "events"]
      : ["store", "values", "link", "events"];
  const jumps = order.filter((id) => id in jumpWords);
  const parts = order.map(
    (id) => html`<section id="${id}">${raw(sections[id] ?? "")}</section>
`,
  );
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark"><title>${titleOf(status, device)}</title>
<link rel="icon" href="${iconOf(status.verdict.state)}">
<noscript><meta http-equiv="refresh" content="10"></noscript>
<style>${raw(style)}</style></head>
<body data-t="${status.time}" data-device="${device ?? ""}"><header id="verdict">${raw(sections.verdict ?? "")}</header>
<nav aria-label="Sections">${jumps.map((id) => html`<a href="#${id}">${jumpWords[id]}</a>`)}</nav>
<main>${device !== undefined && html`<p><a class="back" href="/">All of ${status.gateway}</a></p>`}
${parts}${leftOut > 0 && html`<p class="none">${leftOut} more points are not shown here.</p>`}
</main><footer><a href="/api/v1/status">Status as JSON</a><a href="/api/v1/values">Values as JSON</a><a href="/metrics">Metrics</a></footer>
<script type="module">${raw(script)}</script></body></html>
`;
  return page.markup;
}

function iconOf(state: VerdictState): string {
  const colour = { ok: "#0f7a47", degraded: "#b26a00", fault: "#c0262d" }[state];
  const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><path fill="${colour}" d="${shapes[state]}"/></svg>`;
  return `data:image/svg+xml,${encodeURIComponent(icon)}`;
}
