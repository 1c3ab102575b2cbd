// Looking back and following: pages into the stream, no line twice, none missing. No real time.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { KeptLines } from "../../../src/logger/logger.ts";
import { isoTime } from "../../../src/util/clock.ts";
import { seededRandom } from "../../../src/util/random.ts";
import { lineOf, messagesOf, openLogger } from "./bench.ts";

/** A stream `log` in memory; the oldest may go. */
function streamOf(count = 0) {
  const rows = Array.from({ length: count }, (_, at) => ({
    sequence: at + 1,
    text: JSON.stringify({
      timestamp: isoTime(1_600_000_000_000 + at * 1000),
      level: at % 10 === 0 ? "error" : "warn",
      service: "old",
      message: `old-${at + 1}`,
    }),
  }));
  const stream = { rows, first: 1, reads: 0 };
  const kept: KeptLines = {
    head: () => stream.rows.length,
    first: () => stream.first,
    read: (after, limit) => {
      stream.reads += 1;
      assert.ok(after >= stream.first - 1 && limit >= 0 && limit <= 1000);
      return stream.rows.slice(after, after + limit);
    },
  };
  const appendLines = async (lines: readonly string[]) => {
    const first = rows.length + 1;
    for (const text of lines) rows.push({ sequence: rows.length + 1, text });
    return { first };
  };
  return { stream, kept, appendLines };
}

type Opened = Awaited<ReturnType<typeof openLogger>>;

/** All that matches, page by page, oldest first. */
async function lookBack({ ask }: Pick<Opened, "ask">, args: object): Promise<string[]> {
  const pages: string[][] = [];
  let before: string | undefined;
  do {
    const page = await ask("tail", { ...args, ...(before === undefined ? {} : { before }) });
    pages.unshift(messagesOf(page));
    before = page.next;
  } while (before !== undefined && pages.length < 1000);
  return pages.flat();
}

const settings = { linesPerSecondMax: 100_000, repeatMs: 0 };

test("a look back goes on in the stream where the ring ends, no line twice, none missing", async () => {
  const { kept, appendLines } = streamOf(2500);
  const opened = await openLogger({ kept, appendLines, config: settings });
  const fresh: string[] = [];
  for (let at = 0; at < 7; at += 1) {
    const lines = Array.from({ length: 10 }, (_, of) => {
      const message = `new-${at}-${of}`;
      const isKept = of % 3 === 0;
      if (isKept || at * 10 + of >= 50) fresh.push(message);
      return lineOf(message, isKept ? "error" : "info");
    });
    await opened.ask("append", { lines });
    await opened.clock.advance(10);
  }
  const old = Array.from({ length: 2500 }, (_, at) => `old-${at + 1}`);
  for (const limit of [7, 100, 5000]) {
    assert.deepEqual(await lookBack(opened, { since: 0, limit }), [...old, ...fresh]);
  }
});

test("without a time the look back ends with the ring, page by page", async () => {
  const { kept, appendLines } = streamOf(30);
  const opened = await openLogger({ kept, appendLines, config: settings });
  const lines = Array.from({ length: 10 }, (_, at) => lineOf(`${at}`));
  await opened.ask("append", { lines });
  assert.deepEqual((await lookBack(opened, { limit: 3 })).length, 10);
});

test("a look back finds by time and by filter in the stream, too, and ends where all is older", async () => {
  const { stream, kept, appendLines } = streamOf(5000);
  const opened = await openLogger({ kept, appendLines, config: settings });
  const since = 1_600_000_000_000 + 4900 * 1000;
  stream.reads = 0;
  assert.equal((await lookBack(opened, { since })).length, 100);
  assert.ok(stream.reads <= 2, `${stream.reads} reads`);
  const errors = await lookBack(opened, { since, level: "error" });
  assert.deepEqual(errors[0], "old-4901");
  assert.equal(errors.length, 10);
  const until = since + 5000;
  assert.equal((await lookBack(opened, { since, until })).length, 6);
  assert.deepEqual(await lookBack(opened, { since: 0, grep: "OLD-77" }), [
    ...["old-77", ...Array.from({ length: 10 }, (_, at) => `old-${770 + at}`)],
  ]);
  stream.first = 4990;
  assert.equal((await lookBack(opened, { since: 0 })).length, 11, "what is gone is not asked for");
});

test("a line whose time was wrong hides none that are older in the stream", async () => {
  const { stream, kept, appendLines } = streamOf(1500);
  const wrong = { timestamp: "1970-01-01T00:00:00.000Z", level: "warn", message: "wrong" };
  stream.rows[1400] = { sequence: 1401, text: JSON.stringify(wrong) };
  const opened = await openLogger({ kept, appendLines, config: settings });
  const found = await lookBack(opened, { since: 1_600_000_000_000 });
  assert.equal(found.length, 1499);
});

test("follow goes on from where tail ended, with no line missing or twice, under any turns", async () => {
  const seed = process.hrtime()[1];
  const random = seededRandom(seed);
  const chance = (of: number) => (random.bytes(1)[0] ?? 0) % of;
  for (let round = 0; round < 20; round += 1) {
    const { ask, clock } = await openLogger({ config: { ...settings, ringMax: 1000 } });
    const seen: string[] = [];
    let written = 0;
    const write = async () => {
      const lines = Array.from({ length: 1 + chance(10) }, () => {
        written += 1;
        return lineOf(`${written}`);
      });
      await ask("append", { lines });
    };
    for (let at = 0; at < chance(10); at += 1) await write();
    let { run, position, lines } = await ask("tail", { limit: 1000 });
    seen.push(...messagesOf({ lines }));
    for (let streams = 0; streams < 4; streams += 1) {
      const cut = new AbortController();
      const partial = async (data: unknown) => {
        const part = data as { lines: { message: string }[]; position: number };
        seen.push(...messagesOf(part));
        position = part.position;
        if (chance(3) === 0) cut.abort();
      };
      for (let at = 0; at < chance(4); at += 1) await write();
      const args = { after: position, run, lines: 1 + chance(5) };
      const following = ask("follow", args, { partial, signal: cut.signal });
      for (let at = 0; at < chance(4); at += 1) await write();
      await clock.advance(1);
      cut.abort();
      await following;
    }
    const rest = ask(
      "follow",
      { after: position, run },
      {
        partial: async (data) => {
          seen.push(...messagesOf(data as { lines: { message: string }[] }));
        },
      },
    );
    await clock.advance(30_000);
    assert.deepEqual(await rest, { run, position: written });
    const all = Array.from({ length: written }, (_, at) => `${at + 1}`);
    assert.deepEqual(seen, all, `seed ${seed}, round ${round}`);
  }
});

test("follow filters, and says how many lines passed too quickly", async () => {
  const { ask, clock } = await openLogger({ config: settings });
  const parts: unknown[] = [];
  const partial = async (data: unknown) => {
    parts.push(data);
  };
  for (let at = 0; at < 3; at += 1) {
    await ask("append", { lines: Array.from({ length: 10 }, (_, of) => lineOf(`${at}${of}`)) });
  }
  const { run } = await ask("tail", {});
  const following = ask("follow", { after: 0, run, grep: "29" }, { partial });
  await clock.advance(30_000);
  assert.deepEqual(await following, { run, position: 30 });
  assert.equal(parts.length, 1);
  const { lines, missed, position } = parts[0] as {
    lines: { message: string }[];
    missed: number;
    position: number;
  };
  assert.deepEqual(messagesOf({ lines }), ["29"]);
  assert.equal(missed, 10);
  assert.equal(position, 30);
});

test("a position of another run counts for nothing: all lines are new", async () => {
  const { ask, clock } = await openLogger();
  await ask("append", { lines: [lineOf("1"), lineOf("2")] });
  const told: string[] = [];
  const partial = async (data: unknown) => {
    told.push(...messagesOf(data as { lines: { message: string }[] }));
  };
  const following = ask("follow", { after: 2, run: "another" }, { partial });
  await clock.advance(30_000);
  await following;
  assert.deepEqual(told, ["1", "2"]);
});

test("follow tells lines as they come and ends with its position", async () => {
  const { ask, clock } = await openLogger();
  await ask("append", { lines: [lineOf("before")] });
  const parts: string[] = [];
  const partial = async (data: unknown) => {
    parts.push(...messagesOf(data as { lines: { message: string }[] }));
  };
  const following = ask("follow", { after: 0 }, { partial });
  await clock.advance(1);
  await ask("append", { lines: [lineOf("after")] });
  await clock.advance(30_000);
  assert.equal((await following).position, 2);
  assert.deepEqual(parts, ["before", "after"]);
});
