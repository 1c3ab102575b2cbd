// Bytes of a line-framed device to lines and back: terminator, optional start character and
// checksum, bounded length. It must not know what a line says.

/** How lines are set apart on the wire. */
export interface Framing {
  /** Ends a line, both ways: 1 or 2 characters. */
  readonly terminator: string;
  /** Begins a line, when the device sends one; what stands before it is noise. */
  readonly start?: string | undefined;
  /** Longest line in characters, without its terminator. */
  readonly lineMax: number;
  /** Two hexadecimal digits at the end of each line: over all characters before them. */
  readonly checksum: "none" | "xor8" | "sum8";
}

/** What was dropped, and why. */
export interface FramingCounters {
  /** Lines longer than allowed. */
  overlong: number;
  /** Lines with characters that are not printable ASCII, or without their start character. */
  noise: number;
  /** Lines whose checksum is wrong. */
  checksum: number;
}

/** Collects bytes and gives out whole lines. */
export interface LineReader {
  readonly counters: FramingCounters;
  /** Adds bytes; returns the lines they complete, without terminator, start and checksum. */
  push(bytes: Uint8Array): string[];
  /** Forgets what is half read. */
  clear(): void;
}

/** Makes a reader of lines. It holds `lineMax` characters at most. */
export function readLines(framing: Framing): LineReader {
  const counters: FramingCounters = { overlong: 0, noise: 0, checksum: 0 };
  const { terminator } = framing;
  const room = framing.lineMax + terminator.length + (framing.start?.length ?? 0) + 2;
  let held = "";
  let isSkipping = false;

  const finish = (raw: string): string[] => {
    if (isSkipping) {
      isSkipping = false;
      return [];
    }
    const line = unwrap(framing, raw);
    if (typeof line === "string") return [line];
    counters[line.dropped] += 1;
    return [];
  };

  return {
    counters,
    push(bytes) {
      const lines: string[] = [];
      held += Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
      for (;;) {
        const end = held.indexOf(terminator);
        if (end < 0) break;
        const raw = held.slice(0, end);
        held = held.slice(end + terminator.length);
        if (raw.length > 0 || isSkipping) lines.push(...finish(raw));
      }
      if (held.length > room) {
        if (!isSkipping) counters.overlong += 1;
        isSkipping = true;
        held = terminator.length > 1 ? held.slice(-1) : "";
      }
      return lines;
    },
    clear() {
      held = "";
      isSkipping = false;
    },
  };
}

/** A line without its frame, or why it is dropped. */
function unwrap(framing: Framing, raw: string): string | { dropped: keyof FramingCounters } {
  let line = raw;
  if (framing.start !== undefined) {
    const from = line.lastIndexOf(framing.start);
    if (from < 0) return { dropped: "noise" };
    line = line.slice(from + framing.start.length);
  }
  if (!/^[ -~]*$/.test(line)) return { dropped: "noise" };
  if (framing.checksum !== "none") {
    const body = line.slice(0, -2);
    if (line.slice(-2).toUpperCase() !== checksumOf(framing, body)) return { dropped: "checksum" };
    line = body;
  }
  return line.length > framing.lineMax ? { dropped: "overlong" } : line;
}

function checksumOf(framing: Framing, text: string): string {
  const bytes = [...Buffer.from(text, "latin1")];
  const sum = bytes.reduce((a, b) => (framing.checksum === "xor8" ? a ^ b : (a + b) & 0xff), 0);
  return sum.toString(16).toUpperCase().padStart(2, "0");
}

/** The bytes of a line with its frame. */
export function frameLine(framing: Framing, line: string): Uint8Array {
  const check = framing.checksum === "none" ? "" : checksumOf(framing, line);
  const text = `${framing.start ?? ""}${line}${check}${framing.terminator}`;
  return new Uint8Array(Buffer.from(text, "latin1"));
}
