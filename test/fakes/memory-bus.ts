// The real broker with clients and workers over wires in memory, under a clock that stands still.
// It must not know what is tested with them.
import assert from "node:assert/strict";
import { type Admission, type BrokerConfig, startBroker } from "../../src/broker/broker.ts";
import { type ClientConfig, startClient } from "../../src/client/client.ts";
import { parseConfig } from "../../src/config/config.ts";
import { plant } from "../../src/mdp/mdp.ts";
import type { Code } from "../../src/util/catalogue.ts";
import { hasCode } from "../../src/util/errors.ts";
import { openLog } from "../../src/util/log.ts";
import { seededRandom } from "../../src/util/random.ts";
import type { RouterOptions, RouterSocket, Transport, WireDeps } from "../../src/wire/wire.ts";
import {
  type Operation,
  type RawOperation,
  startWorker,
  type WorkerConfig,
} from "../../src/worker/worker.ts";
import { fakeClock } from "./clock.ts";
import { fakeWire } from "./wire.ts";

export const endpoint = "ipc:///fake";

/** A bus with a broker; `serve` and `ask` start what talks over it. */
export async function bus(over: Partial<BrokerConfig> = {}, admits?: Admission) {
  const clock = fakeClock();
  const wire = fakeWire();
  const lines: string[] = [];
  const log = openLog({ service: "test", level: "warn", write: (line) => lines.push(line) });
  const deps = { clock, log, random: seededRandom(5), transport: wire };
  const config: BrokerConfig = {
    ...parseConfig("", {}).broker,
    listeners: [{ principal: "admin", endpoint }],
    ...over,
  };
  const start = () => startBroker(admits === undefined ? deps : { ...deps, admits }, config);
  let broker = await start();
  const stack = new AsyncDisposableStack();
  stack.defer(() => broker[Symbol.asyncDispose]());
  return {
    clock,
    wire,
    deps,
    lines,
    broker: () => broker,
    async kill() {
      wire.cut(endpoint);
      await broker[Symbol.asyncDispose]();
    },
    async revive() {
      broker = await start();
    },
    async client(config: Partial<ClientConfig> = {}) {
      return stack.use(await startClient(deps, { endpoint, ...config }));
    },
    async serve(
      operations: Record<string, Operation> | RawOperation,
      more: Partial<WorkerConfig> = {},
    ) {
      const worker = await startWorker(deps, { endpoint, service: "s", ...more }, operations);
      stack.use(worker);
      await clock.advance(0);
      return worker;
    },
    /** Runs a promise to its end while time goes on in small steps. */
    async settle<T>(promise: PromiseLike<T>, limitMs = 60_000): Promise<T> {
      let over = false;
      const watched = Promise.resolve(promise).finally(() => {
        over = true;
      });
      watched.catch(() => {});
      for (let spent = 0; !over && spent < limitMs; spent += 20) await clock.advance(20);
      assert.ok(over, "it did not end in time");
      return watched;
    },
    [Symbol.asyncDispose]: async () => {
      const closed = stack.disposeAsync();
      let over = false;
      void closed.finally(() => {
        over = true;
      });
      while (!over) await clock.advance(1000);
    },
  };
}

export const forever: Operation = ({ signal }) =>
  new Promise((_, reject) =>
    signal.addEventListener("abort", () => reject(signal.reason), { once: true }),
  );

export function failsWith(...codes: Code[]) {
  return (error: unknown) => hasCode(error, ...codes);
}

/** A router of a wire in memory that is told of messages alone, and has room for all of them. */
export function bindListener(
  deps: WireDeps & { readonly transport: Transport },
  onMessage: RouterOptions["onMessage"],
): Promise<RouterSocket> {
  return deps.transport.bindRouter(deps, {
    listeners: [{ principal: "admin", endpoint }],
    messageBytesMax: 1_000_000,
    framesMax: 2000,
    sendQueueMax: 100_000,
    sendBytesMax: 100_000_000,
    connectionsMax: 10,
    onSlow() {},
    onDrained() {},
    onRefused() {},
    onGone() {},
    onMessage,
  });
}

/** A broker's side without a broker: what clients and workers say, and a word to the last of them. */
export async function rawRouter() {
  const clock = fakeClock();
  const wire = fakeWire();
  const lines: string[] = [];
  const log = openLog({ service: "test", level: "warn", write: (line) => lines.push(line) });
  const deps = { clock, log, random: seededRandom(5), transport: wire };
  const requests: plant.FromClient[] = [];
  const answers: ReturnType<typeof plant.decodeFromWorker>[] = [];
  let last = "";
  const router = await bindListener(deps, (peer, frames) => {
    last = peer;
    const isClient = Buffer.from(frames[0] ?? []).toString() === plant.clientHeader;
    if (isClient) {
      requests.push(plant.decodeFromClient(frames));
      return;
    }
    const said = plant.decodeFromWorker(frames);
    answers.push(said);
    if (said.kind === "leave") router.send(peer, plant.encodeToWorker({ kind: "disconnect" }));
  });
  return {
    clock,
    wire,
    deps,
    lines,
    requests,
    answers,
    errors: () => answers.flatMap((one) => (one.kind === "error" ? [`${one.error}`] : [])),
    say: (message: plant.ToClient) => router.send(last, plant.encodeToClient(message)),
    order: (message: plant.ToWorker) => router.send(last, plant.encodeToWorker(message)),
  };
}
