// The polling of a line: lets devices poll when their groups are due, and sleeps until the next.
// It must not know what a poll reads.
import type { Clock } from "../../src/util/clock.ts";
import { asPlantError } from "../../src/util/errors.ts";
import type { DeviceDesk } from "./device-desk.ts";
import { Schedule } from "./schedule.ts";

interface Turn {
  readonly desk: DeviceDesk;
  readonly group: number;
}

/** The loop goes round at least this often, so that its watchdog sees it live. */
const roundMaxMs = 5000;

export class Polling {
  readonly #clock: Clock;
  readonly #isOpen: () => boolean;
  readonly #schedule: Schedule<Turn>;
  readonly #running = new Set<Promise<void>>();
  #waking = new AbortController();
  #failure: Error | undefined;
  /** Grows with each round. */
  rounds = 0;

  /** @param isOpen whether the line can be used; nothing is due while it cannot. */
  constructor(clock: Clock, desks: Iterable<DeviceDesk>, isOpen: () => boolean) {
    this.#clock = clock;
    this.#isOpen = isOpen;
    const turns = [...desks]
      .filter((desk) => desk.plan.isEnabled)
      .flatMap((desk) =>
        desk.plan.groups.map(({ intervalMs }, group) => ({ key: { desk, group }, intervalMs })),
      );
    this.#schedule = new Schedule<Turn>(turns, clock.monotonicMs());
  }

  /** Polls that were due while the one before was under way. */
  get overruns(): number {
    return this.#schedule.overruns;
  }

  /** Makes the groups of some devices due at once. */
  hasten(isMeant: (desk: DeviceDesk) => boolean): void {
    this.#schedule.hasten(this.#clock.monotonicMs(), ({ desk }) => isMeant(desk));
    this.wake();
  }

  /** Ends the sleep under way. */
  wake(): void {
    this.#waking.abort();
  }

  /** Goes round until `signal` aborts; a defect of a poll ends it. @returns that defect. */
  async run(signal: AbortSignal): Promise<Error | undefined> {
    while (!signal.aborted && this.#failure === undefined) {
      this.rounds += 1;
      const nowMs = this.#clock.monotonicMs();
      for (const turn of this.#isOpen() ? this.#schedule.take(nowMs) : []) this.#start(turn);
      const nextMs = this.#isOpen() ? this.#schedule.nextMs() : undefined;
      const dueMs = nextMs === undefined ? roundMaxMs : nextMs - this.#clock.monotonicMs();
      const idleMs = Math.min(dueMs, roundMaxMs);
      if (this.#waking.signal.aborted) this.#waking = new AbortController();
      else await this.#clock.sleep(Math.max(idleMs, 1), this.#waking.signal);
    }
    await Promise.all(this.#running);
    return this.#failure;
  }

  #start(turn: Turn): void {
    const work = turn.desk
      .poll(turn.group)
      .then((hasRecovered) => {
        if (hasRecovered) this.hasten((desk) => desk === turn.desk);
      })
      .catch((error: unknown) => {
        this.#failure = asPlantError(error);
        this.wake();
      })
      .finally(() => {
        this.#schedule.finish(turn);
        this.#running.delete(work);
      });
    this.#running.add(work);
  }
}
