// A simulated device: points that move by waveform, hold what was written, and hang together by
// rules. Values in, values out, time as a number. It must not know protocols or wires.
import type { PointValue } from "../kit/kit.ts";
import type { Rule } from "./behaviour.ts";
import { seedOf, type Waveform, waveformAt, waveformOf } from "./waveform.ts";

/** A point as its profile describes it. */
export interface SimulatedPoint {
  readonly name: string;
  readonly type: "bool" | "integer" | "decimal" | "digits" | "text";
  readonly unit?: string | undefined;
  /** What it usually shows; it starts from there. */
  readonly typical?: PointValue | undefined;
  readonly isWritable: boolean;
  /** Whether its values have names: such a point does not wander. */
  readonly isNamed?: boolean;
}

/** A device whose values depend on its name, the time, and what was written. */
export interface SimulatedDevice {
  readonly name: string;
  /** Brings the device to a moment, in seconds since its start; never back. */
  advance(seconds: number): void;
  /** The value at that moment; `null` for a point it does not have. */
  read(point: string): PointValue;
  /** Holds a value from that moment on. */
  write(point: string, value: PointValue): void;
  /** Whether the number is changing at this moment. */
  isMoving(point: string): boolean;
}

/** What a device is made from. */
export interface DeviceTable {
  readonly name: string;
  readonly points: readonly SimulatedPoint[];
  readonly rules: readonly Rule[];
}

/** No step of the rules is longer: what follows must not overshoot after a pause. */
const stepMaxS = 0.5;
/** After a longer pause the time between is skipped. */
const catchUpMaxS = 60;
/** A number counts as moving when it changed by a ten-thousandth within this time. */
const movingS = 0.3;

/** The state of a device: what is held, and what moves. */
interface State {
  readonly table: DeviceTable;
  readonly points: ReadonlyMap<string, SimulatedPoint>;
  /** Values that stand until something changes them, and the memory of rules. */
  readonly held: Map<string, PointValue>;
  readonly waves: ReadonlyMap<string, Waveform>;
  nowS: number;
}

/** Makes a device that stands at 0 seconds. */
export function makeDevice(table: DeviceTable): SimulatedDevice {
  const state = begin(table);
  settle(state);
  return {
    name: table.name,
    advance(seconds) {
      state.nowS = Math.max(state.nowS, seconds - catchUpMaxS);
      while (state.nowS < seconds) {
        const step = Math.min(stepMaxS, seconds - state.nowS);
        state.nowS += step;
        for (const rule of table.rules) apply(state, rule, step);
      }
    },
    read: (point) => read(state, point),
    write(point, value) {
      const presses = table.rules.filter((rule) => rule.rule === "press" && rule.on === point);
      if (value === true) for (const rule of presses) press(state, rule);
      state.held.set(point, presses.length > 0 ? false : value);
      settle(state);
    },
    isMoving(point) {
      if (!state.waves.has(point)) return false;
      const [then, now] = [Math.max(0, state.nowS - movingS), state.nowS];
      const value = wave(state, point, now);
      return Math.abs(value - wave(state, point, then)) > Math.abs(value) * 1e-4;
    },
  };
}

function begin(table: DeviceTable): State {
  const held = new Map<string, PointValue>();
  const waves = new Map<string, Waveform>();
  const driven = new Set(
    table.rules.flatMap((rule) => ("point" in rule && rule.rule !== "net" ? [rule.point] : [])),
  );
  for (const point of table.points) {
    const start = startOf(point);
    const isNumber = typeof start === "number";
    if (isNumber) waves.set(point.name, waveformOf(start, point.unit));
    const isStill = point.isWritable || driven.has(point.name) || point.isNamed === true;
    if (isStill || !isNumber) held.set(point.name, start);
  }
  const points = new Map(table.points.map((point) => [point.name, point]));
  return { table, points, held, waves, nowS: 0 };
}

/** What a point shows before anything happened. */
function startOf({ name, type, typical }: SimulatedPoint): PointValue {
  if (type === "digits") return String(typical ?? 0);
  if (type === "bool") return typical === true;
  if (type === "text") return typeof typical === "string" ? typical : name;
  return typeof typical === "number" ? typical : 0;
}

/** Brings what depends on written values up to date. */
function settle(state: State): void {
  for (const rule of state.table.rules) apply(state, rule, 0);
}

function seedFor(state: State, point: string): number {
  return seedOf(`${state.table.name}/${point}`);
}

function wave(state: State, point: string, seconds: number): number {
  const waveform = state.waves.get(point);
  return waveform === undefined ? 0 : waveformAt(waveform, seconds, seedFor(state, point));
}

function heldNumber(state: State, name: string): number {
  return Number(state.held.get(name) ?? 0);
}

function read(state: State, name: string): PointValue {
  const point = state.points.get(name);
  const value = state.held.get(name);
  if (point === undefined) return value ?? null;
  if (value !== undefined) return shown(state, point, value);
  const less = state.table.rules
    .flatMap((rule) => (rule.rule === "net" && rule.point === name ? rule.less : []))
    .reduce((sum, by) => sum + heldNumber(state, by), 0);
  return shown(state, point, wave(state, name, state.nowS) - less);
}

function isTrue(state: State, name: string): boolean {
  return Boolean(read(state, name));
}

/** A value with what its counter has grown by, in the form of its type. */
function shown(state: State, point: SimulatedPoint, value: PointValue): PointValue {
  const grown = heldNumber(state, grownBy(point.name));
  if (point.type === "digits") return `${BigInt(String(value)) + BigInt(Math.floor(grown))}`;
  if (typeof value !== "number") return value;
  return point.type === "integer" ? Math.round(value + grown) : value + grown;
}

/** Memory of rules stands beside the points under names no point can have. */
const grownBy = (point: string) => `${point} grown by`;
const wasTrue = (point: string) => `${point} was true`;

function press(state: State, rule: Rule): void {
  if (rule.rule !== "press") return;
  const { clear, from, into } = rule;
  if (clear !== undefined) state.held.set(clear, 0);
  if (from === undefined || into === undefined) return;
  state.held.set(into, heldNumber(state, into) + Number(read(state, from)));
}

function apply(state: State, rule: Rule, seconds: number): void {
  const { held } = state;
  switch (rule.rule) {
    case "copy": {
      const isHeldBack = rule.unless !== undefined && isTrue(state, rule.unless);
      held.set(rule.point, !isHeldBack && isTrue(state, rule.from));
      break;
    }
    case "follow":
      held.set(rule.point, followed(state, rule, seconds));
      break;
    case "share":
      held.set(rule.point, Number(read(state, rule.of)) * rule.part);
      break;
    case "count": {
      const is = isTrue(state, rule.of);
      const hasRisen = is && held.get(wasTrue(rule.point)) === false;
      if (hasRisen) held.set(rule.point, heldNumber(state, rule.point) + 1);
      held.set(wasTrue(rule.point), is);
      break;
    }
    case "grow": {
      const by = grownBy(rule.point);
      if (isTrue(state, rule.when)) held.set(by, heldNumber(state, by) + rule.perS * seconds);
      break;
    }
    case "net":
    case "press":
      break;
  }
}

/** The next value of a point on its way to where it should be. */
function followed(state: State, rule: Rule & { rule: "follow" }, seconds: number): number {
  const wanted = typeof rule.to === "number" ? rule.to : Number(read(state, rule.to));
  const target = isTrue(state, rule.when) ? wanted : 0;
  const at = heldNumber(state, rule.point);
  const reach = rule.perS * seconds + rule.ripple;
  if (Math.abs(target - at) > reach) {
    return at + Math.sign(target - at) * rule.perS * seconds;
  }
  const unrest: Waveform = { kind: "walk", mean: 0, swing: rule.ripple, periodS: 3 };
  return target === 0 ? 0 : target + waveformAt(unrest, state.nowS, seedFor(state, rule.point));
}
