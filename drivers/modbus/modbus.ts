// Door of the Modbus driver: profiles, registers and frames of both sides.
// It must not know the bus.
export { type ModbusLine, modbusAdapter, samplesOf } from "./adapter.ts";
export {
  frameRtu,
  frameTcp,
  hasValidCrc,
  isMbapValid,
  judgeRtu,
  type Mbap,
  readMbap,
  requestBytesOf,
} from "./framing.ts";
export {
  type DecodedRequest,
  type DecodedResponse,
  decodeRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  functionOf,
  isBitTable,
  limits,
  packBits,
  type Request,
  type Response,
  type Table,
  tables,
} from "./pdu.ts";
export { type Block, gapMax, planBlocks, type RequestCost } from "./planner.ts";
export {
  layoutOf,
  loadProfile,
  type Profile,
  type ProfileFlaw,
  type ProfilePoint,
  parseProfile,
  profileNames,
} from "./profile.ts";
export {
  decodeRegisters,
  encodeRegisters,
  type Layout,
  type Order,
  orders,
  type RegisterType,
  registersOf,
  roundToLayout,
  types,
} from "./registers.ts";
