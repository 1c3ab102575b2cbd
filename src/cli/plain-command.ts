// The small commands that need no gateway: version, explain. It must not know any part.
import { explain } from "../status/status.ts";
import { catalogue } from "../util/catalogue.ts";
import { PlantError } from "../util/errors.ts";
import { nearestWord } from "../util/nearest.ts";
import type { Invocation } from "./command.ts";
import { columns } from "./output.ts";

/** Versions of plant and its runtime. */
export async function runVersion({ io, out }: Invocation): Promise<number> {
  const { version } = io;
  const node = process.versions.node;
  const machine = `${process.platform}-${process.arch}`;
  const document = { schema: "plant.version/1", version, node, machine };
  out.result(document, () => `plantd-edge ${version}  node ${node}  ${machine}`);
  return 0;
}

/** What a code means; all codes when none is named. Works without a gateway. */
export async function runExplain({ out, args }: Invocation): Promise<number> {
  const code = args[0]?.toUpperCase();
  if (code === undefined) {
    const codes = Object.entries(catalogue).map(([name, { sentence }]) => ({ name, sentence }));
    out.result({ schema: "plant.codes/1", codes }, () =>
      columns(
        ["CODE", "MEANS"],
        codes.map(({ name, sentence }) => [name, sentence]),
      ).join("\n"),
    );
    return 0;
  }
  const entry = explain(code);
  if (entry === undefined) {
    const meant = nearestWord(code, Object.keys(catalogue));
    const next = meant === undefined ? {} : { next: `plant explain ${meant}` };
    throw new PlantError("CODE_UNKNOWN", { unknownCode: code.slice(0, 60), ...next });
  }
  const { sentence, causes, next, exit, retry } = entry;
  out.result({ schema: "plant.code/1", code, ...entry }, () =>
    [
      out.paint("bold", code),
      `  means   ${sentence.replace(/\{(\w+)\}/g, (_, name: string) => name.toUpperCase())}`,
      ...causes.map((cause, at) => `  ${at === 0 ? "likely" : "      "}  ${at + 1}. ${cause}`),
      `  next    ${next}`,
      `  exit    ${exit}${retry ? ", worth another try" : ""}`,
    ].join("\n"),
  );
  return 0;
}
