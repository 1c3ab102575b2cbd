// What is printed: data to standard output, talk to standard error, colour only for people.
// It must not know any command.
import { errorDocument } from "../status/status.ts";
import { catalogue } from "../util/catalogue.ts";
import type { PlantError } from "../util/errors.ts";
import type { CliIo, GlobalFlags } from "./surroundings.ts";

const colours = { green: 32, yellow: 33, red: 31, dim: 2, bold: 1 } as const;
export type Colour = keyof typeof colours;

/** Prints for one invocation. */
export interface Output {
  /** One result: the document with `--json`, else its words. */
  result<T extends { readonly schema: string }>(document: T, words: () => string): void;
  /** One of many results: a line of JSON, or its words. */
  item<T extends { readonly schema: string }>(document: T, words: () => string): void;
  /** Tells what goes on; nothing with `--quiet`. */
  talk(text: string): void;
  /** An error, to standard output with `--json`. */
  error(error: PlantError): void;
  /** Clears the screen, where there is one, once there is something else to show. */
  renew(): void;
  paint(colour: Colour, text: string): string;
  /** A moment in milliseconds since 1970 UTC as the person's time. */
  time(wallMs: number, style?: "clock" | "full"): string;
}

export type PrintFlags = Pick<GlobalFlags, "json" | "quiet" | "utc" | "color"> & {
  readonly isRepeated: boolean;
  /** Errors tell the trace by which the logs can be searched. */
  readonly verbose?: boolean;
};

export function createOutput(io: CliIo, flags: PrintFlags): Output {
  const { stdout, stderr, env } = io;
  const isPlain = !flags.color || (env.NO_COLOR ?? "") !== "" || env.TERM === "dumb";
  const paints = (isTerminal: boolean) => !isPlain && isTerminal;
  let isOld = false;
  const clear = () => {
    if (isOld) stdout.write("\u001b[H\u001b[2J\u001b[3J");
    isOld = false;
  };
  const data = (text: string) => {
    clear();
    stdout.write(text.endsWith("\n") ? text : `${text}\n`);
  };
  const print = (text: string) => data(harmless(text, paints(stdout.isTerminal)));
  const paintFor = (isTerminal: boolean) => (colour: Colour, text: string) =>
    paints(isTerminal) ? `\u001b[${colours[colour]}m${text}\u001b[0m` : text;
  const timeZone = flags.utc ? "UTC" : io.timeZone;
  return {
    paint: paintFor(stdout.isTerminal),
    result(document, words) {
      if (!flags.json) print(words());
      else if (flags.isRepeated) data(JSON.stringify(document));
      else data(JSON.stringify(document, null, 2));
    },
    item(document, words) {
      if (flags.json) data(JSON.stringify(document));
      else print(words());
    },
    talk(text) {
      if (!flags.quiet) stderr.write(`${harmless(text, paints(stderr.isTerminal))}\n`);
    },
    error(error) {
      if (flags.json) data(JSON.stringify(errorDocument(error), null, flags.isRepeated ? 0 : 2));
      else {
        clear();
        const words = errorInWords(error, paintFor(stderr.isTerminal), flags.verbose === true);
        stderr.write(harmless(words, paints(stderr.isTerminal)));
      }
    },
    renew() {
      isOld = !flags.json && stdout.isTerminal;
    },
    time(wallMs, style = "full") {
      const date = { year: "numeric", month: "2-digit", day: "2-digit" } as const;
      const clock = { hour: "2-digit", minute: "2-digit", second: "2-digit" } as const;
      const format = new Intl.DateTimeFormat("sv-SE", {
        ...(style === "full" ? date : {}),
        ...clock,
        ...(style === "clock" ? { timeZoneName: "short" } : {}),
        hourCycle: "h23",
        ...(timeZone === undefined ? {} : { timeZone }),
      });
      return format.format(wallMs);
    },
  };
}

/** What may command a terminal, with the colours that `paint` adds, or turn texts around. */
const commands =
  /\p{Cc}(?:\[(?:32|33|31|2|1|0)m)?|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** Texts of devices and peers are shown, never obeyed; a mark stands for each command. */
function harmless(text: string, isPainted: boolean): string {
  return text.replace(commands, (found) => {
    const isOurs =
      found.startsWith("\n") || (isPainted && found.length > 1 && found.startsWith("\u001b"));
    return isOurs ? found : `\ufffd${found.slice(1)}`;
  });
}

function errorInWords(error: PlantError, paint: Output["paint"], isVerbose: boolean): string {
  const { code, message, next } = error;
  const { causes } = catalogue[code];
  const lines = [`${paint("red", "✗")} ${paint("bold", message)}  ${paint("dim", code)}`];
  if (causes.length > 0) lines.push(`  likely  ${causes.join(" · ")}`);
  if (next !== "") lines.push(`  next    ${next}`);
  const { trace } = error.detail;
  if (isVerbose && typeof trace === "string") lines.push(`  trace   ${trace}`);
  return `${lines.join("\n")}\n`;
}

/** Rows as columns two spaces apart; names ending in `>` are aligned to the right. */
export function columns(names: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const isRight = names.map((name) => name.endsWith(">"));
  const head = names.map((name) => name.replace(/>$/, ""));
  const all = [head, ...rows.map((row) => row.map((cell) => cell.replace(/[\n\r\t]/g, " ")))];
  const widths = head.map((_, at) => Math.max(...all.map((row) => (row[at] ?? "").length)));
  return all.map((row) =>
    row
      .map((cell, at) =>
        isRight[at] ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0),
      )
      .join("  ")
      .trimEnd(),
  );
}

/** As `columns`; while they are wider than `width`, those named in `least` are left out in turn. */
export function fittingColumns(
  names: readonly string[],
  rows: readonly (readonly string[])[],
  { width, least }: { readonly width: number; readonly least: readonly string[] },
): string[] {
  const lines = columns(names, rows);
  const [first, ...others] = least;
  if (first === undefined || lines.every((line) => line.length <= width)) return lines;
  const isKept = (_: string, at: number) => names[at] !== first;
  const kept = rows.map((row) => row.filter(isKept));
  return fittingColumns(names.filter(isKept), kept, { width, least: others });
}
