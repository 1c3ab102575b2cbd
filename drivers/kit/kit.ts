// Door of the driver kit: what every driver shares, whatever its devices speak.
// It must not know any protocol.
export { type BusOwner, type BusOwnerOptions, type LineState, startBusOwner } from "./bus-owner.ts";
export { Changes } from "./changes.ts";
export { type Health, healthAtStart, stepHealth } from "./device-health.ts";
export type {
  DevicePlan,
  Heard,
  LineAdapter,
  LineTiming,
  PointInfo,
  PointType,
  PointValue,
  PollGroup,
  Quality,
  ReadPlan,
  Sample,
  TimedSample,
  WritePlan,
} from "./device-plan.ts";
export {
  type Exchange,
  type Fault,
  type Lane,
  lanes,
  type Outcome,
  type Signature,
  type Verdict,
} from "./exchange.ts";
export { LateWindow } from "./late-window.ts";
export { type Line, startLine } from "./line.ts";
export { LineFigures, type LineReport, Rolling } from "./line-figures.ts";
export type { LineDeps, LineOptions } from "./line-parts.ts";
export type { WriteResult } from "./operations.ts";
export { type LineEvent, Outbox } from "./outbox.ts";
export type { Port, PortEvents } from "./port.ts";
export { listProfiles, readProfile } from "./profile-files.ts";
export type { Reporter } from "./reporter.ts";
export { Schedule } from "./schedule.ts";
export {
  characterMs,
  describeSerial,
  makeSerialPort,
  type SerialSettings,
  silenceMs,
} from "./serial-port.ts";
export { makeTcpPort, type SocketFraming, type TcpSettings } from "./tcp-port.ts";
