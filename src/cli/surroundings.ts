// What a command finds around it: terminal, files, broker, and the flags every command knows.
// It must not know any command.
import type { Client } from "../client/client.ts";
import type { Clock } from "../util/clock.ts";

/** A stream for text, and what is at its other end. */
export interface TextStream {
  write(text: string): void;
  readonly isTerminal: boolean;
  /** Width of the terminal in characters. */
  readonly columns: number;
}

/** A file that is being written beside its name. */
export interface NewFile {
  write(bytes: Uint8Array | string): void;
  /** Flushes it to the medium and gives it its name. */
  finish(): void;
  /** Takes away what was written; nothing after `finish`. */
  drop(): void;
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
  /**
   * A client of the broker at an endpoint; may resolve before the broker answered.
   * @param keyFile the file of `plant broker key --new`, for an endpoint of the network.
   * @throws PlantError KEY_FILE_UNUSABLE.
   */
  connect(endpoint: string, keyFile?: string): Promise<Client>;
  /** Whether a file or socket exists. */
  exists(path: string): boolean;
  isFolder(path: string): boolean;
  /** What a local socket does with a connection; it may stand still all the same when it is open. */
  knock(path: string): Promise<"open" | "refused" | "missing" | "forbidden">;
  /** The whole of a text file. @throws the error of the file system. */
  readFile(path: string): string;
  /** The bytes of a file. @throws the error of the file system. */
  readBytes(path: string): Uint8Array;
  /** A new file, which nobody sees before it is whole. @throws the error of the file system. */
  createFile(path: string): NewFile;
  /**
   * The public key of the pair a file keeps: made where there is none; or, for a peer of the broker
   * with this key, a new one.
   * @throws PlantError KEY_FILE_UNUSABLE, KEY_FILE_EXISTS.
   */
  publicKey(path: string, brokerKey?: string): Promise<string>;
  /** Names of the device profiles for a kind of line. */
  profileNames(kind: string): Promise<readonly string[]>;
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
  /** File with the keys for an endpoint of the network. */
  readonly keyFile?: string;
  readonly timeoutMs: number;
  readonly watchMs?: number;
  readonly forMs?: number;
}
