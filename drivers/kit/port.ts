// A byte pipe to field devices: what a serial port and a TCP connection have in common.
// It must not know any protocol.
import type { PlantError } from "../../src/util/errors.ts";

/** What a port tells its owner. Called only between a successful `open` and `closed`. */
export interface PortEvents {
  /** Bytes as they came; the array belongs to the owner. */
  bytes(data: Uint8Array): void;
  /** An answer the port itself could tell to belong to an earlier request; it was dropped. */
  strayed(): void;
  /** The port is gone, by unplugging, by the peer or by an error. Once, and not after `close`. */
  closed(error: PlantError): void;
}

/**
 * One physical line. An implementation never emits an unhandled error, never opens by itself, and
 * can be opened again after it closed.
 */
export interface Port {
  /** Device file or host:port, for messages. */
  readonly name: string;
  /**
   * Whether the port itself pairs each answer with its request (Modbus TCP does, by transaction
   * identifier). If not, the owner keeps the late window.
   */
  readonly pairsAnswers: boolean;
  /**
   * Unanswered requests in a row after which the owner closes and opens again; 0 is never. A dead
   * TCP connection shows in no other way.
   */
  readonly timeoutsMax: number;
  /** @throws PlantError PORT_UNUSABLE; the port is then closed. */
  open(events: PortEvents): Promise<void>;
  /**
   * Hands bytes to the operating system.
   * @throws PlantError PORT_UNUSABLE when the port is not open; some bytes may have gone out.
   */
  write(data: Uint8Array): Promise<void>;
  /** Drops what has been received and not yet delivered. */
  dropInput(): Promise<void>;
  /** Closes; idempotent, never throws. */
  close(): Promise<void>;
}
