// The words after `plantd` as one command, or what is wrong with them. Pure.
// It must not know how a command is carried out.
import { parseArgs } from "node:util";
import { PlantError } from "../util/errors.ts";

/** Parts of a gateway in the order they start; drivers come one per line. */
export const gatewayParts = ["broker", "store", "sync", "http"] as const;
/** Parts that run only when they are named. */
const otherParts = ["echo", "metric", "central"] as const;

/** One part to run. */
export type PartName =
  | (typeof gatewayParts)[number]
  | (typeof otherParts)[number]
  | `driver:${string}`;

/** Where settings come from, as said on the command line. */
export interface Sources {
  readonly dataDir?: string;
  /** A configuration file that must exist. */
  readonly file?: string;
  /** Settings by dotted name, as texts. */
  readonly flags: Readonly<Record<string, string>>;
}

/** What `plantd` was told to do. */
export type Command =
  | { readonly kind: "help" }
  | { readonly kind: "version" }
  /** No part means the whole gateway. */
  | { readonly kind: "run"; readonly parts: readonly PartName[]; readonly sources: Sources }
  | { readonly kind: "central-add"; readonly device: string; readonly sources: Sources }
  | { readonly kind: "mosquitto-config"; readonly folder: string; readonly sources: Sources }
  /** The lines of the configuration, seen from their other ends. */
  | { readonly kind: "simulate"; readonly isPaced: boolean; readonly sources: Sources };

/** The help of `plantd`, also printed into the reference. */
export const usage = `plantd runs the parts of a gateway, and those of a centre.

Usage
  plantd run [PART…]                       the whole gateway in one process, or the named parts
  plantd central add DEVICE                a one-time code for a new gateway, on standard output
  plantd central mosquitto-config FOLDER   configuration, certificates and rights for mosquitto
  plantd simulate [--paced]                the devices of a configuration's lines, seen from their
                                           other end; takes commands on standard input, such as
                                           fault line=rs485-1 kind=late ms=800, and heal
  plantd version | help

Parts
  broker          routes every request between the parts
  store           keeps the values, events and log lines
  sync            brings what is kept to the centre
  http            status page, REST, health, metrics
  driver:LINE     polls and writes the devices of one configured line
  echo, metric    small example services
  central         the centre: enrolment, ingest, page of all gateways

Flags
  --data-dir FOLDER     where everything is kept (PLANTD_DATA_DIR; ./.plantd)
  --config FILE         the configuration (PLANTD_CONFIG; plantd.yaml in the data folder)
  --set NAME=VALUE      one setting, e.g. --set http.port=0; may be repeated; above file and
                        environment
  --paced               simulate: a serial line takes the time its speed asks for
  -h, --help            this text

Exit codes
  0 ended as asked · 1 a part failed · 2 usage · 9 configuration invalid · 70 a defect of plantd
`;

const options = {
  "data-dir": { type: "string" },
  config: { type: "string" },
  set: { type: "string", multiple: true },
  paced: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

/**
 * Reads the command.
 * @throws PlantError USAGE; `detail.message` says which word is wrong.
 */
export function parseCommand(words: readonly string[]): Command {
  const { values, positionals } = parseWords(words);
  const [verb, ...rest] = positionals;
  if (values.help === true || verb === undefined || verb === "help") return { kind: "help" };
  const sources: Sources = {
    ...(values["data-dir"] === undefined ? {} : { dataDir: values["data-dir"] }),
    ...(values.config === undefined ? {} : { file: values.config }),
    flags: parseSettings(values.set ?? []),
  };
  if (values.paced === true && verb !== "simulate") throw wrong("--paced is for simulate");
  if (verb === "version" || verb === "simulate") noMore(rest);
  if (verb === "version") return { kind: "version" };
  if (verb === "simulate") return { kind: "simulate", isPaced: values.paced === true, sources };
  if (verb === "run") return { kind: "run", parts: rest.map(parsePart), sources };
  if (verb === "central") return parseCentral(rest, sources);
  throw wrong(`unknown command ${verb}`);
}

function parseWords(words: readonly string[]) {
  try {
    return parseArgs({ args: [...words], options, allowPositionals: true, strict: true });
  } catch (error) {
    if (error instanceof TypeError) throw wrong(error.message.split(". ")[0] ?? error.message);
    throw error;
  }
}

function parseCentral(rest: readonly string[], sources: Sources): Command {
  const [verb, word, ...more] = rest;
  noMore(more);
  if (verb === "add" && word !== undefined) return { kind: "central-add", device: word, sources };
  if (verb === "mosquitto-config" && word !== undefined) {
    return { kind: "mosquitto-config", folder: word, sources };
  }
  throw wrong("central wants `add DEVICE` or `mosquitto-config FOLDER`");
}

function noMore(words: readonly string[]): void {
  if (words.length > 0) throw wrong(`one word too many: ${words[0]}`);
}

function parsePart(word: string): PartName {
  const known = [...gatewayParts, ...otherParts].find((name) => name === word);
  if (known !== undefined) return known;
  if (/^driver:[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/.test(word)) return word as `driver:${string}`;
  throw wrong(
    `unknown part ${word}: one of ${[...gatewayParts, ...otherParts].join(", ")}, driver:LINE`,
  );
}

function parseSettings(texts: readonly string[]): Record<string, string> {
  const flags: Record<string, string> = {};
  for (const text of texts) {
    const at = text.indexOf("=");
    if (at < 1) throw wrong(`--set wants NAME=VALUE, not ${text}`);
    flags[text.slice(0, at)] = text.slice(at + 1);
  }
  return flags;
}

function wrong(message: string): PlantError {
  return new PlantError("USAGE", { message });
}
