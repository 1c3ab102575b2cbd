// A serial port of the machine. The only importer of serialport. It must not know any protocol.
import { type Stats, statSync, unwatchFile, watchFile } from "node:fs";
import type { SerialPort } from "serialport";
import { PlantError } from "../../src/util/errors.ts";
import type { Port, PortEvents } from "./port.ts";

/** Speed and format of a serial line. */
export interface SerialSettings {
  readonly path: string;
  readonly baud: number;
  readonly parity: "none" | "even" | "odd";
  readonly dataBits: number;
  readonly stopBits: number;
}

/** Bits of one character on the wire, start bit included. */
function characterBits({ parity, dataBits, stopBits }: SerialSettings): number {
  return 1 + dataBits + (parity === "none" ? 0 : 1) + stopBits;
}

/** Time of one character in milliseconds. */
export function characterMs(settings: SerialSettings): number {
  return (characterBits(settings) * 1000) / settings.baud;
}

/**
 * The silence between two frames, t3.5, in milliseconds: fixed at 1.75 above 19200 baud.
 * @see Modbus over Serial Line V1.02, 2.5.1.1
 */
export function silenceMs(settings: SerialSettings): number {
  return settings.baud > 19_200 ? 1.75 : 3.5 * characterMs(settings);
}

/** `9600 8E1`. */
export function describeSerial({ baud, dataBits, parity, stopBits }: SerialSettings): string {
  return `${baud} ${dataBits}${parity.charAt(0).toUpperCase()}${stopBits}`;
}

/** Time between two looks at the device file, in milliseconds. */
const lookMs = 1000;

/** A serial port, locked against other programs while it is open. */
export function makeSerialPort(settings: SerialSettings): Port {
  const { path } = settings;
  let current: SerialPort | undefined;
  /** What waits for the port: it calls nothing back when it is unplugged meanwhile. */
  const waiting = new Set<(reason: string) => void>();
  const giveUp = (reason: string) => {
    for (const end of waiting) end(reason);
    waiting.clear();
  };
  const unusable = (reason: string, cause?: unknown) =>
    new PlantError("PORT_UNUSABLE", { port: path, reason }, { cause });
  let stopLooking = () => {};

  return {
    name: path,
    pairsAnswers: false,
    timeoutsMax: 0,
    async open(events) {
      const { SerialPort: Stream } = await import("serialport");
      const stream = new Stream({
        path,
        baudRate: settings.baud,
        parity: settings.parity,
        dataBits: settings.dataBits === 7 ? 7 : 8,
        stopBits: settings.stopBits === 2 ? 2 : 1,
        lock: true,
        autoOpen: false,
      });
      const lose = (reason: string) => {
        if (current !== stream) return;
        current = undefined;
        stopLooking();
        stream.close(() => {});
        giveUp(reason);
        events.closed(unusable(reason));
      };
      listen(stream, events, lose);
      await new Promise<void>((resolve, reject) => {
        stream.open((error) => (error ? reject(unusable(reasonOf(error), error)) : resolve()));
      });
      current = stream;
      stopLooking = watchDevice(path, lose);
    },
    write: (data) =>
      new Promise((resolve, reject) => {
        if (current === undefined) {
          reject(unusable("it is not open"));
          return;
        }
        const end = (reason: string) => reject(unusable(reason));
        waiting.add(end);
        current.write(Buffer.from(data), (error) => {
          waiting.delete(end);
          if (error) reject(unusable(error.message, error));
          else resolve();
        });
      }),
    dropInput: () =>
      new Promise((resolve) => {
        if (current === undefined) {
          resolve();
          return;
        }
        const end = () => resolve();
        waiting.add(end);
        current.flush(() => {
          waiting.delete(end);
          resolve();
        });
      }),
    async close() {
      const stream = current;
      current = undefined;
      if (stream === undefined) return;
      stopLooking();
      giveUp("it was closed");
      await new Promise<void>((resolve) => {
        stream.close(() => resolve());
      });
    },
  };
}

/**
 * Looks after the device file. A port that is pulled while a read is under way reads nothing for
 * ever, without an error; only its file tells, because it is gone or another one.
 * @returns what ends the looking.
 */
function watchDevice(path: string, lose: (reason: string) => void): () => void {
  const opened = statSync(path, { throwIfNoEntry: false });
  const look = (seen: Stats) => {
    if (opened === undefined || !isSameDevice(opened, seen)) lose("it was unplugged");
  };
  watchFile(path, { interval: lookMs, persistent: false }, look);
  return () => unwatchFile(path, look);
}

/** Reading and writing changes neither of these; a device plugged in again has another birth. */
function isSameDevice(a: Stats, b: Stats): boolean {
  return a.ino === b.ino && a.rdev === b.rdev && a.ctimeMs === b.ctimeMs;
}

function listen(stream: SerialPort, events: PortEvents, ended: (reason: string) => void): void {
  stream.on("data", (data: Buffer) => events.bytes(new Uint8Array(data)));
  stream.on("error", (error: Error) => ended(error.message));
  stream.on("close", () => ended("it was unplugged"));
}

/** serialport's messages begin with words of its own; the system's reason is what helps. */
function reasonOf(error: Error): string {
  if (/lock/i.test(error.message)) return "another program holds it";
  if (/no such file|cannot open/i.test(error.message)) {
    return /permission/i.test(error.message) ? "permission denied" : "there is no such device file";
  }
  return error.message;
}
