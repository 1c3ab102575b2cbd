// The centre's web application behind its real server: bodies of every framing, pages that watch.
// It must not know the centre's rows.
import assert from "node:assert/strict";
import { request } from "node:http";
import { test } from "node:test";
import { createWeb, type Facade } from "../../src/central/web.ts";
import { startWebServer } from "../../src/central/web-server.ts";
import { systemClock as clock } from "../../src/util/clock.ts";
import { openLog } from "../../src/util/log.ts";
import { until } from "../fakes/patience.ts";

const log = openLog({ service: "test", level: "error", write: () => {} });

async function openServer() {
  const listeners = new Set<() => void>();
  const facade: Partial<Facade> = {
    enrol: async (body) => ({ heard: body }),
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const web = createWeb({
    clock,
    log,
    facade: facade as Facade,
    adminToken: "t",
    hosts: new Set(["127.0.0.1"]),
    pagePolicy: "default-src 'none'",
  });
  const server = await startWebServer(web, { host: "127.0.0.1", port: 0 });
  return { server, listeners };
}

interface Asked {
  readonly method: string;
  readonly path?: string;
  /** Sent as chunks, without a length beforehand. */
  readonly chunks?: readonly string[];
}

/** Status and body; of an endless answer the status alone. */
function ask(url: string, { method, path = "/api/v1/enrol", chunks = [] }: Asked) {
  return new Promise<{ status: number; body: string }>((resolve, reject) => {
    const asked = request(`${url}${path}`, { method, agent: false }, (answer) => {
      const status = answer.statusCode ?? 0;
      if (answer.headers["content-type"] === "text/event-stream") {
        answer.destroy();
        resolve({ status, body: "" });
        return;
      }
      let body = "";
      answer.setEncoding("utf8").on("data", (text: string) => {
        body += text;
      });
      answer.on("end", () => resolve({ status, body }));
    });
    asked.on("error", reject);
    for (const chunk of chunks) asked.write(chunk);
    asked.end();
  });
}

test("a body is read however it is framed, and bounded", async () => {
  const { server } = await openServer();
  await using _ = server;
  const ok = await ask(server.url, { method: "POST", chunks: ['{"a":', "1}"] });
  assert.deepEqual([ok.status, ok.body], [200, '{"heard":{"a":1}}']);
  const none = await ask(server.url, { method: "POST" });
  assert.deepEqual([none.status, none.body.includes("REQUEST_MALFORMED")], [400, true]);
  const large = ["x".repeat(16_000), "x".repeat(16_000)];
  const refused = await ask(server.url, { method: "POST", chunks: large });
  assert.deepEqual([refused.status, refused.body.includes("MESSAGE_TOO_LARGE")], [413, true]);
});

test("a method nobody serves is no defect of ours", async () => {
  const { server } = await openServer();
  await using _ = server;
  for (const method of ["DELETE", "PUT", "PATCH"]) {
    const { status, body } = await ask(server.url, { method });
    assert.deepEqual([status, body.includes("OPERATION_UNKNOWN")], [404, true], method);
  }
});

test("who only asks for the head of the stream, or leaves, takes no place from a page", async () => {
  const { server, listeners } = await openServer();
  await using _ = server;
  for (const method of ["HEAD", "GET"]) {
    for (let at = 0; at < 40; at += 1) {
      const { status } = await ask(server.url, { method, path: "/events" });
      assert.equal(status, 200, `${method} ${at}`);
    }
  }
  await until("nobody listens any more", () => listeners.size === 0);
});
