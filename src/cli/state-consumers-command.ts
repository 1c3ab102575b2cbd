// `plant state consumers`: who holds records until they are acknowledged, and to let one go.
// It must not know what consumers do with records.
import { centreConsumer, describeCount } from "../status/status.ts";
import { PlantError } from "../util/errors.ts";
import { check, v } from "../util/shape.ts";
import type { Invocation } from "./command.ts";
import { columns } from "./output.ts";
import { ask, done, needConsent, whoOf } from "./state-command.ts";

const listShape = v.looseObject({
  consumers: v.array(
    v.looseObject({
      consumer: v.string(),
      streams: v.record(v.string(), v.looseObject({ watermark: v.number(), waiting: v.number() })),
    }),
  ),
});

/** Who holds records, whoever holds most told first. */
export async function runConsumers(invocation: Invocation): Promise<number> {
  const data = await ask(invocation, "consumer-list", {});
  const { consumers } = check(listShape, data, "REMOTE_SHAPE");
  invocation.out.result({ schema: "plant.consumers/1", consumers }, () => {
    if (consumers.length === 0) return "nobody holds records";
    const waiting = consumers.map(({ consumer, streams }) => ({
      consumer,
      count: Object.values(streams).reduce((sum, one) => sum + one.waiting, 0),
    }));
    const [most] = waiting.toSorted((a, b) => b.count - a.count);
    const behind =
      most === undefined || most.count === 0
        ? "nothing waits"
        : `${describeCount(most.count)} wait for ${most.consumer}`;
    const rows = consumers.flatMap(({ consumer, streams }) =>
      Object.entries(streams).map(([stream, { watermark, waiting: left }]) => [
        ...[consumer, stream, describeCount(watermark), describeCount(left)],
      ]),
    );
    const table = columns(["CONSUMER", "STREAM", "STANDS AT>", "WAITING>"], rows);
    return [`${consumers.length} hold records · ${behind}`, ...table].join("\n");
  });
  return 0;
}

/** Lets a consumer go, once confirmed. @throws PlantError NOT_ALLOWED for the centre's. */
export async function runRemoveConsumer(invocation: Invocation): Promise<number> {
  const [consumer = ""] = invocation.args;
  if (consumer === centreConsumer) {
    const what = "remove the consumer that brings records to the centre";
    throw new PlantError("NOT_ALLOWED", { principal: whoOf(invocation), what });
  }
  needConsent(invocation, `letting go of what waits for ${consumer}`);
  await ask(invocation, "consumer-remove", { consumer, by: whoOf(invocation) });
  return done(invocation, { consumer }, `nothing waits for ${consumer} any more`);
}
