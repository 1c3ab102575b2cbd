// The peer of the http bench: a bare node:http server that answers every request with as many bytes
// as it was told. It must not know our code.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const sizes = new Map<string, Buffer>();
const server = createServer((request, response) => {
  const path = request.url ?? "/0";
  const body = sizes.get(path) ?? Buffer.alloc(Number(path.slice(1)), 0x61);
  sizes.set(path, body);
  response.writeHead(200, { "Content-Type": "text/plain", "Content-Length": body.length });
  response.end(body);
});
server.listen(0, "127.0.0.1", () => {
  process.stdout.write(`ready ${(server.address() as AddressInfo).port}\n`);
});
