// The log of every process: one JSON line per event, without secrets. The only importer of pino.
// It must not know where lines travel after they were written.
import { Writable } from "node:stream";
import { pino } from "pino";
import { isoTime, systemClock } from "./clock.ts";
import { type LogLevel, type LogLevels, openLogLevels } from "./log-levels.ts";
import { makeRedactor, type Redactor } from "./redact.ts";

export type { LogLevel } from "./log-levels.ts";

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
  /** Levels that may change while it runs; `level` for ever when absent. */
  readonly levels?: LogLevels;
  /** What takes out secrets; by the built-in rules when absent. */
  readonly redactor?: Redactor;
  /** Receives each finished line without its newline; standard output when absent. */
  readonly write?: (line: string) => void;
}

/** What every line of a process goes through. */
interface Mill {
  readonly pino: pino.Logger;
  readonly levels: LogLevels;
  readonly redactor: Redactor;
  /** The part that lines outside of any part belong to. */
  readonly home: string;
}

/** Opens the log of a service. Lines are written as they come, so a crash loses none. */
export function openLog(options: LogOptions): Log {
  const { service, level, write } = options;
  const settings: pino.LoggerOptions = {
    base: null,
    messageKey: "message",
    level: "debug",
    timestamp: () => `,"timestamp":"${isoTime(systemClock.wallMs())}"`,
    formatters: { level: (label) => ({ level: label, service }) },
  };
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
  const mill: Mill = {
    pino: pino(settings, sink),
    levels: options.levels ?? openLogLevels(systemClock, level),
    redactor: options.redactor ?? makeRedactor(),
    home: service.replace(/^plantd-/, ""),
  };
  return wrap(mill, undefined);
}

/** The part that a context belongs to: its first word. */
export function partOf(context: string): string {
  const cut = context.indexOf(".");
  return cut < 0 ? context : context.slice(0, cut);
}

function wrap(mill: Mill, context: string | undefined): Log {
  const { levels, redactor } = mill;
  const part = context === undefined ? mill.home : partOf(context);
  const at = (level: LogLevel) => (message: string, fields?: LogFields) => {
    if (!levels.isEnabled(part, level)) return;
    const { code, trace, ...rest } = fields ?? {};
    mill.pino[level](
      {
        ...(context === undefined ? {} : { context }),
        ...(code === undefined ? {} : { code }),
        ...(trace === undefined ? {} : { trace }),
        ...(Object.keys(rest).length === 0 ? {} : { fields: redactor.value(rest) }),
      },
      redactor.text(message),
    );
  };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    within: (inner) => wrap(mill, context === undefined ? inner : `${context}.${inner}`),
  };
}
