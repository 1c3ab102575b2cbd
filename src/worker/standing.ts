// What the log is told of a worker's standing with its broker: lost, refused, back.
// It must not know how a connection is lost or made.
import { PlantError } from "../util/errors.ts";
import type { Log } from "../util/log.ts";

export class Standing {
  readonly #log: Log;
  readonly #about: { readonly service: string; readonly endpoint: string };
  /** The broker dealt with the worker on the present connection. */
  isWelcome = false;
  /** There is a loss whose end was not told yet. */
  #isAway = false;
  /** Why the broker is about to send us away, where it says so. */
  #refusal: PlantError | undefined;
  /** The refusal that was told last; empty once the broker took the worker. */
  #told = "";

  constructor(log: Log, about: { readonly service: string; readonly endpoint: string }) {
    this.#log = log;
    this.#about = { service: about.service, endpoint: about.endpoint };
  }

  refused(error: PlantError): void {
    this.#refusal = error;
    this.isWelcome = false;
  }

  /**
   * A connection is lost. `isSentAway`: by the broker's word; before any other, it is a refusal,
   * which is told once until it changes.
   */
  lost(reason: string, isSentAway: boolean): void {
    const isRefused = isSentAway && !this.isWelcome;
    const refusal = this.#refusal ?? new PlantError("WORKER_REFUSED", this.#about);
    this.#refusal = undefined;
    this.#isAway = true;
    this.isWelcome = false;
    if (!isRefused) {
      if (this.#told !== "") return;
      this.#log.warn("The broker is lost", { code: "BROKER_LOST", ...this.#about, reason });
      return;
    }
    const { code, detail, message, next } = refusal;
    if (this.#told === message) return;
    this.#told = message;
    this.#log.warn(message, { ...detail, ...this.#about, code, next });
  }

  /** The broker deals with the worker. */
  welcome(): void {
    this.isWelcome = true;
    if (!this.#isAway) return;
    this.#isAway = false;
    this.#told = "";
    this.#log.info("The broker is back", { endpoint: this.#about.endpoint });
  }
}
