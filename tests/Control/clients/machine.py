"""A machine's life with grpcio. Arguments: address, descriptor set, kernel, initrd. Prints one line a step."""
import sys
import threading

import grpc

from descriptors import Api

address, descriptors, kernel, initrd = sys.argv[1:5]
api = Api(descriptors)
channel = grpc.insecure_channel(address)
machines, consoles, faults, checks, ledgers, events = (
    api.stub(channel, f"vmm.v1.{n}Service") for n in ("Machine", "Console", "Fault", "MachineCheck", "Ledger", "Event"))


def message(kind, /, **fields):
    return api.message("vmm.v1." + kind)(**fields)


def expect(text, **more):
    answer = consoles.ExpectConsole(message("ExpectConsoleRequest", machine="py", text=text, virtual_time_ns=60 * 10**9, **more), timeout=120)
    assert answer.matched, f"'{text}' was not seen"
    return answer


seen = []
watch = events.WatchEvents(message("WatchEventsRequest", machines=["py"]))
watch.initial_metadata()


def follow():
    try:
        for event in watch:
            seen.append(event)
    except grpc.RpcError:
        pass


threading.Thread(target=follow, daemon=True).start()

created = machines.CreateMachine(message(
    "CreateMachineRequest", name="py",
    spec=dict(memory_bytes=256 << 20, boot=dict(kernel=kernel, initrds=[initrd], command_line="console=ttyS0 cryptomgr.notests iommu.strict=1"),
              disks=[dict(size_bytes=16 << 20)], iommu=dict())))
assert created.machine.state == 1, created
print("ok create")

machines.StartMachine(message("StartMachineRequest", name="py"))
expect("READY", from_offset=0)
print("ok boot")

text = b""
for chunk in consoles.AttachConsole(iter([message("AttachConsoleRequest", machine="py", from_offset=0)])):
    text += chunk.data
    if b"READY" in text:
        break
assert b"Linux version" in text, text
print("ok console")

faults.CreateFaultRule(message(
    "CreateFaultRuleRequest", machine="py",
    rule=dict(name="next-read", match=dict(device="00:03.0", opcode=2, direction="FAULT_DIRECTION_WRITE", count=1),
              action=dict(translation=dict(reason=5)))))
expect("DMAR: [DMA Write NO_PASID] Request device [00:03.0]", send=b"dd if=/dev/nvme0n1 of=/dev/null bs=4k count=1 iflag=direct\n")
fired = faults.ListFiredFaults(message("ListFiredFaultsRequest", machine="py")).firings
assert [f.rule for f in fired] == ["next-read"] and fired[0].reported, fired
print("ok fault")

# The machine runs on while calls are under way: what is expected is looked for from here on.
here = machines.GetMachine(message("GetMachineRequest", name="py")).machine.console_bytes
checks.InjectMachineCheckText(message("InjectMachineCheckTextRequest", machine="py", text="CPU 0 BANK 3\nSTATUS CORRECTED ADDRV MISCV 0x135\nADDR 0x29da000\nMISC 0x8c\n"))
expect("Machine check events logged", from_offset=here)
print("ok machine-check")

ledger = ledgers.GetLedger(message("GetLedgerRequest", machine="py"))
assert ledger.mark and any(e.count > 0 and e.handler for e in ledger.entries), ledger
print("ok ledger")

consoles.SendConsole(message("SendConsoleRequest", machine="py", input=b"poweroff -f\n"))
ended = machines.WaitMachine(message("WaitMachineRequest", name="py", stopped=True), timeout=60).machine
assert ended.outcome.reason == 2, ended
machines.DeleteMachine(message("DeleteMachineRequest", name="py"))
watch.cancel()
kinds = {e.WhichOneof("event") for e in seen}
assert {"state", "console_line", "fault_fired", "iommu_faults", "machine_check"} <= kinds, kinds
assert [e.sequence for e in seen] == sorted({e.sequence for e in seen}), "events are out of order"
print("ok shut-down")
