// The gateway's upstream protocol against a broker that misbehaves, restores and restarts, many
// schedules of faults under a virtual clock. It must not know what the protocol decides.
import { playUpstream } from "../simulation/upstream.ts";
import type { Torture } from "./torture.ts";

/** After this many broken schedules there is nothing more to learn. */
const violationsMax = 20;

export const torture: Torture = {
  name: "sync",
  what: "schedules of faults between gateway and centre, simulated (default 2000)",
  async run(order) {
    const count = order.count ?? 2000;
    const violations: string[] = [];
    let runs = 0;
    let records = 0;
    let batches = 0;
    while (runs < count && violations.length < violationsMax) {
      const seed = order.seed + runs;
      try {
        const outcome = playUpstream(seed);
        records += outcome.records;
        batches += outcome.batches;
      } catch (error) {
        const [sentence = ""] = (error as Error).message.split("\n");
        violations.push(`seed ${seed}: ${sentence}`);
      }
      runs += 1;
      if (runs % 250 === 0) order.progress(`${runs}/${count} schedules, ${records} records`);
    }
    return { runs, violations, detail: { records, batches } };
  },
};
