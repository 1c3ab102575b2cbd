// A simple centre: generations, positions, the gate, acks and wants, and a ledger of what it
// applied. It must not know the gateway's state.
import type { Body, LineageEntry, Stream } from "../../src/batch/batch.ts";
import type { BatchToSend, DownMessage } from "../../src/sync/sync-state.ts";

interface CentreData {
  readonly epochs: Map<string, LineageEntry>;
  readonly generations: Map<string, number>;
  /** By `epoch stream`. */
  readonly positions: Map<string, number>;
  /** Texts applied, by `epoch stream`, in order. */
  readonly ledger: Map<string, { sequence: number; text: string }[]>;
}

export interface ModelCentre {
  hello(nonce: string, body: Body<"hello">): DownMessage[];
  batch(batch: BatchToSend, nowMs: number): DownMessage[];
  /** Goes back to how it was at the last snapshot. */
  restore(): void;
  snapshot(): void;
  ledgerOf(epoch: string, stream: Stream): readonly { sequence: number; text: string }[];
  /** Texts it refuses, always. */
  readonly poison: Set<string>;
}

const wantEveryMs = 5000;

function copy(data: CentreData): CentreData {
  return {
    epochs: new Map(data.epochs),
    generations: new Map(data.generations),
    positions: new Map(data.positions),
    ledger: new Map([...data.ledger].map(([name, list]) => [name, [...list]])),
  };
}

export function openModelCentre(): ModelCentre {
  let data: CentreData = {
    epochs: new Map(),
    generations: new Map(),
    positions: new Map(),
    ledger: new Map(),
  };
  let saved = copy(data);
  let wanted = new Map<string, number>();
  const poison = new Set<string>();
  const centre = "centre-1";
  const serverTime = 0;

  const positionOf = (epoch: string, stream: Stream) =>
    data.positions.get(`${epoch} ${stream}`) ?? data.epochs.get(epoch)?.cuts[stream] ?? 0;

  function gate(epoch: string, stream: Stream): { epoch: string; stands: number } | undefined {
    const entry = data.epochs.get(epoch);
    if (entry?.parent == null || !data.epochs.has(entry.parent)) return undefined;
    const above = gate(entry.parent, stream);
    if (above !== undefined) return above;
    const stands = positionOf(entry.parent, stream);
    return stands < (entry.cuts[stream] ?? 0) ? { epoch: entry.parent, stands } : undefined;
  }

  function want(
    nonce: string,
    at: { epoch: string; stream: Stream },
    nowMs: number,
  ): DownMessage[] {
    const { epoch, stream } = at;
    if (nowMs - (wanted.get(stream) ?? -wantEveryMs) < wantEveryMs) return [];
    wanted.set(stream, nowMs);
    const sequence = positionOf(epoch, stream);
    return [{ type: "want", nonce, body: { centre, epoch, stream, sequence, serverTime } }];
  }

  return {
    poison,
    snapshot() {
      saved = copy(data);
    },
    restore() {
      data = copy(saved);
      wanted = new Map();
    },
    ledgerOf: (epoch, stream) => data.ledger.get(`${epoch} ${stream}`) ?? [],
    hello(nonce, body) {
      let highest = Math.max(body.generation, ...data.generations.values(), 0);
      for (const entry of body.lineage) {
        data.epochs.set(entry.epoch, entry);
        if (data.generations.has(entry.epoch)) continue;
        highest += 1;
        data.generations.set(entry.epoch, highest);
      }
      const positions: Body<"welcome">["positions"] = {};
      const generations: Record<string, number> = {};
      for (const { epoch } of body.lineage) {
        generations[epoch] = data.generations.get(epoch) ?? 0;
        positions[epoch] = { state: positionOf(epoch, "state"), event: positionOf(epoch, "event") };
      }
      return [{ type: "welcome", nonce, body: { centre, generations, positions, serverTime } }];
    },
    batch(batch, nowMs) {
      const { nonce, epoch, stream, first, last, records } = batch;
      if (!data.epochs.has(epoch)) return [];
      const missing = gate(epoch, stream);
      if (missing !== undefined) return want(nonce, { epoch: missing.epoch, stream }, nowMs);
      const stands = positionOf(epoch, stream);
      if (first > stands + 1) return want(nonce, { epoch, stream }, nowMs);
      const at = { centre, epoch, stream, serverTime };
      const bad = records.some((record) => record.kind === "line" && poison.has(record.text));
      if (bad && last > stands) {
        return [{ type: "refuse", nonce, body: { ...at, first, last, code: "BATCH_MALFORMED" } }];
      }
      const list = data.ledger.get(`${epoch} ${stream}`) ?? [];
      for (const record of records) {
        if (record.sequence <= stands) continue;
        const text = record.kind === "line" ? record.text : "covered";
        list.push({ sequence: record.sequence, text });
      }
      data.ledger.set(`${epoch} ${stream}`, list);
      const sequence = Math.max(stands, last);
      data.positions.set(`${epoch} ${stream}`, sequence);
      return [{ type: "ack", nonce, body: { ...at, sequence } }];
    },
  };
}
