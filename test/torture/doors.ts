// Every door through which data comes from outside, with good inputs to start from.
// It must not know how inputs are damaged.
import { step } from "../../src/broker/step.ts";
import { parseArguments } from "../../src/cli/arguments.ts";
import { decodeReply, encodeCall } from "../../src/client/body.ts";
import { startLogger } from "../../src/logger/logger.ts";
import { parseCommand } from "../../src/main/command-line.ts";
import { decodeFromPeer, type Frames, plant } from "../../src/mdp/mdp.ts";
import { readPoints } from "../../src/status/points.ts";
import { PlantError } from "../../src/util/errors.ts";
import { checkEndpoint } from "../../src/wire/endpoint.ts";
import { endlessRoom, type WorkerRequest } from "../../src/worker/worker.ts";
import { newBroker } from "../fakes/broker.ts";
import { fakeClock } from "../fakes/clock.ts";
import { enveloped, plantd, rfc7, rfc18 } from "../fakes/foreign-peers.ts";
import { openTestStore, temporaryFolder } from "../fakes/store.ts";
import { fieldDoors } from "./field-doors.ts";
import type { Door } from "./fuzz.ts";
import type { Input } from "./mutation.ts";
import { signedDoors } from "./signed-doors.ts";

const bytes = (text: string) => Buffer.from(text);
const trace = Buffer.alloc(16, 7);
const head = { id: 9, remainingMs: 5000, trace, flags: 3 };
const about = { service: "org.plantd.State", head };
const body = encodeCall("get", { scope: "device/m1", key: "u" });
const client = Buffer.of(0, 0, 0, 0, 0, 0, 0, 101);
const refusal = new PlantError("NO_SERVICE", { service: "x" }).toWire();
const error = bytes(JSON.stringify(refusal));

const fromClients: readonly Frames[] = [
  plant.encodeFromClient({ kind: "request", ...about, body }),
  plant.encodeFromClient({ kind: "cancel", ...about }),
  plant.encodeFromClient({ kind: "credit", ...about, credit: 8 }),
  ...[rfc18, enveloped, rfc7, plantd].flatMap((peer) => [
    peer.encodeFromClient({ kind: "request", service: "echo", body }),
    peer.encodeFromClient({ kind: "request", service: "mmi.service", body: [bytes("echo")] }),
  ]),
];
const fromWorkers: readonly Frames[] = [
  plant.encodeFromWorker({ kind: "ready", service: "org.plantd.State", concurrency: 4 }),
  plant.encodeFromWorker({ kind: "final", ...about, body }),
  plant.encodeFromWorker({ kind: "partial", ...about, body }),
  plant.encodeFromWorker({ kind: "error", ...about, error }),
  plant.encodeFromWorker({ kind: "heartbeat" }),
  ...[rfc18, enveloped, rfc7, plantd].flatMap((peer) => [
    peer.encodeFromWorker({ kind: "ready", service: "echo" }),
    peer.encodeFromWorker({ kind: "final", client, body }),
    peer.encodeFromWorker({ kind: "heartbeat" }),
    peer.encodeFromWorker({ kind: "disconnect" }),
  ]),
  ...[rfc18, enveloped, plantd].map((peer) =>
    peer.encodeFromWorker({ kind: "partial", client, body }),
  ),
];

/** The protocol of the bus, all four sides, and the broker's rules behind it. */
function busDoors(): Door[] {
  const settings = { heartbeatMs: 1000, livenessMs: 4000, busyTimeoutMs: 60_000 };
  const limits = { queueMax: 16, peersMax: 64, servicesMax: 16, requestsPerPeerMax: 8 };
  const bounds = { requestTtlMs: 30_000, framesMax: 64, messageBytesMax: 4_194_304 };
  const state = newBroker({ ...settings, ...limits, ...bounds });
  let turn = 0;
  return [
    {
      name: "mdp to broker",
      shape: "frames",
      samples: [...fromClients, ...fromWorkers],
      enter: decodeFromPeer,
    },
    {
      name: "mdp to client",
      shape: "frames",
      samples: [
        plant.encodeToClient({ kind: "final", ...about, body }),
        plant.encodeToClient({ kind: "error", ...about, error }),
      ],
      enter: plant.decodeToClient,
    },
    {
      name: "mdp to worker",
      shape: "frames",
      samples: [
        plant.encodeToWorker({ kind: "request", ...about, body }),
        plant.encodeToWorker({ kind: "credit", ...about, credit: 3 }),
        plant.encodeToWorker({ kind: "heartbeat" }),
      ],
      enter: plant.decodeToWorker,
    },
    {
      name: "broker",
      shape: "frames",
      samples: [...fromClients, ...fromWorkers],
      enter(frames) {
        turn += 1;
        const peer = `peer${turn % 7}`;
        const nowMs = turn * 10;
        if (turn % 50 === 0) step(state, { kind: "gone", peer, nowMs });
        if (turn % 20 === 0) step(state, { kind: "tick", nowMs });
        const door = { principal: peer, endpoint: "ipc:///b" };
        return step(state, { kind: "message", peer, door, frames, nowMs });
      },
    },
    {
      name: "reply of a service",
      shape: "json",
      samples: [
        [bytes('{"success":true,"data":{"a":[1,2]}}')],
        [bytes(JSON.stringify({ success: true, data: null }))],
      ],
      enter: decodeReply,
    },
    {
      name: "error of a service",
      shape: "json",
      samples: [[error]],
      enter([b]) {
        const wire = parsed(b);
        if (typeof wire !== "object" || wire === null) return undefined;
        return PlantError.fromWire(wire).toWire();
      },
    },
  ];
}

const stamp = { wall: 1_700_000_000_000, boot: "b".repeat(32), mono: 5, sync: "ntp" };
const source = { source: "driver.a", run: "r1", number: 1 };
const point = { scope: "device/m1", key: "u", value: 230.5 };
const event = { kind: "write", severity: "info", message: "m", detail: { a: 1 }, time: stamp };

/** Operations of the store with arguments that are right. */
const calls: readonly (readonly [string, unknown])[] = [
  ["set-many", { ...source, flush: "now", points: [point, { ...point, key: "i", time: stamp }] }],
  ["set-many", { ...source, points: [{ ...point, type: "f64", unit: "V", quality: "good" }] }],
  ["set-many", { ...source, points: [{ ...point, type: "u64", value: "18446744073709551615" }] }],
  ["append-event", { ...source, source: "e", flush: "now", events: [event] }],
  ["append-lines", { ...source, source: "l", lines: ["a line", '{"level":"info"}'] }],
  ["get", { scope: "device/m1", key: "u" }],
  ["list", { scope: "device/m1", prefix: "u", limit: 5 }],
  ["changes", { stream: "state", after: 0, limit: 10, bytesMax: 1000 }],
  ["ack", { consumer: "sync", stream: "state", sequence: 1 }],
  ["position", { consumer: "sync", register: true }],
  ["create-scope", { service: "org.plantd.b" }],
  ["set", { service: "org.plantd.a", key: "k", value: "v" }],
  ["state-get", { service: "org.plantd.a", key: "k" }],
  ["list-keys", { service: "org.plantd.a" }],
  ["delete", { service: "org.plantd.a", key: "k" }],
];

function parsed(input: Uint8Array | undefined): unknown {
  try {
    return JSON.parse(Buffer.from(input ?? []).toString());
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new PlantError("REQUEST_MALFORMED", { reason: "no JSON" }, { cause });
  }
}

/** The words of command lines, one per input line, and what peers of the bus are told. */
function wordDoors(): Door[] {
  const words = (input: Uint8Array | undefined) =>
    Buffer.from(input ?? [])
      .toString()
      .split("\n");
  const lines = (...all: readonly string[]) => all.map((line): Input => [bytes(line)]);
  return [
    {
      name: "words of plant",
      weight: 0.05,
      shape: "text",
      samples: lines("values\ndevice/m1\n--json", "explain\nNO_SERVICE", "state\nlist"),
      enter: ([b]) => parseArguments(words(b)),
    },
    {
      name: "words of plantd",
      weight: 0.5,
      shape: "text",
      samples: lines("run\nbroker\nstore", "run", "central\nadd\ngw-1"),
      enter: ([b]) => parseCommand(words(b)),
    },
    {
      name: "endpoint",
      weight: 0.5,
      shape: "text",
      samples: lines("tcp://127.0.0.1:9797", "ipc:///tmp/a.sock", "tcp://[::1]:9797"),
      enter: ([b]) => checkEndpoint(words(b)[0] ?? ""),
    },
    {
      name: "points of the store",
      weight: 0.5,
      shape: "json",
      samples: [
        [
          bytes(
            JSON.stringify({ points: [{ ...point, quality: "good", time: stamp, revision: 1 }] }),
          ),
        ],
      ],
      enter: ([b]) => readPoints(parsed(b)),
    },
  ];
}

const line = { timestamp: "2026-01-01T00:00:00.000Z", level: "warn", service: "a", message: "m" };

/** The logger, whose lines go nowhere. */
async function loggerDoors(): Promise<Door[]> {
  const config = { ringMax: 50, batchMax: 10, keepLevel: "warn", linesPerSecondMax: 100_000 };
  const logger = await startLogger(
    { clock: fakeClock(), appendLines: async () => undefined },
    config as Parameters<typeof startLogger>[1],
  );
  const door = (operation: string, samples: readonly unknown[]): Door => ({
    name: `logger ${operation}`,
    weight: 0.3,
    shape: "json",
    samples: samples.map((args): Input => [bytes(JSON.stringify(args))]),
    enter: (input) =>
      logger.operations[operation]?.({
        args: parsed(input[0]),
        room: endlessRoom,
      } as Partial<WorkerRequest> as WorkerRequest),
  });
  return [
    door("append", [{ lines: [JSON.stringify(line), "no JSON"] }, { lines: [line] }]),
    door("tail", [{ limit: 5, level: "warn", service: "a", since: 1_700_000_000_000 }]),
  ];
}

interface Doors extends AsyncDisposable {
  readonly all: readonly Door[];
}

/** Opens all doors; behind one of them is a store on disk. */
export async function openDoors(): Promise<Doors> {
  const folder = temporaryFolder();
  const store = await openTestStore(folder.path, { mapMiB: 256 });
  await store.call("create-scope", { service: "org.plantd.a" });
  await store.call("set", { service: "org.plantd.a", key: "k", value: "v" });
  const ended = AbortSignal.abort(new PlantError("CANCELLED", {}));
  const asked = new Map<string, Input[]>();
  for (const [operation, args] of calls) {
    asked.set(operation, [...(asked.get(operation) ?? []), [bytes(JSON.stringify(args))]]);
  }
  const storeDoors = [...asked].map(
    ([operation, samples]): Door => ({
      name: `state ${operation}`,
      weight: 0.1,
      shape: "json",
      samples,
      enter: (input) =>
        store.state.operations[operation]?.({
          ...{ operation, body: [], trace: "", signal: ended },
          args: parsed(input[0]),
          remainingMs: () => 5000,
          partial: async () => {},
          room: endlessRoom,
        }),
    }),
  );
  return {
    all: [
      ...busDoors(),
      ...signedDoors(),
      ...fieldDoors(),
      ...wordDoors(),
      ...(await loggerDoors()),
      ...storeDoors,
    ],
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}
