// The page's parts without a socket: who may ask, what is drawn, what is told, what is counted.
import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { test } from "node:test";
import { parseConfig } from "../../../src/config/config.ts";
import { startEvents } from "../../../src/http/events.ts";
import { shortAge, sparkPoints } from "../../../src/http/face.ts";
import { knownHosts, refuse } from "../../../src/http/guard.ts";
import { startLive } from "../../../src/http/live.ts";
import { contentPolicy, type PageFacts, renderPage } from "../../../src/http/page.ts";
import { findRoute } from "../../../src/http/routes.ts";
import { startSight } from "../../../src/http/sight.ts";
import { createWatcher } from "../../../src/http/stream.ts";
import { askStatus } from "../../../src/status/status.ts";
import { html } from "../../../src/util/html.ts";
import { openLog } from "../../../src/util/log.ts";
import { findPaths } from "../../../src/util/paths.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { type FakeParts, fakeParts, now, pointOf } from "../../fakes/plant-parts.ts";

const log = openLog({ service: "test", level: "error", write: () => {} });

const guarded: Readonly<
  Record<string, { host?: string; method?: string; url?: string; status: number }>
> = {
  "loopback by number": { host: "127.0.0.1:8480", status: 200 },
  "loopback by name, other port (ssh -L)": { host: "localhost:9000", status: 200 },
  "loopback of IPv6": { host: "[::1]:8480", status: 200 },
  "a configured name, written large": { host: "GW.local", status: 200 },
  HEAD: { host: "localhost", method: "HEAD", status: 200 },
  "a foreign name": { host: "evil.example", status: 421 },
  "a foreign name that ends like ours": { host: "localhost.evil.example", status: 421 },
  "a foreign name that begins like ours": { host: "127.0.0.1.evil.example:80", status: 421 },
  "an empty name": { host: "", status: 421 },
  "no name": { status: 421 },
  "a port that is none": { host: "localhost:x", status: 421 },
  POST: { host: "localhost", method: "POST", status: 405 },
  DELETE: { host: "localhost", method: "DELETE", status: 405 },
  OPTIONS: { host: "localhost", method: "OPTIONS", status: 405 },
  "a long address": { host: "localhost", url: `/${"x".repeat(2000)}`, status: 414 },
};

for (const [name, row] of Object.entries(guarded)) {
  test(`guard: ${name}`, () => {
    const { host, method = "GET", url = "/", status } = row;
    const refusal = refuse({ method, host, url }, knownHosts("127.0.0.1", ["gw.local"]));
    assert.equal(refusal?.status ?? 200, status);
  });
}

test("listening everywhere adds no name; listening on an address adds it", () => {
  assert.ok(!knownHosts("0.0.0.0", []).has("0.0.0.0"));
  assert.ok(knownHosts("192.168.7.1", []).has("192.168.7.1"));
  assert.ok(knownHosts("fe80::1", []).has("[fe80::1]"));
});

test("addresses that are not known have no route", () => {
  const unknown = [
    "/x",
    "/device/",
    "/device/a/b",
    "/device/%3Cb%3E",
    "/api/v1",
    "/__proto__",
    "/constructor",
  ];
  for (const path of unknown) assert.equal(findRoute(path), undefined, path);
  for (const path of ["/", "/device/meter-1", "/healthz"]) assert.ok(findRoute(path), path);
});

test("every value in a template is escaped, markup is not", () => {
  const evil = `<script>&"'`;
  const inner = html`<b>${evil}</b>`;
  const { markup } = html`<p title="${evil}">${inner}${[evil, null, false, 7]}</p>`;
  const safe = "&lt;script&gt;&amp;&quot;&#39;";
  assert.equal(markup, `<p title="${safe}"><b>${safe}</b>${safe}7</p>`);
});

test("a curve fills its box and stands still where nothing moves", () => {
  assert.equal(sparkPoints([]), "");
  assert.equal(sparkPoints([1]), "");
  assert.equal(sparkPoints([0, 10, 5]), "0,26 60,2 120,14");
  assert.equal(sparkPoints([7, 7]), "0,14 120,14");
  const ages = [0, 1400, 9000, 119_000, 7_199_000, 7_200_000, 172_800_000];
  assert.deepEqual(ages.map(shortAge), ["now", "now", "9 s", "119 s", "119 min", "2 h", "2 d"]);
});

async function factsOf(parts: FakeParts, more: Partial<PageFacts> = {}): Promise<PageFacts> {
  const clock = fakeClock(now);
  const client = parts.bus.client();
  const status = await askStatus(
    { clock, client },
    { gateway: "gw", site: "", version: "1", dataFolder: "/no", lines: [], deadlineMs: 1000 },
  );
  const live = startLive({ clock, client, log });
  await clock.advance(1);
  const points = live.list();
  await live[Symbol.asyncDispose]();
  return { status, points, events: [], backlog: [], leftOut: 0, ...more };
}

test("names, values, units, reasons and events cannot become markup anywhere on the page", async () => {
  const evil = `"><script>alert(1)</script><img src=x onerror='alert(2)'>`;
  const parts = fakeParts();
  parts.publish(
    pointOf(evil, evil, { unit: evil, reason: evil, quality: "bad", scope: `device/${evil}` }),
  );
  Object.assign(parts.driverStatus, { settings: evil, state: "failed", reason: evil, kind: evil });
  Object.assign(parts.driverStatus.devices[0]!, { name: evil, profile: evil, code: evil });
  Object.assign(parts.syncStatus, { reason: evil, centre: evil, mqtt: evil });
  const events = [
    { sequence: 1, time: now, severity: "alarm", message: evil, source: evil } as const,
  ];
  const page = renderPage(await factsOf(parts, { events }));
  assert.equal(page.match(/<script/g)?.length, 1, "the page's own script alone");
  assert.ok(!page.includes("<img"));
  assert.ok(page.includes("&lt;script&gt;alert(1)"));
});

test("each section under the verdict is one link away, without a script", async () => {
  const facts = await factsOf(fakeParts());
  for (const page of [renderPage(facts), renderPage({ ...facts, device: "meter-1" })]) {
    const jumps = [...page.matchAll(/<a href="#([a-z]+)">/g)].map(([, id]) => id ?? "");
    assert.ok(jumps.includes("link"));
    for (const id of jumps) assert.ok(page.includes(`<section id="${id}">`), id);
    assert.ok(page.indexOf("<nav") < page.indexOf("<main"));
  }
});

test("while the store does not answer the page says of what moment its values are", async () => {
  const clock = fakeClock(now);
  const parts = fakeParts();
  const config = parseConfig("", {});
  const paths = findPaths({ PLANTD_DATA_DIR: "/no" });
  const client = parts.bus.client();
  await using sight = startSight({ clock, log, client, version: "1", paths }, config);
  await clock.advance(1);
  assert.equal((await sight.facts()).asOf, undefined);
  parts.bus.serve("org.plantd.State", {});
  await clock.advance(61_000);
  const facts = await sight.facts();
  assert.ok(facts.asOf !== undefined && facts.asOf - now < 1000, `${facts.asOf}`);
  const page = renderPage({ ...facts, asOf: now });
  assert.match(page, /Values as of \d\d:32:07 [^;<]+; the store does not answer/);
  assert.ok(page.indexOf("Values as of") < page.indexOf('<section id="values">'));
});

test("the policy allows no inline text but the page's own", async () => {
  assert.match(contentPolicy, /^default-src 'none';/);
  assert.ok(!contentPolicy.includes("unsafe"));
  const page = renderPage(await factsOf(fakeParts()));
  assert.ok(!/ style="/.test(page), "style attributes would be refused");
  assert.ok(!/ on[a-z]+="/.test(page), "inline handlers would be refused");
  assert.ok(!/(?:src|href)="https?:/.test(page), "nothing is loaded from elsewhere");
});

/** A response that keeps what is written. */
function fakeResponse() {
  const written: string[] = [];
  let isGone = false;
  const response = {
    writableLength: 0,
    write: (text: string) => written.push(text),
    destroy: () => {
      isGone = true;
    },
  };
  return {
    response: response as unknown as ServerResponse,
    state: response,
    last: () => JSON.parse((written.at(-1) ?? "").slice("data: ".length)),
    isGone: () => isGone,
  };
}

test("the stream sends everything once, then what changed, then the time alone", async () => {
  const { response, last } = fakeResponse();
  const watcher = createWatcher(response);
  const facts = await factsOf(fakeParts());
  watcher.tell(facts, 4, 1);
  const all = ["verdict", "store", "values", "link", "why", "lines", "box", "events"];
  assert.deepEqual(Object.keys(last().sections), all);
  const later = { ...facts, status: { ...facts.status, time: now + 1000 } };
  watcher.tell(later, 4, 1);
  assert.deepEqual(last(), { time: now + 1000 }, "ages grow by themselves");
  const [first] = facts.points;
  first!.version = 5;
  first!.point = { ...first!.point, value: 7 };
  first!.samples.push(7);
  watcher.tell(later, 5, 1);
  assert.deepEqual(last().values, [[first!.id, "7", "good", "good", now - 1000, 7]]);
  assert.equal(last().sections, undefined);
  watcher.tell(later, 5, 2);
  assert.deepEqual(Object.keys(last().sections), ["values"], "a new row redraws the values");
});

test("figures wait for their round, the verdict does not", async () => {
  const { response, last } = fakeResponse();
  const watcher = createWatcher(response);
  const facts = await factsOf(fakeParts());
  watcher.tell(facts, 4, 1);
  const box = { ...facts.status.box, load: 77 };
  const verdict = { ...facts.status.verdict, words: "something else" };
  const changed = { ...facts, status: { ...facts.status, box, verdict } };
  watcher.tell(changed, 4, 1);
  assert.deepEqual(Object.keys(last().sections), ["verdict"]);
  watcher.tell(changed, 4, 1);
  assert.equal(last().sections, undefined);
  watcher.tell(changed, 4, 1);
  assert.deepEqual(Object.keys(last().sections), ["box"]);
});

test("a page that does not read is let go", async () => {
  const { response, state, isGone } = fakeResponse();
  const watcher = createWatcher(response);
  state.writableLength = 300_000;
  watcher.tell(await factsOf(fakeParts()), 1, 1);
  assert.ok(isGone());
});

test("live values follow the store, keep 60 samples, and come back after a loss", async () => {
  const clock = fakeClock(now);
  const parts = fakeParts();
  const withdraw = parts.bus.serve("org.plantd.State", {});
  await using live = startLive({ clock, client: parts.bus.client(), log });
  await clock.advance(1500);
  assert.deepEqual(live.list(), [], "nothing while the store is away");
  withdraw();
  parts.bus.serve("org.plantd.State", parts.state);
  await clock.advance(1500);
  const names = live.list().map(({ device, point }) => `${device}/${point.key}`);
  assert.deepEqual(names, [
    "meter-1/active-power",
    "meter-1/relay",
    "meter-1/voltage",
    "meter-2/voltage",
  ]);
  const { layout } = live;
  for (let step = 0; step < 100; step += 1) {
    parts.publish(pointOf("voltage", step, { revision: 100 + step }));
  }
  parts.publish(pointOf("other", 1, { scope: "org.plantd.Site", revision: 300 }));
  await clock.advance(10);
  const voltage = live.list("meter-1").find(({ point }) => point.key === "voltage")!;
  assert.equal(voltage.samples.length, 60);
  assert.equal(voltage.samples.at(-1), 99);
  assert.equal(live.layout, layout, "no row has moved");
});

test("a store that was replaced by a backup is listed afresh", async () => {
  const clock = fakeClock(now);
  const parts = fakeParts();
  let watches = 0;
  parts.state.watch = async ({ signal }) => {
    watches += 1;
    if (watches > 1) await clock.sleep(60_000, signal);
    return { position: 2 };
  };
  await using live = startLive({ clock, client: parts.bus.client(), log });
  parts.points.pop();
  await clock.advance(10);
  const lists = parts.bus.calls.filter(({ operation }) => operation === "list").length;
  assert.equal(lists, 4, "each time for the position first, then for the points");
  assert.equal(live.list().length, 3);
});

test("points beyond the page's limit are counted, not kept", async () => {
  const clock = fakeClock(now);
  const parts = fakeParts();
  parts.points.length = 0;
  for (let at = 0; at < 2010; at += 1) parts.points.push(pointOf(`p${at}`, at));
  await using live = startLive({ clock, client: parts.bus.client(), log });
  await clock.advance(1);
  assert.equal(live.list().length, 2000);
  assert.equal(live.leftOut, 10);
});

test("events are read from the journal, newest first", async () => {
  const clock = fakeClock(now);
  await using events = startEvents({ clock, client: fakeParts().bus.client(), log });
  await clock.advance(10);
  assert.deepEqual(
    events.list().map(({ message, severity }) => `${severity} ${message}`),
    ["warning meter-2 went silent"],
  );
});
