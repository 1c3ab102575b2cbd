// The web server under the centre's application: one listener with tight limits.
// The only importer of @hono/node-server. It must not know what is served.
import type { AddressInfo } from "node:net";
import { createAdaptorServer, type ServerType } from "@hono/node-server";
import { PlantError } from "../util/errors.ts";
import type { Running } from "../util/running.ts";
import type { Fetch } from "./web.ts";

const connectionsMax = 256;

export interface WebServerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
}

export interface WebServer extends Running {
  readonly url: string;
}

/** @throws PlantError CENTRE_PORT_UNUSABLE when the address cannot be listened on. */
export async function startWebServer(fetch: Fetch, options: WebServerOptions): Promise<WebServer> {
  const server = createAdaptorServer({
    fetch,
    overrideGlobalObjects: false,
    serverOptions: {
      requestTimeout: 10_000,
      headersTimeout: 5000,
      keepAliveTimeout: 5000,
      connectionsCheckingInterval: 1000,
      maxHeaderSize: 16_384,
    },
  });
  server.maxConnections = connectionsMax;
  await listen(server, options);
  const { promise: ended, resolve: end } = Promise.withResolvers<Error | undefined>();
  server.on("error", (error: Error) => {
    end(error);
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const host = options.host.includes(":") ? `[${options.host}]` : options.host;
  return {
    url: `http://${host}:${port}`,
    ended,
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      if ("closeAllConnections" in server) server.closeAllConnections();
      await closed;
      end(undefined);
    },
  };
}

function listen(server: ServerType, { host, port }: WebServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const reason = error.code ?? error.message;
      reject(new PlantError("CENTRE_PORT_UNUSABLE", { host, port, reason }, { cause: error }));
    });
    server.listen(port, host, () => {
      server.removeAllListeners("error");
      resolve();
    });
  });
}
