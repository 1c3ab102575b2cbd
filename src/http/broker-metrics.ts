// What the broker says of itself as families of samples. It must not know how it was asked.
import type { BrokerReport, QueueReport, ServiceReport } from "../status/status.ts";
import {
  counter,
  type Distribution,
  type Family,
  gauge,
  histogram,
  type Sample,
  single,
} from "./exposition.ts";

/** What the broker answered at one moment. */
export interface BusReport {
  readonly broker: BrokerReport;
  readonly queue: QueueReport;
}

/** Names of services are free: more than this would fill the memory of who collects. */
const servicesMax = 200;

/** Everything about the bus. */
export function busFamilies({ broker, queue }: BusReport): Family[] {
  const known = queue.services.filter(({ workers, totals }) => workers > 0 || totals.replies);
  const services = known.slice(0, servicesMax);
  const leftOut = queue.services.length - services.length + queue.more;
  return [
    ...brokerFamilies(broker),
    ...loadFamilies(services),
    ...totalFamilies(services),
    gauge(
      "broker_services_left_out",
      "Services not shown one by one: nobody serves them, or they are too many.",
      single(leftOut),
    ),
    answerTimes(services),
    ...refusalFamilies(broker),
    ...wireFamilies(broker),
  ];
}

function brokerFamilies(broker: BrokerReport): Family[] {
  const { counters } = broker;
  return [
    gauge(
      "broker_uptime_seconds",
      "Time since the broker started.",
      single(broker.uptimeMs / 1000),
    ),
    gauge("broker_peers", "Peers the broker knows.", single(broker.peers)),
    gauge("broker_waiting", "Requests waiting for a worker.", single(broker.queued)),
    gauge("broker_at_work", "Requests at workers.", single(broker.dispatched)),
    gauge("broker_held_bytes", "Bytes of requests and replies held.", single(broker.bytesHeld)),
    ...counterRows.map(([name, key, help]) =>
      counter(`broker_${name}_total`, help, single(counters[key] ?? null)),
    ),
  ];
}

const counterRows = [
  ["messages", "messages", "Messages read."],
  ["no_service", "noService", "Requests that nobody ever served in time."],
  ["late_replies", "lateReplies", "Replies nobody waited for any more."],
  ["workers_lost", "workersLost", "Workers that fell silent or went away."],
  ["streams_cut", "streamsCut", "Streams cut because their client did not read them."],
  ["body_in_bytes", "bytesIn", "Bytes of bodies read."],
  ["body_out_bytes", "bytesOut", "Bytes of bodies sent."],
] as const;

function perService(
  services: readonly ServiceReport[],
  read: (service: ServiceReport) => number | null,
): readonly Sample[] {
  return services.map((one) => [{ service: one.service }, read(one)]);
}

function loadFamilies(services: readonly ServiceReport[]): Family[] {
  return [
    gauge(
      "broker_service_workers",
      "Workers of a service.",
      perService(services, ({ workers }) => workers),
    ),
    gauge(
      "broker_service_at_work",
      "Requests at the workers of a service.",
      perService(services, ({ busy }) => busy),
    ),
    gauge(
      "broker_service_room",
      "Requests the workers of a service take at one time.",
      perService(services, ({ concurrency }) => concurrency),
    ),
    gauge(
      "broker_service_waiting",
      "Requests waiting for a service.",
      perService(services, ({ queued }) => queued),
    ),
    gauge(
      "broker_service_waiting_max",
      "Requests that may wait for a service.",
      perService(services, ({ policy }) => policy.queueMax || null),
    ),
    gauge(
      "broker_service_oldest_seconds",
      "How long the oldest waiting request has waited.",
      perService(services, ({ oldestMs }) => oldestMs / 1000),
    ),
  ];
}

const totalRows = [
  ["requests", "requests", "Requests to a service."],
  ["replies", "replies", "Replies of a service."],
  ["partials", "partials", "Partial replies of a service."],
  ["retries", "retries", "Requests given to another worker because theirs was lost."],
  ["expired", "expired", "Requests whose time ran out."],
  ["lost", "lost", "Requests lost with their worker."],
  ["cancelled", "cancelled", "Requests their client gave up."],
  ["queue_full", "queueFull", "Requests refused because too many waited."],
] as const;

function totalFamilies(services: readonly ServiceReport[]): Family[] {
  return totalRows.map(([name, key, help]) =>
    counter(
      `broker_service_${name}_total`,
      help,
      perService(services, ({ totals }) => totals[key] ?? null),
    ),
  );
}

function answerTimes(services: readonly ServiceReport[]): Family {
  return histogram(
    "broker_service_answer_seconds",
    "Time from the arrival of a request to its reply; streams are left out.",
    services.filter(({ latency }) => latency.count > 0).map(distributionOf),
  );
}

function distributionOf({ service, latency }: ServiceReport): Distribution {
  return {
    labels: { service },
    buckets: latency.buckets.map(([leMs, count]) => [inSeconds(leMs), count]),
    sumSeconds: inSeconds(latency.sumMs),
    count: latency.count,
  };
}

/** Nine digits hide what halving and doubling leave behind. */
function inSeconds(ms: number): number {
  return Number((ms / 1000).toPrecision(9));
}

function refusalFamilies({ refused }: BrokerReport): Family[] {
  return [
    counter(
      "broker_refused_total",
      "What was not done for a peer, or done to it, by reason.",
      perReason(refused),
    ),
  ];
}

function perReason(counts: Readonly<Record<string, number>>): readonly Sample[] {
  return Object.entries(counts).map(([reason, count]) => [{ reason }, count]);
}

function wireFamilies({ wire }: BrokerReport): Family[] {
  return [
    gauge("broker_connections", "Connections that stand.", single(wire.connections)),
    counter("broker_connections_total", "Connections that ever stood.", single(wire.accepted)),
    counter("broker_wire_messages_total", "Messages by direction.", [
      [{ direction: "in" }, wire.messagesIn],
      [{ direction: "out" }, wire.messagesOut],
    ]),
    counter("broker_wire_bytes_total", "Bytes by direction.", [
      [{ direction: "in" }, wire.bytesIn],
      [{ direction: "out" }, wire.bytesOut],
    ]),
    counter(
      "broker_wire_dropped_total",
      "Messages not sent: the peer was gone, or too much waited for it.",
      single(wire.dropped),
    ),
    counter(
      "broker_wire_refused_total",
      "Connections and messages refused by the sockets, by reason.",
      perReason(wire.refused),
    ),
  ];
}
