// One enrolled life of sync: the uplink and the store around the protocol.
// It must not know how the gateway was enrolled.
import {
  type EnvelopeFields,
  encodeBatch,
  encodeBody,
  type Stream,
  seal,
  topicOf,
  willPayload,
} from "../batch/batch.ts";
import type { Client } from "../client/client.ts";
import type { Config } from "../config/config.ts";
import { type LinkState, startUplink, type Uplink } from "../uplink/uplink.ts";
import { type Clock, type ClockSync, type Stamp, stampNow } from "../util/clock.ts";
import { pemOf } from "../util/ed25519.ts";
import { asPlantError, hasCode } from "../util/errors.ts";
import type { Log } from "../util/log.ts";
import type { Paths } from "../util/paths.ts";
import type { Random } from "../util/random.ts";
import { asError, type Running, within } from "../util/running.ts";
import { type Identity, type Progress, writeProgress } from "./identity.ts";
import { RefusalTally, readMessage } from "./inbound.ts";
import { dueMs, step } from "./protocol.ts";
import { askPosition, moveStoreWatermark, raiseAlarm, readChanges } from "./store-side.ts";
import { type BatchToSend, initialState, type SyncEffect, type SyncInput } from "./sync-state.ts";

/** Longest wait of a read for something new. */
const readWaitMs = 10_000;
/** Longest wait for work under way at the end. */
const closeMs = 2000;
/** Longest wait for a tick, so that a process that was held up looks around. */
const tickMaxMs = 60_000;
const willDelaySeconds = 30;

export interface LinkDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  /** Boot id of the machine, for stamps. */
  readonly boot: string;
  readonly client: Client;
  readonly paths: Pick<Paths, "identity">;
  readonly version: string;
  /** How far the wall clock can be trusted now; `none` when absent. */
  readonly clockSync?: () => ClockSync;
}

export type SyncSettings = Config["sync"];

/** What is counted since the start. */
export interface SyncCounters {
  batches: number;
  records: number;
  resends: number;
  refused: number;
  bytes: number;
}

export interface LinkOptions {
  readonly identity: Identity;
  readonly settings: SyncSettings;
  readonly progress: Progress;
  readonly counters: SyncCounters;
  readonly isPaused: boolean;
}

type Effect<K extends SyncEffect["kind"]> = Extract<SyncEffect, { kind: K }>;

/** The link of an identity, at work until it is disposed. */
export class SyncLink implements Running {
  readonly ended: Promise<Error | undefined>;
  readonly state;
  /** When the centre last answered. */
  lastAck: Stamp | undefined;
  /** Since when the link is up, or is not. */
  since: Stamp;
  /** When the next attempt to connect is due, where one is. */
  retryAtMs: number | undefined;
  private readonly deps: LinkDeps;
  private readonly options: LinkOptions;
  private readonly uplink: Uplink;
  private readonly log: Log;
  private readonly signer;
  private readonly stop = new AbortController();
  private readonly reads = new Map<Stream, AbortController>();
  private readonly marks = new Map<Stream, { readonly sequence: number; welcome: boolean }>();
  private readonly work = new Set<Promise<void>>();
  private readonly refusals = new RefusalTally();
  private readonly failed = Promise.withResolvers<Error>();
  private readonly run: string;
  private readonly ticking: Promise<undefined>;
  private wake = new AbortController();
  private isUp = false;
  private isMarking = false;
  private alarms = 0;

  constructor(deps: LinkDeps, options: LinkOptions, uplink: Uplink) {
    const { identity, progress, settings } = options;
    this.deps = deps;
    this.options = options;
    this.uplink = uplink;
    this.log = deps.log.within("link");
    this.signer = { key: identity.key, kid: identity.kid };
    this.run = Buffer.from(deps.random.bytes(8)).toString("hex");
    this.since = this.now();
    this.state = initialState(
      { ...settings, readWaitMs, version: deps.version },
      {
        centre: progress.centre ?? identity.facts.centre,
        generation: progress.generation,
        keySet: identity.keySet.content.version,
      },
    );
    this.state.isPaused = options.isPaused;
    uplink.onState((link) => this.takeLink(link));
    uplink.onMessage(({ topic, payload }) => this.takeMessage(topic, payload));
    if (uplink.state.status === "up") this.takeLink(uplink.state);
    this.ticking = this.tick();
    this.ended = Promise.race([this.ticking, uplink.ended, this.failed.promise]);
  }

  get link(): LinkState {
    return this.uplink.state;
  }

  /** Stops publishing, or goes on; going on ends a wait for the next attempt to connect. */
  pause(isPaused: boolean): void {
    this.take({ kind: "pause", isPaused });
    if (!isPaused) this.uplink.retry();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.stop.signal.aborted) return;
    await this.leave();
    this.stop.abort();
    await this.uplink[Symbol.asyncDispose]();
    await within(this.deps.clock, closeMs, Promise.all([this.ticking, ...this.work]));
  }

  private now(): Stamp {
    const { clock, boot, clockSync } = this.deps;
    return stampNow(clock, boot, clockSync?.() ?? "none");
  }

  private newNonce(): string {
    return Buffer.from(this.deps.random.bytes(16)).toString("base64url");
  }

  private seal(type: EnvelopeFields["type"], nonce: string, body: Uint8Array): Uint8Array {
    const { device } = this.options.identity.facts;
    return seal({ device, type, nonce, ...this.now() }, body, this.signer);
  }

  private topic(type: EnvelopeFields["type"], stream?: Stream): string {
    return topicOf({ device: this.options.identity.facts.device, type, stream });
  }

  private takeLink(link: LinkState): void {
    const now = this.now();
    const isUp = link.status === "up";
    // Attempts in vain change nothing of how long the centre is away.
    if (isUp !== this.isUp) this.since = now;
    this.isUp = isUp;
    this.retryAtMs = link.retryMs === undefined ? undefined : now.wall + link.retryMs;
    if (link.status === "up") this.take({ kind: "connected", window: link.window });
    else if (this.state.isConnected) this.take({ kind: "disconnected" });
  }

  private takeMessage(topic: string, payload: Uint8Array): void {
    try {
      const message = readMessage(topic, payload, this.options.identity);
      if (message !== undefined) this.take({ kind: "message", message });
    } catch (error) {
      const { code, message } = asPlantError(error);
      if (code === "INTERNAL") throw error;
      this.options.counters.refused += 1;
      const count = this.refusals.note(this.deps.clock.monotonicMs());
      if (count === undefined) return;
      this.log.warn("a message from the centre is refused", {
        code,
        topic,
        reason: message,
        ...(count > 1 ? { count } : {}),
      });
    }
  }

  private take(input: SyncInput): void {
    if (this.stop.signal.aborted) return;
    const nowMs = this.deps.clock.monotonicMs();
    for (const effect of step(this.state, input, { nowMs, nonce: () => this.newNonce() })) {
      this.act(effect);
    }
    this.options.counters.resends = this.state.pace.resends;
    this.wake.abort();
  }

  /** Work that goes on by itself; a failure without a code of its own ends the link. */
  private start(task: Promise<void>): void {
    const guarded = task.catch((error: unknown) => this.failed.resolve(asError(error)));
    this.work.add(guarded);
    void guarded.then(() => this.work.delete(guarded));
  }

  private act(effect: SyncEffect): void {
    switch (effect.kind) {
      case "hello":
        this.start(this.sendHello(effect));
        break;
      case "batch":
        this.start(this.sendBatch(effect.batch));
        break;
      case "ask-position":
        this.start(this.position());
        break;
      case "read":
        this.start(this.read(effect));
        break;
      case "cancel-reads":
        for (const controller of this.reads.values()) controller.abort();
        break;
      case "watermark":
        this.marks.set(effect.stream, { sequence: effect.sequence, welcome: effect.isWelcome });
        if (!this.isMarking) this.start(this.mark());
        break;
      case "confirm":
        this.lastAck = this.now();
        this.uplink.confirm();
        break;
      case "generation":
        this.start(this.keep(effect));
        break;
      case "alarm":
        this.start(this.alarm(effect));
        break;
      case "ignored":
        this.options.counters.refused += 1;
        this.log.debug("a message from the centre does not count", { reason: effect.reason });
        break;
      default:
        effect satisfies never;
    }
  }

  /** Publishes, or loses the message with the connection: what matters is sent again. */
  private async publish(topic: string, bytes: Uint8Array, retain = false): Promise<void> {
    this.options.counters.bytes += bytes.length;
    try {
      await this.uplink.publish(topic, bytes, { qos: 1, retain });
    } catch (error) {
      if (!/^LINK_/.test(asPlantError(error).code)) throw error;
      this.log.debug("a message did not leave", factsOf(error));
    }
  }

  private async sendHello({ nonce, body }: Effect<"hello">): Promise<void> {
    const on = encodeBody("on", { status: "up", boot: this.deps.boot });
    const hello = this.seal("hello", nonce, encodeBody("hello", body));
    await Promise.all([
      this.publish(this.topic("on"), this.seal("on", nonce, on), true),
      this.publish(this.topic("hello"), hello),
    ]);
  }

  private async sendBatch(batch: BatchToSend): Promise<void> {
    const { records, nonce, ...place } = batch;
    const { stream, first, last } = batch;
    const { device } = this.options.identity.facts;
    const fields = { device, type: "batch", nonce, ...place, ...this.now() } as const;
    const bytes = seal(fields, encodeBatch(records), this.signer);
    const { counters } = this.options;
    counters.batches += 1;
    counters.records += records.length;
    try {
      await this.publish(this.topic("batch", stream), bytes);
    } catch (error) {
      if (!hasCode(error, "BATCH_TOO_LARGE")) throw error;
      this.take({ kind: "too-large", stream, first, last });
    }
  }

  private async position(): Promise<void> {
    try {
      const { signal } = this.stop;
      const position = await askPosition(this.deps.client, { register: true, signal });
      this.take({ kind: "position", position });
    } catch (error) {
      this.log.warn("the store does not say where it stands", factsOf(error));
      this.take({ kind: "position-failed" });
    }
  }

  private async read({ id, stream, after, limit, waitMs }: Effect<"read">): Promise<void> {
    this.reads.get(stream)?.abort();
    const controller = new AbortController();
    this.reads.set(stream, controller);
    const bytesMax = this.options.settings.batchBytesMax;
    const signal = AbortSignal.any([controller.signal, this.stop.signal]);
    try {
      const request = { stream, after, limit, waitMs, bytesMax };
      const { epoch, records, head } = await readChanges(this.deps.client, request, signal);
      this.take({ kind: "records", answer: { id, stream, epoch, records, head } });
    } catch (error) {
      if (signal.aborted) return;
      this.log.warn("the store does not give its changes", factsOf(error));
      this.take({ kind: "read-failed", id, stream });
    }
  }

  /** Tells the store the newest watermark of each stream, one after the other. */
  private async mark(): Promise<void> {
    this.isMarking = true;
    for (let next = [...this.marks][0]; next !== undefined; next = [...this.marks][0]) {
      const [stream, mark] = next;
      this.marks.delete(stream);
      try {
        await moveStoreWatermark(this.deps.client, { stream, ...mark });
      } catch (error) {
        // The next acknowledgement or welcome says it again.
        this.log.warn("the store did not take a watermark", factsOf(error));
        break;
      }
    }
    this.isMarking = false;
  }

  private async keep({ generation, centre }: Effect<"generation">): Promise<void> {
    try {
      await writeProgress(this.deps.paths.identity, { generation, centre });
    } catch (error) {
      if (!hasCode(error, "SYNC_IDENTITY_UNUSABLE")) throw error;
      this.log.error("the generation was not kept", factsOf(error));
    }
  }

  private async alarm({ stream, sequence, code }: Effect<"alarm">): Promise<void> {
    this.alarms += 1;
    const detail = { stream, sequence, code };
    this.log.error("the centre refuses a record", { refusal: code, stream, sequence });
    try {
      await raiseAlarm(this.deps.client, { run: this.run, number: this.alarms, detail });
    } catch (error) {
      this.log.error("the alarm was not kept", factsOf(error));
    }
  }

  private async tick(): Promise<undefined> {
    const { clock } = this.deps;
    while (!this.stop.signal.aborted) {
      this.wake = new AbortController();
      const left = Math.min(tickMaxMs, dueMs(this.state) - clock.monotonicMs());
      const signal = AbortSignal.any([this.stop.signal, this.wake.signal]);
      if (left > 0) await clock.sleep(left, signal);
      else {
        this.take({ kind: "tick" });
        await clock.sleep(1, this.stop.signal);
      }
    }
    return undefined;
  }

  /** Says that the gateway leaves in order, when there is somebody to say it to. */
  private async leave(): Promise<void> {
    if (this.uplink.state.status !== "up") return;
    const body = encodeBody("on", { status: "down", boot: this.deps.boot });
    const bytes = this.seal("on", this.state.nonces.at(-1) ?? this.newNonce(), body);
    await within(this.deps.clock, closeMs, this.publish(this.topic("on"), bytes, true));
  }
}

/** What a log line says of a failure. */
export function factsOf(error: unknown): { code: string; reason: string } {
  const { code, message } = asPlantError(error);
  return { code, reason: message };
}

/** Starts the link of an identity. */
export async function startLink(deps: LinkDeps, options: LinkOptions): Promise<SyncLink> {
  const { identity, settings } = options;
  const { device, mqtt, ca, clientCert } = identity.facts;
  const uplink = await startUplink(deps, {
    url: mqtt,
    clientId: device,
    ...(mqtt.startsWith("mqtts:")
      ? { tls: { ca, cert: clientCert, key: pemOf(identity.key) } }
      : { username: device }),
    will: {
      topic: topicOf({ device, type: "on" }),
      payload: willPayload(deps.boot),
      retain: true,
      delaySeconds: willDelaySeconds,
    },
    subscriptions: [`plantd/v1/${device}/down/#`],
    windowMax: settings.windowMax,
    backoff: { baseMs: settings.backoffBaseMs, ceilingMs: settings.backoffCeilingMs },
  });
  return new SyncLink(deps, options, uplink);
}
