// What each address answers. It must not know sockets.
import { pointId } from "../status/status.ts";
import { isoTime } from "../util/clock.ts";
import { type HttpCounters, renderMetrics } from "./metrics.ts";
import { renderPage } from "./page.ts";
import type { Sight } from "./sight.ts";

/** An answer, whole. */
export interface Reply {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

interface RouteContext {
  readonly sight: Sight;
  readonly counters: HttpCounters;
  readonly address: URL;
  readonly version: string;
}

/** Answers one address; undefined when what it names does not exist. */
type Route = (context: RouteContext) => Promise<Reply | undefined>;

const routes: Readonly<Record<string, Route>> = {
  "/": page,
  "/api/v1/status": async ({ sight }) => json(200, (await sight.facts()).status),
  "/api/v1/values": values,
  "/metrics": metrics,
  "/healthz": healthy,
  "/health": healthy,
  "/health/live": healthy,
  "/readyz": ready,
  "/health/ready": ready,
};

/** The route of a path; `/device/<name>` is the page of one device. */
export function findRoute(path: string): Route | undefined {
  if (Object.hasOwn(routes, path)) return routes[path];
  return /^\/device\/[A-Za-z0-9_-]{1,63}$/.test(path) ? devicePage : undefined;
}

async function page({ sight }: RouteContext): Promise<Reply> {
  return htmlReply(renderPage(await sight.facts()));
}

async function devicePage({ sight, address }: RouteContext): Promise<Reply | undefined> {
  const device = address.pathname.slice("/device/".length);
  const facts = await sight.facts(device);
  const isKnown =
    facts.points.length > 0 || facts.status.devices.some(({ name }) => name === device);
  return isKnown ? htmlReply(renderPage(facts)) : undefined;
}

/** `plant.values/1`: what `plant values --json` prints; `?device=` narrows it. */
async function values({ sight, address }: RouteContext): Promise<Reply> {
  const { status, points, leftOut } = await sight.facts(
    address.searchParams.get("device") ?? undefined,
  );
  return json(200, {
    schema: "plant.values/1",
    gateway: status.gateway,
    time: status.time,
    leftOut,
    points: points.map(({ point }) => point).sort((a, b) => (pointId(a) < pointId(b) ? -1 : 1)),
  });
}

async function metrics({ sight, counters }: RouteContext): Promise<Reply> {
  const [facts, bus, store] = await Promise.all([sight.facts(), sight.bus(), sight.store()]);
  const { status } = facts;
  const points = { shown: facts.points.length, leftOut: facts.leftOut };
  return {
    status: 200,
    type: "text/plain; version=0.0.4; charset=utf-8",
    body: renderMetrics({ status, http: counters, points, bus, store }),
  };
}

/** The process lives. @see draft-inadarei-api-health-check */
async function healthy({ version }: RouteContext): Promise<Reply> {
  return health(200, { status: "pass", version, releaseId: version, checks: [] });
}

/** The parts answer. */
async function ready({ sight, version }: RouteContext): Promise<Reply> {
  const { status } = await sight.facts();
  const time = isoTime(status.time);
  const checks = status.parts.map(({ name, state, words }) => ({
    name,
    status: state === "ok" ? "pass" : "fail",
    time,
    ...(words === null ? {} : { output: words }),
  }));
  const isReady = checks.length > 0 && checks.every((check) => check.status === "pass");
  const word = isReady ? "pass" : "fail";
  return health(isReady ? 200 : 503, { status: word, version, releaseId: version, checks });
}

function json(status: number, value: unknown): Reply {
  return { status, type: "application/json; charset=utf-8", body: `${JSON.stringify(value)}\n` };
}

function health(status: number, value: unknown): Reply {
  return { ...json(status, value), type: "application/health+json; charset=utf-8" };
}

function htmlReply(body: string): Reply {
  return { status: 200, type: "text/html; charset=utf-8", body };
}
