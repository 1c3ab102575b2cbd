// The operations on consumers: who holds records until it has acknowledged them.
// It must not know what consumers do with records.
import { type ConsumerMarks, type Stream, streams } from "../journal/journal.ts";
import { PlantError } from "../util/errors.ts";
import { check, v } from "../util/shape.ts";
import type { Operation } from "../worker/worker.ts";
import { auditRecords, type Deed } from "./audit.ts";
import type { StateCore } from "./core.ts";
import { wellFormed } from "./requests.ts";

const consumer = v.pipe(v.string(), v.minLength(1), v.maxLength(255), wellFormed);
const by = v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(128)), "unknown");
const shapes = {
  add: v.object({
    consumer,
    streams: v.optional(v.pipe(v.array(v.picklist(streams)), v.minLength(1)), [...streams]),
    by,
  }),
  remove: v.object({ consumer, by }),
  nothing: v.optional(v.record(v.string(), v.unknown()), {}),
};

/** A consumer as it is told. */
export interface Consumer {
  readonly consumer: string;
  readonly far: boolean;
  readonly streams: Readonly<Partial<Record<Stream, Place>>>;
}

/** Where a consumer stands in a stream it holds. */
interface Place {
  readonly watermark: number;
  readonly waiting: number;
}

/** All consumers, and how many records wait for each. */
export function listConsumers(core: StateCore): Consumer[] {
  return core.deps.journal.consumers().map((marks) => told(core, marks));
}

/** Operations on consumers. */
export function consumerOperations(core: StateCore): Record<string, Operation> {
  return {
    "consumer-add": async ({ args }) => {
      const { consumer: name, streams: held, by: who } = check(shapes.add, args);
      core.refuseWhileRestoring();
      const deed = { action: "consumer-add", target: name, after: held };
      await core.deps.journal.addConsumer(name, held, () => audit(core, who, deed));
      return found(core, name);
    },
    "consumer-list": ({ args }) => {
      check(shapes.nothing, args);
      core.refuseWhileRestoring();
      return { consumers: listConsumers(core) };
    },
    "consumer-remove": async ({ args }) => {
      const { consumer: name, by: who } = check(shapes.remove, args);
      core.refuseWhileRestoring();
      const { journal } = core.deps;
      const isKnown = await journal.removeConsumer(name, async () => {
        const before = journal.consumers().find((each) => each.consumer === name)?.streams;
        await audit(core, who, { action: "consumer-remove", target: name, before });
      });
      if (!isKnown) throw new PlantError("CONSUMER_UNKNOWN", { consumer: name });
      return { removed: true };
    },
  };
}

/** Tells of a deed before it is done: one that cannot be told of is not done. */
async function audit(core: StateCore, who: string, deed: Deed): Promise<void> {
  const records = auditRecords(who, [deed], { time: core.now(), source: "state" });
  await core.append("event", records, { flush: "now" });
}

function found(core: StateCore, name: string): unknown {
  const marks = core.deps.journal.consumers().find((each) => each.consumer === name);
  return marks === undefined ? undefined : told(core, marks);
}

/** Where it stands in each stream it holds, and how many records wait for it. */
function told(core: StateCore, { consumer: name, isFar, streams: marks }: ConsumerMarks): Consumer {
  const { journal } = core.deps;
  const held = Object.entries(marks) as [Stream, number][];
  const places = held.map(([stream, watermark]) => {
    const waiting = Math.max(0, journal.head(stream) - watermark);
    return [stream, { watermark, waiting }];
  });
  return { consumer: name, far: isFar, streams: Object.fromEntries(places) };
}
