// A world for `plant` in memory: what it prints is kept, what it reads is given.
// It must not know any command.
import type { CliIo } from "../../src/cli/cli.ts";
import type { Client } from "../../src/client/client.ts";
import type { Clock } from "../../src/util/clock.ts";
import { PlantError } from "../../src/util/errors.ts";

export interface FakeTerminal {
  readonly io: CliIo;
  /** All of standard output and standard error so far. */
  readonly printed: { out: string; err: string };
  /** Files that were written whole. */
  readonly written: Readonly<Record<string, string>>;
  /** Addresses of the broker that were connected to. */
  readonly endpoints: readonly string[];
  /** Interrupts, as Ctrl-C does. */
  interrupt(): void;
}

export interface TerminalOptions {
  readonly clock: Clock;
  readonly client?: Client;
  readonly env?: Readonly<Record<string, string>>;
  readonly files?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  /** Answers to questions without echo; none when there is no terminal to ask. */
  readonly secrets?: string[];
  readonly isTerminal?: boolean;
  /** Width of the terminal; 120 when absent. */
  readonly columns?: number;
  /** Why no file can be made; and after how many characters the medium is full. */
  readonly unwritable?: string;
  readonly fullAfter?: number;
  /** The broker has no socket on this machine. */
  readonly isRemote?: boolean;
  /** What the broker's socket does with a connection; missing when absent. */
  readonly knock?: Awaited<ReturnType<CliIo["knock"]>>;
}

const failed = (code: string) => Object.assign(new Error(code), { code });

export function fakeTerminal(options: TerminalOptions): FakeTerminal {
  const printed = { out: "", err: "" };
  const endpoints: string[] = [];
  const written: Record<string, string> = {};
  const stop = new AbortController();
  const { files = {}, isTerminal = false, client } = options;
  const stream = (name: "out" | "err") => ({
    write(text: string) {
      printed[name] += text;
    },
    isTerminal,
    columns: options.columns ?? 120,
  });
  return {
    printed,
    written,
    endpoints,
    interrupt: () => stop.abort(),
    io: {
      stdout: stream("out"),
      stderr: stream("err"),
      env: { PLANTD_DATA_DIR: "/data", ...options.env },
      clock: options.clock,
      version: "9.9.9",
      signal: stop.signal,
      timeZone: "UTC",
      async connect(endpoint, keyFile) {
        endpoints.push(keyFile === undefined ? endpoint : `${endpoint} by ${keyFile}`);
        if (client === undefined) throw new Error("no client in this test");
        return client;
      },
      exists: (path) =>
        path in files || (path.endsWith(".sock") && client !== undefined && !options.isRemote),
      isFolder: (path) => Object.keys(files).some((name) => name.startsWith(`${path}/`)),
      knock: async () => options.knock ?? "missing",
      readFile(path) {
        const text = files[path];
        if (text === undefined) throw Object.assign(new Error(path), { code: "ENOENT" });
        return text;
      },
      readBytes(path) {
        return Buffer.from(this.readFile(path));
      },
      createFile(path) {
        if (options.unwritable !== undefined) throw failed(options.unwritable);
        let text = "";
        return {
          write: (bytes) => {
            if (options.fullAfter !== undefined && text.length >= options.fullAfter) {
              throw failed("ENOSPC");
            }
            text += Buffer.from(bytes).toString();
          },
          finish: () => {
            written[path] = text;
          },
          drop() {},
        };
      },
      async publicKey(path, brokerKey) {
        if (brokerKey !== undefined && path in files)
          throw new PlantError("KEY_FILE_EXISTS", { path });
        return "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";
      },
      profileNames: async () => ["eastron-sdm630", "em340"],
      readStdin: async () => options.stdin ?? "",
      askSecret: async () => options.secrets?.shift(),
    },
  };
}
