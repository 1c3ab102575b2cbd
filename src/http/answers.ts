// Answers requests: refuses what is foreign, finds the route, streams to pages that watch, counts.
// It must not know the listener.
import type { IncomingMessage, ServerResponse } from "node:http";
import { errorDocument } from "../status/status.ts";
import type { Clock } from "../util/clock.ts";
import { PlantError } from "../util/errors.ts";
import { refuse } from "./guard.ts";
import type { HttpCounters } from "./metrics.ts";
import { contentPolicy } from "./page.ts";
import { findRoute, type Reply } from "./routes.ts";
import type { Sight } from "./sight.ts";
import { createWatcher } from "./stream.ts";

/** Time between two messages to a watching page. */
const tellMs = 1000;

export interface AnswersDeps {
  readonly clock: Clock;
  readonly sight: Sight;
  readonly counters: HttpCounters;
  readonly version: string;
}

export interface AnswersLimits {
  /** Host names answered to. */
  readonly names: ReadonlySet<string>;
  /** Pages that watch at one time. */
  readonly streamsMax: number;
}

export interface Answers {
  /** Answers one request; a stream until its page leaves. Throws only defects. */
  request(asked: IncomingMessage, response: ServerResponse): Promise<void>;
  /** Answers with an error of ours. */
  error(response: ServerResponse, error: PlantError): void;
}

/** Makes what answers; streams end when `stop` aborts. */
export function createAnswers(
  deps: AnswersDeps,
  limits: AnswersLimits,
  stop: AbortSignal,
): Answers {
  const { clock, sight, counters } = deps;
  const { names, streamsMax } = limits;

  const request = async (asked: IncomingMessage, response: ServerResponse) => {
    const { method = "", url = "" } = asked;
    const isHead = method === "HEAD";
    const refusal = refuse({ method, host: asked.headers.host, url }, names);
    if (refusal !== undefined) {
      send(response, errorReply(refusal.status, refusal.error), isHead);
      return;
    }
    const address = URL.canParse(url, "http://localhost") ? new URL(url, "http://localhost") : null;
    if (address?.pathname === "/events" && !isHead) {
      await watch(response, address.searchParams.get("device") ?? undefined);
      return;
    }
    send(response, await replyTo(address, url), isHead);
  };

  const replyTo = async (address: URL | null, url: string): Promise<Reply> => {
    const path = address?.pathname ?? url;
    const notFound = () => new PlantError("HTTP_NOT_FOUND", { path: path.slice(0, 200) });
    const route = address === null ? undefined : findRoute(address.pathname);
    if (address === null || route === undefined) return errorReply(404, notFound());
    const reply = await route({ sight, counters, address, version: deps.version });
    return reply ?? errorReply(404, notFound());
  };

  const watch = async (response: ServerResponse, device: string | undefined) => {
    if (counters.streams >= streamsMax) {
      counters.refusedStreams += 1;
      const limit = "The number of pages that watch";
      send(response, errorReply(503, new PlantError("LIMIT_REACHED", { limit, max: streamsMax })));
      return;
    }
    counters.streams += 1;
    count(counters, 200);
    const closed = new AbortController();
    response.on("close", () => closed.abort());
    const over = AbortSignal.any([closed.signal, stop]);
    response.writeHead(200, {
      ...commonHeaders,
      "content-type": "text/event-stream",
      "x-accel-buffering": "no",
    });
    const watcher = createWatcher(response);
    try {
      while (!over.aborted) {
        const facts = await sight.facts(device);
        if (over.aborted) break;
        watcher.tell(facts, sight.version, sight.layout);
        await clock.sleep(tellMs, over);
      }
    } finally {
      counters.streams -= 1;
      response.end();
    }
  };

  const send = (response: ServerResponse, reply: Reply, isHead = false) => {
    count(counters, reply.status);
    const body = Buffer.from(reply.body);
    response.writeHead(reply.status, {
      ...commonHeaders,
      "content-type": reply.type,
      "content-length": body.length,
      ...(reply.status === 405 ? { allow: "GET, HEAD" } : {}),
    });
    response.end(isHead ? undefined : body);
  };

  return { request, error: (response, error) => send(response, errorReply(500, error)) };
}

const commonHeaders = {
  "content-security-policy": contentPolicy,
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
  "cache-control": "no-store",
};

function count(counters: HttpCounters, status: number): void {
  counters.requests.set(status, (counters.requests.get(status) ?? 0) + 1);
}

function errorReply(status: number, error: PlantError): Reply {
  const body = `${JSON.stringify(errorDocument(error))}\n`;
  return { status, type: "application/json; charset=utf-8", body };
}
