// kill -9 under load, many times: of the store by itself with its ledger beside it, and of each
// process of a site in turn, where the ledger must agree with the centre.
// It must not know how a store or a site is built.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { killStore } from "../power/kill.ts";
import { killRounds } from "../system/ledger.ts";
import { startSite } from "../system/site.ts";
import type { Torture, TortureOrder } from "./torture.ts";

/** Kills of one store, and then of one site: its comparison reads everything ever written. */
const perStore = 190;
const perSite = 10;

interface Tally {
  ofStores: number;
  ofSites: number;
  acknowledged: number;
  readonly violations: string[];
}

export const torture: Torture = {
  name: "kill",
  what: "kill -9 of the store, and of each process of a site, under load (default 10000 kills)",
  async run(order) {
    const count = order.count ?? 10_000;
    const tally: Tally = { ofStores: 0, ofSites: 0, acknowledged: 0, violations: [] };
    const kills = () => tally.ofStores + tally.ofSites;
    for (let seed = order.seed; kills() < count && tally.violations.length === 0; seed += 2) {
      await killStores(Math.min(perStore, count - kills()), seed, tally);
      tell(order, count, tally);
      if (kills() >= count || tally.violations.length > 0) break;
      await killSite(Math.min(perSite, count - kills()), seed, tally);
      tell(order, count, tally);
    }
    const { violations, ...detail } = tally;
    return { runs: kills(), violations, detail };
  },
};

function tell({ progress }: TortureOrder, count: number, tally: Tally): void {
  const { ofStores, ofSites, acknowledged } = tally;
  const what = `${ofStores} of stores, ${ofSites} of a site's processes`;
  progress(`${ofStores + ofSites}/${count} kills: ${what}; ${acknowledged} writes acknowledged`);
}

/** Two stores beside each other. */
async function killStores(kills: number, seed: number, tally: Tally): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), "pk-"));
  try {
    const halves = [Math.ceil(kills / 2), Math.floor(kills / 2)];
    const results = await Promise.all(
      halves.map((half, at) => killStore(join(root, `${at}`), { kills: half, seed: seed + at })),
    );
    for (const result of results) {
      tally.ofStores += result.kills;
      tally.acknowledged += result.acknowledged;
      tally.violations.push(...result.violations);
    }
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

async function killSite(kills: number, seed: number, tally: Tally): Promise<void> {
  const site = await startSite();
  try {
    const ledger = await killRounds(site, kills, seed);
    tally.ofSites += kills;
    tally.acknowledged += ledger.acknowledged.size;
  } catch (error) {
    tally.violations.push(`seed ${seed}: ${(error as Error).message}`);
  } finally {
    await site[Symbol.asyncDispose]();
  }
}
