// kill -9 of each process in turn under load, many times: the ledger must agree with the centre.
// It must not know how a site is built.
import { killRounds } from "../system/ledger.ts";
import { startSite } from "../system/site.ts";
import type { Torture } from "./torture.ts";

/** Kills per site: the comparison at the end reads everything that was ever written. */
const killsPerSite = 100;

export const torture: Torture = {
  name: "kill",
  what: "kill -9 of each process in turn under load (default 1000 kills)",
  async run(order) {
    const count = order.count ?? 1000;
    const violations: string[] = [];
    let runs = 0;
    let acknowledged = 0;
    for (let seed = order.seed; runs < count; seed += 1) {
      const kills = Math.min(killsPerSite, count - runs);
      const site = await startSite();
      try {
        const ledger = await killRounds(site, kills, seed);
        acknowledged += ledger.acknowledged.size;
      } catch (error) {
        violations.push(`seed ${seed}: ${(error as Error).message}`);
      } finally {
        await site[Symbol.asyncDispose]();
      }
      runs += kills;
      order.progress(`${runs}/${count} kills, ${acknowledged} writes acknowledged`);
    }
    return { runs, violations, detail: { acknowledged } };
  },
};
