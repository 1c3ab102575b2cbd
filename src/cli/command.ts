// What a command is: its words for people, and the function that does it.
// It must not know any particular command.
import type { Client } from "../client/client.ts";
import type { Clock } from "../util/clock.ts";
import type { Output } from "./output.ts";

/** A stream for text, and what is at its other end. */
export interface TextStream {
  write(text: string): void;
  readonly isTerminal: boolean;
  /** Width of the terminal in characters. */
  readonly columns: number;
}

/** Everything `plant` touches of the world, so that tests can hold it in memory. */
export interface CliIo {
  readonly stdout: TextStream;
  readonly stderr: TextStream;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** Version of this runtime. */
  readonly version: string;
  /** Aborts when the person interrupts. */
  readonly signal: AbortSignal;
  /** A client of the broker at an endpoint; may resolve before the broker answered. */
  connect(endpoint: string): Promise<Client>;
  /** Whether a file or socket exists. */
  exists(path: string): boolean;
  /** The whole of a text file. @throws the error of the file system. */
  readFile(path: string): string;
  /** All of standard input. */
  readStdin(): Promise<string>;
  /** Asks on the terminal without echo; undefined when there is no terminal. */
  askSecret(prompt: string): Promise<string | undefined>;
  /** Time zone for people, such as `Europe/Zurich`; the machine's when absent. */
  readonly timeZone?: string;
}

/** The flags every command knows. Durations in milliseconds. */
export interface GlobalFlags {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly utc: boolean;
  readonly verbose: boolean;
  readonly yes: boolean;
  readonly color: boolean;
  readonly endpoint?: string;
  readonly timeoutMs: number;
  readonly watchMs?: number;
  readonly forMs?: number;
}

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
  readonly examples: readonly string[];
  /** Loads the code: only what is run is read from disk. */
  readonly load: () => Promise<Run>;
}
