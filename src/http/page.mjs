// The page's script: hears the stream, changes what changed, never moves a row. Two functions,
// sparkPoints and shortAge, are put in front of it. It must not know how facts are gathered.
/* global sparkPoints, shortAge */
const staleMs = 5000;
const samplesMax = 60;
const body = document.body;
let serverMs = Number(body.dataset.t);
let heardMs = performance.now();
let source;
let retryMs = 1000;

const nowMs = () => serverMs + performance.now() - heardMs;

function replaceSection(id, markup) {
  const element = document.getElementById(id);
  if (!element) return;
  const focused = document.activeElement?.id;
  element.innerHTML = markup;
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

function changeValue([id, text, quality, words, wall, sample, path, hour]) {
  const row = document.getElementById(`p${id}`);
  if (!row) return;
  row.className = `q-${quality}`;
  row.querySelector(".v span").textContent = text;
  row.querySelector(".q").textContent = words;
  const age = row.querySelector(".age");
  age.dataset.t = wall;
  const curve = row.querySelector("svg");
  if (path) {
    delete curve.dataset.s;
    curve.innerHTML = "<path/>";
    curve.firstElementChild.setAttribute("d", path);
    curve.setAttribute("aria-label", hour);
  }
  if (sample === null || curve.dataset.s === undefined) return;
  const samples = curve.dataset.s === "" ? [] : curve.dataset.s.split(",").map(Number);
  samples.push(sample);
  if (samples.length > samplesMax) samples.shift();
  curve.dataset.s = samples.join(",");
  curve.firstElementChild.setAttribute("points", sparkPoints(samples));
  const from = Math.min(...samples);
  const to = Math.max(...samples);
  curve.setAttribute("aria-label", `last ${samples.length} samples from ${from} to ${to}`);
}

function hear(event) {
  const news = JSON.parse(event.data);
  serverMs = news.time;
  heardMs = performance.now();
  retryMs = 1000;
  if (news.title) document.title = news.title;
  for (const [id, markup] of Object.entries(news.sections ?? {})) replaceSection(id, markup);
  for (const value of news.values ?? []) changeValue(value);
  refresh();
}

function refresh() {
  const now = nowMs();
  for (const element of document.querySelectorAll("[data-t].age")) {
    const words = shortAge(now - Number(element.dataset.t));
    if (element.textContent !== words) element.textContent = words;
  }
  const silentMs = performance.now() - heardMs;
  const isStale = silentMs > staleMs;
  body.classList.toggle("stale", isStale);
  const fresh = document.getElementById("fresh");
  const words = isStale ? `not updated for ${Math.round(silentMs / 1000)} s` : "live";
  if (fresh && fresh.textContent !== words) fresh.textContent = words;
}

function open() {
  if (source || document.hidden) return;
  const { device } = body.dataset;
  source = new EventSource(`/events${device ? `?device=${encodeURIComponent(device)}` : ""}`);
  source.onmessage = hear;
  source.onerror = () => {
    if (source?.readyState !== EventSource.CLOSED) return;
    source = undefined;
    // biome-ignore lint/style/noRestrictedGlobals: the page has the browser's clock
    setTimeout(open, retryMs);
    retryMs = Math.min(retryMs * 2, 30_000);
  };
}

function close() {
  source?.close();
  source = undefined;
}

document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
// biome-ignore lint/style/noRestrictedGlobals: the page has the browser's clock
setInterval(refresh, 1000);
open();
