// A running broker under hostile peers, a short while. The long version is
// `npm run torture -- broker`. It must not know what the peers do.
import assert from "node:assert/strict";
import { test } from "node:test";
import { siege } from "../torture/siege.ts";

test("a healthy pair is served while hostile peers do what they can, and nothing stays", async () => {
  const seed = 3;
  const { frames, violations } = await siege({ frames: 100_000, seed }, () => {});
  assert.ok(frames >= 100_000);
  assert.deepEqual(violations, [], `seed ${seed}`);
});
