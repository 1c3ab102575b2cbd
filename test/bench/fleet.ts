// Bench of the centre's ingest in one process: signed batches of many gateways verified, applied and
// committed to the embedded store, beside the same points written as plain rows without any check.
// It must not know how ingest works.
import { join } from "node:path";
import { openIngest } from "../../src/central/central.ts";
import { openDiskShelf } from "../../src/central/disk-shelf.ts";
import { startIntake } from "../../src/central/intake.ts";
import { deviceChange } from "../../src/central/rows.ts";
import { readThrough } from "../../src/central/shelf.ts";
import { openDisk } from "../../src/disk/disk.ts";
import { systemClock as clock, readBootId, stampNow } from "../../src/util/clock.ts";
import { generateSigningKey, keyId } from "../../src/util/ed25519.ts";
import { openLog } from "../../src/util/log.ts";
import { seededRandom } from "../../src/util/random.ts";
import {
  defineRecord,
  epochId,
  type FakeGateway,
  fakeGateway,
  hear,
  type Message,
  pointRecord,
} from "../fakes/gateway.ts";
import { type BenchContext, compare, type Row } from "./harness.ts";

const keysPerGateway = 25;
const pointsPerBatch = 100;
const epoch = epochId("a");
const lineage = [{ epoch, parent: null, cuts: {} }];
const centreKey = generateSigningKey();
const log = openLog({ service: "bench", level: "error" });

/** Everything a gateway will send after its greeting; the last sequence tells when it is through. */
interface Load {
  readonly gateway: FakeGateway;
  batches: readonly Message[];
  readonly last: number;
}

function makeLoad(gateway: FakeGateway, batches: number): Load {
  const random = seededRandom(7);
  const made: Message[] = [];
  let sequence = 0;
  const defines = Array.from({ length: keysPerGateway }, (_, at) => {
    sequence += 1;
    return defineRecord(sequence, at, `register-${at}`);
  });
  for (let number = 0; number < batches; number += 1) {
    const points = Array.from({ length: pointsPerBatch }, (_, at) => {
      sequence += 1;
      const value = Math.round(23_000 + 500 * random.unit()) / 100;
      return pointRecord(sequence, at % keysPerGateway, value);
    });
    made.push(gateway.batch({ epoch }, number === 0 ? [...defines, ...points] : points));
  }
  return { gateway, batches: made, last: sequence };
}

/** A centre's ingest on its own disk, as the centre composes it. */
async function openCentre(folder: string, gateways: readonly FakeGateway[]) {
  const stack = new AsyncDisposableStack();
  const disk = stack.use(await openDisk({ folder, roomBytes: 2 ** 31 }));
  const shelf = openDiskShelf(disk);
  const pending = new Map<string, Uint8Array | undefined>();
  const signer = { key: centreKey, kid: keyId(centreKey.publicKey) };
  const reader = readThrough(shelf, pending);
  const answers = { centre: "c", signer };
  const state = openIngest({ reader, answers, heldBytesMax: 8 * 2 ** 20 });
  await shelf.commit(
    gateways.map(({ id, key, kid }) => {
      const publicKey = Buffer.from(key.publicKey).toString("base64url");
      return deviceChange({ id, createdAt: 1, enrolledAt: 1, kid, publicKey });
    }),
  );
  const stands = new Map<string, number>();
  const boot = readBootId();
  const generations = new Map(gateways.map((gateway) => [gateway.id, gateway.generations]));
  const intake = stack.use(
    startIntake({
      ...{ clock, log, shelf, state, pending },
      now: () => stampNow(clock, boot, "ntp"),
      async send(topic, payload) {
        const device = topic.split("/")[2] ?? "";
        const heard = hear(payload, centreKey.publicKey);
        if (heard.type === "welcome") {
          Object.assign(generations.get(device) ?? {}, heard.generations);
          stands.set(device, 0);
        }
        if (heard.type === "ack") stands.set(device, heard.sequence);
      },
      onChange: () => {},
    }),
  );
  return { intake, stands, stack };
}

/** Points per second from the first batch taken to the last one acknowledged. */
async function ingest(folder: string, count: number, batches: number): Promise<number> {
  const gateways = Array.from({ length: count }, (_, at) => fakeGateway(`gw-${at}`));
  const { intake, stands, stack } = await openCentre(folder, gateways);
  await using _centre = stack;
  const until = async (isThere: () => boolean) => {
    const from = clock.monotonicMs();
    while (!isThere()) {
      if (clock.monotonicMs() - from > 30_000) throw new Error("ingest did not keep up");
      await clock.sleep(2);
    }
  };
  for (const gateway of gateways) {
    const { topic, payload } = gateway.hello(lineage);
    await intake.take(topic, payload);
  }
  await until(() => stands.size === count);
  const loads = gateways.map((gateway) => makeLoad(gateway, batches));
  const from = clock.monotonicMs();
  for (let number = 0; number < batches; number += 1) {
    for (const load of loads) {
      const message = load.batches[number];
      if (message !== undefined) await intake.take(message.topic, message.payload);
    }
  }
  await until(() => loads.every(({ gateway, last }) => stands.get(gateway.id) === last));
  return (1000 * count * batches * pointsPerBatch) / (clock.monotonicMs() - from);
}

/** The same points as rows of their own, in commits of 900. */
async function plainRows(folder: string, points: number): Promise<number> {
  await using disk = await openDisk({ folder, roomBytes: 2 ** 31 });
  const from = clock.monotonicMs();
  for (let done = 0; done < points; done += 900) {
    const writes = Array.from({ length: Math.min(900, points - done) }, (_, at) => ({
      table: "t",
      key: Buffer.from(`gw-${at % 50} state ${String(done + at).padStart(12, "0")}`),
      value: Buffer.from(JSON.stringify({ index: at % 25, value: done / 10, time: done })),
    }));
    await disk.commit(writes);
  }
  return (1000 * points) / (clock.monotonicMs() - from);
}

/** Runs the bench. */
export async function run(context: BenchContext): Promise<readonly Row[]> {
  const [rounds, sizes, batches] = context.isQuick
    ? ([3, [1, 50], 20] as const)
    : ([5, [1, 50, 500], 40] as const);
  const rows: Row[] = [];
  for (const size of sizes) {
    const perGateway = size === 1 ? batches * 10 : batches;
    const ours: number[] = [];
    const peer: number[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      const folder = join(context.folder, `${size}-${round}`);
      ours.push(await ingest(join(folder, "o"), size, perGateway));
      peer.push(await plainRows(join(folder, "p"), size * perGateway * pointsPerBatch));
      context.say(`${size} gateways, round ${round}: ${Math.round(ours.at(-1) ?? 0)} points/s`);
    }
    rows.push(
      compare({
        job: `${size} gateways, signed batches of ${pointsPerBatch} points, verified, committed and acknowledged; peer: LMDB rows, nothing verified`,
        ...{ unit: "points/s", goal: 0.5, ours, peer },
      }),
    );
  }
  return rows;
}
