// A gateway's real store, the decisions of sync and a centre under a virtual clock, over a broker
// that loses nothing: what the centre holds when all is quiet. It must not know how stores fail.
import { encodeBatch, encodeBody, seal, topicOf } from "../../src/batch/batch.ts";
import { listValues } from "../../src/central/fleet.ts";
import { dueMs, step } from "../../src/sync/protocol.ts";
import {
  initialState,
  type SyncEffect,
  type SyncInput,
  type SyncState,
} from "../../src/sync/sync-state.ts";
import type { Stamp } from "../../src/util/clock.ts";
import { generateSigningKey, keyId } from "../../src/util/ed25519.ts";
import type { TestStore } from "../fakes/store.ts";
import { openAgenda } from "./agenda.ts";
import { CentreSide } from "./centre-side.ts";
import { heard } from "./sealed.ts";

const settings = {
  batchRecordsMax: 64,
  batchAgeMs: 250,
  windowMax: 4,
  resendMs: 2000,
  helloMs: 20_000,
  readWaitMs: 10_000,
  version: "0.1.0",
};
const device = "gw-1";
const boot = "c".repeat(32);
const streams = ["state", "event"] as const;
const roundsMax = 20_000;

/** A record as it went up: what a number was used for. */
export interface Sent {
  readonly epoch: string;
  readonly stream: string;
  readonly sequence: number;
  readonly text: string;
}

export class RealUpstream {
  readonly sent: Sent[] = [];
  /** Codes of refusals by the centre. */
  readonly refusals: string[] = [];
  readonly centre: CentreSide;
  store: TestStore;
  readonly #agenda = openAgenda();
  readonly #signer;
  #state: SyncState;
  #generation = 0;
  #asks: (() => Promise<void>)[] = [];
  /** Reads that found nothing wait for something. */
  #idle: (() => Promise<void>)[] = [];
  #serial = 0;
  #life = 0;

  constructor(store: TestStore) {
    this.store = store;
    const key = generateSigningKey();
    this.#signer = { key, kid: keyId(key.publicKey) };
    this.#state = initialState(settings, { generation: 0, keySet: 1 });
    this.centre = new CentreSide(
      {
        agenda: this.#agenda,
        draw: () => 0,
        now: () => this.#now(),
        send: ({ payload }) => {
          const message = heard(payload);
          if (message.type === "refuse") this.refusals.push(message.body.code);
          this.#take({ kind: "message", message });
        },
        committed: () => {},
        isHasty: false,
        meddle: () => {},
      },
      { id: device, kid: this.#signer.kid, publicKey: key.publicKey },
    );
    this.connect();
  }

  #now(): Stamp {
    const mono = Math.round(this.#agenda.nowMs);
    return { wall: 1_700_000_000_000 + mono, boot, mono, sync: "ntp" };
  }

  /** Sync starts anew, as after each end of the store. */
  connect(): void {
    this.#life += 1;
    this.#asks = [];
    this.#idle = [];
    const centre = this.#life === 1 ? {} : { centre: "centre-1" };
    this.#state = initialState(settings, { ...centre, generation: this.#generation, keySet: 1 });
    this.#take({ kind: "connected", window: 4 });
  }

  #take(input: SyncInput): void {
    const nonce = () => {
      this.#serial += 1;
      return this.#serial.toString(16).padStart(22, "0");
    };
    for (const effect of step(this.#state, input, { nowMs: this.#agenda.nowMs, nonce })) {
      this.#act(effect);
    }
  }

  #publish(fields: Pick<Parameters<typeof seal>[0], "type" | "nonce">, body: Uint8Array): void {
    const all = { device, ...fields, ...this.#now() };
    const message = { topic: topicOf(all), payload: seal(all, body, this.#signer) };
    this.#agenda.after(5, () => this.centre.deliver(message));
  }

  #act(effect: SyncEffect): void {
    switch (effect.kind) {
      case "hello":
        this.#publish({ type: "hello", nonce: effect.nonce }, encodeBody("hello", effect.body));
        break;
      case "batch": {
        const { records, nonce, ...place } = effect.batch;
        for (const record of records) {
          const { epoch, stream } = place;
          if (record.kind === "cover") continue;
          const { sequence } = record;
          this.sent.push({ epoch, stream, sequence, text: JSON.stringify(record) });
        }
        this.#publish({ type: "batch", nonce, ...place }, encodeBatch(records));
        break;
      }
      case "ask-position":
        this.#asks.push(async () => {
          const args = { consumer: "sync", register: true };
          const position = await this.store.call("position", args);
          this.#take({ kind: "position", position });
        });
        break;
      case "read":
        this.#asks.push(() => this.#read(effect));
        break;
      case "watermark": {
        const { stream, sequence, isWelcome: welcome } = effect;
        this.#asks.push(async () => {
          await this.store.call("ack", { consumer: "sync", stream, sequence, welcome });
        });
        break;
      }
      case "generation":
        this.#generation = effect.generation;
        break;
      default:
    }
  }

  async #read(effect: Extract<SyncEffect, { kind: "read" }>): Promise<void> {
    const { id, stream, after, limit } = effect;
    const asked = { stream, after, limit, bytesMax: 262_144, coversDamage: true };
    const { epoch, records, head } = await this.store.call("changes", asked);
    if (records.length === 0) this.#idle.push(() => this.#read(effect));
    else this.#take({ kind: "records", answer: { id, stream, epoch, records, head } });
  }

  /** Lets time pass until the centre has all there is, and has been greeted once more. */
  async settle(): Promise<void> {
    for (let round = 0; round < roundsMax; round += 1) {
      for (const ask of this.#asks.splice(0)) await ask();
      if (dueMs(this.#state) <= this.#agenda.nowMs) this.#take({ kind: "tick" });
      this.#agenda.runUntil(this.#agenda.nowMs + 100);
      if (round % 20 === 0) this.#asks.push(...this.#idle.splice(0));
      if (round % 20 !== 19 || round < 300) continue;
      const { streams: found } = await this.store.call("position", { consumer: "sync" });
      if (streams.every((name) => found[name].watermark === found[name].head)) return;
    }
    throw new Error(
      `it never drains: ${JSON.stringify(await this.store.call("position", { consumer: "sync" }))}`,
    );
  }

  /** The latest values of the centre, by scope and key. */
  latest(): Record<string, unknown> {
    const values = listValues(this.centre.state, device);
    return Object.fromEntries(
      values.map(({ scope, key, value, quality }) => [`${scope} ${key}`, [value, quality]]).sort(),
    );
  }

  /** Those of the store. */
  async held(): Promise<Record<string, unknown>> {
    const { points } = await this.store.call("list", { limit: 1000 });
    return Object.fromEntries(
      (points as { scope: string; key: string; value: unknown; quality: string }[])
        .map(({ scope, key, value, quality }) => [`${scope} ${key}`, [value, quality]] as const)
        .sort(),
    );
  }
}
