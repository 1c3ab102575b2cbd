// How the points of a simulated device hang together, as a table per profile: a pump that starts
// and follows its setpoint, a scale that takes a tare. It must not know protocols or wires.

/** What drives a point beside its waveform; applied in the order of the table. */
export type Rule =
  /** The point is another one, unless a third is true. */
  | {
      readonly rule: "copy";
      readonly point: string;
      readonly from: string;
      readonly unless?: string;
    }
  /** While `when` is true the point moves towards `to`, else towards 0; `ripple` is its unrest. */
  | {
      readonly rule: "follow";
      readonly point: string;
      readonly when: string;
      readonly to: string | number;
      readonly perS: number;
      readonly ripple: number;
    }
  /** The point is a part of another one. */
  | { readonly rule: "share"; readonly point: string; readonly of: string; readonly part: number }
  /** The point goes up by one whenever `of` becomes true. */
  | { readonly rule: "count"; readonly point: string; readonly of: string }
  /** The point goes up by `perS` each second while `when` is true. */
  | { readonly rule: "grow"; readonly point: string; readonly when: string; readonly perS: number }
  /** The waveform of the point less the values of others. */
  | { readonly rule: "net"; readonly point: string; readonly less: readonly string[] }
  /** Writing true to `on` sets `clear` to 0, and adds the value of `from` to `into`. */
  | {
      readonly rule: "press";
      readonly on: string;
      readonly clear?: string;
      readonly from?: string;
      readonly into?: string;
    };

/** Rules by profile; a profile without any has waveforms and held values only. */
const behaviours: Readonly<Record<string, readonly Rule[]>> = {
  "plantd-demo-pump": [
    { rule: "press", on: "reset_fault", clear: "fault_code" },
    { rule: "copy", point: "running", from: "run", unless: "fault_code" },
    { rule: "count", point: "starts", of: "running" },
    { rule: "follow", point: "speed", when: "running", to: "speed_limit", perS: 8, ripple: 0.4 },
    { rule: "follow", point: "pressure", when: "running", to: "setpoint", perS: 0.5, ripple: 0.02 },
    { rule: "share", point: "flow", of: "speed", part: 0.2 },
    { rule: "grow", point: "runtime", when: "running", perS: 1 / 3600 },
    { rule: "grow", point: "energy", when: "running", perS: 0.6 },
    { rule: "grow", point: "balance", when: "running", perS: 0.6 },
  ],
  "mettler-sics": [
    { rule: "press", on: "zero", from: "weight", into: "zero offset" },
    { rule: "press", on: "take_tare", from: "weight", into: "tare" },
    { rule: "press", on: "clear_tare", clear: "tare" },
    { rule: "net", point: "weight", less: ["zero offset", "tare"] },
  ],
};

/** The rules of a profile. */
export function rulesOf(profile: string): readonly Rule[] {
  return behaviours[profile] ?? [];
}
