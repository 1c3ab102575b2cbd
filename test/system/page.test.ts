// The status page in a real browser, over a real listener: what a person sees and what the browser
// asks for. It must not know how the page is made.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { parseConfig } from "../../src/config/config.ts";
import { type HttpServer, startHttp } from "../../src/http/http.ts";
import { systemClock } from "../../src/util/clock.ts";
import { openLog } from "../../src/util/log.ts";
import { findPaths } from "../../src/util/paths.ts";
import { type Browser, startBrowser } from "../fakes/browser.ts";
import { type FakeParts, fakeParts, pointOf, stampAt } from "../fakes/plant-parts.ts";

let browser: Browser;
let server: HttpServer;
let parts: FakeParts;
let revision = 100;

/** Pictures of the page are kept in this folder when it is named. */
const pictures = process.env.PLANTD_TEST_PICTURES;

function wave(step: number): void {
  const wall = systemClock.wallMs();
  const time = stampAt(wall);
  revision += 1;
  const more = { time, revision };
  parts.publish(
    pointOf("voltage", Math.round(2300 + 12 * Math.sin(step / 4)) / 10, { ...more, unit: "V" }),
    pointOf("active-power", 1400 + 90 * Math.cos(step / 7) + (step % 5) * 3, {
      ...more,
      unit: "W",
    }),
    pointOf("relay", step % 20 > 9, more),
    pointOf("level", 2.4 + step / 300, { ...more, scope: "device/pump-1", unit: "m" }),
    pointOf("speed", 1450 + (step % 3), {
      ...more,
      scope: "device/pump-1",
      unit: "1/min",
      quality: "uncertain",
      reason: "stale",
    }),
  );
}

/** The last hour of every point, as the store tells it: one has a gap, one no numbers. */
function lastHour({
  from,
  to,
  points,
}: {
  from: number;
  to: number;
  points: readonly { key: string }[];
}) {
  const bucketMs = 120_000;
  const series = points.map(({ key, ...rest }, place) => {
    const buckets = Array.from({ length: 30 }, (_, at) => {
      const mean = 230 + 4 * Math.sin(at / 4 + place) + ((at * 7) % 5) / 5;
      return { start: from + at * bucketMs, count: 60, bad: 0, min: mean - 1, max: mean + 1, mean };
    });
    const kept = place % 3 === 1 ? buckets.filter((_, at) => at < 12 || at > 17) : buckets;
    return { ...rest, key, buckets: key === "relay" ? [] : kept };
  });
  return { from, to, bucketMs, source: "minutes", series };
}

before(async () => {
  parts = fakeParts();
  parts.state["history-many"] = ({ args }) => lastHour(args as Parameters<typeof lastHour>[0]);
  const wall = systemClock.wallMs();
  for (const point of parts.points) point.time = stampAt(wall - 500);
  parts.points.at(-1)!.time = stampAt(wall - 720_000);
  const [, silent] = parts.driverStatus.devices;
  Object.assign(silent!, { state: "silent", lastGood: stampAt(wall - 720_000) });
  parts.driverStatus.devices.push({
    ...parts.driverStatus.devices[0]!,
    name: "pump-1",
    unit: 9,
    profile: "pump",
  });
  parts.state.stats = () => ({
    ...{ fileBytes: 200_000_000, liveBytes: 480_000_000, roomBytes: 536_870_912, bytesPut: 9 },
    ...{ wear: { perDayBytes: 412_000_000 }, snapshots: { ageMs: 7_200_000 } },
    checks: [
      { name: "room", status: "warn", output: "89 % used, 54 MiB left", code: "STORE_SHORT" },
    ],
  });
  parts.syncStatus.since = stampAt(wall - 273_600_000);
  parts.syncStatus.lastAck = stampAt(wall - 1000);
  const text = "gateway:\n  name: gw-0417\n  site: Pump house 3\nhttp:\n  port: 0\n";
  server = await startHttp(
    {
      clock: systemClock,
      log: openLog({ service: "http", level: "error", write: () => {} }),
      client: parts.bus.client(),
      version: "0.1.0",
      paths: findPaths({ PLANTD_DATA_DIR: tmpdir() }),
    },
    parseConfig(text, {}),
  );
  await systemClock.sleep(0);
  for (let step = 0; step < 60; step += 1) wave(step);
  browser = await startBrowser();
});

after(async () => {
  await browser?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
});

const overflowing = `[...document.querySelectorAll("body *")]
  .filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".hidden, thead"))
  .map((e) => e.tagName + "." + e.className)`;

for (const width of [360, 1280]) {
  for (const isDark of [false, true]) {
    const theme = isDark ? "dark" : "light";
    test(`the page fits ${width} pixels, ${theme}, and says what is wrong`, async () => {
      await using tab = await browser.open(server.url, { width, isDark });
      await tab.until(`document.getElementById("fresh").textContent === "live"`);
      if (pictures !== undefined) {
        mkdirSync(pictures, { recursive: true });
        writeFileSync(join(pictures, `page-${width}-${theme}.png`), await tab.screenshot());
      }
      assert.deepEqual(await tab.evaluate(overflowing), []);
      const wide = await tab.evaluate<number>("document.documentElement.scrollWidth");
      assert.ok(wide <= width, `${wide} pixels wide`);
      const small = `[...document.querySelectorAll("nav a")].map((a) => a.getBoundingClientRect())
        .filter(({ width, height }) => width < 44 || height < 44).length`;
      assert.equal(await tab.evaluate<number>(small), 0, "links too small for a thumb");
      const linkTop = await tab.evaluate<number>(
        `document.querySelector('nav a[href="#link"]').getBoundingClientRect().bottom`,
      );
      assert.ok(linkTop < 640, "the link to the link is in the first screen");
      const text = await tab.evaluate<string>("document.body.innerText");
      for (const words of [
        "Degraded",
        "meter-2 (rs485-1 unit 17) no answer",
        "DEVICE_SILENT",
        "STORE_SHORT",
        "412 MB/day",
      ]) {
        assert.ok(text.includes(words), words);
      }
      assert.deepEqual(tab.complaints, []);
    });
  }
}

test("the page asks nobody but its own server, and stays within its budget", async () => {
  await using tab = await browser.open(server.url, { width: 1280 });
  await tab.until("document.readyState === 'complete'");
  const foreign = tab.requests.filter(
    (url) => !url.startsWith(server.url) && !url.startsWith("data:"),
  );
  assert.deepEqual(foreign, []);
  const html = await tab.evaluate<string>(`fetch("/").then((answer) => answer.text())`);
  assert.ok(gzipSync(html).length <= 30_000, `${gzipSync(html).length} bytes`);
});

test("a new value appears without moving a row", async () => {
  await using tab = await browser.open(server.url, { width: 1280 });
  const places = `JSON.stringify([...document.querySelectorAll("tbody tr")].map((e) => [e.id, e.getBoundingClientRect().top]))`;
  const cell = (key: string) =>
    `[...document.querySelectorAll("tr")].find((e) => e.textContent.includes(${JSON.stringify(key)})).querySelector(".v span").textContent`;
  await tab.until(`document.title.startsWith("▲")`);
  await systemClock.sleep(1500); // the first message redraws; the next ones change cells
  await tab.evaluate(`document.querySelector("tr[id]").dataset.kept = "yes"`);
  const before = await tab.evaluate<string>(places);
  revision += 1;
  const time = stampAt(systemClock.wallMs());
  parts.publish(pointOf("voltage", 401.25, { unit: "V", time, revision }));
  await tab.until(`${cell("voltage")} === "401.25"`);
  assert.equal(await tab.evaluate<string>(places), before);
  const kept = await tab.evaluate<string>(`document.querySelector("tr[data-kept]").dataset.kept`);
  assert.equal(kept, "yes", "the row is the same element");
});

test("names and values cannot become markup", async () => {
  revision += 1;
  const time = stampAt(systemClock.wallMs());
  const evil = "<script>document.title='owned'</script><img src=x onerror=alert(1)>";
  const point = pointOf("note", evil, { scope: "device/pump-1", time, revision, unit: "<b>" });
  parts.publish(point);
  try {
    await using tab = await browser.open(server.url, { width: 1280 });
    await tab.until(`document.body.innerText.includes("<script>document.title")`);
    assert.equal(await tab.evaluate("document.querySelectorAll('img').length"), 0);
    assert.ok(!(await tab.evaluate<string>("document.title")).includes("owned"));
    assert.deepEqual(tab.complaints, []);
  } finally {
    parts.publish({ ...point, value: "quiet", unit: "x", revision: revision + 1 });
    revision += 1;
  }
});

test("without JavaScript the page shows the same and renews itself", async () => {
  await using tab = await browser.open(server.url, { width: 1280, noScript: true });
  const text = await tab.evaluate<string>("document.body.innerText");
  assert.ok(text.includes("meter-2 (rs485-1 unit 17) no answer"));
  assert.equal(
    await tab.evaluate("document.querySelector('meta[http-equiv=refresh]') !== null"),
    true,
  );
});

test("a device has a page of its own", async () => {
  await using tab = await browser.open(`${server.url}device/pump-1`, { width: 360 });
  const text = await tab.evaluate<string>("document.body.innerText");
  assert.ok(text.includes("level"));
  assert.ok(!text.includes("active-power"));
});

test("every target is at least 44 pixels high", async () => {
  await using tab = await browser.open(server.url, { width: 360 });
  const small = await tab.evaluate<string[]>(
    `[...document.querySelectorAll("a, button")].filter((e) => e.getBoundingClientRect().height < 44).map((e) => e.textContent)`,
  );
  assert.deepEqual(small, []);
});

test("a page that hears nothing says so by itself and turns grey", async () => {
  const own = fakeParts();
  const config = parseConfig("http:\n  port: 0\n", {});
  const log = openLog({ service: "http", level: "error", write: () => {} });
  const paths = findPaths({ PLANTD_DATA_DIR: tmpdir() });
  const client = own.bus.client();
  const deps = { clock: systemClock, log, client, version: "0.1.0", paths };
  const other = await startHttp(deps, config);
  await using tab = await browser.open(other.url, { width: 360 });
  await tab.until(`document.getElementById("fresh").textContent === "live"`);
  await other[Symbol.asyncDispose]();
  await tab.until(`document.body.classList.contains("stale")`);
  const words = await tab.evaluate<string>(`document.getElementById("fresh").textContent`);
  assert.match(words, /^not updated for \d+ s$/);
});
