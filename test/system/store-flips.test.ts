// 500 random bit flips in the data file of a store: each time it opens again, serves nothing that
// it was not given, and says what it lost. It must not know how that is done.
import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { systemClock as clock } from "../../src/util/clock.ts";
import { type Random, seededRandom } from "../../src/util/random.ts";
import { within } from "../../src/util/running.ts";
import { openTestStore, type TestStore } from "../fakes/store.ts";
import { ledgerOf } from "../fakes/store-ledger.ts";
import type { Flip, FlipResult } from "./flip-part.ts";

const root = fileURLToPath(new URL("../..", import.meta.url)).replace(/\.build\/$/, "");
const built = join(root, ".build", "test", "system", "flip-part.js");
const part = existsSync(built) ? built : join(root, "test", "system", "flip-part.ts");
const folder = mkdtempSync(join(tmpdir(), "pf-"));
const children = new Set<ChildProcess>();
const flips = Number(process.env.PLANTD_FLIPS ?? 500);
/** Each of these goes through processes of its own, as in the real store. */
const realEvery = 25;
const backMs = 10_000;
const pageBytes = 4096;

after(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

/** A store with pages of every kind: left open, and closed; each with a snapshot of its middle. */
async function prepare(
  random: Random,
  name = "flips",
): Promise<{ open: string; closed: string; ledger: string }> {
  const home = join(folder, name, "home");
  const open = join(folder, name, "open");
  const closed = join(folder, name, "closed");
  mkdirSync(home, { recursive: true });
  const store = await openTestStore(home);
  await fill(store, random, { from: 1, to: 120 });
  await store.call("snapshot-create");
  await store.call("position", { consumer: "sync", register: true });
  await fill(store, random, { from: 121, to: 240 });
  await store.call("ack", { consumer: "sync", stream: "state", sequence: 500 });
  const ledger = ledgerOf(store.journal);
  cpSync(join(home, "s"), open, { recursive: true });
  await store[Symbol.asyncDispose]();
  cpSync(join(home, "s"), closed, { recursive: true });
  const { epoch, heads } = ledger;
  writeFileSync(join(closed, "clean.json"), JSON.stringify({ epoch, heads }));
  const path = join(folder, name, "ledger.json");
  writeFileSync(path, JSON.stringify(ledger));
  return { open, closed, ledger: path };
}

async function fill(
  { call }: TestStore,
  random: Random,
  { from, to }: { from: number; to: number },
): Promise<void> {
  for (let number = from; number <= to; number += 1) {
    const points = Array.from({ length: 1 + Math.floor(random.unit() * 20) }, () => ({
      scope: `device/d${Math.floor(random.unit() * 5)}`,
      key: `k${Math.floor(random.unit() * 60)}`,
      value: random.unit() < 0.05 ? Buffer.from(random.bytes(900)).toString("hex") : random.unit(),
    }));
    await call("set-many", {
      source: `driver.${number % 40}`,
      run: "r",
      number,
      flush: "now",
      points,
    });
    if (number % 3 === 0) {
      const events = [{ kind: "k", severity: "info", message: `event ${number}` }];
      await call("append-event", { source: "e", run: "r", number, flush: "now", events });
    }
    if (number % 4 === 0) {
      const lines = [`{"message":"line ${number} ${random.unit()}"}`];
      await call("append-lines", { source: "l", run: "r", number, lines });
    }
  }
}

type Kind = "meta" | "branch" | "leaf" | "overflow" | "free";
const kinds: readonly Kind[] = ["meta", "branch", "leaf", "overflow", "free"];

/** Pages of a file by their kind; those of the free list apart. */
function pagesOf(path: string): Record<Kind, number[]> {
  const bytes = readFileSync(path);
  const pages: Record<Kind, number[]> = {
    meta: [0, 1],
    branch: [],
    leaf: [],
    overflow: [],
    free: [],
  };
  const newest = bytes.readUInt32LE(152) > bytes.readUInt32LE(pageBytes + 152) ? 0 : pageBytes;
  const freeRoot = bytes.readUInt32LE(newest + 88);
  for (let page = 2; page < bytes.length / pageBytes; page += 1) {
    const at = page * pageBytes;
    const flags = bytes.readUInt16LE(at + 18);
    if (page === freeRoot) pages.free.push(page);
    else if (flags === 1) pages.branch.push(page);
    else if (flags === 2) pages.leaf.push(page);
    else if (flags === 4) {
      const count = bytes.readUInt32LE(at + 20);
      for (let more = 0; more < count; more += 1) pages.overflow.push(page + more);
      page += Math.max(0, count - 1);
    }
  }
  return pages;
}

/** A byte of a page that says something. */
function placeIn(
  kind: Kind,
  page: number,
  { random, bytes }: { random: Random; bytes: Buffer | undefined },
): number {
  const at = page * pageBytes;
  const any = (count: number) => Math.floor(random.unit() * count);
  // Of a first page no more is written than this.
  if (kind === "meta") return at + any(168);
  if (kind === "overflow") return at + any(pageBytes);
  const lower = 24 + (bytes?.readUInt16LE(at + 20) ?? 0);
  const upper = 24 + (bytes?.readUInt16LE(at + 22) ?? 0);
  const offset = any(lower + pageBytes - upper);
  return at + (offset < lower ? offset : upper + offset - lower);
}

/** Asks processes for flips; one that is ended by what it reads is told, and another begins. */
class Flipper {
  readonly #ledger: string;
  #child: ChildProcess | undefined;

  constructor(ledger: string) {
    this.#ledger = ledger;
  }

  /** @returns undefined when it did not come back in time; a signal when it was ended. */
  async try(flip: Flip): Promise<FlipResult | string | undefined> {
    const child = this.#child ?? (await this.start());
    const { promise, resolve } = Promise.withResolvers<FlipResult | string>();
    const end = (code: number | null, signal: string | null) => {
      this.#child = undefined;
      resolve(signal ?? `code ${code}`);
    };
    child.once("message", resolve);
    child.once("exit", end);
    child.send(flip);
    const result = await within(clock, backMs, promise);
    child.off("message", resolve);
    child.off("exit", end);
    if (result === undefined) {
      child.kill("SIGKILL");
      this.#child = undefined;
    }
    return result;
  }

  async start(): Promise<ChildProcess> {
    const child = fork(part, [this.#ledger], {
      execArgv: ["--disable-warning=ExperimentalWarning"],
    });
    children.add(child);
    this.#child = child;
    await new Promise((ready) => {
      child.once("message", ready);
    });
    return child;
  }

  stop(): void {
    this.#child?.kill("SIGKILL");
  }
}

test(`${flips} bit flips: it comes back, serves what it was given, or says what it lost`, async (context) => {
  const seed = Number(process.env.PLANTD_SEED ?? process.hrtime()[1]);
  context.diagnostic(`seed ${seed}`);
  const random = seededRandom(seed);
  const { open, closed, ledger } = await prepare(random);
  const pages = {
    [open]: pagesOf(join(open, "data.mdb")),
    [closed]: pagesOf(join(closed, "data.mdb")),
  };
  const bytes = Object.fromEntries(
    [open, closed].map((from) => [from, readFileSync(join(from, "data.mdb"))]),
  );
  const tally = new Map<string, number>();
  const wrong: string[] = [];
  const plan = Array.from({ length: flips }, (_, id) => {
    const from = random.unit() < 0.5 ? open : closed;
    const kind = kinds[id % kinds.length] ?? "leaf";
    const choice = pages[from]?.[kind] ?? [];
    const page = choice[Math.floor(random.unit() * choice.length)];
    const at = placeIn(kind, page ?? 2, { random, bytes: bytes[from] });
    const isReal = id % realEvery === 0;
    const to = join(folder, `f${id}`);
    return { kind, page, flip: { id, from, to, at, bit: Math.floor(random.unit() * 8), isReal } };
  });
  for (const kind of kinds)
    assert.ok(
      plan.some((one) => one.kind === kind && one.page !== undefined),
      kind,
    );
  const run = async (mine: typeof plan) => {
    const flipper = new Flipper(ledger);
    for (const { kind, flip } of mine) {
      let result = await flipper.try(flip);
      if (typeof result === "string") {
        // What ends the one that looks is the answer, where another looks.
        tally.set(`${kind} ended by ${result}`, (tally.get(`${kind} ended by ${result}`) ?? 0) + 1);
        rmSync(flip.to, { recursive: true, force: true });
        result = await flipper.try({ ...flip, isReal: true });
      }
      const said = `flip ${flip.id} of seed ${seed}: ${kind} byte ${flip.at} bit ${flip.bit} ${flip.from === open ? "open" : "closed"}`;
      if (result === undefined) wrong.push(`${said}: not back within ${backMs} ms`);
      else if (typeof result === "string") wrong.push(`${said}: ended by ${result}`);
      else {
        const name = `${kind} ${result.restored}`;
        tally.set(name, (tally.get(name) ?? 0) + 1);
        for (const what of result.wrong.slice(0, 3))
          wrong.push(`${said}: ${result.restored}: ${what}`);
      }
    }
    flipper.stop();
  };
  mkdirSync(folder, { recursive: true });
  const half = Math.ceil(plan.length / 2);
  await Promise.all([run(plan.slice(0, half)), run(plan.slice(half))]);
  for (const [name, count] of [...tally].sort()) context.diagnostic(`${name}: ${count}`);
  assert.deepEqual(wrong, []);
});

test("killed again and again while it is replaced, a damaged store comes back with what it had", async (context) => {
  const seed = Number(process.env.PLANTD_SEED ?? process.hrtime()[1]);
  context.diagnostic(`seed ${seed}`);
  const random = seededRandom(seed);
  const { closed, ledger } = await prepare(random, "kills");
  const leaves = pagesOf(join(closed, "data.mdb")).leaf;
  const to = join(folder, "killed");
  cpSync(closed, to, { recursive: true });
  const path = join(to, "data.mdb");
  const bytes = readFileSync(path);
  // Every tenth leaf is garbled, so that there is much to replace.
  for (const [at, page] of leaves.entries()) {
    if (at % 10 === 0) bytes.fill(0x5a, page * pageBytes + 24, page * pageBytes + 200);
  }
  writeFileSync(path, bytes);
  const flip = { id: 1, from: "", to, at: 0, bit: 0, isReal: true, isLaid: true };
  for (let kill = 0; kill < 15; kill += 1) {
    const flipper = new Flipper(ledger);
    await flipper.start();
    const tried = flipper.try(flip);
    await Promise.race([clock.sleep(random.unit() * 1500), tried]);
    flipper.stop();
    const result = await tried;
    if (typeof result === "string") continue;
    assert.deepEqual(result?.wrong, [], `seed ${seed}, after ${kill} kills`);
    return;
  }
  const flipper = new Flipper(ledger);
  const result = await flipper.try(flip);
  flipper.stop();
  assert.ok(typeof result === "object", `seed ${seed}: ${result}`);
  assert.deepEqual(result.wrong, [], `seed ${seed}`);
  assert.notEqual(result.restored, "untouched");
});
