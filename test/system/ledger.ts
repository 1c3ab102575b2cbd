// An outside client's ledger: what it wrote and what it was told, held against the centre.
// It must not know what is broken meanwhile.
import assert from "node:assert/strict";
import type { Client } from "../../src/client/client.ts";
import { systemClock } from "../../src/util/clock.ts";
import { hasCode } from "../../src/util/errors.ts";
import { seededRandom } from "../../src/util/random.ts";
import { until } from "../fakes/patience.ts";
import type { Site } from "./site.ts";

/** Each writer has its own source and its own keys, so the order of a key is known. */
const writers = 4;
const keys = 12;

/** Failures after which a write may or may not have been carried out. */
const nobodyKnows = [
  "TIME_RAN_OUT",
  "WORKER_LOST",
  "NO_SERVICE",
  "EXPIRED",
  "BROKER_UNREACHABLE",
  "BROKER_LOST",
  "CANCELLED",
] as const;

/** What an outside client was told, write by write. */
export interface Ledger {
  readonly scope: string;
  readonly acknowledged: Set<number>;
  readonly unanswered: Set<number>;
  stop(): Promise<void>;
}

/**
 * Writes numbers to a few keys of a scope as fast as they are acknowledged; gives up on some on
 * purpose.
 */
export function keepLedger(client: Client, seed: number, scope = "ledger"): Ledger {
  const random = seededRandom(seed);
  const acknowledged = new Set<number>();
  const unanswered = new Set<number>();
  let isOver = false;

  const write = (writer: number, value: number) =>
    client.call(
      "org.plantd.State",
      "set-many",
      {
        source: `ledger-${writer}`,
        run: `seed-${seed}`,
        number: (value - writer) / writers + 1,
        flush: value % 2 === 0 ? "now" : "group",
        points: [{ scope, key: `k${value % keys}`, value, quality: "good" }],
      },
      { deadlineMs: 1500 },
    );
  /** One value: again and again until it is acknowledged or given up. */
  const settle = async (writer: number, value: number) => {
    unanswered.add(value);
    for (;;) {
      try {
        await write(writer, value);
        unanswered.delete(value);
        acknowledged.add(value);
        return;
      } catch (error) {
        // A refusal means a defect; anything else means nobody knows.
        assert.ok(hasCode(error, ...nobodyKnows), String(error));
        if (isOver || random.unit() < 0.3) return;
        await systemClock.sleep(20);
      }
    }
  };
  const run = async (writer: number) => {
    for (let value = writer; !isOver; value += writers) await settle(writer, value);
  };
  const done = Promise.all(Array.from({ length: writers }, (_, writer) => run(writer)));
  return {
    scope,
    acknowledged,
    unanswered,
    async stop() {
      isOver = true;
      await done;
    },
  };
}

interface HistoryRecord {
  readonly epoch: string;
  readonly sequence: number;
  readonly value: number;
  /** Written in a life of the store that was given up. */
  readonly isOrphan: boolean;
}

/** All records of one key at the centre, in the centre's order. */
async function historyOf(site: Site, scope: string, key: string): Promise<HistoryRecord[]> {
  const records: HistoryRecord[] = [];
  let after: string | undefined;
  for (;;) {
    const page = (await site.fetchJson(
      `/api/v1/devices/gw-test/history?scope=${scope}&key=${key}&limit=1000${after === undefined ? "" : `&after=${after}`}`,
    )) as { records: HistoryRecord[]; next?: string };
    records.push(...page.records);
    if (page.next === undefined) return records;
    after = page.next;
  }
}

export async function drained(site: Site): Promise<void> {
  const client = await site.client();
  try {
    await until(
      "the backlog drains",
      async () => {
        const status = (await client.call("org.plantd.Sync", "status", {})) as {
          streams: Record<string, { waiting: number }>;
        };
        return status.streams.state?.waiting === 0;
      },
      { limitMs: 60_000, errorsMeanNotYet: true },
    );
  } finally {
    await client[Symbol.asyncDispose]();
  }
}

/** What the centre has of a scope, orphans or what counts. */
export async function countOf(site: Site, scope: string, isOrphan: boolean): Promise<number> {
  let count = 0;
  for (let index = 0; index < keys; index += 1) {
    const records = await historyOf(site, scope, `k${index}`);
    count += records.filter((record) => record.isOrphan === isOrphan).length;
  }
  return count;
}

/** Holds the ledger against what counts at the centre. */
export async function compare(site: Site, ledger: Ledger): Promise<void> {
  const seen = new Set<number>();
  for (let index = 0; index < keys; index += 1) {
    const records = await historyOf(site, ledger.scope, `k${index}`);
    const values = records.filter((record) => !record.isOrphan).map((record) => record.value);
    for (const [at, value] of values.entries()) {
      assert.equal(value % keys, index, "a value under a key it was not written to");
      assert.ok(!seen.has(value), `${value} is at the centre twice`);
      assert.ok(value > (values[at - 1] ?? -1), `${value} came after ${values[at - 1]}`);
      seen.add(value);
    }
  }
  const missing = [...ledger.acknowledged].filter((number) => !seen.has(number));
  assert.deepEqual(missing, [], "acknowledged but not at the centre");
  const strangers = [...seen].filter(
    (number) => !ledger.acknowledged.has(number) && !ledger.unanswered.has(number),
  );
  assert.deepEqual(strangers, [], "at the centre but never written");
}

/** Kills one part after the other, `rounds` times, under load; returns what was written. */
export async function killRounds(site: Site, rounds: number, seed: number): Promise<Ledger> {
  const client = await site.client();
  const ledger = keepLedger(client, seed);
  const random = seededRandom(seed + 1);
  const victims = site.names;
  for (let round = 0; round < rounds; round += 1) {
    await systemClock.sleep(200 + random.unit() * 800);
    await site.kill(victims[round % victims.length] ?? "store");
  }
  await systemClock.sleep(2000);
  await ledger.stop();
  await client[Symbol.asyncDispose]();
  await drained(site);
  await compare(site, ledger);
  return ledger;
}
