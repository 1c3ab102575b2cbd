// `plant config check`: every flaw of a configuration with its place. It must not know services.
import {
  type Config,
  type ConfigFlaw,
  describeFlaw,
  parseConfig,
  parseYaml,
} from "../config/config.ts";
import { errorDocument } from "../status/status.ts";
import { hasCode, PlantError } from "../util/errors.ts";
import { findPaths } from "../util/paths.ts";
import type { Invocation } from "./command.ts";

/** Exit 0 when it is valid, 9 when it is not. */
export async function runConfigCheck(invocation: Invocation): Promise<number> {
  const { io, out, args } = invocation;
  const file = args[0] ?? findPaths(io.env).config;
  const isDefault = args[0] === undefined && !io.exists(file);
  const text = isDefault ? "" : read(invocation, file);
  try {
    const config = parseConfig(text, { file, env: io.env });
    await checkProfiles(invocation, { file, text }, config);
    const lines = Object.keys(config.lines);
    const devices = Object.values(config.lines).flatMap((line) => Object.keys(line.devices ?? {}));
    const warnings = warningsOf(config);
    const document = { schema: "plant.config/1", file, valid: true, lines, devices, warnings };
    out.result(document, () => {
      const what = isDefault ? `there is no ${file}: all defaults` : `${file} is valid`;
      return `${what} · ${countOf(lines, "line")}, ${countOf(devices, "device")}`;
    });
    for (const warning of warnings) out.talk(`but ${warning}`);
    return 0;
  } catch (error) {
    if (!hasCode(error, "CONFIG_INVALID")) throw error;
    const found = (error.detail.flaws ?? []) as readonly ConfigFlaw[];
    const flaws = found;
    out.result(errorDocument(error), () => flaws.map(describeFlaw).join("\n"));
    const count = flaws.length === 1 ? "1 flaw" : `${flaws.length} flaws`;
    out.talk(`${file} has ${count}`);
    return error.exit;
  }
}

/** What is allowed and does not do what it says. */
function warningsOf({ access, broker }: Config): string[] {
  if (broker.endpoint === "" || access.mode === "open") return [];
  return [
    "broker.endpoint is not listened on while access.mode is closed: " +
      "write broker.network, with keys of plant broker key --new NAME",
  ];
}

function countOf(all: readonly unknown[], noun: string): string {
  return `${all.length} ${all.length === 1 ? noun : `${noun}s`}`;
}

/** A profile nobody has would end the driver at its start. @throws PlantError CONFIG_INVALID */
async function checkProfiles(
  { io }: Invocation,
  { file, text }: { readonly file: string; readonly text: string },
  { lines }: Config,
): Promise<void> {
  const yaml = parseYaml(text);
  const flaws: ConfigFlaw[] = [];
  for (const [line, { kind, devices = {} }] of Object.entries(lines)) {
    const names = await io.profileNames(kind);
    for (const [device, { profile }] of Object.entries(devices)) {
      if (names.includes(profile)) continue;
      const path = ["lines", line, "devices", device, "profile"];
      const message = `there is no profile ${profile} for ${kind}; there are ${names.join(", ")}`;
      flaws.push({ source: file, ...yaml.positionOf(path), setting: path.join("."), message });
    }
  }
  if (flaws.length > 0) throw new PlantError("CONFIG_INVALID", { count: flaws.length, flaws });
}

function read({ io }: Invocation, file: string): string {
  try {
    return io.readFile(file);
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new PlantError("CONFIG_UNREADABLE", { path: file, reason }, { cause: error });
  }
}
