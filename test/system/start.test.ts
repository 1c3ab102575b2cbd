// `npm start`: the whole plant comes up, values reach the centre through every fault its keys
// make, and nothing is left when it ends. It must not know how the parts work.
import assert from "node:assert/strict";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { type Glance, look, type Sight } from "../../src/main/demo-eyes.ts";
import { systemClock as clock } from "../../src/util/clock.ts";
import { until } from "../fakes/patience.ts";
import { endAll, mainPath, type Spawned, start } from "../fakes/process.ts";

const root = mkdtempSync(join(tmpdir(), "pl-st-"));
after(() => {
  endAll();
  rmSync(root, { recursive: true, force: true });
});

/** Processes that work in a folder, or were told of it, beside the demo itself. */
function processesOf(folder: string, demo?: number): number[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && Number(name) !== demo);
  return pids.map(Number).filter((pid) => {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      const place = readlinkSync(`/proc/${pid}/cwd`);
      const isZombie = / Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
      return !isZombie && (words.includes(`${folder}/`) || place.startsWith(`${folder}/`));
    } catch {
      return false; // it ended meanwhile
    }
  });
}

async function noneLeft(folder: string): Promise<void> {
  const seen = () => processesOf(folder);
  await until("no process is left", () => seen().length === 0, { seen });
}

const demo = (...words: readonly string[]) => start(mainPath("demo"), words);

/** Looks until what is seen is as wanted. */
async function see(sight: Sight, wanted: (glance: Glance) => boolean): Promise<Glance> {
  let glance: Glance = {};
  const isSeen = async () => {
    glance = await look(sight, AbortSignal.timeout(5000));
    return wanted(glance) && glance;
  };
  return until("what is wanted is seen", isSeen, { seen: () => glance });
}

function sightOf(running: Spawned): Sight {
  const page = /Gateway page +(\S+)/.exec(running.said())?.[1] ?? "";
  const centrePage = /Centre page +(\S+)/.exec(running.said())?.[1] ?? "";
  return { clock, page, centrePage, gateway: "gw-demo" };
}

const isFresh = ({ ageMs }: Glance) => ageMs !== undefined && ageMs < 2000;
const goodOf = (glance: Glance, device: string) =>
  (glance.values ?? []).filter(
    (value) => value.scope === `device/${device}` && value.quality === "good",
  ).length;

test("without a terminal it brings values to the centre, ends with 0 and leaves nothing", async () => {
  const home = join(root, "h");
  mkdirSync(home);
  const folder = join(home, "demo");
  const running = demo("--headless", "--for", "4s", "--folder", folder);
  assert.ok(await running.until("values of every device are at the centre"), running.said());
  assert.ok(processesOf(folder, running.pid).length >= 12, "one process per unit, and two wires");
  assert.equal(await running.ended(40_000), 0, running.said());
  await noneLeft(folder);
  assert.deepEqual(readdirSync(home), ["demo"], "no file outside its folder");
});

test("its keys break things, which mend; a second copy does not disturb it", async () => {
  const folder = join(root, "k");
  const running = demo("--folder", folder);
  assert.ok(await running.until("Centre page"), running.said());
  const second = demo("--headless", "--for", "2s", "--folder", folder);
  const sight = sightOf(running);
  const before = await see(sight, isFresh);
  assert.ok(isFresh(before), JSON.stringify(before));

  running.tell("c");
  assert.ok(await running.until("uplink cut"), running.said());
  const cut = await see(sight, ({ waiting = 0 }) => waiting > 20);
  assert.ok((cut.waiting ?? 0) > 20, "the backlog grows");
  running.tell("c");
  const drained = await see(sight, (glance) => glance.waiting === 0 && isFresh(glance));
  assert.equal(drained.waiting, 0, "the backlog drains");

  running.tell("w");
  const pulled = await see(sight, (glance) => goodOf(glance, "meter-1") === 0);
  assert.equal(goodOf(pulled, "meter-1"), 0, "values behind the pulled wire are not good");
  assert.ok(goodOf(pulled, "pump-1") > 0, "the pump goes on");
  running.tell("w");
  const plugged = await see(sight, (glance) => goodOf(glance, "meter-1") > 0);
  assert.ok(goodOf(plugged, "meter-1") > 0, "they come back");

  running.tell("s");
  const slow = await see(sight, (glance) => goodOf(glance, "meter-2") === 0);
  assert.equal(goodOf(slow, "meter-2"), 0, "a meter that answers too late is silent");
  assert.ok(goodOf(slow, "meter-1") > 0, "the other on its line is not");
  running.tell("s");
  const quick = await see(sight, (glance) => goodOf(glance, "meter-2") > 0);
  assert.ok(goodOf(quick, "meter-2") > 0);

  assert.equal(await second.ended(60_000), 0, second.said());
  const pids = processesOf(folder, running.pid);
  running.tell("k");
  assert.ok(await running.until("processes killed"), running.said());
  const killed = await see(sight, (glance) => glance.verdict === "ok" && isFresh(glance));
  assert.equal(killed.verdict, "ok", JSON.stringify(killed));
  const same = processesOf(folder, running.pid).filter((pid) => pids.includes(pid));
  assert.ok(same.length <= pids.length - 7, "the gateway's processes are new");

  running.tell("q");
  assert.equal(await running.ended(30_000), 0, running.said());
  await noneLeft(folder);
  await noneLeft(`${folder}-2`);
});

for (const name of ["SIGINT", "SIGKILL"] as const) {
  test(`${name} while it comes up leaves no process`, async () => {
    const folder = join(root, name);
    const running = demo("--folder", folder);
    assert.ok(await running.until("MQTT broker"), running.said());
    await until("five processes", () => processesOf(folder, running.pid).length >= 5);
    running.signal(name);
    assert.notEqual(await running.ended(30_000), "still running");
    await noneLeft(folder);
  });
}

test("a folder that holds something else is left alone", async () => {
  const folder = join(root, "mine");
  mkdirSync(folder);
  writeFileSync(join(folder, "letter.txt"), "dear");
  const running = demo("--headless", "--folder", folder);
  assert.equal(await running.ended(), 2);
  assert.match(running.errors(), /DEMO_FOLDER/);
  assert.deepEqual(readdirSync(folder), ["letter.txt"]);
});

for (const words of [["--for", "soon"], ["--headles"], ["now"]]) {
  test(`npm start -- ${words.join(" ")} ends with 2`, async () => {
    const running = demo(...words);
    assert.equal(await running.ended(), 2);
    assert.match(running.errors(), /USAGE/);
  });
}
