// Server-sent events to the pages that watch: at most one message a second each, holding only what
// changed. It must not know how facts are gathered. @see WHATWG HTML, 9.2 Server-sent events
import type { ServerResponse } from "node:http";
import { describeValue } from "../status/status.ts";
import type { LivePoint } from "./live.ts";
import { type PageFacts, renderSections, titleOf } from "./page.ts";
import { qualityWords } from "./sections.ts";

/** Unsent bytes at which a slow page is let go; it comes back and starts afresh. */
const unsentBytesMax = 262_144;

/** Sections whose text changes with every second, compared without their ages. */
const ages = /<span class="age" data-t="\d+">[^<]*<\/span>/g;

/** Sections that are told at once; figures of lines, link and box may wait for their round. */
const urgent: ReadonlySet<string> = new Set(["verdict", "why", "store", "values", "events"]);
const calmRounds = 3;

/** One page that watches. */
export interface Watcher {
  /** Sends what changed since the last message, and the time always. */
  tell(facts: PageFacts, version: number, layout: number): void;
}

/** Starts a stream; its first message holds every section. */
export function createWatcher(response: ServerResponse): Watcher {
  let sent: Readonly<Record<string, string>> = {};
  let sentTitle = "";
  let sentVersion = -1;
  let sentLayout = -1;
  let told = -1;
  return {
    tell(facts, version, layout) {
      if (response.writableLength > unsentBytesMax) {
        response.destroy();
        return;
      }
      told += 1;
      const now = renderSections(facts);
      const sections: Record<string, string> = {};
      const next: Record<string, string> = {};
      for (const [id, markup] of Object.entries(now)) {
        next[id] = id === "values" ? shapeOf(facts) : markup.replace(ages, ageMark);
        const isNew = id === "values" && layout !== sentLayout;
        const isDue = urgent.has(id) || told % calmRounds === 0;
        if (isNew || (isDue && next[id] !== sent[id])) sections[id] = markup;
        else if (!isDue) next[id] = sent[id] ?? "";
      }
      const values =
        "values" in sections
          ? []
          : facts.points
              .filter((live) => live.version > sentVersion)
              .map((live) => changeOf(live, sentVersion));
      const title = titleOf(facts.status, facts.device);
      const news = title === sentTitle ? { sections, values } : { title, sections, values };
      const message = { time: facts.status.time, ...withoutEmpty(news) };
      sent = next;
      sentTitle = title;
      sentVersion = version;
      sentLayout = layout;
      response.write(`data: ${JSON.stringify(message)}\n\n`);
    },
  };
}

/** Only what holds something. */
function withoutEmpty(news: Readonly<Record<string, object | string>>): object {
  return Object.fromEntries(Object.entries(news).filter(([, it]) => Object.keys(it).length > 0));
}

/** An age that only grew is no change; one whose moment moved is. */
function ageMark(text: string): string {
  return text.replace(/>[^<]*</, "><");
}

/** What of the values' section is not sent value by value: the devices and their states. */
function shapeOf({ status, device }: PageFacts): string {
  const shown = status.devices.filter(({ name }) => device === undefined || name === device);
  return shown
    .map(({ name, line, state, profile, unit }) => [name, line, state, profile, unit].join())
    .join(";");
}

type Change = readonly [
  number,
  string,
  string,
  string,
  number,
  number | null,
  ...hour: readonly string[],
];

/** The curve of the last hour goes along when it is newer than what was sent. */
function changeOf({ id, point, samples, hour }: LivePoint, sentVersion: number): Change {
  const { value, quality, time } = point;
  const isSampled = quality !== "bad" && (typeof value === "number" || typeof value === "boolean");
  const sample = isSampled ? (samples.at(-1) ?? null) : null;
  const curve = hour !== undefined && hour.version > sentVersion ? [hour.path, hour.words] : [];
  return [id, describeValue(value), quality, qualityWords(point), time.wall, sample, ...curve];
}
