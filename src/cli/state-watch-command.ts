// `plant state watch`: points of the store as they change, and as they go.
// It must not know devices.
import type { Invocation } from "./command.ts";
import { optionalWhole } from "./numbers.ts";
import { watchPoints } from "./point-watch.ts";
import { printChange } from "./values-command.ts";

/** Prints until it is interrupted or `--for` is over. */
export function runWatch(invocation: Invocation): Promise<number> {
  const { args, options, out } = invocation;
  const [scope] = args;
  const { prefix } = options;
  const after = optionalWhole(options, "after", Number.MAX_SAFE_INTEGER);
  const watched = {
    ...(scope === undefined ? {} : { scope }),
    ...(typeof prefix === "string" ? { prefix } : {}),
    ...(after === undefined ? {} : { after }),
  };
  return watchPoints(
    invocation,
    watched,
    (point) => printChange(point, out),
    (deletion) => {
      const { scope: from, key, revision } = deletion;
      out.item({ schema: "plant.deletion/1", scope: from, key, revision }, () =>
        out.paint("dim", `${from}/${key}  deleted`),
      );
    },
  );
}
