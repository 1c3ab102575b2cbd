// A store as a process of its own, asked over the channel to its parent: `[id, operation, args]`
// in, `[id, error code or null, data]` out. It must not know what it is killed for.
import { openJournal } from "../../src/journal/journal.ts";
import { type StateConfig, startState } from "../../src/state/state.ts";
import { systemClock as clock, readBootId } from "../../src/util/clock.ts";
import { asPlantError } from "../../src/util/errors.ts";
import { openLog } from "../../src/util/log.ts";
import { systemRandom as random } from "../../src/util/random.ts";
import { endlessRoom } from "../../src/worker/worker.ts";

const [folder = "", settings = "{}"] = process.argv.slice(2);
const config = JSON.parse(settings) as StateConfig;
const log = openLog({ service: "store", level: "error" });
const journal = await openJournal(
  { clock, random, log },
  { ...config, folder, roomBytes: config.mapMiB * 1_048_576 },
);
const state = await startState({ clock, log, random, boot: readBootId(), journal }, config);

process.on("message", (message) => {
  const [id, operation, args] = message as [number, string, unknown];
  const run = state.operations[operation];
  const signal = new AbortController().signal;
  const request = { operation, args, body: [], trace: "", signal, remainingMs: () => 5000 };
  void Promise.resolve()
    .then(() => run?.({ ...request, partial: async () => {}, room: endlessRoom }))
    .then(
      (data) => process.send?.([id, null, data]),
      (error: unknown) => process.send?.([id, asPlantError(error).code, null]),
    );
});
process.on("disconnect", () => process.exit(0));
process.send?.([0, null, { epoch: journal.epoch }]);
