// The door of the page's server: status page, JSON, metrics and health over one local listener,
// for reading only. It must not know LMDB, MQTT or any device.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Config } from "../config/config.ts";
import { errorDocument } from "../status/status.ts";
import { asPlantError, PlantError } from "../util/errors.ts";
import { type Running, within } from "../util/running.ts";
import { knownHosts, refuse } from "./guard.ts";
import type { HttpCounters } from "./metrics.ts";
import { contentPolicy } from "./page.ts";
import { findRoute, type Reply } from "./routes.ts";
import { type SightConfig, type SightDeps, startSight } from "./sight.ts";
import { createWatcher } from "./stream.ts";

export type HttpDeps = SightDeps;

/** The sections of the configuration that the page's server reads. */
export type HttpConfig = SightConfig & Pick<Config, "http">;

/** The running server. */
export interface HttpServer extends Running {
  /** The port it listens on, also when 0 was asked for. */
  readonly port: number;
  /** Address of the status page. */
  readonly url: string;
}

/** Tight where Node is lax: slow senders hold a connection for seconds, not minutes. */
const limits = {
  maxHeaderSize: 8192,
  headersTimeout: 5000,
  requestTimeout: 10_000,
  keepAliveTimeout: 5000,
  connectionsCheckingInterval: 1000,
};
const closeMs = 2000;
/** Time between two messages to a watching page. */
const tellMs = 1000;

/**
 * Starts to listen.
 * @throws PlantError LISTEN_FAILED when the address is taken or not this machine's.
 */
export async function startHttp(deps: HttpDeps, config: HttpConfig): Promise<HttpServer> {
  const { clock, log } = deps;
  const { host, connectionsMax, hosts } = config.http;
  const names = knownHosts(host, hosts);
  const counters: HttpCounters = {
    requests: new Map(),
    streams: 0,
    refusedStreams: 0,
    droppedConnections: 0,
  };
  const sight = startSight(deps, config);
  const stop = new AbortController();

  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const { method = "", url = "" } = request;
    const isHead = method === "HEAD";
    const refusal = refuse({ method, host: request.headers.host, url }, names);
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
    const streamsMax = Math.max(1, Math.floor(connectionsMax / 2));
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
    const over = AbortSignal.any([closed.signal, stop.signal]);
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

  const server = createServer(limits, (request, response) => {
    response.on("error", () => response.destroy());
    answer(request, response).catch((thrown: unknown) => {
      const error = asPlantError(thrown);
      log.error("a request failed", { code: error.code, url: request.url?.slice(0, 200), error });
      if (response.headersSent) response.destroy();
      else send(response, errorReply(500, error));
    });
  });
  server.maxConnections = connectionsMax;
  server.on("drop", () => {
    counters.droppedConnections += 1;
  });

  let port: number;
  try {
    port = await listen(server, host, config.http.port);
  } catch (error) {
    await sight[Symbol.asyncDispose]();
    throw error;
  }
  const ended = new Promise<Error | undefined>((resolve) => {
    server.once("close", () => resolve(undefined));
    server.on("error", (error) => log.error("the page's listener reports an error", { error }));
  });
  const shownHost = host.includes(":") ? `[${host}]` : host;
  const url = `http://${shownHost}:${port}/`;
  log.info("the status page is ready", { url });
  return {
    port,
    url,
    ended,
    async [Symbol.asyncDispose]() {
      stop.abort();
      server.close();
      server.closeIdleConnections();
      await sight[Symbol.asyncDispose]();
      await within(clock, 100, ended);
      server.closeAllConnections();
      await within(clock, closeMs, ended);
    },
  };
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

function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const reason = error.code ?? error.message;
      reject(new PlantError("LISTEN_FAILED", { address: `${host}:${port}`, reason }));
    });
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
  });
}
