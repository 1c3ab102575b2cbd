// Power cuts by the million over recordings of the real store process, made anew every so often.
// It must not know what a cut leaves or how it is judged.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock as clock } from "../../src/util/clock.ts";
import { cutAll } from "../power/campaign.ts";
import { buildRecorder } from "../power/record.ts";
import { record } from "../power/recording.ts";
import { mixes } from "../power/workload.ts";
import type { Torture } from "./torture.ts";

/** Cuts of one set of recordings: about every write of theirs, in each of the ways. */
const cutsPerSet = 20_000;
const progressMs = 5000;

export const torture: Torture = {
  name: "power",
  what: "power cuts over recordings of the store (default 1000000 cuts; --cuts N)",
  async run({ count = 1_000_000, seed, progress }) {
    const violations: string[] = [];
    let cuts = 0;
    let sets = 0;
    let toldMs = clock.monotonicMs();
    const fromMs = toldMs;
    while (cuts < count && violations.length === 0) {
      const root = mkdtempSync(join(tmpdir(), "pw-"));
      try {
        const library = buildRecorder(root);
        const recordings: { name: string; record: string; folder: string }[] = [];
        for (const mix of mixes) {
          const place = await record(root, library, { mix, seed: seed + sets });
          recordings.push({ name: mix.name, record: place.record, folder: place.folder });
        }
        const before = cuts;
        const tell = (done: number) => {
          const nowMs = clock.monotonicMs();
          if (nowMs - toldMs < progressMs) return;
          toldMs = nowMs;
          const perSecond = Math.round((1000 * (before + done)) / (nowMs - fromMs));
          progress(`${before + done}/${count} cuts, ${perSecond}/s, ${sets + 1} sets recorded`);
        };
        const wanted = Math.min(cutsPerSet, count - cuts);
        const options = { cuts: wanted, seed: seed + sets, progress: tell };
        const found = await cutAll(recordings, options);
        cuts += found.cuts;
        violations.push(...found.violations);
      } finally {
        rmSync(root, { recursive: true, force: true });
      }
      sets += 1;
    }
    return { runs: cuts, violations, detail: { sets, recordings: sets * mixes.length } };
  },
};
