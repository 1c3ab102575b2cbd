// The door of the page's server: status page, JSON, metrics and health over one local listener,
// for reading only. It must not know LMDB, MQTT or any device.
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Config } from "../config/config.ts";
import { asPlantError, PlantError } from "../util/errors.ts";
import { type Running, within } from "../util/running.ts";
import { createAnswers } from "./answers.ts";
import { knownHosts } from "./guard.ts";
import type { HttpCounters } from "./metrics.ts";
import { type SightConfig, type SightDeps, startSight } from "./sight.ts";

export { listMetrics } from "./metrics.ts";

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

/**
 * Starts to listen.
 * @throws PlantError LISTEN_FAILED when the address is taken or not this machine's.
 */
export async function startHttp(deps: HttpDeps, config: HttpConfig): Promise<HttpServer> {
  const { clock, log } = deps;
  const { host, connectionsMax, hosts } = config.http;
  const counters: HttpCounters = {
    requests: new Map(),
    streams: 0,
    refusedStreams: 0,
    droppedConnections: 0,
  };
  const sight = startSight(deps, config);
  const stop = new AbortController();

  const answer = createAnswers(
    { clock, sight, counters, version: deps.version },
    { names: knownHosts(host, hosts), streamsMax: Math.max(1, Math.floor(connectionsMax / 2)) },
    stop.signal,
  );
  const server = createServer(limits, (request, response) => {
    response.on("error", () => response.destroy());
    answer.request(request, response).catch((thrown: unknown) => {
      const error = asPlantError(thrown);
      log.error("a request failed", { code: error.code, url: request.url?.slice(0, 200), error });
      if (response.headersSent) response.destroy();
      else answer.error(response, error);
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
  const closed = new Promise<undefined>((resolve) => {
    server.once("close", () => resolve(undefined));
    server.on("error", (error) => log.error("the page's listener reports an error", { error }));
  });
  const shownHost = host.includes(":") ? `[${host}]` : host;
  const url = `http://${shownHost}:${port}/`;
  log.info("the status page is ready", { url });
  return {
    port,
    url,
    ended: Promise.race([closed, sight.ended]),
    async [Symbol.asyncDispose]() {
      stop.abort();
      server.close();
      server.closeIdleConnections();
      await sight[Symbol.asyncDispose]();
      await within(clock, 100, closed);
      server.closeAllConnections();
      await within(clock, closeMs, closed);
    },
  };
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
