// Virtual time: what happens when, in order. It must not know what happens.

export interface Agenda {
  readonly nowMs: number;
  /** Does something after a while; returns what calls it off. */
  after(ms: number, act: () => void): () => void;
  /** Lets time pass up to a moment. */
  runUntil(ms: number): void;
}

interface Item {
  readonly atMs: number;
  readonly order: number;
  act: (() => void) | undefined;
}

export function openAgenda(): Agenda {
  const items: Item[] = [];
  let nowMs = 0;
  let order = 0;
  return {
    get nowMs() {
      return nowMs;
    },
    after(ms, act) {
      order += 1;
      const item: Item = { atMs: nowMs + Math.max(0, ms), order, act };
      let low = 0;
      let high = items.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        const other = items[middle]!;
        if (other.atMs < item.atMs || (other.atMs === item.atMs && other.order < order)) {
          low = middle + 1;
        } else high = middle;
      }
      items.splice(low, 0, item);
      return () => {
        item.act = undefined;
      };
    },
    runUntil(ms) {
      for (let next = items[0]; next !== undefined && next.atMs <= ms; next = items[0]) {
        items.shift();
        nowMs = Math.max(nowMs, next.atMs);
        next.act?.();
      }
      nowMs = Math.max(nowMs, ms);
    },
  };
}
