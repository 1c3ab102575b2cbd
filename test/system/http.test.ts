// The page's server over real sockets: its addresses, and its limits against rude clients.
// It must not know how the page looks.
import assert from "node:assert/strict";
import { request } from "node:http";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { after, before, test } from "node:test";
import { parseConfig } from "../../src/config/config.ts";
import { type HttpServer, startHttp } from "../../src/http/http.ts";
import { systemClock as clock } from "../../src/util/clock.ts";
import { hasCode } from "../../src/util/errors.ts";
import { openLog } from "../../src/util/log.ts";
import { findPaths } from "../../src/util/paths.ts";
import { type FakeParts, fakeParts, pointOf, stampAt } from "../fakes/plant-parts.ts";

let server: HttpServer;
let parts: FakeParts;
const log = openLog({ service: "http", level: "error", write: () => {} });
const limit = { timeout: 30_000 };

function start(own: FakeParts, text = ""): Promise<HttpServer> {
  const client = own.bus.client();
  const paths = findPaths({ PLANTD_DATA_DIR: tmpdir() });
  const config = parseConfig(`http:\n  port: 0\n${text}`, {});
  return startHttp({ clock, log, client, version: "0.1.0", paths }, config);
}

before(async () => {
  parts = fakeParts();
  server = await start(parts, "  connectionsMax: 8\n  hosts: [gw.local]\n");
});

after(() => server[Symbol.asyncDispose]());

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

function ask(
  path: string,
  method = "GET",
  host = "localhost",
  port = server.port,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port, path, method, headers: { host }, agent: false };
    const asked = request(options, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => {
        const { statusCode = 0, headers } = response;
        resolve({ status: statusCode, type: headers["content-type"] ?? "", text });
      });
    });
    asked.on("error", reject);
    asked.end();
  });
}

/** What a raw client hears until the server closes. */
function hear(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    socket.on("data", (chunk) => {
      text += String(chunk);
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(text));
  });
}

const addresses: Readonly<Record<string, { type: RegExp; text: RegExp; status?: number }>> = {
  "/": { type: /^text\/html/, text: /<!doctype html>/ },
  "/device/meter-1": { type: /^text\/html/, text: /voltage/ },
  "/device/nobody": { type: /json/, text: /HTTP_NOT_FOUND/, status: 404 },
  "/nothing": { type: /json/, text: /"schema":"plant\.error\/1"/, status: 404 },
  "//": { type: /json/, text: /HTTP_NOT_FOUND/, status: 404 },
  "/..%2f..%2fetc/passwd": { type: /json/, text: /HTTP_NOT_FOUND/, status: 404 },
  "/api/v1/status": { type: /json/, text: /"schema":"plant\.status\/1"/ },
  "/api/v1/values": { type: /json/, text: /"schema":"plant\.values\/1".*active-power/ },
  "/api/v1/values?device=meter-2": { type: /json/, text: /"points":\[\{"scope":"device\/meter-2"/ },
  "/healthz": { type: /health\+json/, text: /"status":"pass"/ },
  "/readyz": { type: /health\+json/, text: /"name":"store","status":"pass"/ },
  "/metrics": { type: /^text\/plain; version=0\.0\.4/, text: /plantd_verdict\{state="ok"\} 1/ },
};

for (const [path, { type, text, status = 200 }] of Object.entries(addresses)) {
  test(`GET ${path}`, limit, async () => {
    const answer = await ask(path);
    assert.equal(answer.status, status, answer.text);
    assert.match(answer.type, type);
    assert.match(answer.text, text);
    const head = await ask(path, "HEAD");
    assert.equal(head.status, status);
    assert.equal(head.text, "");
  });
}

test(
  "foreign names, writing methods and long addresses are refused with a code",
  limit,
  async () => {
    const wrong = await ask("/", "GET", "evil.example");
    assert.deepEqual([wrong.status, JSON.parse(wrong.text).code], [421, "HTTP_HOST"]);
    const post = await ask("/api/v1/status", "POST");
    assert.deepEqual([post.status, JSON.parse(post.text).code], [405, "HTTP_METHOD"]);
    assert.equal((await ask(`/${"x".repeat(2000)}`)).status, 414);
    assert.equal((await ask(`/${"x".repeat(20_000)}`)).status, 431);
    assert.equal((await ask("/", "GET", "gw.local:80")).status, 200);
  },
);

test("rubbish gets 400 and is cut off; the server goes on", limit, async () => {
  const socket = connect(server.port, "127.0.0.1");
  const heard = hear(socket);
  socket.write("\u0000\u0001 rubbish\r\n\r\n");
  assert.match(await heard, /^HTTP\/1\.1 400/);
  assert.equal((await ask("/healthz")).status, 200);
});

test("a request whose head never ends is cut off", limit, async () => {
  const socket = connect(server.port, "127.0.0.1");
  const heard = hear(socket);
  socket.write("GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ");
  assert.match(await heard, /^HTTP\/1\.1 408/);
});

test("watching pages are limited, and one that leaves makes room", limit, async () => {
  const streams = [0, 1, 2, 3].map(() => connect(server.port, "127.0.0.1"));
  for (const socket of streams) {
    socket.write("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await new Promise((resolve) => socket.once("data", resolve));
  }
  const refused = await ask("/events");
  assert.deepEqual([refused.status, JSON.parse(refused.text).code], [503, "LIMIT_REACHED"]);
  for (const socket of streams) socket.destroy();
  let status = 503;
  while (status === 503) {
    const socket = connect(server.port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    const [first] = await new Promise<[Buffer]>((resolve) =>
      socket.once("data", (chunk) => resolve([chunk])),
    );
    status = Number(String(first).slice(9, 12));
    socket.destroy();
  }
  assert.equal(status, 200);
});

test("connections beyond the limit are dropped, the others are served", limit, async () => {
  const sockets = Array.from({ length: 12 }, () => connect(server.port, "127.0.0.1"));
  const closed = sockets.map(
    (socket) =>
      new Promise((resolve) => {
        socket.on("error", () => {});
        socket.on("close", resolve);
      }),
  );
  await Promise.race(closed);
  for (const socket of sockets) socket.destroy();
  await Promise.all(closed);
  assert.equal((await ask("/healthz")).status, 200);
});

test("a stream tells a changed value", limit, async () => {
  const socket = connect(server.port, "127.0.0.1");
  socket.setEncoding("utf8");
  socket.write("GET /events?device=meter-1 HTTP/1.1\r\nHost: localhost\r\n\r\n");
  let text = "";
  const found = new Promise<void>((resolve) => {
    socket.on("data", (chunk: string) => {
      text += chunk;
      if (text.includes("1234.5")) resolve();
      else if (text.includes('"sections"')) {
        const time = stampAt(clock.wallMs());
        parts.publish(pointOf("voltage", 1234.5, { revision: 500, time }));
      }
    });
  });
  await found;
  socket.destroy();
  assert.match(text, /content-type: text\/event-stream/);
  assert.ok(!text.includes("meter-2/"), "only the device that was asked for");
});

test("with parts away it lives, says what is down, and is not ready", limit, async () => {
  const own = fakeParts();
  own.bus.serve("org.plantd.State", {})();
  const other = await start(own);
  try {
    assert.equal((await ask("/healthz", "GET", "localhost", other.port)).status, 200);
    const ready = await ask("/readyz", "GET", "localhost", other.port);
    assert.equal(ready.status, 503);
    assert.match(ready.text, /"name":"store","status":"fail"/);
    const page = await ask("/", "GET", "localhost", other.port);
    assert.match(page.text, /store does not answer/);
  } finally {
    await other[Symbol.asyncDispose]();
  }
});

test("a port that is taken is an error with its address", limit, async () => {
  const config = parseConfig(`http:\n  port: ${server.port}\n`, {});
  const paths = findPaths({ PLANTD_DATA_DIR: tmpdir() });
  const client = fakeParts().bus.client();
  const deps = { clock, log, client, version: "0.1.0", paths };
  await assert.rejects(startHttp(deps, config), (error) => hasCode(error, "LISTEN_FAILED"));
});

test("ending closes open streams", limit, async () => {
  const other = await start(fakeParts());
  const socket = connect(other.port, "127.0.0.1");
  const heard = hear(socket);
  socket.write("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await new Promise((resolve) => socket.once("data", resolve));
  await other[Symbol.asyncDispose]();
  await other[Symbol.asyncDispose]();
  assert.match(await heard, /^HTTP\/1\.1 200/);
  assert.equal(await other.ended, undefined);
});
