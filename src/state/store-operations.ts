// The operations on the database itself: what was lost of it, its snapshots, its format.
// It must not know what the records mean.
import { existsSync } from "node:fs";
import { PlantError } from "../util/errors.ts";
import { check, v } from "../util/shape.ts";
import type { Operation } from "../worker/worker.ts";
import type { StateCore } from "./core.ts";
import { lossIn } from "./loss.ts";

const shapes = {
  losses: v.object({ seen: v.optional(v.boolean(), false) }),
} as const;

/** Operations on the database. */
export function storeOperations(core: StateCore): Record<string, Operation> {
  return {
    losses: ({ args }) => losses(core, args),
    "snapshot-list": () => ({ snapshots: core.snapshots?.list() ?? [] }),
    "snapshot-create": () => snapshotCreate(core),
    upgrade: () => upgrade(core),
  };
}

/** Replacements of a damaged database; with `seen` the alarm about them ends. */
function losses(core: StateCore, args: unknown): unknown {
  const { seen } = check(shapes.losses, args ?? {});
  const { guard } = core;
  if (seen) guard?.seen();
  return {
    losses: (guard?.replaced ?? []).map((one) => ({
      ...lossIn(one),
      seen: one.seenMs !== undefined,
    })),
    quarantines: guard?.quarantines() ?? [],
  };
}

async function snapshotCreate(core: StateCore): Promise<unknown> {
  core.refuseWhileRestoring();
  const made = await core.snapshots?.make();
  return typeof made === "object" ? { made } : { made: null, reason: made ?? "off" };
}

/**
 * Brings the database to the newest format, once the update is confirmed.
 * @throws PlantError UPDATE_PENDING.
 */
async function upgrade(core: StateCore): Promise<unknown> {
  core.refuseWhileRestoring();
  const { journal, log } = core.deps;
  const { updatePending } = core.config;
  const { format } = journal;
  if (updatePending !== undefined && existsSync(updatePending)) {
    throw new PlantError("UPDATE_PENDING", { format });
  }
  if (!core.isFormatHeld) return { format, upgraded: false };
  const next = await core.apart(() => journal.upgrade());
  log.info("the database has a new format", { before: format, format: next });
  return { format: next, upgraded: true };
}
