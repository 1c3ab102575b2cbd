// `plant state …`: points and scopes of the store, as they are. It must not know devices.
import {
  describeCount,
  describeDuration,
  describeUnit,
  describeValue,
  listPoints,
  readPoints,
  services,
} from "../status/status.ts";
import { hasCode, PlantError } from "../util/errors.ts";
import { nearestWord } from "../util/nearest.ts";
import { check, v } from "../util/shape.ts";
import type { Invocation } from "./command.ts";
import { wholeOption } from "./numbers.ts";
import { columns } from "./output.ts";
import { printPoints } from "./values-command.ts";

/** Points of one list unless told, and at most. */
const pointsMax = 100_000;
const linesMax = 10_000_000;
/** A long list tells how far it is after so many points. */
const talkEvery = 10_000;
/** Keys that are looked through for the one that was meant. */
const nearMax = 2000;

/** One operation of the state. @throws PlantError as `Client.call`. */
export async function ask(
  invocation: Invocation,
  operation: string,
  args: object,
): Promise<unknown> {
  const { flags, signal } = invocation;
  const client = await invocation.client();
  return client.call(services.state, operation, args, { deadlineMs: flags.timeoutMs, signal });
}

/** A scope and a key, also as `state list` prints them: one word, the last slash between. */
export function nameOf([first = "", second]: Invocation["args"]): { scope: string; key: string } {
  if (second !== undefined) return { scope: first, key: second };
  const at = first.lastIndexOf("/");
  const [scope, key] = [first.slice(0, Math.max(0, at)), first.slice(at + 1)];
  if (scope !== "" && key !== "") return { scope, key };
  throw new PlantError("USAGE", { message: "name a point as SCOPE KEY or SCOPE/KEY" });
}

/** One point with everything known of it. */
export async function runGet(invocation: Invocation): Promise<number> {
  const { scope, key } = nameOf(invocation.args);
  const data = await ask(invocation, "get", { scope, key }).catch(async (error: unknown) => {
    if (!hasCode(error, "STATE_NOT_FOUND")) throw error;
    const next = await meantBy(invocation, { scope, key });
    throw next === undefined ? error : new PlantError(error.code, { ...error.detail, next });
  });
  const point = readPoints({ points: [data] })[0];
  if (point === undefined) throw new PlantError("REMOTE_SHAPE", { reason: "this is no point" });
  const { out } = invocation;
  out.result({ schema: "plant.point/1", ...point }, () => {
    const { type, expiresMs } = point as { type?: unknown; expiresMs?: unknown };
    const rows = [
      ["value", `${describeValue(point.value)} ${describeUnit(point.unit)}`],
      ["quality", point.reason === undefined ? point.quality : `${point.quality}: ${point.reason}`],
      ["time", out.time(point.time.wall)],
      ["source", point.source],
      ["revision", String(point.revision)],
      ...(typeof type === "string" ? [["type", type]] : []),
      ...(typeof expiresMs === "number" ? [["goes in", describeDuration(expiresMs)]] : []),
    ];
    return columns([`${scope} ${key}`, ""], rows).join("\n");
  });
  return 0;
}

/** The command that was meant with a name nobody knows, where one is near. */
async function meantBy(
  invocation: Invocation,
  { scope, key }: { readonly scope: string; readonly key: string },
): Promise<string | undefined> {
  const client = await invocation.client();
  const within = { scope, max: nearMax, deadlineMs: invocation.flags.timeoutMs };
  const keys = (await listPoints(client, within)).map((point) => point.key);
  const near = nearestWord(key, keys);
  if (near !== undefined) return `plant state get ${scope} ${near}`;
  if (keys.length > 0) return undefined;
  const scopes = scopesIn(await ask(invocation, "list-scopes", {}));
  const whole = `${scope}/${key}`;
  const meant = scopes.includes(whole) ? whole : nearestWord(scope, scopes);
  return meant === undefined ? "plant state list-scopes" : `plant state list ${meant}`;
}

/** Points of all scopes or of one, asked page by page. */
export async function runList(invocation: Invocation): Promise<number> {
  const [scope] = invocation.args;
  const { options, flags, out } = invocation;
  const { prefix } = options;
  const max = wholeOption(options, "lines", { min: 1, max: linesMax, preset: pointsMax });
  const client = await invocation.client();
  let told = 0;
  const points = await listPoints(client, {
    ...(scope === undefined ? {} : { scope }),
    ...(typeof prefix === "string" ? { prefix } : {}),
    max: max + 1,
    deadlineMs: flags.timeoutMs,
    onPage: (count) => {
      if (count < told + talkEvery) return;
      told = count;
      out.talk(`${describeCount(count)} points so far`);
    },
  });
  printPoints(invocation, points.slice(0, max), (point) => point.scope);
  if (points.length > max) out.talk(`there are more than these ${max} points: --lines, --prefix`);
  return 0;
}

/** Removes a point, once confirmed. */
export async function runDelete(invocation: Invocation): Promise<number> {
  const { scope, key } = nameOf(invocation.args);
  needConsent(invocation, `deleting ${scope} ${key}`);
  const asked = { points: [{ scope, key }], by: whoOf(invocation) };
  const data = await ask(invocation, "delete-many", asked);
  const { deleted } = check(v.looseObject({ deleted: v.number() }), data, "REMOTE_SHAPE");
  if (deleted === 0) throw new PlantError("STATE_NOT_FOUND", { scope, key });
  return done(invocation, { scope, key }, `${scope} ${key} is deleted`);
}

/** Makes a scope. */
export async function runCreateScope(invocation: Invocation): Promise<number> {
  const [scope = ""] = invocation.args;
  await ask(invocation, "create-scope", { service: scope, by: whoOf(invocation) });
  return done(invocation, { scope }, `${scope} exists`);
}

/** Removes a scope with all its points, once confirmed. */
export async function runDeleteScope(invocation: Invocation): Promise<number> {
  const [scope = ""] = invocation.args;
  needConsent(invocation, `deleting ${scope} and all its points`);
  await ask(invocation, "delete-scope", { service: scope, by: whoOf(invocation) });
  return done(invocation, { scope }, `${scope} is deleted`);
}

/** Names of all scopes. */
export async function runListScopes(invocation: Invocation): Promise<number> {
  const scopes = scopesIn(await ask(invocation, "list-scopes", {}));
  const document = { schema: "plant.scopes/1", scopes };
  invocation.out.result(document, () => (scopes.length === 0 ? "no scopes" : scopes.join("\n")));
  return 0;
}

function scopesIn(data: unknown): string[] {
  const found = Array.isArray(data) ? data : (data as { scopes?: unknown } | null)?.scopes;
  return Array.isArray(found) ? found.map(String) : [];
}

/** @throws PlantError NEEDS_CONSENT unless `--yes` was given. */
export function needConsent({ flags }: Invocation, what: string): void {
  if (!flags.yes) throw new PlantError("NEEDS_CONSENT", { what });
}

/** Who asks, for the audit: as the machine knows the person. */
export function whoOf({ io }: Invocation): string {
  const { SUDO_USER: real, USER: name } = io.env;
  return (real || name || "plant").slice(0, 128);
}

/** Says that a change was made. @returns the exit code. */
export function done({ out }: Invocation, facts: object, words: string): number {
  out.result({ schema: "plant.done/1", ...facts }, () => words);
  return 0;
}
