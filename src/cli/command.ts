// What a command is: its words for people, and the function that does it.
// It must not know any particular command.
import type { Client } from "../client/client.ts";
import type { Output } from "./output.ts";
import type { CliIo, GlobalFlags } from "./surroundings.ts";

/** One invocation. */
export interface Invocation {
  readonly io: CliIo;
  readonly out: Output;
  readonly flags: GlobalFlags;
  /** Arguments in order; optional ones may be missing. */
  readonly args: readonly (string | undefined)[];
  /** The command's own options by their long name in camel case. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Aborts when the person interrupts or `--for` is over. */
  readonly signal: AbortSignal;
  /**
   * A client whose broker has answered; the same one each time.
   * @throws PlantError BROKER_UNREACHABLE.
   */
  client(): Promise<Client>;
}

/** Does a command. @returns the exit code. */
export type Run = (invocation: Invocation) => Promise<number>;

export interface OptionSpec {
  /** As commander writes it: `--expect <value>`. */
  readonly flags: string;
  readonly words: string;
}

/** One row of the table of commands. */
export interface CommandSpec {
  /** Words and arguments: `state get <scope> <key>`. */
  readonly usage: string;
  readonly words: string;
  readonly options?: readonly OptionSpec[];
  /** Operations it calls, for the reference. */
  readonly calls: readonly string[];
  /** Whether `--watch` repeats it; commands that stream follow by themselves. */
  readonly repeats?: boolean;
  /** Whether it prints many documents, one after the other. */
  readonly streams?: boolean;
  readonly examples: readonly string[];
  /** Loads the code: only what is run is read from disk. */
  readonly load: () => Promise<Run>;
}
