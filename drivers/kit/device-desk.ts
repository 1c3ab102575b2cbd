// One device at work: polls its groups, knows its health, tells when its quality turns.
// It must not know other devices, or how requests look.
import type { Code } from "../../src/util/catalogue.ts";
import type { Clock, Stamp } from "../../src/util/clock.ts";
import type { BusOwner } from "./bus-owner.ts";
import { type Health, type HealthInput, healthAtStart, stepHealth } from "./device-health.ts";
import type { DevicePlan, PointInfo, ReadPlan, Sample, TimedSample } from "./device-plan.ts";
import type { Outcome } from "./exchange.ts";
import type { LineEvent } from "./outbox.ts";

export interface DeskDeps {
  readonly clock: Clock;
  readonly stamp: () => Stamp;
  readonly bus: BusOwner;
  readonly line: string;
  record(samples: readonly TimedSample[], flush: "now" | "group"): void;
  event(event: LineEvent): void;
}

/** A device in the status of its line. */
export interface DeviceStatus {
  readonly name: string;
  readonly profile: string;
  readonly unit: number;
  readonly state: Health["state"] | "disabled";
  readonly code?: Code;
  readonly since: Stamp;
  readonly lastGood?: Stamp;
  readonly points: number;
}

/** The code that tells why an exchange gave no value. */
export function codeOf(outcome: Exclude<Outcome<unknown>, { is: "ok" }>): Code {
  switch (outcome.is) {
    case "exception":
      return "BUS_EXCEPTION";
    case "timeout":
      return "BUS_NO_ANSWER";
    case "fault":
      return "BUS_FAULTY";
    case "lost":
    case "unsent":
      return outcome.code;
  }
}

export class DeviceDesk {
  readonly plan: DevicePlan;
  readonly #deps: DeskDeps;
  readonly #infos: ReadonlyMap<string, PointInfo>;
  #health: Health = healthAtStart;
  #since: Stamp;
  #lastGood: Stamp | undefined;
  #isProbing = false;
  /** Groups of which a request was refused last time: the device is there, but not well. */
  readonly #refusedGroups = new Set<number>();

  constructor(deps: DeskDeps, plan: DevicePlan) {
    this.#deps = deps;
    this.plan = plan;
    this.#infos = new Map(plan.points.map((info) => [info.name, info]));
    this.#since = deps.stamp();
  }

  infoOf(point: string): PointInfo | undefined {
    return this.#infos.get(point);
  }

  get status(): DeviceStatus {
    const { name, profile, unit, isEnabled, points } = this.plan;
    const { state, code } = this.#health;
    return {
      name,
      profile,
      unit,
      state: isEnabled ? state : "disabled",
      ...(code === undefined || !isEnabled ? {} : { code }),
      since: this.#since,
      ...(this.#lastGood === undefined ? {} : { lastGood: this.#lastGood }),
      points: points.length,
    };
  }

  /** Gives samples of this device their name and time. */
  timed(samples: readonly Sample[], time: Stamp): TimedSample[] {
    return samples.map((sample) => ({ ...sample, device: this.plan.name, time }));
  }

  /**
   * One poll cycle of a group: all its reads, then one report. A silent device is only probed, when
   * its time has come. Resolves true when the device answers again after silence.
   */
  async poll(group: number): Promise<boolean> {
    if (this.#health.state === "silent") return this.#probe();
    const samples: TimedSample[] = [];
    let isRefused = false;
    for (const read of this.plan.groups[group]?.reads ?? []) {
      const outcome = await this.#deps.bus.request(read.exchange("poll"));
      if (outcome.is === "exception" && !outcome.isUnreachable) {
        isRefused = true;
        this.#refusedGroups.add(group);
      }
      samples.push(...this.#samplesOf(read, outcome));
      if (outcome.is !== "ok" && outcome.is !== "exception") break;
    }
    if (!isRefused && this.#refusedGroups.delete(group) && this.#health.state === "faulty") {
      this.#turn({ is: this.#refusedGroups.size > 0 ? "refused" : "answered" });
    }
    this.#deps.record(samples, "group");
    return false;
  }

  async #probe(): Promise<boolean> {
    const { probe } = this.plan;
    const nowMs = this.#deps.clock.monotonicMs();
    if (probe === undefined || this.#isProbing || nowMs < this.#health.probeAtMs) return false;
    this.#isProbing = true;
    try {
      const outcome = await this.#deps.bus.request(probe.exchange("probe"));
      this.#deps.record(this.#samplesOf(probe, outcome), "group");
    } finally {
      this.#isProbing = false;
    }
    return this.#health.state !== "silent";
  }

  /** What an outcome says of the device's health and of the points that were asked for. */
  #samplesOf(read: ReadPlan, outcome: Outcome<readonly Sample[]>): TimedSample[] {
    if (outcome.is === "ok") {
      this.#turn({ is: this.#refusedGroups.size > 0 ? "refused" : "answered" });
      this.#lastGood = outcome.at;
      return this.timed(outcome.value, outcome.at);
    }
    if (outcome.is === "exception" && !outcome.isUnreachable) {
      this.#turn({ is: "refused" });
      return this.#bad(read.points, `exception-${outcome.exception}`, outcome.at);
    }
    if (outcome.is === "unsent" || outcome.is === "lost") return [];
    const code = outcome.is === "exception" ? "BUS_NO_ANSWER" : codeOf(outcome);
    this.#turn({ is: "unanswered", code });
    if (this.#health.state === "silent") return [];
    return this.#bad(read.points, "no-answer", this.#deps.stamp());
  }

  /** Samples of a device that talks by itself. */
  heard(samples: readonly Sample[]): void {
    if (!this.plan.isEnabled) return;
    const time = this.#deps.stamp();
    this.#turn({ is: "answered" });
    this.#lastGood = time;
    this.#deps.record(this.timed(samples, time), "group");
  }

  /** The line opened, or was lost and with it all knowledge of the device. */
  lineChanged(isOpen: boolean): void {
    if (!this.plan.isEnabled) return;
    if (!isOpen) this.#turn({ is: "line-down" });
    else {
      this.#health = healthAtStart;
      this.#since = this.#deps.stamp();
    }
  }

  /** The outcome of a request a person made counts for the health too. */
  noteAnswer(outcome: Outcome<unknown>): void {
    if (outcome.is === "ok") {
      this.#lastGood = outcome.at;
      if (this.#health.state === "silent") this.#turn({ is: "answered" });
    }
  }

  #turn(input: HealthInput): void {
    const before = this.#health;
    this.#health = stepHealth(before, input, this.#deps.clock.monotonicMs());
    const { state, code } = this.#health;
    if (state === before.state && code === before.code) return;
    const time = this.#deps.stamp();
    this.#since = time;
    const { name } = this.plan;
    if (state === "silent" && before.state !== "silent") {
      const points = this.plan.points.map((point) => point.name);
      this.#deps.record(this.#bad(points, "no-answer", time), "group");
      this.#tell("warning", `${name} does not answer`, code, time);
    }
    if (before.state === "silent" && state !== "silent") {
      this.#tell("info", `${name} answers again`, undefined, time);
    }
  }

  #tell(severity: "info" | "warning", message: string, code: Code | undefined, time: Stamp): void {
    const { line } = this.#deps;
    const device = this.plan.name;
    const detail = { line, device, unit: this.plan.unit, ...(code === undefined ? {} : { code }) };
    this.#deps.event({ kind: "device", severity, message, detail, time });
  }

  #bad(points: readonly string[], reason: string, time: Stamp): TimedSample[] {
    const samples = points.map(
      (point) => ({ point, value: null, quality: "bad", reason }) as const,
    );
    return this.timed(samples, time);
  }
}
