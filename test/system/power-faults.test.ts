// A medium that fails at the N-th write or flush of the real store process: it says so and ends, and
// what it acknowledged is there afterwards, also when the power goes. It must not know the store.
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { cutAll, type Recorded } from "../power/campaign.ts";
import { Ledger, type Mark } from "../power/ledger.ts";
import { buildRecorder, type Place, placeIn } from "../power/record.ts";
import { readMarks, runLife } from "../power/recording.ts";
import { verify } from "../power/verify.ts";
import type { Mix } from "../power/workload.ts";

const seed = Number(process.env.PLANTD_SEED ?? process.hrtime()[1]);
const root = mkdtempSync(join(tmpdir(), "pf-"));
const library = buildRecorder(root);
const mix: Mix = {
  name: "faults",
  steps: 6,
  lanes: ["set", "many", "event"],
  turns: ["end"],
};
/** How a request may be refused when the medium fails, beside what is wrong with itself. */
const refusals = ["STORE_FAILED", "STORE_UNUSABLE", "STORE_CLOSED", "SCOPE_NOT_FOUND"];
const openings = ["STORE_FAILED", "STORE_UNUSABLE"];
/** What LMDB says of a failed write, or the allocator of what LMDB did then. */
const crashWords = /rror|malloc|free\(|corrupt/;

after(() => rmSync(root, { recursive: true, force: true }));

interface Life {
  readonly place: Place;
  readonly marks: readonly Mark[];
  /** Exit code or signal. */
  readonly end: number | string;
  readonly errors: string;
}

async function liveWith(fault: string): Promise<Life> {
  const place = placeIn(join(root, fault.replace(":", "-")), library);
  const order = { mix, seed, life: 0, turns: mix.turns, firstId: 0 };
  const { code, signal, errors } = await runLife(place, order, { fault });
  return { place, marks: readMarks(place), end: signal ?? code ?? "?", errors };
}

/** What is wrong with a life on a failing medium; `hits` grows when the fault was met. */
async function judge(fault: string, life: Life, hits: { count: number }): Promise<string[]> {
  const { place, marks, end, errors } = life;
  const flaws: string[] = [];
  if (errors.startsWith("it hangs")) flaws.push(errors);
  const ledger = new Ledger();
  let isOpened = false;
  for (const mark of marks) {
    ledger.take(mark);
    isOpened ||= mark.what === "opened";
    const isRefused = mark.what === "refused" && !refusals.includes(mark.code);
    const isUnopened = mark.what === "unopened" && !openings.includes(mark.code);
    const isEnded = mark.what === "ended" && !openings.includes(mark.code);
    if (isRefused || isUnopened || isEnded) flaws.push(`it says ${mark.code}`);
  }
  const isWhole = marks.at(-1)?.what === "closed";
  if (end !== 0 || !isWhole) hits.count += 1;
  // Writing words about a failed write, the package damages its memory: the end may be abrupt, and
  // it is the allocator that says so.
  const isTold = marks.some(({ what }) => what === "ended" || what === "unopened");
  const isCrash = (end === "SIGSEGV" || end === "SIGABRT") && crashWords.test(errors);
  if (end === 0 ? !isWhole : !isTold && !isCrash && isOpened) {
    flaws.push(`it ended with ${end}: ${errors.slice(0, 300)}`);
  }
  // Twice: the second opening finds what the first one left.
  const copy = join(root, "copy", fault.replace(":", "-"));
  cpSync(place.folder, copy, { recursive: true });
  for (const flaw of await verify(copy, ledger, seed)) flaws.push(flaw);
  return flaws.map((flaw) => `${fault}, seed ${seed}: ${flaw}`);
}

async function failEach(faults: readonly string[]): Promise<{ hits: number; lives: Recorded[] }> {
  const waiting = [...faults];
  const flaws: string[] = [];
  const lives: Recorded[] = [];
  const hits = { count: 0 };
  const work = async () => {
    for (let fault = waiting.shift(); fault !== undefined; fault = waiting.shift()) {
      const life = await liveWith(fault);
      flaws.push(...(await judge(fault, life, hits)));
      lives.push({ name: fault, record: life.place.record, folder: life.place.folder });
    }
  };
  await Promise.all([work(), work()]);
  assert.deepEqual(flaws, []);
  return { hits: hits.count, lives };
}

const upTo = (count: number, kind: string, tail = "") =>
  Array.from({ length: count }, (_, at) => `${kind}:${at + 1}${tail}`);

test("whichever of 60 writes fails, nothing that was acknowledged is lost, and it is told", async () => {
  const { hits, lives } = await failEach(upTo(60, "write"));
  assert.ok(hits >= 40, `${hits} lives met the fault`);
  const { violations } = await cutAll(lives, { cuts: 10 * lives.length, seed });
  assert.deepEqual(violations, [], "and then the power goes");
});

test("whichever of 24 flushes fails, nothing that was acknowledged is lost, and it is told", async () => {
  const { hits, lives } = await failEach(upTo(24, "flush"));
  assert.ok(hits >= 12, `${hits} lives met the fault`);
  const { violations } = await cutAll(lives, { cuts: 20 * lives.length, seed });
  assert.deepEqual(violations, [], "and then the power goes");
});

test("a medium that fails from one moment on ends the store and harms nothing", async () => {
  const faults = [4, 12, 18, 25, 33].flatMap((at) => [`write:${at}+`, `flush:${at / 2}+`]);
  const { hits } = await failEach(faults.filter((fault) => !fault.includes(".")));
  assert.ok(hits >= 5, `${hits} lives met the fault`);
});
