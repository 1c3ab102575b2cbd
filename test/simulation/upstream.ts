// One gateway, a broker that misbehaves and a centre under a virtual clock; the gateway's decisions
// are those of production. It must not know sockets or keys.
import assert from "node:assert/strict";
import { dueMs, step } from "../../src/sync/protocol.ts";
import {
  type DownMessage,
  initialState,
  type SyncEffect,
  type SyncInput,
  type SyncState,
} from "../../src/sync/sync-state.ts";
import { seededRandom } from "../../src/util/random.ts";
import { openAgenda } from "./agenda.ts";
import { openModelCentre } from "./model-centre.ts";
import { openModelStore } from "./model-store.ts";

const settings = {
  batchRecordsMax: 8,
  batchAgeMs: 250,
  windowMax: 4,
  resendMs: 2000,
  helloMs: 300_000,
  readWaitMs: 10_000,
  version: "0.1.0",
};
const faultyMs = 120_000;
const quietMs = 1_800_000;
const streamNames = ["state", "event"] as const;

/** What a run showed. */
export interface Outcome {
  readonly records: number;
  readonly batches: number;
}

/** Plays one schedule; throws an AssertionError when a promise is broken. */
export function playUpstream(seed: number): Outcome {
  const random = seededRandom(seed);
  const chance = (likelihood: number) => random.unit() < likelihood;
  const agenda = openAgenda();
  const centre = openModelCentre();
  let serial = 0;
  const fresh = (width: number) => {
    serial += 1;
    return serial.toString(16).padStart(width, "0");
  };
  const store = openModelStore(fresh(32));
  const loss = random.unit() * 0.3;
  const copies = random.unit() * 0.3;
  const delayMs = 10 + random.unit() * 3000;
  let isFaulty = true;
  let connection = 0;
  let life = 0;
  let generation = 0;
  let batches = 0;
  let state: SyncState = initialState(settings, { generation, keySet: 1 });
  let callOff = () => {};

  /** The broker: drops, doubles, delays and reorders what it carries; old connections are dead. */
  function carry(deliver: () => void): void {
    const mine = connection;
    const times = !isFaulty ? 1 : chance(loss) ? 0 : chance(copies) ? 2 : 1;
    for (let copy = 0; copy < times; copy += 1) {
      agenda.after(1 + random.unit() * (isFaulty ? delayMs : 20), () => {
        if (mine === connection || chance(0.1)) deliver();
      });
    }
  }

  function answer(messages: readonly DownMessage[]): void {
    for (const message of messages) carry(() => take({ kind: "message", message }));
  }

  function take(input: SyncInput): void {
    const effects = step(state, input, { nowMs: agenda.nowMs, nonce: () => fresh(22) });
    const used = Object.values(state.streams).reduce((sum, { flights }) => sum + flights.length, 0);
    assert.ok(used <= state.window, "more batches on their way than the window allows");
    for (const effect of effects) act(effect);
    callOff();
    const due = dueMs(state);
    if (due !== Number.POSITIVE_INFINITY) {
      callOff = agenda.after(Math.max(1, due - agenda.nowMs), () => take({ kind: "tick" }));
    }
  }

  /** Answers of the store come to the life of sync that asked. */
  function fromStore(ms: number, input: () => SyncInput): void {
    const mine = life;
    agenda.after(ms, () => {
      if (mine === life) take(input());
    });
  }

  function act(effect: SyncEffect): void {
    switch (effect.kind) {
      case "hello": {
        const { nonce, body } = effect;
        carry(() => answer(centre.hello(nonce, body)));
        break;
      }
      case "batch": {
        assert.ok(state.isWelcome, "a batch before the welcome");
        batches += 1;
        const { batch } = effect;
        carry(() => answer(centre.batch(batch, agenda.nowMs)));
        break;
      }
      case "ask-position":
        fromStore(1, () => ({ kind: "position", position: store.position() }));
        break;
      case "read": {
        const { id, stream, after, limit, waitMs } = effect;
        const isThere = store.changes(stream, after, limit).records.length > 0;
        const isWritten = stream === "state" || stream === "event";
        fromStore(isThere ? 1 : 1 + (isWritten ? Math.min(waitMs, 500) : waitMs), () => {
          if (isFaulty && chance(0.02)) return { kind: "read-failed", id, stream };
          return {
            kind: "records",
            answer: { id, stream, ...store.changes(stream, after, limit) },
          };
        });
        break;
      }
      case "watermark":
        store.mark(effect.stream, effect.sequence);
        break;
      case "generation":
        generation = effect.generation;
        break;
      default:
    }
  }

  function connect(): void {
    connection += 1;
    take({ kind: "connected", window: 1 + Math.floor(random.unit() * 6) });
  }

  function restartSync(): void {
    life += 1;
    connection += 1;
    state = initialState(settings, { generation, keySet: 1 });
    connect();
  }

  const faults: readonly (() => void)[] = [
    () => {
      connection += 1;
      take({ kind: "disconnected" });
      agenda.after(random.unit() * 5000, connect);
    },
    restartSync,
    () => store.reopen(fresh(32)),
    () => store.snapshot(),
    () => store.restore(fresh(32)),
    () => centre.snapshot(),
    () => centre.restore(),
    () => {
      store.reopen(fresh(32));
      restartSync();
    },
  ];

  function write(): void {
    if (agenda.nowMs > faultyMs) return;
    const stream = chance(0.8) ? "state" : "event";
    const burst = chance(0.1) ? 30 : 1;
    for (let at = 0; at < burst; at += 1) {
      const text = fresh(1);
      if (chance(0.003)) centre.poison.add(text);
      store.append(stream, text);
    }
    agenda.after(random.unit() * 1200, write);
  }

  function fault(): void {
    if (agenda.nowMs > faultyMs) return;
    faults[Math.floor(random.unit() * faults.length)]?.();
    agenda.after(random.unit() * 20_000, fault);
  }

  connect();
  agenda.after(1, write);
  agenda.after(random.unit() * 20_000, fault);
  agenda.runUntil(faultyMs + 10_000);
  isFaulty = false;
  if (!state.isConnected) connect();
  const isDone = () => {
    const { streams } = store.position();
    return streamNames.every((name) => streams[name]?.watermark === streams[name]?.head);
  };
  agenda.runUntil(agenda.nowMs + settings.helloMs + 10_000);
  while (!isDone() && agenda.nowMs < faultyMs + quietMs) agenda.runUntil(agenda.nowMs + 1000);

  let records = 0;
  for (const stream of streamNames) {
    const kept = store.all(stream);
    records += kept.length;
    for (const { epoch } of store.lineage) {
      const mine = kept.filter((record) => record.epoch === epoch);
      const arrived = centre.ledgerOf(epoch, stream);
      arrived.forEach((record, at) => {
        const start = arrived[0]?.sequence ?? 0;
        assert.equal(record.sequence, start + at, `${stream}: out of order or twice`);
      });
      const expected = mine.map(({ sequence, text }) => ({
        sequence,
        text: centre.poison.has(text) ? "covered" : text,
      }));
      assert.deepEqual(arrived.slice(0, mine.length), expected, `${stream} of ${epoch}`);
    }
    const { watermark } = store.position().streams[stream]!;
    assert.equal(watermark, kept.length, `${stream}: the watermark stands behind`);
  }
  return { records, batches };
}
