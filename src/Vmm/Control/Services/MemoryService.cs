using System.Security.Cryptography;
using Google.Protobuf;
using Vmm.Api.V1;
using Vmm.Control.Hosting;
using Vmm.Grpc;
using Vmm.Platform.Memory;

namespace Vmm.Control.Services;

/// <summary>vmm.v1.MemoryService.</summary>
internal sealed class MemoryService(MachineRegistry machines)
{
    const int LargestChunk = 1 << 20;

    /// <summary>The methods.</summary>
    public MethodTable Methods => new MethodTable(MemoryReflection.Descriptor.Services[0])
        .ServerStreaming<ReadMemoryRequest, ReadMemoryResponse>("ReadMemory", ReadAsync)
        .ClientStreaming<WriteMemoryRequest, WriteMemoryResponse>("WriteMemory", WriteAsync)
        .Unary<HashMemoryRequest, HashMemoryResponse>("HashMemory", HashAsync);

    async Task ReadAsync(ReadMemoryRequest request, IServerStreamWriter<ReadMemoryResponse> responses, ServerCallContext context)
    {
        var host = machines.Get(request.Machine);
        await host.InvokeAsync(m => RequireRam(m.Memory, request.Address, request.Length), context.CancellationToken).ConfigureAwait(false);
        for (ulong done = 0; done < request.Length;)
        {
            var at = request.Address + done;
            var length = (int)Math.Min(LargestChunk, request.Length - done);
            var data = await host.InvokeAsync(m => Copy(m.Memory, at, length), context.CancellationToken).ConfigureAwait(false);
            await responses.WriteAsync(new() { Address = at, Data = UnsafeByteOperations.UnsafeWrap(data) }, context.CancellationToken).ConfigureAwait(false);
            done += (ulong)length;
        }
    }

    async Task<WriteMemoryResponse> WriteAsync(IAsyncStreamReader<WriteMemoryRequest> requests, ServerCallContext context)
    {
        MachineHost? host = null;
        ulong next = 0, written = 0;
        while (await requests.MoveNext(context.CancellationToken).ConfigureAwait(false))
        {
            var request = requests.Current;
            var violations = new Violations();
            violations.Require(host != null || request.HasAddress, "address", "needed in the first chunk");
            violations.Require(host == null || request.Machine.Length == 0 || request.Machine == host.Name, "machine", "only the first chunk names the machine");
            violations.Require(request.Data.Length <= LargestChunk, "data", $"more than {LargestChunk} bytes");
            violations.Throw();
            host ??= machines.Get(request.Machine);
            var at = request.HasAddress ? request.Address : next;
            await host.InvokeAsync(m => Store(m.Memory, at, request.Data), context.CancellationToken).ConfigureAwait(false);
            next = at + (ulong)request.Data.Length;
            written += (ulong)request.Data.Length;
        }

        return host == null ? throw Errors.Invalid("machine", "the first chunk names the machine") : new() { Written = written };
    }

    Task<HashMemoryResponse> HashAsync(HashMemoryRequest request, ServerCallContext context) => machines.Get(request.Machine).InvokeAsync(
        m =>
        {
            var length = request.Length != 0 ? request.Length : RamFrom(m.Memory, request.Address);
            RequireRam(m.Memory, request.Address, length);
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            for (ulong done = 0; done < length; done += LargestChunk)
            {
                m.Memory.TryGetSpan(new(request.Address + done), (int)Math.Min(LargestChunk, length - done), false, out var window);
                hash.AppendData(window);
            }

            return new HashMemoryResponse { Sha256 = Convert.ToHexStringLower(hash.GetHashAndReset()), Length = length };
        },
        context.CancellationToken);

    static ulong RamFrom(GuestMemory memory, ulong address)
    {
        var high = memory.HighRamBytes == 0 ? 0 : GuestMemory.HighRamStart + memory.HighRamBytes;
        return address < memory.LowRamBytes ? memory.LowRamBytes - address : address < high ? high - address : 0;
    }

    static int RequireRam(GuestMemory memory, ulong address, ulong length)
    {
        if (length == 0 || length > RamFrom(memory, address) || !memory.IsRam(new(address), 1))
        {
            throw Errors.OutOfRange("ADDRESS_NOT_RAM", $"{length} bytes at 0x{address:x} are not RAM");
        }

        return 0;
    }

    static byte[] Copy(GuestMemory memory, ulong address, int length)
    {
        var data = new byte[length];
        memory.TryRead(new(address), data);
        return data;
    }

    static int Store(GuestMemory memory, ulong address, ByteString data)
    {
        if (data.Length != 0)
        {
            RequireRam(memory, address, (ulong)data.Length);
            memory.TryWrite(new(address), data.Span);
        }

        return 0;
    }
}
