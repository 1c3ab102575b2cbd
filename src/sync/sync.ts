// `org.plantd.Sync`: enrols the gateway and brings what the store keeps to the centre.
// It must not know Modbus, HTTP pages or LMDB.
import { fingerprintOf } from "../access/access.ts";
import { streams } from "../batch/batch.ts";
import { type Stamp, stampNow } from "../util/clock.ts";
import { hasCode, PlantError } from "../util/errors.ts";
import type { Running } from "../util/running.ts";
import { check, v } from "../util/shape.ts";
import type { Operation } from "../worker/worker.ts";
import { askToEnrol } from "./enroll.ts";
import { deviceKey, type Identity, readIdentity, readProgress, writeIdentity } from "./identity.ts";
import type { StorePosition } from "./lineage.ts";
import {
  factsOf,
  type LinkDeps,
  type SyncCounters,
  type SyncLink,
  type SyncSettings,
  startLink,
} from "./link.ts";
import { askPosition } from "./store-side.ts";

export interface SyncDeps extends LinkDeps {
  /** Serial number of the machine; its boot id when absent. */
  readonly serial?: string;
}

/** Longest wait of `status` for the store: less than who asks for the status waits. */
const statusMs = 800;

/** Sync at work, and what it offers on the bus. */
export interface Sync extends Running {
  /** `org.plantd.Sync`. */
  readonly service: string;
  /** `status`, `enroll`, `pause`, `resume`, `health`. */
  readonly operations: Readonly<Record<string, Operation>>;
  /** Batches and answers so far: it grows while the centre answers. */
  readonly progress: number;
}

const enrolArguments = v.strictObject({
  url: v.pipe(v.string(), v.regex(/^https?:\/\//, "an http or https address"), v.maxLength(1024)),
  code: v.pipe(v.string(), v.maxLength(200)),
  /** Gives up the identity the gateway has. */
  replace: v.optional(v.boolean(), false),
});
const noArguments = v.optional(v.nullable(v.object({})));

/**
 * Starts sync. Without an identity it waits for `enroll`; with a damaged one it says so in
 * `status` and waits too. No failure of network, broker or store ends it.
 */
export async function startSync(deps: SyncDeps, settings: SyncSettings): Promise<Sync> {
  const service = new SyncService(deps, settings);
  await service.begin();
  return service;
}

class SyncService implements Sync {
  readonly service = "org.plantd.Sync";
  readonly operations: Readonly<Record<string, Operation>>;
  readonly ended: Promise<Error | undefined>;
  private readonly deps: SyncDeps;
  private readonly settings: SyncSettings;
  private readonly over = Promise.withResolvers<Error | undefined>();
  private readonly counters: SyncCounters = {
    batches: 0,
    records: 0,
    resends: 0,
    refused: 0,
    bytes: 0,
  };
  private readonly startedAt: Stamp;
  private identity: Identity | undefined;
  private link: SyncLink | undefined;
  private flaw: PlantError | undefined;
  private isPaused = false;
  private isEnrolling = false;

  constructor(deps: SyncDeps, settings: SyncSettings) {
    this.deps = { ...deps, log: deps.log.within("sync") };
    this.settings = settings;
    this.ended = this.over.promise;
    this.startedAt = stampNow(deps.clock, deps.boot, deps.clockSync?.() ?? "none");
    this.operations = {
      status: ({ args }) => {
        check(noArguments, args);
        return this.status();
      },
      enroll: ({ args }) => this.enroll(check(enrolArguments, args)),
      pause: () => this.pause(true),
      resume: () => this.pause(false),
      health: () => this.health(),
    };
  }

  get progress(): number {
    return this.counters.batches + this.counters.refused;
  }

  async begin(): Promise<void> {
    try {
      this.identity = readIdentity(this.deps.paths.identity);
    } catch (error) {
      if (!hasCode(error, "SYNC_IDENTITY_UNUSABLE", "KEY_SET_REFUSED")) throw error;
      this.flaw = error;
      this.deps.log.error("the identity cannot be used", factsOf(error));
      return;
    }
    if (this.identity === undefined) this.deps.log.info("not enrolled: waiting for plant enroll");
    else await this.connect(this.identity);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.link?.[Symbol.asyncDispose]();
    this.over.resolve(undefined);
  }

  private async connect(identity: Identity): Promise<void> {
    const { isPaused, settings, counters } = this;
    const progress = readProgress(this.deps.paths.identity);
    const link = await startLink(this.deps, { identity, settings, progress, counters, isPaused });
    this.link = link;
    void link.ended.then((error) => {
      if (this.link === link && error !== undefined) this.over.resolve(error);
    });
  }

  /** @throws PlantError NEEDS_CONSENT for a gateway that has an identity, unless told to replace. */
  private async enroll(args: v.InferOutput<typeof enrolArguments>) {
    if (this.isEnrolling) throw new PlantError("LIMIT_REACHED", { limit: "enrolments", max: 1 });
    if (this.identity !== undefined && !args.replace) {
      const { device, centre, url } = this.identity.facts;
      const what = `Giving up the identity ${device} at ${url} (centre ${centre}, code not used)`;
      throw new PlantError("NEEDS_CONSENT", { what, device, centre, url });
    }
    this.isEnrolling = true;
    try {
      const { paths, random, version, boot, log } = this.deps;
      const key = await deviceKey(paths.identity);
      const serial = this.deps.serial ?? boot;
      const answer = await askToEnrol(args, { serial, version, nonce: random.bytes(16) }, key);
      const identity = await writeIdentity(paths.identity, args.url, answer);
      const former = this.link;
      this.link = undefined;
      await former?.[Symbol.asyncDispose]();
      this.identity = identity;
      this.flaw = undefined;
      await this.connect(identity);
      const { device, centre } = identity.facts;
      log.info("enrolled", { device, centre });
      return { device, centre, fingerprint: fingerprintOf(key.publicKey) };
    } finally {
      this.isEnrolling = false;
    }
  }

  private pause(isPaused: boolean): { paused: boolean } {
    this.isPaused = isPaused;
    this.link?.pause(isPaused);
    return { paused: isPaused };
  }

  private async status() {
    const { identity, link, counters, flaw } = this;
    const reason = link === undefined ? flaw : link.link.reason;
    const lastAck = link?.lastAck;
    const state = link?.state;
    return {
      enrolled: identity !== undefined,
      ...(identity === undefined
        ? {}
        : {
            device: identity.facts.device,
            centre: identity.facts.centre,
            mqtt: identity.facts.mqtt,
          }),
      link: link?.link.status ?? "down",
      since: link?.since ?? this.startedAt,
      ...(reason === undefined ? {} : { reason: reason.code, words: reason.message }),
      ...(link?.retryAtMs === undefined ? {} : { retryAt: link.retryAtMs }),
      ...(lastAck === undefined ? {} : { lastAck }),
      ...(state === undefined || state.generation === 0 ? {} : { generation: state.generation }),
      window: state?.window ?? this.settings.windowMax,
      paused: this.isPaused,
      welcome: state?.isWelcome ?? false,
      streams: await this.streams(),
      counters: { ...counters },
    };
  }

  /** What waits, as the store says now; as last heard when it does not answer. */
  private async streams() {
    const { client, log } = this.deps;
    const state = this.link?.state;
    const stood: Pick<StorePosition, "streams"> | undefined = await askPosition(client, {
      // Who asks a gateway of no centre how it is must not have it hold records for one.
      register: this.identity !== undefined,
      deadlineMs: statusMs,
    }).catch((error: unknown) => {
      log.debug("the store does not say where it stands", factsOf(error));
      return state?.lineage === undefined ? undefined : { streams: state.streams };
    });
    const known = streams.flatMap((name) => {
      const stream = stood?.streams[name];
      if (stream === undefined) return [];
      const { head, watermark, oldest } = stream;
      const waiting = Math.max(0, head - watermark);
      return [[name, { head, watermark, waiting, ...(oldest === undefined ? {} : { oldest }) }]];
    });
    return Object.fromEntries(known);
  }

  private health() {
    const { status, reason } = this.link?.link ?? { status: "down", reason: this.flaw };
    const isWell = this.identity === undefined ? this.flaw === undefined : status === "up";
    const output = this.identity === undefined ? "not enrolled" : status;
    const checks = [
      { name: "link", status: isWell ? "pass" : "warn", output: reason?.code ?? output },
    ];
    return { status: isWell ? "pass" : "warn", checks };
  }
}
