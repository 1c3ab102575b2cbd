// The peers of our client and worker on NATS: its Node client, answering or asking.
// It must not know our code. Usage: FOLDER PORT SUBJECT worker | FOLDER PORT SUBJECT load WINDOW MS
import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import { join } from "node:path";

/** What is used of the package, which is no package of the project. */
interface Message {
  readonly data: Uint8Array;
  respond(data: Uint8Array): boolean;
}
interface Connection {
  subscribe(
    subject: string,
    options: { queue: string; callback: (error: Error | null, message: Message) => void },
  ): unknown;
  request(subject: string, data: Uint8Array, options: { timeout: number }): Promise<Message>;
  flush(): Promise<void>;
}
interface Nats {
  connect(options: { servers: string }): Promise<Connection>;
}

const [folder = "", port = "", subject = "", role = "", window = "50", ms = "1000"] =
  process.argv.slice(2);
const need = createRequire(join(folder, "package.json"));
const { connect } = need("@nats-io/transport-node") as Nats;
const connection = await connect({ servers: `127.0.0.1:${port}` });

async function serve(): Promise<void> {
  connection.subscribe(subject, {
    queue: "echo",
    callback: (error, message) => {
      if (error === null) message.respond(message.data);
    },
  });
  await connection.flush();
  process.stdout.write("ready\n");
}

async function load(): Promise<void> {
  const warmMs = Math.max(300, Number(ms) / 4);
  const startMs = performance.now() + warmMs;
  const untilMs = startMs + Number(ms);
  const body = randomBytes(64);
  let count = 0;
  let wrong = 0;
  const ask = async () => {
    for (;;) {
      const { data } = await connection.request(subject, body, { timeout: 5000 });
      const nowMs = performance.now();
      if (!body.equals(data)) wrong += 1;
      if (nowMs >= untilMs) return;
      if (nowMs >= startMs) count += 1;
    }
  };
  await Promise.all(Array.from({ length: Number(window) }, ask));
  process.stdout.write(`${JSON.stringify({ count, wrong, ms: Number(ms) })}\n`);
  process.exit(0);
}

if (role === "worker") await serve();
else await load();
