// The connection to an MQTT 5 broker: kept up for ever, its window ours. The only importer of mqtt.
// It must not know what the messages say.
import type { IClientOptions, IConnackPacket, MqttClient } from "mqtt";
import type { BackoffRange } from "../util/backoff.ts";
import type { Clock } from "../util/clock.ts";
import { PlantError } from "../util/errors.ts";
import type { Log } from "../util/log.ts";
import type { Random } from "../util/random.ts";
import { type Running, startLoop, within } from "../util/running.ts";
import { type MessageListener, openInbox } from "./inbox.ts";
import { afterOutcome, disconnectError, linkError, type Outcome } from "./reconnect.ts";
import { openSlots } from "./slots.ts";

export type { InboundMessage, MessageListener } from "./inbox.ts";

export interface UplinkDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
}

export interface UplinkOptions {
  /** `mqtt://host:port` or `mqtts://host:port`. */
  readonly url: string;
  readonly clientId: string;
  /** PEM texts: the authorities to trust, the client's certificate and key. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string };
  readonly username?: string;
  readonly password?: string;
  /** Seconds the broker keeps the session after a loss; 0, the default, starts clean each time. */
  readonly sessionExpirySeconds?: number;
  readonly will?: {
    readonly topic: string;
    readonly payload: Uint8Array;
    readonly retain: boolean;
    readonly delaySeconds: number;
  };
  /** Filters to subscribe on each connection, `$share/group/…` included; quality of service 1. */
  readonly subscriptions: readonly string[];
  /** Acknowledged publishes under way; fewer when the broker announces fewer. */
  readonly windowMax: number;
  readonly backoff: BackoffRange;
  readonly keepaliveSeconds?: number;
}

/** What the link is doing. */
export interface LinkState {
  readonly status: "down" | "connecting" | "up";
  /** Why it is not up, when it is not. */
  readonly reason?: PlantError;
  /** Milliseconds until the next attempt, as of the change. */
  readonly retryMs?: number;
  /** Publishes that may be under way. */
  readonly window: number;
  /** The largest packet the broker takes, in bytes. */
  readonly packetBytesMax?: number;
}

export interface PublishOptions {
  readonly qos: 0 | 1;
  readonly retain?: boolean;
  /** Seconds after which the broker drops it undelivered. */
  readonly expirySeconds?: number;
}

export interface Uplink extends Running {
  readonly state: LinkState;
  /** Messages dropped because the listeners were too slow. */
  readonly dropped: number;
  /**
   * Publishes while connected; resolves when the broker has it, which proves nothing about whom it
   * is for.
   * @throws PlantError LINK_CLOSED, LINK_BUSY, LINK_REFUSED, BATCH_TOO_LARGE.
   */
  publish(topic: string, payload: Uint8Array, options: PublishOptions): Promise<void>;
  onMessage(listener: MessageListener): () => void;
  onState(listener: (state: LinkState) => void): () => void;
  /** Tells that the peer behind the broker answered: the connection is a good one. */
  confirm(): void;
  /** Ends the wait before the next attempt. */
  retry(): void;
}

const connectTimeoutMs = 10_000;
const closeMs = 1000;
const waitingMax = 1024;
const inboxBounds = { messagesMax: 4096, bytesMax: 33_554_432 };
const receiveMaximum = 1024;
/** Bytes that may wait in the socket before an unacknowledged publish is refused. */
const socketBytesMax = 1_048_576;

/** One connection, from its attempt to its end. */
interface Connection {
  readonly client: MqttClient;
  readonly over: Promise<PlantError>;
  readonly end: (reason: PlantError) => void;
  /** Monotonic time at which it was up. */
  upAtMs?: number;
  isConfirmed: boolean;
}

/** Starts to connect, and goes on for ever; no failure ends it. */
export async function startUplink(deps: UplinkDeps, options: UplinkOptions): Promise<Uplink> {
  const { clock, random } = deps;
  const log = deps.log.within("uplink");
  const address = options.url;
  const inbox = openInbox(inboxBounds, log);
  const slots = openSlots(options.windowMax, waitingMax);
  const listeners = new Set<(state: LinkState) => void>();
  let state: LinkState = { status: "down", window: options.windowMax };
  let connection: Connection | undefined;
  let failures = 0;
  let wake = new AbortController();

  function setState(next: LinkState): void {
    state = next;
    for (const listener of listeners) listener(next);
  }

  async function attempt(signal: AbortSignal): Promise<Outcome> {
    const { reason: before } = state;
    setState({
      status: "connecting",
      window: slots.count,
      ...(before === undefined ? {} : { reason: before }),
    });
    const made = await open(options).catch((error: unknown) => linkError(address, error));
    if (made instanceof PlantError) return { upMs: 0, isConfirmed: false, reason: made };
    connection = made;
    const { client } = made;
    const stop = () => made.end(new PlantError("LINK_CLOSED", { address, reason: "stopped" }));
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    client.on("message", (topic, payload, packet) =>
      inbox.push({ topic, payload, retain: packet.retain === true }),
    );
    client.on("connect", (connack) => {
      subscribe(client, options.subscriptions).then(
        () => up(made, connack),
        (error: unknown) => made.end(linkError(address, error)),
      );
    });
    const reason = await made.over;
    signal.removeEventListener("abort", stop);
    connection = undefined;
    const upMs = made.upAtMs === undefined ? 0 : clock.monotonicMs() - made.upAtMs;
    slots.close(reason);
    setState({ status: "down", reason, window: slots.count });
    await close(clock, client, signal.aborted);
    return { upMs, isConfirmed: made.isConfirmed, reason };
  }

  function up(made: Connection, connack: IConnackPacket): void {
    if (connection !== made) return;
    const { receiveMaximum: theirs, maximumPacketSize } = connack.properties ?? {};
    made.upAtMs = clock.monotonicMs();
    slots.resize(Math.min(options.windowMax, theirs ?? 65_535));
    log.info("connected", { address, window: slots.count });
    const packetBytesMax =
      maximumPacketSize === undefined ? {} : { packetBytesMax: maximumPacketSize };
    setState({ status: "up", window: slots.count, ...packetBytesMax });
  }

  const loop = startLoop({
    clock,
    async round(signal) {
      const outcome = await attempt(signal);
      if (signal.aborted) return;
      const draw = { range: options.backoff, unit: random.unit() };
      const next = afterOutcome(failures, outcome, draw);
      failures = next.failures;
      const { code } = outcome.reason;
      const fields = { code, reason: outcome.reason.message, retryMs: next.waitMs, failures };
      if (code === "LINK_TAKEN_OVER") log.error("another client took the connection over", fields);
      else log.warn("not connected", fields);
      const { reason } = outcome;
      setState({ status: "down", reason, window: slots.count, retryMs: next.waitMs });
      wake = new AbortController();
      await clock.sleep(next.waitMs, AbortSignal.any([signal, wake.signal]));
    },
  });

  async function publish(topic: string, payload: Uint8Array, how: PublishOptions): Promise<void> {
    const made = connected();
    const max = state.packetBytesMax;
    if (max !== undefined && payload.length + topic.length + 64 > max) {
      throw new PlantError("BATCH_TOO_LARGE", { size: payload.length, max });
    }
    if (how.qos === 0) {
      const waiting = made.client.stream?.writableLength ?? 0;
      if (waiting > socketBytesMax) throw busy(address, socketBytesMax);
      await send(made, { topic, payload, how });
      return;
    }
    await slots.take(() => busy(address, waitingMax));
    try {
      if (connection !== made) throw closed(address);
      await send(made, { topic, payload, how });
    } finally {
      slots.give();
    }
  }

  function connected(): Connection {
    if (connection === undefined || state.status !== "up") throw closed(address);
    return connection;
  }

  async function send(made: Connection, message: Outbound): Promise<void> {
    const sent = deliver(made.client, message).catch((error: unknown) => linkError(address, error));
    const result = await Promise.race([sent, made.over]);
    if (result instanceof PlantError) throw result;
  }

  return {
    ended: loop.ended,
    get state() {
      return state;
    },
    get dropped() {
      return inbox.dropped;
    },
    publish,
    onMessage: (listener) => inbox.listen(listener),
    onState(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    confirm() {
      if (connection !== undefined) connection.isConfirmed = true;
    },
    retry: () => wake.abort(),
    [Symbol.asyncDispose]: () => loop[Symbol.asyncDispose](),
  };
}

interface Outbound {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly how: PublishOptions;
}

function busy(address: string, max: number): PlantError {
  return new PlantError("LINK_BUSY", { address, max });
}

function closed(address: string): PlantError {
  return new PlantError("LINK_CLOSED", { address, reason: "it is not up" });
}

async function open(options: UplinkOptions): Promise<Connection> {
  const { connect } = await import("mqtt");
  const { promise: over, resolve: end } = Promise.withResolvers<PlantError>();
  const client = connect(options.url, clientOptions(options));
  client.on("error", (error) => end(linkError(options.url, error)));
  client.on("disconnect", (packet) => end(disconnectError(options.url, packet.reasonCode ?? 0)));
  client.on("close", () => {
    end(new PlantError("LINK_CLOSED", { address: options.url, reason: "the connection broke" }));
  });
  return { client, over, end, isConfirmed: false };
}

function clientOptions(options: UplinkOptions): IClientOptions {
  const { tls, will, username, password, sessionExpirySeconds: expiry = 0 } = options;
  return {
    protocolVersion: 5,
    clientId: options.clientId,
    clean: expiry === 0,
    keepalive: options.keepaliveSeconds ?? 30,
    reconnectPeriod: 0,
    connectTimeout: connectTimeoutMs,
    queueQoSZero: false,
    resubscribe: false,
    properties: { sessionExpiryInterval: expiry, receiveMaximum },
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(options.url.startsWith("mqtts:") ? { minVersion: "TLSv1.3", ...tls } : {}),
    ...(will === undefined
      ? {}
      : {
          will: {
            topic: will.topic,
            payload: Buffer.from(will.payload),
            qos: 1,
            retain: will.retain,
            properties: { willDelayInterval: will.delaySeconds },
          },
        }),
  };
}

async function subscribe(client: MqttClient, filters: readonly string[]): Promise<void> {
  if (filters.length === 0) return;
  await client.subscribeAsync([...filters], { qos: 1 });
}

async function deliver(client: MqttClient, message: Outbound): Promise<undefined> {
  const { topic, payload, how } = message;
  const expiry = how.expirySeconds;
  await client.publishAsync(topic, Buffer.from(payload), {
    qos: how.qos,
    retain: how.retain ?? false,
    ...(expiry === undefined ? {} : { properties: { messageExpiryInterval: expiry } }),
  });
  return undefined;
}

/** Leaves in order when told to stop, else drops what is left of the connection. */
async function close(clock: Clock, client: MqttClient, isOrderly: boolean): Promise<void> {
  const ended = client.endAsync(!isOrderly || !client.connected).catch(() => undefined);
  await within(clock, closeMs, ended);
}
