// `plant log level`: what each part writes, and to set it while it runs.
// It must not know how a part hears of it.
import { describeDuration, services } from "../status/status.ts";
import { PlantError } from "../util/errors.ts";
import { check, v } from "../util/shape.ts";
import type { Invocation } from "./command.ts";
import { columns } from "./output.ts";

const partShape = v.looseObject({
  part: v.string(),
  level: v.string(),
  configured: v.optional(v.string()),
  forMs: v.optional(v.number()),
  isApplied: v.optional(v.boolean()),
});
type PartLevel = v.InferOutput<typeof partShape>;
const listShape = v.looseObject({ levels: v.array(partShape) });

const words = ["debug", "info", "warn", "error", "configured"];

/** Lists levels; sets one where PART and LEVEL are named. */
export async function runLevel(invocation: Invocation): Promise<number> {
  const { args, flags, signal, out } = invocation;
  const [part, level] = args;
  const call = { deadlineMs: flags.timeoutMs, signal };
  if (level !== undefined && !words.includes(level)) {
    throw new PlantError("USAGE", { message: `a level is ${words.join(", ")}, not ${level}` });
  }
  const client = await invocation.client();
  if (part !== undefined && level !== undefined) {
    const { forMs } = flags;
    const asked = { part, level, ...(forMs === undefined ? {} : { forMs: Math.round(forMs) }) };
    const found = await client.call(services.logger, "set-level", asked, call);
    const set = check(partShape, found, "REMOTE_SHAPE");
    out.result({ schema: "plant.level/1", ...set }, () => setInWords(set));
    return 0;
  }
  const data = await client.call(services.logger, "levels", {}, call);
  const { levels: all } = check(listShape, data, "REMOTE_SHAPE");
  const levels = part === undefined ? all : all.filter((one) => one.part === part);
  if (part !== undefined && levels.length === 0) throw new PlantError("PART_UNKNOWN", { part });
  out.result({ schema: "plant.levels/1", levels }, () => {
    if (levels.length === 0) return "no part was heard of yet";
    const rows = levels.map((one) => [
      one.part,
      one.level === "configured" ? (one.configured ?? "configured") : one.level,
      one.level === "configured" ? "as configured" : `set; configured ${one.configured ?? "–"}`,
      one.forMs === undefined ? "" : `${describeDuration(one.forMs)} more`,
      one.isApplied === undefined ? "away" : one.isApplied ? "" : "on its way",
    ]);
    return columns(["PART", "LEVEL", "WHY", "FOR", ""], rows).join("\n");
  });
  return 0;
}

function setInWords({ part, level, configured, forMs, isApplied }: PartLevel): string {
  const own = configured === undefined ? "" : ` (${configured})`;
  const what = level === "configured" ? `as configured${own}` : level;
  const span = forMs === undefined ? "" : ` for ${describeDuration(forMs)}`;
  const isEvery = part === "all";
  const away = "no part of this name runs; it takes effect when one does";
  const when = isApplied === undefined && !isEvery ? away : "it takes effect within a few seconds";
  return `${part} writes ${what}${span}\n  ${when}`;
}
