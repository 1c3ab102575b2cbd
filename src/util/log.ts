// The log of every process: one JSON line per event. The only importer of pino.
// It must not know where lines travel after they were written.
import { Writable } from "node:stream";
import { pino } from "pino";
import { isoTime, systemClock } from "./clock.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";

/** What a line carries beside its message: a code of the catalogue, a trace, and free fields. */
export interface LogFields {
  readonly code?: string;
  readonly trace?: string;
  readonly [field: string]: unknown;
}

/** Where the parts of the runtime write what happened. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A log whose lines name a part of the service. */
  within(context: string): Log;
}

export interface LogOptions {
  /** Name of the process or part, e.g. `plantd-store`. */
  readonly service: string;
  readonly level: LogLevel;
  /** Receives each finished line without its newline; standard output when absent. */
  readonly write?: (line: string) => void;
}

/** Names of fields whose values never reach a line, wherever they stand. */
const secrets = ["token", "password", "passphrase", "secret", "code_once", "seed", "privateKey"];

/** Opens the log of a service. Lines are written as they come, so a crash loses none. */
export function openLog(options: LogOptions): Log {
  const redact = secrets.flatMap((name) => [name, `*.${name}`, `fields.${name}`, `*.*.${name}`]);
  const settings: pino.LoggerOptions = {
    base: null,
    messageKey: "message",
    level: options.level,
    timestamp: () => `,"timestamp":"${isoTime(systemClock.wallMs())}"`,
    formatters: { level: (label) => ({ level: label, service: options.service }) },
    redact: { paths: redact, censor: "[redacted]" },
  };
  const write = options.write;
  const sink =
    write === undefined
      ? pino.destination({ fd: 1, sync: true })
      : new Writable({
          decodeStrings: false,
          write(chunk: string, _encoding, done) {
            write(chunk.trimEnd());
            done();
          },
        });
  return wrap(pino(settings, sink), undefined);
}

function wrap(logger: pino.Logger, context: string | undefined): Log {
  const at = (level: LogLevel) => (message: string, fields?: LogFields) => {
    if (!logger.isLevelEnabled(level)) return;
    const { code, trace, ...rest } = fields ?? {};
    logger[level](
      {
        ...(context === undefined ? {} : { context }),
        ...(code === undefined ? {} : { code }),
        ...(trace === undefined ? {} : { trace }),
        ...(Object.keys(rest).length === 0 ? {} : { fields: serialisable(rest) }),
      },
      message,
    );
  };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    within: (inner) => wrap(logger, context === undefined ? inner : `${context}.${inner}`),
  };
}

/** Errors are named by message and code, not dropped as empty objects. */
function serialisable(fields: Record<string, unknown>): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value instanceof Error) {
      const { code } = value as Error & { code?: unknown };
      out[name] = { message: value.message, ...(code === undefined ? {} : { code }) };
    } else out[name] = typeof value === "bigint" ? value.toString() : value;
  }
  return out;
}
