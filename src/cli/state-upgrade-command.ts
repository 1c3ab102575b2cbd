// `plant state upgrade`: the newest format for a database that has the one of the release before.
// It must not know the formats.
import { check, v } from "../util/shape.ts";
import type { Invocation } from "./command.ts";
import { ask, done, needConsent } from "./state-command.ts";

const shape = v.looseObject({ format: v.number(), upgraded: v.boolean() });

/** Once confirmed: there is no way back. @throws PlantError UPDATE_PENDING. */
export async function runUpgrade(invocation: Invocation): Promise<number> {
  needConsent(invocation, "giving the database the newest format");
  const data = await ask(invocation, "upgrade", {});
  const { format, upgraded } = check(shape, data, "REMOTE_SHAPE");
  const words = upgraded ? "has" : "has already";
  return done(invocation, { format, upgraded }, `the database ${words} format ${format}`);
}
