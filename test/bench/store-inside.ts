// The store in this process, beside libraries that keep values: durable values in groups of a
// thousand, one durable value, reads; and what the device allows. It must not know the broker.
import { closeSync, fdatasyncSync, mkdirSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { systemClock as clock } from "../../src/util/clock.ts";
import { node } from "./broker-peers.ts";
import { alone, type BenchContext, compare, quantile, type Row, readPeer } from "./harness.ts";
import { measurePeer, obtainPeers, type PeerFigures } from "./store-peers.ts";

/** What one store of ours in a process of its own did. */
interface Figures extends PeerFigures {
  /** Values per second with many requests of a thousand in flight. */
  readonly flowing: number;
  readonly singleP99Ms: number;
}

/** A write of one page and a flush of the file, nothing else: milliseconds, sorted. */
function measureDevice(context: BenchContext, count: number): readonly number[] {
  const file = openSync(join(context.folder, "floor"), "w");
  const page = Buffer.alloc(4096, 1);
  const times: number[] = [];
  for (let at = 0; at < count; at += 1) {
    const from = clock.monotonicMs();
    writeSync(file, page, 0, page.length, 0);
    fdatasyncSync(file);
    times.push(clock.monotonicMs() - from);
  }
  closeSync(file);
  return times.sort((a, b) => a - b);
}

/** Rows of the store without its broker, beside its peers in the same rounds. */
export async function insideRows(context: BenchContext): Promise<readonly Row[]> {
  const { isQuick, say } = context;
  const peers = obtainPeers(context);
  const ms = isQuick ? 1000 : 5000;
  const rounds = isQuick ? 3 : 5;
  const ours: Figures[] = [];
  const floor: number[] = [];
  const others = { sqlite: [] as PeerFigures[], level: [] as PeerFigures[] };
  for (let round = 0; round < rounds; round += 1) {
    say(`in process: round ${round + 1} of ${rounds}`);
    const folder = join(context.folder, `i${round}`);
    mkdirSync(folder);
    ours.push((await readPeer(node("./store-inside-load", folder, String(ms)))) as Figures);
    floor.push(quantile(measureDevice(context, 300), 0.5));
    for (const peer of peers) {
      const path = join(context.folder, `${peer.kind}-${round}`);
      others[peer.kind].push(await measurePeer(peer, path, ms));
    }
  }
  const { sqlite, level } = others;
  const points = { unit: "points/s", ours: ours.map(({ sets }) => sets), goal: 1 };
  const flowing = { ...points, ours: ours.map((one) => one.flowing) };
  const single = { unit: "ms", ours: ours.map((one) => one.singleMs), isLessBetter: true };
  const reads = { unit: "gets/s", ours: ours.map(({ gets }) => gets), goal: 1 };
  const sets = (figures: readonly PeerFigures[]) => figures.map((one) => one.sets);
  const job = "value and log, durable, commits of 1,000 one after another; peer:";
  return [
    compare({ ...points, job: `${job} better-sqlite3, WAL, FULL`, peer: sets(sqlite) }),
    compare({ ...points, job: `${job} classic-level, sync`, peer: sets(level) }),
    compare({
      ...flowing,
      job: "the same, 16 requests in flight; peer: better-sqlite3",
      peer: sets(sqlite),
    }),
    compare({
      ...single,
      job: "one durable value, mean; peer: better-sqlite3",
      peer: sqlite.map(({ singleMs }) => singleMs),
      goal: 1,
    }),
    compare({
      ...single,
      job: "one durable value, mean; peer: write and fdatasync of a page",
      peer: floor,
      goal: 0.25,
    }),
    alone(
      "one durable value, p99",
      "ms",
      ours.map((one) => one.singleP99Ms),
    ),
    compare({
      ...reads,
      job: "get; peer: better-sqlite3 and JSON.parse",
      peer: sqlite.map(({ gets }) => gets),
    }),
    compare({
      ...reads,
      job: "get; peer: classic-level and JSON.parse",
      peer: level.map(({ gets }) => gets),
    }),
  ];
}
