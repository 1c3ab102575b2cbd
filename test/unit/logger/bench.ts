// A logger on a fake clock and what asks it. It must not know what the tests look for.
import type { Config } from "../../../src/config/config.ts";
import { type Logger, type LoggerDeps, startLogger } from "../../../src/logger/logger.ts";
import { endlessRoom, type WorkerRequest } from "../../../src/worker/worker.ts";
import { fakeClock } from "../../fakes/clock.ts";

const config: Config["logger"] = {
  ringMax: 20,
  ringBytesMax: 65_536,
  batchMax: 10,
  keepLevel: "warn",
  linesPerSecondMax: 2,
  repeatMs: 5000,
  redact: [],
};

/** What JSON gave: any shape. */
type Parsed = ReturnType<typeof JSON.parse>;

/** Asks as a worker would; what an operation throws rejects. */
export function askLogger(logger: Logger) {
  return async (
    operation: string,
    args: unknown,
    more: Partial<WorkerRequest> = {},
  ): Promise<Parsed> => {
    const signal = new AbortController().signal;
    const request = { args, signal, partial: async () => {}, room: endlessRoom, ...more };
    return await logger.operations[operation]!(request as WorkerRequest);
  };
}

type Settings = Partial<LoggerDeps> & { readonly config?: Partial<Config["logger"]> };

/** Opens a small logger. */
export async function openLogger({ config: more, ...deps }: Settings = {}) {
  const clock = fakeClock();
  const appendLines = async () => undefined;
  const logger = await startLogger({ clock, appendLines, ...deps }, { ...config, ...more });
  return { clock, logger, ask: askLogger(logger) };
}

/** One line as its writer made it. */
export function lineOf(message: string, level = "info", service = "a"): string {
  return JSON.stringify({ timestamp: "2026-01-01T00:00:00.000Z", level, service, message });
}

/** The messages of an answer, in order. */
export function messagesOf(reply: { lines: { message: string }[] }): string[] {
  return reply.lines.map(({ message }) => message);
}
