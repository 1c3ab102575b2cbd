// The centre's own decisions over rows in memory: messages in rounds, one commit a round, answers
// after it, crashes between any two of these. It must not know the gateway's state.
import {
  type BatchRecord,
  decodeBatch,
  type EnvelopeHeader,
  lastOf,
  peekHeader,
  type Stream,
} from "../../src/batch/batch.ts";
import {
  type IngestInput,
  type IngestState,
  ingestStep,
  openIngest,
} from "../../src/central/central.ts";
import { type Block, deviceChange, readBlocks, readGaps } from "../../src/central/rows.ts";
import { readThrough } from "../../src/central/shelf.ts";
import type { Stamp } from "../../src/util/clock.ts";
import { generateSigningKey, keyId } from "../../src/util/ed25519.ts";
import { fakeShelf } from "../fakes/shelf.ts";
import type { Agenda } from "./agenda.ts";
import { bodyOf } from "./sealed.ts";

type Rows = Map<string, Uint8Array>;
type Answer = { readonly topic: string; readonly payload: Uint8Array };

export interface CentreDeps {
  readonly agenda: Agenda;
  readonly draw: (top: number) => number;
  readonly now: () => Stamp;
  /** An answer leaves. */
  readonly send: (answer: Answer) => void;
  /** Rows were committed: what was there before, and what is new. */
  readonly committed: (block: Block & { readonly header: EnvelopeHeader }) => void;
  /** Broken on purpose: answers leave before their commit. */
  readonly isHasty: boolean;
  /** Broken on purpose: what is done to the state before a message is taken. */
  readonly meddle: (state: IngestState, payload: Uint8Array) => void;
}

export interface Gateway {
  readonly id: string;
  readonly kid: string;
  readonly publicKey: Uint8Array;
}

const signingKey = generateSigningKey();
const signer = { key: signingKey, kid: keyId(signingKey.publicKey) };
const heldBytesMax = 65_536;
const tickMs = 500;

export class CentreSide {
  state: IngestState;
  private readonly deps: CentreDeps;
  private rows: Rows = new Map();
  private pending = new Map<string, Uint8Array | undefined>();
  /** Messages that wait; undefined is a tick. */
  private queue: (Answer | undefined)[] = [];
  private isBusy = false;
  /** Changes with every death. */
  private life = 0;
  private saved: { readonly rows: Rows; readonly atMs: number } | undefined;

  constructor(deps: CentreDeps, gateway: Gateway) {
    this.deps = deps;
    const publicKey = Buffer.from(gateway.publicKey).toString("base64url");
    const { id, kid } = gateway;
    const { key, value } = deviceChange({ id, createdAt: 1, enrolledAt: 1, kid, publicKey });
    if (value !== undefined) this.rows.set(key, value);
    this.state = this.open();
    this.tick();
  }

  private open(): IngestState {
    this.pending = new Map();
    this.queue = [];
    this.isBusy = false;
    this.life += 1;
    const reader = readThrough(fakeShelf(this.rows), this.pending);
    return openIngest({ reader, answers: { centre: "centre-1", signer }, heldBytesMax });
  }

  /** The process dies: what was not committed, and what was not answered, is gone. */
  crash(): void {
    this.state = this.open();
  }

  snapshot(): void {
    this.saved = { rows: new Map(this.rows), atMs: this.deps.agenda.nowMs };
  }

  /** Goes back to the last snapshot unless it is older than `ageMs`. */
  restore(ageMs: number): void {
    if (this.saved === undefined || this.deps.agenda.nowMs - this.saved.atMs > ageMs) return;
    this.rows = new Map(this.saved.rows);
    this.crash();
  }

  private tick(): void {
    this.deps.agenda.after(tickMs, () => {
      if (this.state.held.queues.size > 0) this.queue.push(undefined);
      this.work();
      this.tick();
    });
  }

  deliver(message: Answer): void {
    this.queue.push(message);
    this.work();
  }

  private work(): void {
    if (this.isBusy || this.queue.length === 0) return;
    this.isBusy = true;
    this.later(1 + this.deps.draw(20), () => this.round());
  }

  /** Does something after a while, unless the process dies before. */
  private later(ms: number, act: () => void): void {
    const mine = this.life;
    this.deps.agenda.after(ms, () => {
      if (mine === this.life) act();
    });
  }

  private round(): void {
    const sends = new Map<string, Answer>();
    for (const message of this.queue.splice(0)) {
      if (message !== undefined) this.deps.meddle(this.state, message.payload);
      const now = this.deps.now();
      const input: IngestInput =
        message === undefined ? { kind: "tick", now } : { kind: "message", ...message, now };
      for (const effect of ingestStep(this.state, input)) {
        if (effect.kind === "send") sends.set(effect.slot, effect);
        else for (const { key, value } of effect.changes) this.pending.set(key, value);
      }
    }
    if (this.deps.isHasty) for (const answer of sends.values()) this.deps.send(answer);
    this.later(1 + this.deps.draw(60), () => {
      this.commit();
      this.later(1 + this.deps.draw(20), () => {
        if (!this.deps.isHasty) for (const answer of sends.values()) this.deps.send(answer);
        this.isBusy = false;
        this.work();
      });
    });
  }

  private commit(): void {
    const fresh = [...this.pending];
    this.pending.clear();
    for (const [key, value] of fresh) {
      if (value === undefined) this.rows.delete(key);
      else this.rows.set(key, value);
      if (value === undefined || !key.startsWith("history/")) continue;
      const [, , , generation = "", from = ""] = key.split("/");
      const to = Number(Buffer.from(value.subarray(0, 8)).readBigUInt64BE());
      const bytes = value.subarray(8);
      const place = { generation: Number(generation), from: Number(from), to, bytes };
      this.deps.committed({ ...place, header: peekHeader(bytes) });
    }
  }

  /** Blocks as committed, in the order of history. */
  blocks(device: string, stream: Stream): (Block & { readonly header: EnvelopeHeader })[] {
    const blocks = [...readBlocks(fakeShelf(this.rows), device, stream)];
    return blocks.map((block) => ({ ...block, header: peekHeader(block.bytes) }));
  }

  gaps(device: string) {
    return readGaps(fakeShelf(this.rows), device);
  }

  /** What was in memory is read from the rows again. */
  reread(): IngestState {
    this.crash();
    return this.state;
  }
}

/** The records of a block that count in it; a cover may begin before it. */
export function recordsOf(block: Block): BatchRecord[] {
  const { first = 1, last = 0 } = peekHeader(block.bytes);
  return decodeBatch(bodyOf(block.bytes), { first, last }, 100_000).filter(
    (record) => lastOf(record) >= block.from && record.sequence <= block.to,
  );
}
