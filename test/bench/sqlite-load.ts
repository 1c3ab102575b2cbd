// A load generator for the store bench on better-sqlite3: each value a row of a log and a row of its
// own, the write-ahead log flushed at each commit. It must not know our store.
import { createRequire } from "node:module";
import { join } from "node:path";

interface Statement {
  run(...values: readonly unknown[]): unknown;
  get(...values: readonly unknown[]): unknown;
}

interface Database {
  exec(text: string): unknown;
  prepare(text: string): Statement;
  transaction(run: () => void): () => void;
}

const [folder = "", path = "", msText = "1000"] = process.argv.slice(2);
const Sqlite = createRequire(join(folder, "package.json"))("better-sqlite3") as new (
  path: string,
) => Database;
const database = new Sqlite(path);
database.exec(`
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  CREATE TABLE log (sequence INTEGER PRIMARY KEY, body TEXT);
  CREATE TABLE point (scope TEXT, key TEXT, body TEXT, PRIMARY KEY (scope, key)) WITHOUT ROWID;
`);
const append = database.prepare("INSERT INTO log (body) VALUES (?)");
const put = database.prepare("INSERT OR REPLACE INTO point VALUES (?, ?, ?)");
const get = database.prepare("SELECT body FROM point WHERE scope = ? AND key = ?");
let number = 0;

const commit = database.transaction(() => {
  number += 1;
  for (let at = 0; at < 1000; at += 1) {
    const body = JSON.stringify({ value: number + at / 10, quality: "good", time: number });
    append.run(body);
    put.run("device/meter", `register-${at % 100}`, body);
  }
});

function read(): void {
  for (let at = 0; at < 1000; at += 1) {
    const row = get.get("device/meter", `register-${at % 100}`) as { body: string };
    JSON.parse(row.body);
  }
}

/** How often per second `run` does its thousand. */
function rate(run: () => void): number {
  const from = performance.now();
  let done = 0;
  for (; performance.now() - from < Number(msText); done += 1000) run();
  return (1000 * done) / (performance.now() - from);
}

const result = { sets: rate(commit), gets: rate(read) };
// Its destructors end a process of this Node by an assertion: it goes before they run.
process.stdout.write(JSON.stringify(result), () => process.kill(process.pid, "SIGKILL"));
