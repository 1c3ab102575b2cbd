// Opens stores whose files were garbled, one for each message, and tells in what they differ from
// the ledger. It may be ended by what it opens. It must not know where the bits are.
import { closeSync, cpSync, openSync, readFileSync, readSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { verdictOf } from "../../src/journal/inspection.ts";
import { answerInspection } from "../../src/journal/inspector.ts";
import { type Inspection, openGuarded, openJournal } from "../../src/journal/journal.ts";
import { startState } from "../../src/state/state.ts";
import { systemClock as clock } from "../../src/util/clock.ts";
import { asPlantError } from "../../src/util/errors.ts";
import { systemRandom as random } from "../../src/util/random.ts";
import { endlessRoom } from "../../src/worker/worker.ts";
import { bootId, silentLog as log, storeConfig } from "../fakes/store.ts";
import { differences, type Ledger } from "../fakes/store-ledger.ts";

/** One garbled store. */
export interface Flip {
  readonly id: number;
  /** Folder that is copied, and the folder of the copy. */
  readonly from: string;
  readonly to: string;
  readonly at: number;
  readonly bit: number;
  /** Whether other processes look at it, as in the real store. */
  readonly isReal: boolean;
  /** The copy was made and garbled before. */
  readonly isLaid?: boolean;
}

/** What became of it. */
export interface FlipResult {
  readonly id: number;
  readonly restored: string;
  readonly wrong: readonly string[];
}

const ledger = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8")) as Ledger;

async function inspectHere(asked: Inspection) {
  const answer = await answerInspection(asked);
  return { verdict: verdictOf(answer), answer, tookMs: 0 };
}

/** Copies a store and turns one bit of it. */
function lay({ from, to, at, bit }: Flip): void {
  cpSync(from, to, { recursive: true });
  const handle = openSync(join(to, "data.mdb"), "r+");
  const byte = Buffer.alloc(1);
  readSync(handle, byte, 0, 1, at);
  byte[0] = (byte[0] ?? 0) ^ (1 << bit);
  writeSync(handle, byte, 0, 1, at);
  closeSync(handle);
}

async function tryFlip(flip: Flip): Promise<FlipResult> {
  const { to, isReal, id } = flip;
  if (flip.isLaid !== true) lay(flip);
  const { checkMs, quarantinesMax, mapMiB } = storeConfig;
  const roomBytes = mapMiB * 1_048_576;
  const deps = isReal ? { clock, log } : { clock, log, inspect: inspectHere };
  const options = { folder: to, roomBytes, checkMs, quarantinesMax };
  const { store, guard } = await openGuarded(deps, options, async () => {
    const place = { ...storeConfig, folder: to, roomBytes };
    const journal = await openJournal({ clock, random, log }, place);
    try {
      const state = await startState({ clock, random, log, journal, boot: bootId }, storeConfig);
      return { journal, state };
    } catch (error) {
      await journal[Symbol.asyncDispose]();
      throw error;
    }
  });
  const { state, journal } = store;
  await state.attach(guard);
  const call = async (operation: string, args?: unknown) => {
    const signal = new AbortController().signal;
    const request = { operation, args, body: [], trace: "", signal, remainingMs: () => 5000 };
    const data = await state.operations[operation]?.({
      ...request,
      partial: async () => {},
      room: endlessRoom,
    });
    return JSON.parse(typeof data === "string" ? data : JSON.stringify(data));
  };
  const [said] = (await call("losses")).losses.slice(-1);
  const wrong = await differences({ journal, state, call }, ledger, said);
  if (journal.lineage.slice(0, -1).some(({ epoch }) => epoch === journal.epoch)) {
    wrong.push("an epoch is there twice");
  }
  if (journal.epoch === ledger.epoch) wrong.push("numbers of an epoch are given again");
  const points = [{ scope: "after", key: "k", value: id }];
  await call("set-many", { source: "after", run: "r", number: 1, flush: "now", points });
  if ((await call("get", { scope: "after", key: "k" })).value !== id)
    wrong.push("it takes nothing");
  await state[Symbol.asyncDispose]();
  await journal[Symbol.asyncDispose]();
  rmSync(to, { recursive: true, force: true });
  return { id, restored: said?.restored ?? "untouched", wrong };
}

process.on("message", (flip: Flip) => {
  void tryFlip(flip).then(
    (result) => process.send?.(result),
    (thrown: unknown) => {
      const { code, message } = asPlantError(thrown);
      process.send?.({ id: flip.id, restored: "failed", wrong: [`${code}: ${message}`] });
    },
  );
});
process.on("disconnect", () => process.exit(0));
process.send?.({ id: -1 });
