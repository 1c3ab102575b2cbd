// Door of the driver kit: what every driver shares, whatever its devices speak.
// It must not know any protocol.
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
export type { Port, PortEvents } from "./port.ts";
