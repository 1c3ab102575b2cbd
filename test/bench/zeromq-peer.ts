// The peer of the broker bench in Node on zeromq.js, speaking RFC 18: a broker that only routes,
// an echo worker, a load generator. It must not know our code.
import { Dealer, Router } from "zeromq";

const [role = "", endpoint = "", window = "50", ms = "1000"] = process.argv.slice(2);
const options = { linger: 0, sendTimeout: 0, sendHighWaterMark: 16_384 };
const forget = () => {};
const byte = (value: number) => Buffer.of(value);
const clientHeader = Buffer.from("MDPC02");
const workerHeader = Buffer.from("MDPW02");
const service = Buffer.from("bench");
const empty = Buffer.alloc(0);

function ready(): void {
  process.stdout.write("ready\n");
}

async function broker(): Promise<void> {
  const socket = new Router(options);
  await socket.bind(endpoint);
  ready();
  const workers: Buffer[] = [];
  let next = 0;
  for (;;) {
    const [peer, header, command, third, ...rest] = (await socket.receive()) as Buffer[];
    if (peer === undefined || header === undefined || third === undefined) continue;
    if (header[3] === 0x43) {
      const worker = workers[next % workers.length];
      next += 1;
      if (worker === undefined) continue;
      socket.send([worker, workerHeader, byte(2), peer, empty, ...rest]).catch(forget);
    } else if (command?.[0] === 4) {
      const [, ...body] = rest;
      socket.send([third, clientHeader, byte(3), service, ...body]).catch(forget);
    } else if (command?.[0] === 1) workers.push(peer);
  }
}

async function worker(): Promise<void> {
  const socket = new Dealer(options);
  socket.connect(endpoint);
  await socket.send([workerHeader, byte(1), service]);
  ready();
  for (;;) {
    const [, command, ...rest] = (await socket.receive()) as Buffer[];
    if (command?.[0] === 2) socket.send([workerHeader, byte(4), ...rest]).catch(forget);
  }
}

async function load(): Promise<void> {
  const socket = new Dealer({ ...options, receiveTimeout: 3000 });
  socket.connect(endpoint);
  const body = Buffer.alloc(64, 0x61);
  const ask = () => socket.send([clientHeader, byte(1), service, body]).catch(forget);
  const from = performance.now();
  const until = from + Number(ms);
  let count = 0;
  for (let at = 0; at < Number(window); at += 1) void ask();
  while (performance.now() < until) {
    await socket.receive();
    count += 1;
    void ask();
  }
  process.stdout.write(`${JSON.stringify({ count, ms: performance.now() - from })}\n`);
  process.exit(0);
}

if (role === "broker") await broker();
else if (role === "worker") await worker();
else await load();
