# Modbus slaves of an implementation that is not ours (pymodbus), over RTU or TCP. Values are encoded
# by Python's struct. Tells on standard output where it listens and what is written to it.
import asyncio
import json
import struct
import sys

from pymodbus.datastore import (
    ModbusServerContext,
    ModbusSlaveContext,
    ModbusSparseDataBlock,
)
from pymodbus.server.async_io import ModbusSerialServer, ModbusTcpServer
from pymodbus.framer.rtu_framer import ModbusRtuFramer

FORMATS = {
    "i16": ">h",
    "u16": ">H",
    "i32": ">i",
    "u32": ">I",
    "i64": ">q",
    "u64": ">Q",
    "f32": ">f",
    "f64": ">d",
}
KINDS = {1: "coil", 2: "discrete", 3: "holding", 4: "input", 5: "coil", 6: "holding", 15: "coil", 16: "holding"}


def say(**what):
    print(json.dumps(what), flush=True)


def pack(point):
    """Register words of a value, in the order of the point."""
    kind = point["type"]
    if kind == "string":
        data = point["raw"].encode("latin-1").ljust(point["length"] * 2, b"\0")
    else:
        number = float(point["raw"]) if kind[0] == "f" else int(point["raw"])
        data = struct.pack(FORMATS[kind], number)
    return [int.from_bytes(pair, "big") for pair in ordered(data, point)]


def ordered(data, point):
    pairs = [data[at : at + 2] for at in range(0, len(data), 2)]
    if point["order"] in ("CDAB", "DCBA") and point["type"] != "string":
        pairs.reverse()
    if point["order"] in ("BADC", "DCBA"):
        pairs = [pair[::-1] for pair in pairs]
    return pairs


def unpack(words, point):
    """The value of register words, by the same road backwards."""
    data = b"".join(word.to_bytes(2, "big") for word in words)
    data = b"".join(ordered(data, point))
    if point["type"] == "string":
        return data.rstrip(b"\0").decode("latin-1")
    value = struct.unpack(FORMATS[point["type"]], data)[0]
    return value if point["type"][0] == "f" else str(value)


def size(point):
    if point["table"] in ("coil", "discrete") or point["type"] == "bool":
        return 1
    if point["type"] == "string":
        return point["length"]
    return struct.calcsize(FORMATS[point["type"]]) // 2


def fill(points):
    tables = {"coil": {}, "discrete": {}, "input": {}, "holding": {}}
    for point in points:
        table, address = tables[point["table"]], point["address"]
        if point["table"] in ("coil", "discrete"):
            table[address] = bool(point["raw"])
        elif point["type"] == "bool":
            bit = 1 << point["bit"] if point["raw"] else 0
            table[address] = table.get(address, 0) | bit
        else:
            for at, word in enumerate(pack(point)):
                table[address + at] = word
    for table in tables.values():
        if table:
            for address in range(min(table), max(table) + 1):
                table.setdefault(address, 0)
    return tables


class Slave(ModbusSlaveContext):
    """Says what is written to it, point by point."""

    def tell(self, unit, points):
        self.unit = unit
        self.points = points
        return self

    def setValues(self, fc_as_hex, address, values):
        super().setValues(fc_as_hex, address, values)
        kind = KINDS[fc_as_hex]
        if not hasattr(self, "points"):
            return
        for point in self.points:
            if point["table"] != kind or not address <= point["address"] < address + len(values):
                continue
            words = self.getValues(fc_as_hex, point["address"], size(point))
            value = bool(words[0]) if kind == "coil" else unpack(words, point)
            say(written=point["name"], unit=self.unit, function=fc_as_hex, value=value)


def slave_of(unit, points):
    tables = fill(points)
    blocks = {name: ModbusSparseDataBlock(table or {0: 0}) for name, table in tables.items()}
    slave = Slave(
        di=blocks["discrete"],
        co=blocks["coil"],
        ir=blocks["input"],
        hr=blocks["holding"],
        zero_mode=True,
    )
    return slave.tell(unit, points)


async def main():
    plan = json.load(sys.stdin)
    slaves = {int(unit): slave_of(int(unit), points) for unit, points in plan["units"].items()}
    context = ModbusServerContext(slaves=slaves, single=False)
    if "path" in plan:
        server = ModbusSerialServer(
            context,
            framer=ModbusRtuFramer,
            port=plan["path"],
            baudrate=plan["baud"],
            ignore_missing_slaves=True,
        )
        await server.start()
        if server.transport is None:
            raise RuntimeError("the port could not be opened")
        say(ready=plan["path"])
    else:
        server = ModbusTcpServer(context, address=("127.0.0.1", 0))
        task = asyncio.ensure_future(server.serve_forever())
        while server.server is None:
            await asyncio.sleep(0.01)
        say(ready=server.server.sockets[0].getsockname()[1])
        await task
        return
    await server.serve_forever()


asyncio.run(main())
