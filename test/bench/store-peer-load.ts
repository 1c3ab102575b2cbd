// The peers of the store bench that are libraries: better-sqlite3 and classic-level, each value a
// row of a log and a row of its own, flushed at each commit. It must not know our store.
// Usage: sqlite|level FOLDER-OF-PACKAGE PATH MS
import { createRequire } from "node:module";
import { join } from "node:path";

interface Statement {
  run(...values: readonly unknown[]): unknown;
  get(...values: readonly unknown[]): unknown;
}

interface Sqlite {
  exec(text: string): unknown;
  prepare(text: string): Statement;
  transaction(run: () => void): () => void;
}

interface Level {
  open(): Promise<void>;
  batch(operations: readonly object[], options: { readonly sync: boolean }): Promise<void>;
  get(key: string): Promise<string>;
}

/** What a thousand of each costs. */
interface Peer {
  /** A thousand values of a hundred points, in one durable commit. */
  commit(): Promise<void> | void;
  /** One value, durable. */
  single(): Promise<void> | void;
  read(): Promise<void> | void;
}

const [kind = "", folder = "", path = "", msText = "1000"] = process.argv.slice(2);
const load = createRequire(join(folder, "package.json"));
const perCommit = 1000;
let number = 0;

/** The text that both rows carry. */
function bodyOf(at: number): string {
  return JSON.stringify({ value: number + at / 10, quality: "good", time: number });
}

function openSqlite(): Peer {
  const Database = load("better-sqlite3") as new (path: string) => Sqlite;
  const database = new Database(path);
  database.exec(`
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE log (sequence INTEGER PRIMARY KEY, body TEXT);
    CREATE TABLE point (scope TEXT, key TEXT, body TEXT, PRIMARY KEY (scope, key)) WITHOUT ROWID;
  `);
  const append = database.prepare("INSERT INTO log (body) VALUES (?)");
  const put = database.prepare("INSERT OR REPLACE INTO point VALUES (?, ?, ?)");
  const get = database.prepare("SELECT body FROM point WHERE scope = ? AND key = ?");
  const write = (count: number) => {
    number += 1;
    for (let at = 0; at < count; at += 1) {
      const body = bodyOf(at);
      append.run(body);
      put.run("device/meter", `register-${at % 100}`, body);
    }
  };
  return {
    commit: database.transaction(() => write(perCommit)),
    single: database.transaction(() => write(1)),
    read() {
      for (let at = 0; at < perCommit; at += 1) {
        const row = get.get("device/meter", `register-${at % 100}`) as { body: string };
        JSON.parse(row.body);
      }
    },
  };
}

async function openLevel(): Promise<Peer> {
  const { ClassicLevel } = load("classic-level") as { ClassicLevel: new (path: string) => Level };
  const database = new ClassicLevel(path);
  await database.open();
  let sequence = 0;
  const write = (count: number) => {
    number += 1;
    const operations: object[] = [];
    for (let at = 0; at < count; at += 1) {
      const value = bodyOf(at);
      sequence += 1;
      const logKey = `log ${String(sequence).padStart(12, "0")}`;
      operations.push({ type: "put", key: logKey, value });
      operations.push({ type: "put", key: `device/meter register-${at % 100}`, value });
    }
    return database.batch(operations, { sync: true });
  };
  return {
    commit: () => write(perCommit),
    single: () => write(1),
    async read() {
      for (let at = 0; at < perCommit; at += 1) {
        JSON.parse(await database.get(`device/meter register-${at % 100}`));
      }
    },
  };
}

/** How many per second, when one run of `run` does `each`. */
async function rate(run: () => Promise<void> | void, each: number): Promise<number> {
  const from = performance.now();
  let done = 0;
  for (; performance.now() - from < Number(msText); done += each) await run();
  return (1000 * done) / (performance.now() - from);
}

const peer = kind === "level" ? await openLevel() : openSqlite();
const result = {
  sets: await rate(peer.commit, perCommit),
  singleMs: 1000 / (await rate(peer.single, 1)),
  gets: await rate(peer.read, perCommit),
};
// Destructors of these packages end a process of this Node by an assertion: it goes before.
process.stdout.write(JSON.stringify(result), () => process.kill(process.pid, "SIGKILL"));
