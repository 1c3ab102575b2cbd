// Hostile peers at a running broker, by the million. It must not know what they do.
import { siege } from "./siege.ts";
import type { Torture } from "./torture.ts";

export const torture: Torture = {
  name: "broker",
  what: "hostile peers at a running broker (default 1000000 frames)",
  async run({ count = 1_000_000, seed, progress }) {
    const { frames, violations, ...detail } = await siege({ frames: count, seed }, progress);
    return { runs: frames, violations, detail };
  },
};
