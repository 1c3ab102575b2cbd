// The command line against the table of commands: which command, with what. The only importer of
// commander. It must not know what a command does.
import { Command, CommanderError, Option } from "commander";
import { PlantError } from "../util/errors.ts";
import type { CommandSpec } from "./command.ts";
import { parseDuration } from "./duration.ts";
import type { GlobalFlags } from "./surroundings.ts";
import { commands, globalOptions, groupWords, shortcuts } from "./table.ts";

/** What a command line asks for. */
export type Parsed =
  | { readonly kind: "help"; readonly text: string }
  | {
      readonly kind: "command";
      readonly spec: CommandSpec;
      readonly flags: GlobalFlags;
      readonly args: readonly (string | undefined)[];
      readonly options: Readonly<Record<string, unknown>>;
    };

const presetTimeoutMs = 5000;

/**
 * Reads a command line, without program and script.
 * @throws PlantError USAGE.
 */
export function parseArguments(argv: readonly string[]): Parsed {
  let text = "";
  let parsed: Parsed | undefined;
  const write = (words: string) => {
    text += words;
  };
  const root = prepare(new Command("plant"), write)
    .usage("[command] [options]")
    .description("what a plantd gateway measures, how it is, and what to do about it")
    .addHelpText(
      "after",
      "\nplant alone is plant status. plant explain CODE tells about an error.",
    );
  root.helpCommand("help [command]", "what a command does");
  const groups = new Map<string, Command>();
  // A group may lie in another: plant state, plant state schema.
  const groupOf = (name: string): Command => {
    const known = groups.get(name);
    if (known !== undefined) return known;
    const cut = name.lastIndexOf(" ");
    const parent = cut < 0 ? root : groupOf(name.slice(0, cut));
    const group = prepare(parent.command(name.slice(cut + 1)), write);
    groups.set(name, group.description(groupWords[name] ?? ""));
    return group;
  };
  for (const spec of commands) {
    const words = spec.usage.split(" ");
    const names = words.filter((word) => !/^[[<]/.test(word));
    const group = names.slice(0, -1).join(" ");
    const parent = group === "" ? root : groupOf(group);
    const call = words.slice(names.length - 1).join(" ");
    const command = prepare(parent.command(call), write)
      .description(spec.words)
      .addHelpText("after", `\nExamples:\n${spec.examples.map((line) => `  ${line}`).join("\n")}`)
      .addHelpText("after", "\nFlags of every command: plant help");
    // A command may have commands within: plant log, plant log level.
    groups.set(names.join(" "), command);
    for (const option of spec.options ?? []) command.option(option.flags, option.words);
    command.action(() => {
      const given = optionsOf(command);
      const args = command.processedArgs as (string | undefined)[];
      parsed = { kind: "command", spec, flags: globalFlags(given), args, options: given };
    });
  }
  try {
    root.parse(complete(argv, groups), { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { kind: "help", text };
    if (error.code === "commander.help") return { kind: "help", text };
    const message = error.message.replace(/^error: /, "").replaceAll("\n", " ");
    throw new PlantError("USAGE", { message, ...helpFor(argv) });
  }
  if (parsed === undefined) throw new PlantError("USAGE", { message: "no command was given" });
  return parsed;
}

/** Where a command that was named tells what it wants. */
function helpFor(argv: readonly string[]): { next?: string } {
  const words = argv.filter((word) => !word.startsWith("-"));
  const names = commands.map(nameOf);
  const known = names.find((name) => `${words.join(" ")} `.startsWith(`${name} `));
  const [group = ""] = words;
  const nearest = known ?? (groupWords[group] === undefined ? undefined : group);
  return nearest === undefined ? {} : { next: `plant ${nearest} --help` };
}

/** The words of a command without its arguments: `state get`. */
export function nameOf({ usage }: CommandSpec): string {
  return usage.replace(/ [[<].*/, "");
}

/** The same behaviour for every command: no exit, no writing of its own, all flags everywhere. */
function prepare(command: Command, write: (text: string) => void): Command {
  command
    .exitOverride()
    .configureOutput({ writeOut: write, writeErr: write, getOutHelpWidth: () => 96 })
    .helpCommand(false)
    .showSuggestionAfterError(true)
    .allowExcessArguments(false);
  for (const { flags, words } of globalOptions) {
    command.addOption(new Option(flags, words).hideHelp(command.name() !== "plant"));
  }
  return command;
}

/** `plant` → `plant status`; `--watch` → `--watch=2s`; a group alone → its status. */
function complete(argv: readonly string[], groups: ReadonlyMap<string, unknown>): string[] {
  const all = argv.map((word) => (word === "--watch" ? "--watch=2s" : word));
  if (all.includes("--help") || all.includes("-h")) return all;
  const valued = new Set(["--endpoint", "--key", "--timeout", "--for"]);
  const words = all.filter(
    (word, at) => !word.startsWith("-") && !valued.has(all[at - 1] ?? "") && word !== "",
  );
  if (words.length === 0) return [shortcuts[""] ?? "", ...all];
  const [first = ""] = words;
  const shortcut = shortcuts[first];
  if (words.length > 1 || shortcut === undefined || !groups.has(first)) return all;
  return all.flatMap((word) => (word === first ? [word, shortcut] : [word]));
}

/** Options given anywhere on the line, those nearest the end last; defaults say nothing. */
function optionsOf(command: Command): Record<string, unknown> {
  const chain: Command[] = [];
  for (let at: Command | null = command; at !== null; at = at.parent) chain.unshift(at);
  const given: Record<string, unknown> = {};
  for (const one of chain) {
    for (const [name, value] of Object.entries(one.opts())) {
      if (one.getOptionValueSource(name) !== "default") given[name] = value;
    }
  }
  return given;
}

function globalFlags(given: Readonly<Record<string, unknown>>): GlobalFlags {
  const { endpoint, key } = given;
  const timeoutMs = durationIn(given, "timeout") ?? presetTimeoutMs;
  if (timeoutMs < 1) throw new PlantError("USAGE", { message: "--timeout is at least 1ms" });
  const watchMs = durationIn(given, "watch");
  const forMs = durationIn(given, "for");
  return {
    json: given.json === true,
    quiet: given.quiet === true,
    utc: given.utc === true,
    verbose: given.verbose === true,
    yes: given.yes === true,
    color: given.color !== false,
    timeoutMs,
    ...(typeof endpoint === "string" ? { endpoint } : {}),
    ...(typeof key === "string" ? { keyFile: key } : {}),
    ...(watchMs === undefined ? {} : { watchMs: Math.max(100, watchMs) }),
    ...(forMs === undefined ? {} : { forMs }),
  };
}

function durationIn(given: Readonly<Record<string, unknown>>, name: string): number | undefined {
  const value = given[name];
  return typeof value === "string" ? parseDuration(value, `--${name}`) : undefined;
}
