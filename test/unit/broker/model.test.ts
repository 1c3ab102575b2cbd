// Random traffic of every dialect against a simple model: what is asked ends once, nobody gets more
// than it has room for, nothing stays, and the counters add up. It must not know sockets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Dialect, plant } from "../../../src/mdp/mdp.ts";
import { seededRandom } from "../../../src/util/random.ts";
import { addressOf, bench, foreigners, idOf, type Said } from "../../fakes/broker.ts";

const peerOf = new Map(foreigners);
const dialects: readonly Dialect[] = ["plant", ...foreigners.map(([dialect]) => dialect)];
const { partials, credit } = plant.flag;
const text = (value: string) => Buffer.from(value);

interface Job {
  readonly id: number;
  readonly order: Said;
}
interface ModelWorker {
  readonly name: string;
  readonly dialect: Dialect;
  readonly concurrency: number;
  readonly jobs: Map<number, Job>;
  isPaused: boolean;
}
interface ModelClient {
  readonly name: string;
  readonly dialect: Dialect;
  /** Open requests: by id for ours, counted for others. */
  readonly open: Set<number>;
  asked: number;
  ended: number;
}

/** One schedule of the seed. */
class Schedule {
  readonly random;
  readonly broker = bench({
    peersMax: 40,
    servicesMax: 4,
    queueMax: 12,
    requestsPerPeerMax: 8,
    busyTimeoutMs: 6000,
    policies: { s0: { retry: "if-lost", attemptsMax: 2 }, s1: { queueTtlMs: 900 } },
  });
  readonly workers = new Map<string, ModelWorker>();
  readonly clients = new Map<string, ModelClient>();
  readonly where: string;
  nowMs = 0;
  count = 0;

  constructor(seed: number) {
    this.random = seededRandom(seed);
    this.where = `seed ${seed}`;
  }

  pick(count: number): number {
    return Math.floor(this.random.unit() * count);
  }

  any<T>(items: Iterable<T>): T | undefined {
    const all = [...items];
    return all[this.pick(all.length)];
  }

  /** Holds what the broker said against the model. */
  hear(said: readonly Said[]): void {
    for (const one of said) {
      const worker = this.workers.get(one.to);
      const client = this.clients.get(one.to);
      if (one.kind === "pause" || one.kind === "resume") {
        if (worker === undefined) continue;
        assert.equal(worker.isPaused, one.kind === "resume", `${this.where}: ${one.kind} twice`);
        worker.isPaused = one.kind === "pause";
      } else if (one.kind === "request") {
        assert.ok(worker !== undefined, `${this.where}: work for nobody`);
        const id = idOf([one]);
        assert.ok(!worker.jobs.has(id));
        worker.jobs.set(id, { id, order: one });
        assert.ok(worker.jobs.size <= worker.concurrency, `${this.where}: too much work`);
      } else if (one.kind === "disconnect") this.workers.delete(one.to);
      else if (one.kind === "final" || one.kind === "error") this.endOne(client, one);
    }
  }

  endOne(client: ModelClient | undefined, one: Said): void {
    assert.ok(client !== undefined, `${this.where}: an answer for nobody`);
    client.ended += 1;
    assert.ok(client.ended <= client.asked, `${this.where}: more ends than requests`);
    if (client.dialect !== "plant") return;
    assert.ok("head" in one);
    assert.equal(client.open.delete(one.head.id), true, `${this.where}: ended twice`);
  }

  ask(): void {
    this.count += 1;
    const client = this.any(this.clients.values()) ?? this.newClient();
    const service = `s${this.pick(3)}`;
    client.asked += 1;
    const body = [text("x".repeat(this.pick(150)))];
    const peer = peerOf.get(client.dialect);
    if (peer !== undefined) {
      this.hear(
        this.broker.raw(client.name, peer.encodeFromClient({ kind: "request", service, body })),
      );
      return;
    }
    client.open.add(this.count);
    const flags = [0, partials, partials | credit][this.pick(3)] ?? 0;
    const head = this.broker.headOf(this.count, this.pick(20) === 0 ? 0 : this.pick(5000), flags);
    const message = { kind: "request", service, head, body } as const;
    this.hear(this.broker.raw(client.name, plant.encodeFromClient(message)));
  }

  newClient(): ModelClient {
    this.count += 1;
    const dialect = dialects[this.pick(dialects.length)] ?? "plant";
    const name = `c${this.count}`;
    const client = { name, dialect, open: new Set<number>(), asked: 0, ended: 0 };
    this.clients.set(name, client);
    return client;
  }

  ready(): void {
    this.count += 1;
    const dialect = dialects[this.pick(dialects.length)] ?? "plant";
    const name = `w${this.count}`;
    const concurrency = dialect === "plant" ? 1 + this.pick(3) : 1;
    this.workers.set(name, { name, dialect, concurrency, jobs: new Map(), isPaused: false });
    const service = `s${this.pick(3)}`;
    const peer = peerOf.get(dialect);
    if (peer === undefined) this.hear(this.broker.ready(name, service, concurrency));
    else this.hear(this.broker.raw(name, peer.encodeFromWorker({ kind: "ready", service })));
  }

  answer(kind: "partial" | "final"): void {
    const worker = this.any([...this.workers.values()].filter(({ isPaused }) => !isPaused));
    const job = worker === undefined ? undefined : this.any(worker.jobs.values());
    if (worker === undefined || job === undefined) return;
    const peer = peerOf.get(worker.dialect);
    if (kind === "partial" && worker.dialect === "rfc7") return;
    if (kind === "final") worker.jobs.delete(job.id);
    if (peer === undefined) {
      this.hear(this.broker.reply(worker.name, job.id, kind));
      return;
    }
    const client = addressOf([job.order]);
    const body = [text("a part or the end")];
    this.hear(this.broker.raw(worker.name, peer.encodeFromWorker({ kind, client, body })));
  }

  beat(): void {
    for (const { name, dialect } of this.workers.values()) {
      const peer = peerOf.get(dialect);
      if (this.pick(3) === 0) continue;
      const frames = peer?.encodeFromWorker({ kind: "heartbeat" });
      this.hear(frames === undefined ? this.broker.beat(name) : this.broker.raw(name, frames));
    }
  }

  loseWorker(): void {
    const worker = this.any(this.workers.values());
    if (worker === undefined) return;
    this.workers.delete(worker.name);
    this.hear(this.broker.gone(worker.name));
  }

  loseClient(): void {
    const client = this.any(this.clients.values());
    if (client === undefined) return;
    this.clients.delete(client.name);
    this.hear(this.broker.gone(client.name));
  }

  cancel(): void {
    const client = this.any([...this.clients.values()].filter(({ open }) => open.size > 0));
    const id = client === undefined ? undefined : this.any(client.open);
    if (client === undefined || id === undefined) return;
    if (this.pick(2) === 0) this.hear(this.broker.credit(client.name, id, 1 + this.pick(400)));
    else {
      client.open.delete(id);
      this.hear(this.broker.cancel(client.name, id));
    }
  }

  pace(): void {
    const peer = this.any([...this.clients.keys(), ...this.workers.keys()]);
    if (peer === undefined) return;
    this.hear(this.broker.happen(this.pick(3) === 0 ? "slow" : "drained", peer));
  }

  tick(ms: number): void {
    this.nowMs += ms;
    this.hear(this.broker.tick(this.nowMs));
  }

  /** What happens next, by its weight. */
  turn(): void {
    const dice = this.pick(100);
    if (dice < 30) this.ask();
    else if (dice < 34) this.newClient();
    else if (dice < 52) this.answer("final");
    else if (dice < 64) for (let part = this.pick(40); part >= 0; part -= 1) this.answer("partial");
    else if (dice < 70) this.ready();
    else if (dice < 74) this.loseWorker();
    else if (dice < 76) this.loseClient();
    else if (dice < 82) this.cancel();
    else if (dice < 86) this.pace();
    else if (dice < 92) this.beat();
    else this.tick(this.pick(400));
  }

  /** Time alone ends everything: nobody answers any more, nobody comes. */
  end(): void {
    for (let round = 0; round < 80; round += 1) this.tick(1000);
  }

  check(): void {
    const { state } = this.broker;
    for (const { name, open } of this.clients.values()) {
      assert.deepEqual([...open], [], `${this.where}: ${name} waits for ever`);
    }
    const held = [
      state.queued,
      state.dispatched,
      state.bytes,
      state.open,
      state.lost.length,
      state.wheel.size,
      state.workers.size,
    ];
    assert.deepEqual(held, [0, 0, 0, 0, 0, 0, 0], this.where);
    assert.equal(state.fresh, undefined, this.where);
    assert.equal(state.freePlaces.length, state.places.length, this.where);
    for (const { bytes, requests, abandoned } of state.shares.values()) {
      assert.deepEqual([bytes, requests, abandoned], [0, 0, 0], this.where);
    }
    for (const service of state.services.values()) {
      assert.deepEqual([service.queued, service.busy, service.turnByClient.size], [0, 0, 0]);
    }
    const { counters, refused } = state;
    const ends = counters.replies + counters.expired + counters.noService + counters.cancelled;
    const { denied, services, requests, queue, frames, size, bytes } = refused;
    const refusals = denied + services + requests + queue + frames + size + bytes;
    assert.equal(
      counters.requests,
      ends + counters.requestsLost + counters.streamsCut + refusals,
      `${this.where}: ${JSON.stringify({ counters, refused })}`,
    );
  }
}

test("whatever comes in whatever order, every request ends once and nothing stays", () => {
  for (let seed = 1; seed <= 12; seed += 1) {
    const schedule = new Schedule(seed);
    for (let round = 0; round < 400; round += 1) schedule.turn();
    schedule.end();
    schedule.check();
  }
});
