// The status document: what `plant status --json` and /api/v1/status say, field by field.
// It must not know how the facts were found.

/** How well the gateway is: all good, some of it failing, or its purpose failing. */
export type VerdictState = "ok" | "degraded" | "fault";

/** One reason behind a verdict. A note informs and does not change the state. */
export interface Reason {
  readonly text: string;
  /** A code of the catalogue. */
  readonly code: string;
  readonly severity: "fault" | "degraded" | "note";
  /** Since when, in milliseconds since 1970 UTC; null when not known. */
  readonly since: number | null;
}

export interface Verdict {
  readonly state: VerdictState;
  /** One line: devices, link, backlog. */
  readonly words: string;
  /** Most important first. */
  readonly why: readonly Reason[];
  /** The command to try next; empty when there is nothing to do. */
  readonly next: string;
}

/** One physical line and how it is doing. Counters count since the driver started. */
export interface BusStatus {
  readonly line: string;
  readonly kind: string | null;
  readonly settings: string | null;
  /** `down`: its driver does not answer. */
  readonly state: "open" | "opening" | "failed" | "down";
  readonly reason: string | null;
  readonly code: string | null;
  readonly devicesOk: number;
  readonly devicesTotal: number;
  readonly okPerMinute: number | null;
  readonly timeouts: number | null;
  readonly crc: number | null;
  readonly exceptions: number | null;
  readonly late: number | null;
  readonly loadPercent: number | null;
  readonly turnaroundMs: { readonly p50: number | null; readonly p99: number | null };
  /** Answered requests per 6 minutes, oldest first, at most 10. */
  readonly lastHour: readonly number[];
}

/** One device. Times in milliseconds since 1970 UTC. */
export interface DeviceStatus {
  readonly name: string;
  readonly line: string;
  readonly profile: string | null;
  readonly unit: number | null;
  readonly state: "ok" | "silent" | "faulty" | "disabled" | "starting" | "unknown";
  readonly code: string | null;
  readonly since: number | null;
  readonly lastGood: number | null;
  readonly points: number | null;
}

/** The way to the centre. Times in milliseconds since 1970 UTC. */
export interface LinkStatus {
  readonly state: "up" | "connecting" | "down" | "unknown";
  readonly enrolled: boolean | null;
  readonly device: string | null;
  readonly centre: string | null;
  readonly mqtt: string | null;
  /** Since when it is up, or is not. */
  readonly since: number | null;
  /** A code of the catalogue, and what happened in words. */
  readonly reason: string | null;
  readonly words: string | null;
  /** When the next attempt to connect is due. */
  readonly retryAt: number | null;
  /** Whether somebody holds publishing back. */
  readonly paused: boolean | null;
  readonly lastAck: number | null;
}

/** What waits for the centre's acknowledgement. */
export interface OutboxStatus {
  /** Records; null when nobody can tell. */
  readonly waiting: number | null;
  /** Time of the oldest record that waits, milliseconds since 1970 UTC. */
  readonly oldest: number | null;
  /** Milliseconds until nothing waits, at the present rate; null when unknown or growing. */
  readonly drainMs: number | null;
  readonly streams: Readonly<Record<string, StreamStatus>>;
}

export interface StreamStatus {
  readonly head: number;
  readonly watermark: number;
  readonly waiting: number;
}

/** One thing that was looked at in the store; `code` where it does not pass. */
export interface StoreCheck {
  readonly name: string;
  readonly status: "pass" | "warn" | "fail";
  readonly code: string | null;
  readonly words: string;
}

/** The machine itself. Sizes in bytes. */
export interface BoxStatus {
  readonly version: string;
  readonly node: string;
  readonly uptimeMs: number | null;
  readonly load: number | null;
  readonly cores: number;
  readonly memory: { readonly total: number; readonly used: number } | null;
  readonly disk: { readonly total: number; readonly free: number } | null;
  /** `synced` is null where the machine does not say. */
  readonly clock: { readonly synced: boolean | null };
  /** Bytes of the store on disk, and written since it was opened. */
  readonly store: {
    readonly bytes: number | null;
    readonly written: number | null;
    /** Its room and what of it is in use. */
    readonly room: { readonly used: number; readonly total: number } | null;
    /** Bytes the store has the medium write on a day; null until it is known. */
    readonly wearPerDay: number | null;
    /** How old the newest snapshot is, in milliseconds; null without any. */
    readonly snapshotAgeMs: number | null;
    /** What the store finds of itself; empty of one that does not tell. */
    readonly checks: readonly StoreCheck[];
    /** The last replacement of a damaged database that nobody has seen; else null. */
    readonly loss: { readonly time: number; readonly words: string } | null;
  };
}

/** Requests that wait for a service at this moment. */
export interface WaitingStatus {
  readonly service: string;
  readonly workers: number;
  readonly waiting: number;
  /** Requests that may wait; null when not known. */
  readonly waitingMax: number | null;
  /** How long the oldest has waited, in milliseconds. */
  readonly oldestMs: number;
}

/** What the broker says of itself. */
export interface BrokerStatus {
  /** Requests waiting for a worker, and requests at workers. */
  readonly waiting: number;
  readonly atWork: number;
  /** Services for which requests wait, the longest queue first, at most 20. */
  readonly services: readonly WaitingStatus[];
}

/** One part of the gateway and whether it answers. */
export interface PartStatus {
  readonly name: string;
  readonly state: "ok" | "down";
  readonly code: string | null;
  /** In words, when it is down. */
  readonly words: string | null;
}

/** The whole gateway at one moment. Fields are never absent: what is not known is null. */
export interface StatusDocument {
  readonly schema: "plant.status/1";
  readonly gateway: string;
  readonly site: string;
  /** Milliseconds since 1970 UTC. */
  readonly time: number;
  readonly verdict: Verdict;
  readonly buses: readonly BusStatus[];
  readonly devices: readonly DeviceStatus[];
  readonly link: LinkStatus;
  readonly outbox: OutboxStatus;
  readonly box: BoxStatus;
  /** Null when it does not answer, or is of a version that does not tell. */
  readonly broker: BrokerStatus | null;
  readonly parts: readonly PartStatus[];
}
