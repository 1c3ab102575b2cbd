// The store as a process that is killed under load: what it acknowledged is there exactly once,
// what it never answered at most once. It must not know the bus.
import assert from "node:assert/strict";
import { type ChildProcess, fork, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { openDisk } from "../../src/disk/disk.ts";
import { systemClock as clock } from "../../src/util/clock.ts";
import { hasCode } from "../../src/util/errors.ts";
import { seededRandom } from "../../src/util/random.ts";
import { openTestStore, storeConfig } from "../fakes/store.ts";

const root = fileURLToPath(new URL("../..", import.meta.url)).replace(/\.build\/$/, "");
const built = join(root, ".build", "test", "system", "store-part.js");
const part = existsSync(built) ? built : join(root, "test", "system", "store-part.ts");
const folder = mkdtempSync(join(tmpdir(), "pst-"));
const children = new Set<ChildProcess>();
const rounds = 20;

after(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

type Reply = { readonly code: string | null; readonly data: { first: number; last: number } };

interface Store {
  readonly child: ChildProcess;
  readonly epoch: string;
  /** Undefined when the process died before it answered. */
  ask(operation: string, args: unknown): Promise<Reply | undefined>;
}

async function startStore(path: string): Promise<Store> {
  const config = { ...storeConfig, flushMaxMs: 5, checkpointMs: 20, backups: join(path, "b") };
  const words = [join(path, "s"), JSON.stringify(config)];
  const child = fork(part, words, { execArgv: ["--disable-warning=ExperimentalWarning"] });
  children.add(child);
  const waiting = new Map<number, (reply: Reply | undefined) => void>();
  let asked = 0;
  let isGone = false;
  child.once("exit", () => {
    isGone = true;
    children.delete(child);
    for (const resolve of waiting.values()) resolve(undefined);
  });
  const [first] = (await once(child, "message")) as [[number, null, { epoch: string }]];
  child.on("message", (message) => {
    const [id, code, data] = message as [number, string | null, Reply["data"]];
    waiting.get(id)?.({ code, data });
    waiting.delete(id);
  });
  child.on("error", () => {});
  return {
    child,
    epoch: first[2].epoch,
    ask(operation, args) {
      if (isGone) return Promise.resolve(undefined);
      asked += 1;
      const id = asked;
      return new Promise((resolve) => {
        waiting.set(id, resolve);
        child.send([id, operation, args], () => {});
      });
    },
  };
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

test("killed 20 times under load, the store has what it acknowledged, once and in order", async () => {
  const seed = Number(process.env.PLANTD_SEED ?? process.hrtime()[1]);
  const random = seededRandom(seed);
  const acknowledged = new Map<number, Reply["data"]>();
  const sent = new Set<number>();
  const epochs: string[] = [];
  let number = 0;
  let unanswered: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const store = await startStore(folder);
    epochs.push(store.epoch);
    const open = new Set<number>();
    const send = async (mine: number) => {
      open.add(mine);
      sent.add(mine);
      const points = [0, 1, 2].map((at) => ({ scope: "d", key: `k${at}`, value: mine }));
      const flush = random.unit() < 0.3 ? "now" : "group";
      const args = { source: "driver.a", run: "r", number: mine, flush, points };
      const reply = await store.ask("set-many", args);
      if (reply === undefined) return;
      assert.equal(reply.code, null, `seed ${seed}`);
      const before = acknowledged.get(mine);
      if (before !== undefined) assert.equal(reply.data.last, before.last, `seed ${seed}`);
      acknowledged.set(mine, reply.data);
      open.delete(mine);
    };
    // What had no answer is asked again with its number, as a driver would.
    await Promise.all(unanswered.map(send));
    const until = clock.monotonicMs() + 20 + random.unit() * 80;
    const flights: Promise<void>[] = [];
    while (clock.monotonicMs() < until) {
      number += 1;
      flights.push(send(number));
      if (flights.length % 8 === 0) await flights.at(-8);
    }
    await kill(store.child);
    await Promise.all(flights);
    unanswered = [...open].sort((a, b) => a - b).slice(0, 16);
  }
  assert.equal(new Set(epochs).size, rounds);
  await using store = await openTestStore(folder);
  const seen = new Map<number, number[]>();
  let expected = 1;
  while (expected <= store.journal.head("state")) {
    const query = { stream: "state", after: expected - 1, limit: 5000, bytesMax: 1e7 } as const;
    for (const record of store.journal.read(query).records) {
      assert.equal(record.sequence, expected, `seed ${seed}`);
      expected += 1;
      if (record.kind !== "point") continue;
      const value = record.value as number;
      seen.set(value, [...(seen.get(value) ?? []), record.sequence]);
    }
  }
  for (const [mine, { first, last }] of acknowledged) {
    const found = seen.get(mine) ?? [];
    assert.equal(found.length, 3, `seed ${seed}: ${mine} acknowledged`);
    assert.ok(found.every((sequence) => sequence >= first && sequence <= last));
  }
  for (const [mine, found] of seen) {
    assert.ok(sent.has(mine) && found.length === 3, `seed ${seed}: ${mine} is there`);
  }
  assert.ok(acknowledged.size > rounds, `${acknowledged.size} were acknowledged`);
  const newest = Math.max(...[...seen].map(([mine]) => mine));
  assert.equal((await store.call("get", { scope: "d", key: "k0" })).value, newest);
  assert.deepEqual(
    store.journal.lineage.slice(-rounds - 1, -1).map(({ epoch }) => epoch),
    epochs,
  );
});

test("another process cannot open a store that is open, and can when its owner was killed", async () => {
  const path = join(folder, "owner");
  const store = await startStore(path);
  const options = { folder: join(path, "s"), roomBytes: storeConfig.mapMiB * 1_048_576 };
  await assert.rejects(openDisk(options), (error) => hasCode(error, "STORE_LOCKED"));
  await kill(store.child);
  await using disk = await openDisk(options);
  assert.notEqual(disk.get("meta", Buffer.from("format")), undefined);
});

const cannotMount = process.getuid?.() === 0 ? false : "mounting a small file system needs root";

test("a medium without room refuses with a code, and all is well when room returns", {
  skip: cannotMount,
}, async (context) => {
  const mount = join(folder, "small");
  mkdirSync(mount);
  const words = ["-t", "tmpfs", "-o", "size=3m", "tmpfs", mount];
  const { status } = spawnSync("mount", words, { stdio: "ignore" });
  if (status !== 0) {
    context.skip("this machine mounts nothing");
    return;
  }
  try {
    await using disk = await openDisk({ folder: join(mount, "s"), roomBytes: 64 * 1_048_576 });
    const key = (at: number) => Buffer.from(`k${at}`);
    const put = (at: number) => ({ table: "t", key: key(at), value: Buffer.alloc(100_000, at) });
    for (let round = 0; round < 5; round += 1) {
      let count = 0;
      await assert.rejects(
        async () => {
          for (; count < 100; count += 1) await disk.commit([put(count)]);
        },
        (error) => hasCode(error, "STORE_FULL"),
      );
      assert.ok(count > 10, `${count} fitted in round ${round}`);
      assert.equal(disk.get("t", key(count)), undefined);
      for (let at = 0; at < count; at += 1) {
        assert.ok(Buffer.from(disk.get("t", key(at))!).equals(put(at).value));
        await disk.commit([{ table: "t", key: key(at) }]);
      }
    }
  } finally {
    spawnSync("umount", [mount], { stdio: "ignore" });
  }
});
