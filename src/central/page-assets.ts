// Style and script of the centre's page, as they stand in it; their hashes are in its policy.
// It must not know any value.

export const pageStyle = `
:root{--paper:#eef1ef;--panel:#fff;--ink:#15211c;--soft:#51605a;--line:#d5dcd8;--good:#0b6b3c;
--good-wash:#e0f2e7;--warn:#7a4a00;--warn-wash:#fdeecd;--bad:#a3161c;--bad-wash:#fde3e1;
--link:#10695a;color-scheme:light dark}
@media (prefers-color-scheme:dark){:root{--paper:#0d1210;--panel:#151c19;--ink:#e8efeb;
--soft:#9fb0a8;--line:#29332e;--good:#6ad99b;--good-wash:#12301f;--warn:#f2bb5a;
--warn-wash:#382608;--bad:#ff938c;--bad-wash:#43171a;--link:#62cbb4}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.45 system-ui,"Segoe UI",Roboto,
"Noto Sans",sans-serif;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
header,main,footer{max-width:76rem;margin:0 auto;padding:.75rem 1rem}
h1{font-size:1.1rem;margin:0 0 .5rem}h2{font-size:1.05rem;margin:0 0 .5rem}
h3{font-size:.95rem;margin:1rem 0 .25rem;color:var(--soft)}
a{color:var(--link)}header a{text-decoration:none}
td a,th a{display:inline-block;min-height:44px;line-height:44px;min-width:44px}
#verdict{margin:0;padding:.75rem 1rem;border-radius:.5rem;border-left:.35rem solid}
.good{color:var(--good)}.uncertain,.warn,.unknown,.waiting{color:var(--warn)}
.bad,.down{color:var(--bad)}.up{color:var(--good)}
#verdict.good{background:var(--good-wash)}#verdict.warn{background:var(--warn-wash)}
#verdict.bad{background:var(--bad-wash)}
#verdict.stale{background:var(--line);color:var(--soft)}
section{background:var(--panel);border:1px solid var(--line);border-radius:.5rem;padding:1rem;
margin:0 0 1rem}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.3rem .6rem .3rem 0;border-bottom:1px solid var(--line);
font-weight:400;vertical-align:baseline}
thead th{color:var(--soft);font-size:.85rem;white-space:nowrap}tbody th{font-weight:600}th a{white-space:nowrap}
small{color:var(--soft);font-weight:400}.number{text-align:right;padding-right:1rem}
ol{margin:0;padding-left:1.2rem;font-size:.85rem;color:var(--soft)}
@media (max-width:600px){header,main,footer{padding:.5rem}section{padding:.6rem}
.values thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.values,.values tbody{display:block}.values td,.values th{border:0;padding:0}
.values tr{display:grid;grid-template-columns:minmax(0,1fr) auto 6ch;gap:0 .4rem;
padding:.45rem 0;border-bottom:1px solid var(--line)}
.values td:nth-child(4){grid-area:2/1}.values td:nth-child(5){grid-area:2/2/auto/4;
text-align:right;color:var(--soft)}.values .number{font-weight:600}}
code{font-family:ui-monospace,monospace}.hint,footer{color:var(--soft);font-size:.85rem}
`;

/** An age as people say it; the page's script runs this very function. */
export function ageInWords(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129_600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

/**
 * Hears that something changed, fetches the page again and changes what differs in place: rows
 * keep their order, and an unreachable centre shows as stale.
 */
export const pageScript = `
"use strict";
(() => {
  const skew = Number(document.body.dataset.now) - Date.now();
  let freshAt = Date.now();
  let isBusy = false;
  const words = ${ageInWords.toString()};
  const tick = () => {
    const now = Date.now() + skew;
    for (const time of document.querySelectorAll("time[data-wall]")) {
      const text = words(now - Number(time.dataset.wall));
      if (time.textContent !== text) time.textContent = text;
    }
    const silence = Date.now() - freshAt;
    const verdict = document.getElementById("verdict");
    verdict.classList.toggle("stale", silence > 35000);
    if (silence > 35000) {
      document.getElementById("fresh").textContent = "not updated for " + words(silence);
    }
  };
  const change = (old, fresh) => {
    if (old.isEqualNode(fresh)) return;
    const rows = [...old.children];
    const next = [...fresh.children];
    const isSame = rows.length === next.length && rows.every((row, at) =>
      row.tagName === next[at].tagName && row.id === next[at].id);
    if (!isSame || rows.length === 0) { old.replaceWith(fresh); return; }
    for (const { name, value } of fresh.attributes) old.setAttribute(name, value);
    rows.forEach((row, at) => change(row, next[at]));
  };
  const refresh = async () => {
    if (isBusy) return;
    isBusy = true;
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const id of ["verdict", "live", "foot"]) {
        change(document.getElementById(id), fresh.getElementById(id));
      }
      freshAt = Date.now();
      tick();
    } catch { return; } finally { isBusy = false; }
  };
  const source = new EventSource("/events");
  source.onmessage = refresh;
  source.onopen = refresh;
  setInterval(tick, 1000);
  setInterval(refresh, 15000);
})();
`;
