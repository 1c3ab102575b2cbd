// Messages that came in and wait for their listeners, bounded in number and bytes.
// It must not know where messages come from.
import type { Log } from "../util/log.ts";

/** A message from the broker. */
export interface InboundMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly retain: boolean;
}
export type MessageListener = (message: InboundMessage) => void | Promise<void>;

export interface Inbox {
  /** Queues a message; drops it when full: the sender sends again what is not answered. */
  push(message: InboundMessage): void;
  listen(listener: MessageListener): () => void;
  /** Messages dropped so far. */
  readonly dropped: number;
}

/** Opens an inbox; each message reaches all listeners, in order, before the next does. */
export function openInbox(
  bounds: { readonly messagesMax: number; readonly bytesMax: number },
  log: Log,
): Inbox {
  const queue: InboundMessage[] = [];
  const listeners = new Set<MessageListener>();
  let bytes = 0;
  let dropped = 0;
  let isRunning = false;

  async function deliver(message: InboundMessage): Promise<void> {
    for (const listener of listeners) {
      try {
        await listener(message);
      } catch (error) {
        log.error("a message was not taken", { topic: message.topic, error });
      }
    }
  }

  async function run(): Promise<void> {
    isRunning = true;
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      bytes -= next.payload.length;
      await deliver(next);
    }
    isRunning = false;
  }

  return {
    get dropped() {
      return dropped;
    },
    push(message) {
      if (queue.length >= bounds.messagesMax || bytes + message.payload.length > bounds.bytesMax) {
        dropped += 1;
        return;
      }
      queue.push(message);
      bytes += message.payload.length;
      if (!isRunning) void run();
    },
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
