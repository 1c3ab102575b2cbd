// A process that has a store's file open and holds places for readers, as a stray tool would:
// folder and number of places in, one message out. It must not know what is stored.
import { open } from "lmdb";

const [folder = "", count = "0"] = process.argv.slice(2);
const root = open({ path: folder, noSubdir: false, overlappingSync: false, maxDbs: 32 });
const stray = root.openDB({ name: "stray", encoding: "binary" });
const held: unknown[] = [];
for (let at = 0; at < Number(count); at += 1) {
  // Only after another commit a reader takes a place of its own.
  stray.putSync("k", Buffer.from(`${at}`));
  root.resetReadTxn();
  stray.get("k");
  held.push(root.useReadTransaction());
}
const { numReaders } = root.getStats() as { numReaders: number };
process.send?.(held.length > 0 ? numReaders : 0);
process.on("disconnect", () => process.exit(0));
