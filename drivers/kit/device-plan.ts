// What a driver tells the kit about its line and devices: how to ask, how to write, which points.
// It must not know registers, lines of text or sockets.
import type { Stamp } from "../../src/util/clock.ts";
import type { Exchange, Lane } from "./exchange.ts";
import type { Port } from "./port.ts";

export type Quality = "good" | "uncertain" | "bad";

/** Values of points; a 64-bit integer is a decimal string. */
export type PointValue = number | string | boolean | null;

/** The type of a point as the State service names it. */
export type PointType = "bool" | "i64" | "u64" | "f64" | "text";

/** One value of one point, before it has a time. */
export interface Sample {
  readonly point: string;
  readonly value: PointValue;
  readonly quality: Quality;
  readonly reason?: string;
}

/** What is known of a point whatever its value. */
export interface PointInfo {
  readonly name: string;
  readonly type: PointType;
  /** UCUM code. @see https://ucum.org */
  readonly unit?: string;
  readonly isWritable: boolean;
}

/** One request that reads some points of a device. */
export interface ReadPlan {
  readonly points: readonly string[];
  exchange(lane: Lane, deadlineMs?: number): Exchange<readonly Sample[]>;
}

/** One request that writes a point. */
export interface WritePlan {
  /** The value as the device will hold it, after rounding to its resolution. */
  readonly value: PointValue;
  exchange(deadlineMs?: number): Exchange<undefined>;
}

/** Points polled together. */
export interface PollGroup {
  readonly name: string;
  readonly intervalMs: number;
  readonly reads: readonly ReadPlan[];
}

/** One device on a line. */
export interface DevicePlan {
  readonly name: string;
  readonly profile: string;
  readonly unit: number;
  readonly isEnabled: boolean;
  readonly points: readonly PointInfo[];
  readonly groups: readonly PollGroup[];
  /** The cheapest request the device should answer; none for devices that only talk by themselves. */
  readonly probe?: ReadPlan;
  /** @throws PlantError POINT_UNKNOWN. */
  planRead(point: string): ReadPlan;
  /** @throws PlantError POINT_UNKNOWN, POINT_READ_ONLY, VALUE_REFUSED. */
  planWrite(point: string, value: unknown): WritePlan;
}

/** Times of a line that follow from its speed. */
export interface LineTiming {
  /** Time of one character in milliseconds; 0 on TCP. */
  readonly characterMs: number;
  /** Least silence between two frames in milliseconds. */
  readonly silenceMs: number;
}

/** A kind of line, ready to run: a driver makes one from its part of the configuration. */
export interface LineAdapter {
  /** Speed and format, or address, in the words of the status page: `9600 8E1`. */
  readonly settings: string;
  readonly timing: LineTiming;
  readonly devices: readonly DevicePlan[];
  makePort(): Port;
  /** What an exception means, in words. */
  exceptionWords?(exception: number): string | undefined;
  /**
   * Reads bytes that came without a request (devices that talk by themselves). Returns the device's
   * samples and how many bytes were used; unused bytes come again with the next ones.
   */
  listen?(received: Uint8Array): Heard;
}

/** What was heard on a line without asking. */
export interface Heard {
  readonly usedBytes: number;
  readonly samples: readonly { readonly device: string; readonly samples: readonly Sample[] }[];
}

/** A sample with its device and its time, ready to report. */
export interface TimedSample extends Sample {
  readonly device: string;
  readonly time: Stamp;
}
