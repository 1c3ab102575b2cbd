// What the logger needs of the store it lives beside: the stream `log` to look back into, and a place
// for levels over a restart. It must not know what a line says.

import type { Journal } from "../journal/journal.ts";
import type { KeptLines, LevelMemory } from "../logger/logger.ts";
import { hasCode } from "../util/errors.ts";
import { inspect, v } from "../util/shape.ts";
import { endlessRoom, JsonText, type Operation } from "../worker/worker.ts";

/** Bytes read of the stream at once. */
const bytesMax = 4_194_304;
/** Where levels lie: as points, one for each part. */
const scope = "org.plantd.Logger";
const prefix = "level/";

/** The stream `log` of a journal. */
export function keptLines(journal: Pick<Journal, "head" | "read">): KeptLines {
  const stream = "log";
  return {
    head: () => journal.head(stream),
    first() {
      try {
        journal.read({ stream, after: 0, limit: 1, bytesMax: 1 });
        return 1;
      } catch (error) {
        if (!hasCode(error, "SEQUENCE_GONE")) throw error;
        return Number(error.detail.first);
      }
    },
    read(after, limit) {
      const lines: { sequence: number; text: string }[] = [];
      for (let last = after; last < after + limit; ) {
        const page = journal.read({ stream, after: last, limit: after + limit - last, bytesMax });
        if (page.records.length === 0) break;
        for (const { sequence, kind, text } of page.records) {
          if (kind === "line" && typeof text === "string") lines.push({ sequence, text });
        }
        last = page.last;
      }
      return lines;
    },
  };
}

const pageShape = v.object({
  points: v.array(v.object({ key: v.string(), value: v.unknown() })),
});

/** Levels as points of the store, by its own operations: audited and bounded as all others. */
export function levelMemory(operations: Readonly<Record<string, Operation>>): LevelMemory {
  const ask = (operation: string, args: unknown) =>
    operations[operation]?.({
      operation,
      args,
      body: [],
      trace: "0".repeat(32),
      signal: new AbortController().signal,
      remainingMs: () => Number.POSITIVE_INFINITY,
      partial: async () => {},
      room: endlessRoom,
    });
  return {
    async load() {
      const page = await ask("list", { scope, prefix });
      const found = inspect(pageShape, page instanceof JsonText ? page.toJSON() : page);
      const points = found.ok ? found.value.points : [];
      return Object.fromEntries(points.map(({ key, value }) => [key.slice(prefix.length), value]));
    },
    async keep(part, level) {
      const key = `${prefix}${part}`;
      if (level === undefined) {
        await forget(() => ask("delete", { service: scope, key }));
        return;
      }
      const points = [{ scope, key, value: level }];
      const run = crypto.randomUUID();
      await ask("set-many", { source: scope, run, number: 1, flush: "now", points });
    },
  };
}

/** What is not there need not be forgotten. */
async function forget(remove: () => unknown): Promise<void> {
  try {
    await remove();
  } catch (error) {
    if (!hasCode(error, "STATE_NOT_FOUND", "SCOPE_NOT_FOUND")) throw error;
  }
}
