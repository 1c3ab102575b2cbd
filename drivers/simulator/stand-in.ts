// The devices of one line, made from its part of the configuration, and their conversations.
// It must not know ports or faults.
import type { LineConfig } from "../../src/config/config.ts";
import { PlantError } from "../../src/util/errors.ts";
import { loadProfile, type Profile } from "../modbus/modbus.ts";
import { loadSerialProfile, type SerialProfile } from "../serial/serial.ts";
import { rulesOf } from "./behaviour.ts";
import { makeDevice, type SimulatedDevice } from "./device.ts";
import { type Asked, type Dialog, talkRtu, talkTcp } from "./dialog.ts";
import type { Ledger } from "./ledger.ts";
import { pointsOfLines, talkLines } from "./line-slave.ts";
import {
  type ModbusSlave,
  makeModbusSlave,
  pointsOfModbus,
  type SlaveEvents,
} from "./modbus-slave.ts";

/** Where profiles come from. */
export interface ProfileSource {
  modbus(id: string): Profile;
  serial(id: string): SerialProfile;
}

/** The profiles that come with the drivers. */
export const ownProfiles: ProfileSource = { modbus: loadProfile, serial: loadSerialProfile };

/** All devices of a line. */
export interface StandIn {
  /** A conversation for one connection. */
  talk(): Dialog;
  /** What the devices send without being asked. */
  speak(): Asked[];
  /** Brings every device to a moment of monotonic time. */
  advance(atMs: number): void;
}

/** When the devices began, and where what they serve is noted. */
export interface StandInDeps {
  readonly startedMs: number;
  readonly ledger: Ledger;
  readonly profiles: ProfileSource;
}

/**
 * Makes the devices of a line.
 * @throws PlantError PROFILE_UNKNOWN, PROFILE_INVALID; USAGE for a serial line without exactly one
 * device.
 */
export function makeStandIn(deps: StandInDeps, config: LineConfig): StandIn {
  const devices: SimulatedDevice[] = [];
  let nowMs = deps.startedMs;
  const advance = (atMs: number) => {
    nowMs = atMs;
    for (const device of devices) device.advance((atMs - deps.startedMs) / 1000);
  };
  const eventsOf = (device: string): SlaveEvents => ({
    served: (point, value) => deps.ledger.add({ device, point, value, is: "served", atMs: nowMs }),
    written: (point, value) =>
      deps.ledger.add({ device, point, value, is: "written", atMs: nowMs }),
  });
  const enabled = Object.entries(config.devices).filter(([, device]) => device.enabled);

  if (config.kind === "serial") {
    const [first, second] = enabled;
    if (first === undefined || second !== undefined) {
      throw new PlantError("USAGE", { message: "a serial line holds one device" });
    }
    const [name, { profile: id }] = first;
    const profile = deps.profiles.serial(id);
    const points = pointsOfLines(profile);
    const device = makeDevice({ name, points, rules: rulesOf(id) });
    devices.push(device);
    const talk = () => talkLines(profile, device, eventsOf(name));
    const voice = talk();
    return { talk, advance, speak: () => voice.speak() };
  }

  const slaves = new Map<number, ModbusSlave>();
  for (const [name, { profile: id, unit }] of enabled) {
    const profile = deps.profiles.modbus(id);
    const device = makeDevice({ name, points: pointsOfModbus(profile), rules: rulesOf(id) });
    devices.push(device);
    slaves.set(unit, makeModbusSlave(profile, device, eventsOf(name)));
  }
  const talk = config.kind === "modbus-tcp" ? () => talkTcp(slaves) : () => talkRtu(slaves);
  return { talk, advance, speak: () => [] };
}
