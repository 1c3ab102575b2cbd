// What the log is told of a worker's standing with its broker: lost, refused, back.
// It must not know how a connection is lost or made.
import { PlantError } from "../util/errors.ts";
import type { Log } from "../util/log.ts";

/** A broker that does not want a worker says so at each try; the log hears it so often. */
const refusedNoteMs = 60_000;

export interface StandingDeps {
  readonly log: Log;
  readonly nowMs: () => number;
}

export class Standing {
  readonly #deps: StandingDeps;
  readonly #about: { readonly service: string; readonly endpoint: string };
  /** The broker dealt with the worker on the present connection. */
  #isWelcome = false;
  /** There is a loss whose end was not told yet. */
  #isAway = false;
  #refusedMs = Number.NEGATIVE_INFINITY;

  constructor(deps: StandingDeps, about: { service: string; endpoint: string }) {
    this.#deps = deps;
    this.#about = { service: about.service, endpoint: about.endpoint };
  }

  /** A connection is lost. `isSentAway`: by the broker's word; before any other, it is a refusal. */
  lost(reason: string, isSentAway: boolean): void {
    const { log } = this.#deps;
    const isRefused = isSentAway && !this.#isWelcome;
    this.#isAway = true;
    this.#isWelcome = false;
    if (!isRefused) {
      log.warn("The broker is lost", { code: "BROKER_LOST", ...this.#about, reason });
      return;
    }
    const nowMs = this.#deps.nowMs();
    if (nowMs - this.#refusedMs < refusedNoteMs) return;
    this.#refusedMs = nowMs;
    const { message, code, next } = new PlantError("WORKER_REFUSED", this.#about);
    log.warn(message, { code, ...this.#about, next });
  }

  /** The broker deals with the worker. */
  welcome(): void {
    this.#isWelcome = true;
    if (!this.#isAway) return;
    this.#isAway = false;
    this.#refusedMs = Number.NEGATIVE_INFINITY;
    this.#deps.log.info("The broker is back", { endpoint: this.#about.endpoint });
  }
}
