// The centre's web application: page, REST, enrolment, health, metrics. The only importer of hono.
// It must not know sockets or rows.
import { Hono } from "hono";
import { isSame } from "../access/access.ts";
import { type Stream, streams } from "../batch/batch.ts";
import type { Clock } from "../util/clock.ts";
import { asPlantError, PlantError } from "../util/errors.ts";
import type { Log } from "../util/log.ts";
import type { DeviceCode } from "./enrolment.ts";
import type { DeviceSummary, HistoryPage, HistoryQuery, ToldValue } from "./fleet.ts";
import type { Gap } from "./rows.ts";

const bodyBytesMax = 16_384;
const limitMax = 1000;
const listenersMax = 32;
/** A stream of changes ends after this long; the browser comes back by itself. */
const streamMs = 300_000;
/** Least time between two notices of one stream. */
const noticeMs = 1000;
/** Longest silence of a stream. */
const beatMs = 15_000;

/** What the application tells and does; each may throw a PlantError. */
export interface Facade {
  summaries(): DeviceSummary[];
  summary(device: string): DeviceSummary;
  values(device: string): ToldValue[];
  history(device: string, query: HistoryQuery): HistoryPage;
  gaps(device: string): Gap[];
  createDevice(device: string): Promise<DeviceCode>;
  enrol(body: unknown): Promise<unknown>;
  keySet(): string;
  health(): Health;
  metrics(): string;
  /** The page of all gateways, or of one. */
  page(device?: string): string;
  /** Calls back after changes; returns what ends that. */
  onChange(listener: () => void): () => void;
}

/** @see draft-inadarei-api-health-check-06 */
export interface Health {
  readonly status: "pass" | "warn" | "fail";
  readonly version: string;
  readonly checks: readonly { readonly name: string; readonly status: string; output?: string }[];
}

export interface WebDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly facade: Facade;
  readonly adminToken: string;
  /** Host names answered to, in lower case, without port. */
  readonly hosts: ReadonlySet<string>;
  /** Sources the page's Content-Security-Policy allows beside nothing. */
  readonly pagePolicy: string;
}

const statusOf: Readonly<Record<string, 400 | 401 | 403 | 404 | 405 | 413 | 421 | 429>> = {
  REQUEST_MALFORMED: 400,
  ENROL_CODE_MALFORMED: 400,
  ENROL_REFUSED: 403,
  NOT_ALLOWED: 401,
  DENIED: 421,
  GATEWAY_UNKNOWN: 404,
  OPERATION_UNKNOWN: 404,
  MESSAGE_TOO_LARGE: 413,
  LIMIT_REACHED: 429,
};

/** What a web server calls for each request. */
export type Fetch = (request: Request) => Response | Promise<Response>;

/** Makes the application. Reading is open; what changes something needs the admin token. */
export function createWeb(deps: WebDeps): Fetch {
  const { facade } = deps;
  const app = new Hono();
  app.use(async (context, next) => {
    refuseForeignHost(context.req.header("host"), deps.hosts);
    await next();
    context.header("X-Content-Type-Options", "nosniff");
    context.header("Referrer-Policy", "no-referrer");
    context.header("Cross-Origin-Resource-Policy", "same-origin");
    if (!context.res.headers.has("Cache-Control")) context.header("Cache-Control", "no-store");
  });
  app.onError((error, context) => {
    const known = asPlantError(error);
    if (known.code !== "INTERNAL") {
      return context.json({ error: known.toWire() }, statusOf[known.code] ?? 500);
    }
    deps.log.error("a request failed", { error, path: context.req.path });
    const wire = new PlantError("INTERNAL", { message: "see the log of the centre" }).toWire();
    return context.json({ error: wire }, 500);
  });
  app.notFound((context) => {
    const operation = `${context.req.method} ${context.req.path}`.slice(0, 200);
    throw new PlantError("OPERATION_UNKNOWN", { service: "central", operation });
  });

  app.post("/api/v1/enrol", async (context) => {
    return context.json((await facade.enrol(await bodyOf(context.req.raw))) as object);
  });
  app.post("/api/v1/devices", async (context) => {
    allowAdmin(context.req.header("authorization"), deps.adminToken);
    const body = await bodyOf(context.req.raw);
    const id = typeof body === "object" && body !== null && "id" in body ? body.id : undefined;
    if (typeof id !== "string") throw malformed("id: a text");
    return context.json(await facade.createDevice(id), 201);
  });
  app.get("/api/v1/devices", (context) => context.json({ devices: facade.summaries() }));
  app.get("/api/v1/devices/:id", (context) => {
    const id = context.req.param("id");
    return context.json({ ...facade.summary(id), gaps: facade.gaps(id) });
  });
  app.get("/api/v1/devices/:id/values", (context) =>
    context.json({ values: facade.values(context.req.param("id")) }),
  );
  app.get("/api/v1/devices/:id/history", (context) =>
    context.json(facade.history(context.req.param("id"), historyQuery(context.req.query()))),
  );
  app.get("/api/v1/devices/:id/events", (context) =>
    context.json(facade.history(context.req.param("id"), newest("event", context.req.query()))),
  );
  app.get("/api/v1/devices/:id/logs", (context) =>
    context.json(facade.history(context.req.param("id"), newest("log", context.req.query()))),
  );
  app.get("/api/v1/devices/:id/metrics", (context) =>
    context.json(facade.history(context.req.param("id"), newest("metric", context.req.query()))),
  );
  app.get("/api/v1/keyset", (context) =>
    context.body(facade.keySet(), 200, { "Content-Type": "application/json" }),
  );
  app.get("/healthz", (context) => context.json({ status: "pass" }));
  app.get("/readyz", (context) => {
    const health = facade.health();
    return context.json(health, health.status === "fail" ? 503 : 200);
  });
  app.get("/metrics", (context) =>
    context.body(facade.metrics(), 200, { "Content-Type": "text/plain; version=0.0.4" }),
  );
  const page = (text: string) =>
    new Response(text, {
      headers: {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": deps.pagePolicy,
        "X-Frame-Options": "DENY",
      },
    });
  app.get("/", () => page(facade.page()));
  app.get("/device/:id", (context) => page(facade.page(context.req.param("id"))));
  const open = changeStreams(deps);
  app.get("/events", ({ req }) =>
    req.method === "HEAD" ? new Response(null, { headers: streamHeaders }) : open(req.raw.signal),
  );
  return (request) => app.fetch(request);
}

/** A page of another site that names us in its DNS shows its own name here. */
function refuseForeignHost(host: string | undefined, hosts: ReadonlySet<string>): void {
  const name = (host ?? "").toLowerCase().replace(/:\d{1,5}$/, "");
  if (hosts.has(name)) return;
  throw new PlantError("DENIED", {
    principal: "a request for another host",
    service: name.slice(0, 100),
  });
}

function allowAdmin(given: string | undefined, token: string): void {
  const shown = Buffer.from(/^Bearer (\S{1,200})$/.exec(given ?? "")?.[1] ?? "");
  if (isSame(shown, Buffer.from(token))) return;
  throw new PlantError("NOT_ALLOWED", { principal: "this request", what: "change the centre" });
}

function malformed(reason: string): PlantError {
  return new PlantError("REQUEST_MALFORMED", { reason });
}

/** @throws PlantError MESSAGE_TOO_LARGE, REQUEST_MALFORMED. */
async function bodyOf({ body }: Request): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body ?? []) {
    size += chunk.length;
    if (size > bodyBytesMax) {
      throw new PlantError("MESSAGE_TOO_LARGE", { size: "more", max: bodyBytesMax });
    }
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch (error) {
    if (error instanceof SyntaxError) throw malformed("the body is not JSON");
    throw error;
  }
}

type Query = Readonly<Record<string, string>>;

function historyQuery(query: Query): HistoryQuery {
  const { scope, key, after, stream = "state", order = "oldest" } = query;
  if (!(streams as readonly string[]).includes(stream)) {
    throw malformed(`stream: one of ${streams.join(", ")}`);
  }
  if (order !== "oldest" && order !== "newest") throw malformed("order: oldest or newest");
  return {
    stream: stream as Stream,
    limit: limitOf(query),
    isReverse: order === "newest",
    ...(scope === undefined ? {} : { scope }),
    ...(key === undefined ? {} : { key }),
    ...(after === undefined ? {} : { after }),
  };
}

function newest(stream: Stream, query: Query): HistoryQuery {
  const { after } = query;
  const limit = limitOf(query);
  return { stream, limit, isReverse: true, ...(after === undefined ? {} : { after }) };
}

function limitOf({ limit = "100" }: Query): number {
  const count = Number(limit);
  if (Number.isInteger(count) && count >= 1 && count <= limitMax) return count;
  throw malformed(`limit: a whole number from 1 to ${limitMax}`);
}

const streamHeaders = { "Content-Type": "text/event-stream", "Cache-Control": "no-store" };

/** Server-sent events that say no more than that something changed. @see WHATWG HTML, 9.2 */
function changeStreams({ clock, facade }: WebDeps): (signal: AbortSignal) => Response {
  let listeners = 0;
  return (signal) => {
    if (listeners >= listenersMax) {
      throw new PlantError("LIMIT_REACHED", { limit: "pages open", max: listenersMax });
    }
    listeners += 1;
    const until = clock.monotonicMs() + streamMs;
    let wake = new AbortController();
    const unlisten = facade.onChange(() => wake.abort());
    const left = new AbortController();
    const leave = () => {
      if (left.signal.aborted) return;
      left.abort();
      listeners -= 1;
      unlisten();
    };
    signal.addEventListener("abort", leave, { once: true });
    const text = new TextEncoder();
    let isFirst = true;
    const body = new ReadableStream<Uint8Array>({
      async pull(controller) {
        if (isFirst) {
          isFirst = false;
          controller.enqueue(text.encode("retry: 2000\n\n"));
          return;
        }
        await clock.sleep(noticeMs, left.signal);
        await clock.sleep(beatMs, AbortSignal.any([left.signal, wake.signal]));
        const hasChanged = wake.signal.aborted;
        wake = new AbortController();
        if (left.signal.aborted || clock.monotonicMs() >= until) {
          leave();
          controller.close();
        } else controller.enqueue(text.encode(hasChanged ? "data: changed\n\n" : ": here\n\n"));
      },
      cancel: leave,
    });
    return new Response(body, { headers: streamHeaders });
  };
}
